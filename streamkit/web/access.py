"""Who may use a relay, and from which web pages.

A hook decides: `authorize(request)` returns the Principal, or None for 401; it may be async, and may raise Refused. Without a
hook everybody is the same anonymous principal.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlencode

from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from .http import Request

__all__ = ["ANONYMOUS", "CORS", "Authorize", "Principal", "SignedURLs", "bearer_tokens", "check_site", "loopback_only"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who starts streams, and to whom they belong. Streams of others are as good as not there.

    >>> Principal("ann").name
    'ann'
    """

    name: str


ANONYMOUS: Final = Principal("")
"""Everybody, where no hook says who is who."""

Authorize: TypeAlias = "Callable[[Request], Principal | Awaitable[Principal | None] | None]"
"""Says who makes a request; None: nobody who may."""


def bearer_tokens(tokens: Mapping[str, str]) -> Callable[[Request], Principal | None]:
    """A hook for `Authorization: Bearer TOKEN`, which is what an OpenAI client sends as its key.

    Args:
        tokens: the token of each principal, by name.

    Raises:
        ValueError: no token, or one that no header can carry.

    >>> bearer_tokens({"ann": ""})
    Traceback (most recent call last):
    ...
    ValueError: the token of 'ann' must be printable ASCII without spaces, at least one character
    """
    if not tokens:
        raise ValueError("bearer_tokens needs the token of at least one principal")
    known = []
    for name, token in tokens.items():
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ValueError(f"the token of {name!r} must be printable ASCII without spaces, at least one character")
        # Digests are of one length: a comparison takes the same time for every token.
        known.append((Principal(name), sha256(token.encode()).digest()))

    def authorize(request: Request) -> Principal | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = sha256(token.strip().encode("utf-8", "replace")).digest()
        found = None
        for principal, expected in known:  # all of them, always
            if hmac.compare_digest(digest, expected):
                found = principal
        return found

    return authorize


class SignedURLs:
    """Short-lived links to one stream, for an EventSource, which cannot send a header.

    Args:
        secret: of the server, at least 16 bytes; the same on every process of it.
        seconds: how long a link can be used to connect.
        clock: seconds since the epoch.

    Use `sign` where the page is told of its stream, and `authorize` as the hook, or as a part of it.

    >>> links = SignedURLs(b"0123456789abcdef", clock=lambda: 1000.0)
    >>> links.sign("s1", Principal("ann"))
    'expires=1060&principal=ann&signature=...'
    """

    def __init__(self, secret: bytes, *, seconds: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        if len(secret) < 16:
            raise ValueError("the secret of SignedURLs must be at least 16 bytes, as from secrets.token_bytes()")
        self._secret = secret
        self._seconds = seconds
        self._clock = clock

    def sign(self, stream_id: str, principal: Principal) -> str:
        """The query of a link to the stream."""
        expires = str(int(self._clock() + self._seconds))
        signature = self._signature(stream_id, principal.name, expires)
        return urlencode({"expires": expires, "principal": principal.name, "signature": signature})

    def authorize(self, request: Request) -> Principal | None:
        """The principal that a link was signed for: to read that one stream, until the link expires."""
        query = request.query
        name, expires, signature = (query.get(key, "") for key in ("principal", "expires", "signature"))
        if (
            request.stream_id is None
            or request.method not in {"GET", "HEAD"}
            or not re.fullmatch("[0-9]{1,12}", expires)
        ):
            return None
        expected = self._signature(request.stream_id, name, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return None
        return Principal(name) if int(expires) >= self._clock() else None

    def _signature(self, stream_id: str, name: str, expires: str) -> str:
        # As JSON, so that no name can be taken for the end of one part and the beginning of the next.
        text = json.dumps([stream_id, name, expires])
        return hmac.new(self._secret, text.encode(), sha256).hexdigest()


_LOOPBACK: Final = re.compile(r"(([a-z0-9-]+\.)*localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?")


def loopback_only(request: Request) -> None:
    """Raise Refused (403) unless the request names this machine as its host: for a server that listens on loopback.

    A web page may give its own host name the address 127.0.0.1 (DNS rebinding), and is then, for the browser, of one origin with
    the server; but the Host header still says whom it asked for.
    """
    if not _LOOPBACK.fullmatch(request.headers.get("host", "").lower()):
        raise Refused(
            "this server is for this machine only: ask for localhost",
            status=403,
            code="wrong_host",
            type="permission_error",
        )


# What the openai SDK sends from a browser, and what resuming and idempotency need.
_ALLOWED_HEADERS: Final = re.compile(
    r"authorization|content-type|accept|last-event-id|idempotency-key|cache-control|openai-[a-z-]+|x-stainless-[a-z-]+|x-streamkit-[a-z-]+"
)
_EXPOSED: Final = "x-streamkit-stream, retry-after, x-request-id, location"


@dataclass(frozen=True, slots=True)
class CORS:
    """From which origins a page may use the relay (https://fetch.spec.whatwg.org/#http-cors-protocol).

    Args:
        origins: as in "https://chat.example"; "*" alone: any, for relays that ask for a token.
        credentials: whether browsers may send cookies; never with "*".
        max_age: how many seconds a browser may remember the answer.

    >>> CORS(["https://chat.example"]).headers({"origin": "https://chat.example"})["access-control-allow-origin"]
    'https://chat.example'
    >>> CORS(["https://chat.example/"])
    Traceback (most recent call last):
    ...
    ValueError: an origin is a scheme and a host, as in https://chat.example, not 'https://chat.example/'
    """

    origins: Collection[str]
    credentials: bool = False
    max_age: int = 600

    def __post_init__(self) -> None:
        if isinstance(self.origins, str):
            raise TypeError("origins must be a list of origins, not one text")
        for origin in self.origins:
            if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#\s,*@]+", origin):
                raise ValueError(f"an origin is a scheme and a host, as in https://chat.example, not {origin!r}")
        if "*" in self.origins and self.credentials:
            raise ValueError("cookies of any origin's visitors (credentials with '*') would be everybody's to use")

    def allows(self, origin: str) -> bool:
        """Whether a page of this origin may."""
        return origin in self.origins or "*" in self.origins

    def headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that every answer to such a request has; for other origins only `vary`."""
        origin = request_headers.get("origin")
        headers = {"vary": "origin"}
        if origin is not None and self.allows(origin):
            headers["access-control-allow-origin"] = "*" if "*" in self.origins else origin
            headers["access-control-expose-headers"] = _EXPOSED
            if self.credentials:
                headers["access-control-allow-credentials"] = "true"
        return headers

    def preflight(self, request_headers: Mapping[str, str], methods: str) -> dict[str, str]:
        """The headers that answer a preflight: of the headers that the page asks for, those that are known."""
        headers = self.headers(request_headers)
        headers["vary"] = "origin, access-control-request-headers"
        if "access-control-allow-origin" in headers:
            asked = [
                name.strip().lower() for name in request_headers.get("access-control-request-headers", "").split(",")
            ]
            headers["access-control-allow-methods"] = methods
            headers["access-control-allow-headers"] = ", ".join(filter(_ALLOWED_HEADERS.fullmatch, asked))
            headers["access-control-max-age"] = str(self.max_age)
        return headers


def check_site(request: Request, cors: CORS | None) -> None:
    """Raise Refused (403) if a page of another site sent the request, and its origin is not allowed.

    The browser says so itself (https://www.w3.org/TR/fetch-metadata/). Without `Sec-Fetch-Site` it is no browser, or an old one,
    which still had to ask first (a preflight) before it sent JSON.
    """
    site = request.headers.get("sec-fetch-site", "none")
    origin = request.headers.get("origin")
    if site in {"cross-site", "same-site"} and not (cors is not None and origin is not None and cors.allows(origin)):
        raise Refused(
            "pages of this origin may not use the relay", status=403, code="origin_not_allowed", type="permission_error"
        )
