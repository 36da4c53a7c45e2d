"""Taking secrets out of what is kept: by the name of a field, and by the secret itself."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["Redactor", "is_secret_name"]

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# "tokens" is left out on purpose: max_tokens and x-ratelimit-remaining-tokens are what people look for in a recording.
_SECRET_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        "apikey auth authorization bearer cookie credential credentials jwt key keys passphrase passwd password pwd "
        "secret secrets sig signature token",
    )
)
_SECRET_ENDS: Final = ("accesskey", "apikey", "password", "secret", "secretkey", "token")

_USERINFO: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@")
_PARAMETER: Final = re.compile(r"([?&#])([^=&#]*)=([^&#]*)")

# A shorter secret ("none", "EMPTY", "test": what local servers take as a key) is also a word of the answer.
_SHORTEST_IN_DATA: Final = 8


def is_secret_name(name: str) -> bool:
    """Whether a header, query parameter or field of this name holds a secret, as far as its name tells.

    >>> [is_secret_name(name) for name in ("Authorization", "x-api-key", "apiKey", "max_tokens", "model")]
    [True, True, True, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDS) for word in words)


class Redactor:
    """Hides secrets in structures, text and bytes.

    Args:
        secrets: secrets known by their value (the API key). They are hidden as they are, percent-encoded and
            JSON-escaped. Empty strings are ignored.

    >>> redactor = Redactor(["sk-canary-1234"])
    >>> redactor.value({"url": "https://me:pw@host/v1?key=abc&n=1", "Cookie": "a=b", "note": "sk-canary-1234"})
    {'url': 'https://***@host/v1?key=***&n=1', 'Cookie': '***', 'note': '***'}
    >>> redactor.data(b"bad key: sk-canary-1234.")
    b'bad key: **************.'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form
            for secret in secrets
            if secret
            for form in (secret, urllib.parse.quote(secret, safe=""), json.dumps(secret)[1:-1])
        }
        # The longest first, so that a secret that contains another leaves no rest of itself.
        self._texts = sorted(forms, key=len, reverse=True)
        encoded = (text.encode("utf-8", "surrogatepass") for text in self._texts)
        self._datas = [data for data in encoded if len(data) >= _SHORTEST_IN_DATA]

    def text(self, text: str) -> str:
        """The text with every known secret replaced by `***`."""
        for secret in self._texts:
            text = text.replace(secret, "***")
        return text

    def data(self, data: bytes) -> bytes:
        """The bytes with every known secret of 8 bytes or more starred out, equally long, so that lengths stay true."""
        for secret in self._datas:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data

    def unfinished(self, data: bytes) -> int:
        """Where in `data` a known secret may have begun that is not all there; `len(data)` if nowhere.

        A secret can be split over two reads: what comes from here on can only be redacted when more is known.

        >>> Redactor(["sk-canary"]).unfinished(b"key sk-can")
        4
        """
        earliest = len(data)
        for secret in self._datas:
            at = data.find(secret[:1], max(0, len(data) - len(secret) + 1), earliest)
            while at >= 0:
                if secret.startswith(data[at:]):
                    earliest = at
                    break
                at = data.find(secret[:1], at + 1, earliest)
        return earliest

    def value(self, value: object, name: str = "") -> object:
        """The JSON-like value with secrets replaced: by the names of fields, in URLs, and known ones anywhere.

        Args:
            value: dicts, lists, strings, numbers; other objects are returned as they are.
            name: the name of the field that holds it.
        """
        if is_secret_name(name) and not (value is None or isinstance(value, bool)):
            return "***"
        match value:
            case str():
                return self.text(_hide_in_url(value) if name.lower().endswith("url") else value)
            case Mapping():
                return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
            case [str(key), str(item)]:  # a header as a pair
                return [self.text(key), self.value(item, key)]
            case list() | tuple():
                return [self.value(item) for item in value]
            case _:
                return value


def _hide_in_url(url: str) -> str:
    def hide(parameter: re.Match[str]) -> str:
        mark, name, value = parameter.groups()
        return f"{mark}{name}={'***' if is_secret_name(urllib.parse.unquote(name)) else value}"

    return _PARAMETER.sub(hide, _USERINFO.sub(r"\1***@", url))
