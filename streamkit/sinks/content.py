"""How much of what was said a sink may show."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..errors import ConnectionFailed, ConnectionLost, EmptyStream, StreamTimeout, TruncatedStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import StreamError

__all__ = ["ContentMode", "check_redact", "is_own_message", "redacted", "shown", "word"]

_WORD: Final = re.compile(r"[\w.-]{1,64}")

ContentMode: TypeAlias = Literal["none", "length", "hash", "full"]
"""Nothing of a text, its number of characters, the beginning of its SHA-256, or the text itself."""


def shown(text: str, mode: ContentMode, redact: Callable[[str], str] | None = None) -> str | int | None:
    """What may be shown of a text; None for nothing.

    >>> shown("a secret", "length"), shown("a secret", "hash"), shown("a secret", "full", lambda text: text[:2] + "***")
    (8, 'sha256:984ca5162200734c', 'a ***')
    """
    if mode == "none":
        return None
    if mode == "length":
        return len(text)
    if mode == "hash":
        return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return text if redact is None else redacted(text, redact)


def redacted(value: Any, redact: Callable[[str], str]) -> Any:  # noqa: ANN401 - what JSON can hold
    """A JSON-like value with every text in it (names excepted) put through `redact`; the value itself is not changed.

    Where `redact` raises, or returns no text, the text is left out: what could not be redacted is not shown.

    >>> redacted({"role": "user", "content": ["a", 1]}, str.upper)
    {'role': 'USER', 'content': ['A', 1]}
    """
    if isinstance(value, str):
        try:
            result = redact(value)
        except Exception as error:  # noqa: BLE001 - the user's function; its message may hold the text
            return f"[redact raised {type(error).__name__}]"
        # Whatever the types say, a function may have forgotten to return something.
        return result if type(result) is str else f"[redact returned {type(result).__name__}]"
    if isinstance(value, dict):
        return {name: redacted(item, redact) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, redact) for item in value]
    return value


def check_redact(redact: object) -> None:
    """Raise TypeError for what cannot redact."""
    if redact is not None and not callable(redact):
        raise TypeError(f"redact must be a function from text to text, not {type(redact).__name__}")


def word(value: str | None) -> str | None:
    """What a server calls its error, if that is a word: anything longer may quote what was sent."""
    return value if value is not None and _WORD.fullmatch(value) else None


def is_own_message(error: StreamError) -> bool:
    """Whether the message of an error is streamkit's own words: those of a server may quote the prompt."""
    return isinstance(error, ConnectionFailed | ConnectionLost | StreamTimeout | TruncatedStream | EmptyStream)
