"""What a test server says, step by step."""

from __future__ import annotations

import http
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, get_args

__all__ = [
    "At",
    "Cut",
    "End",
    "Hang",
    "Headers",
    "Raw",
    "Reset",
    "Script",
    "Send",
    "Step",
    "Wait",
    "answer",
    "check_script",
]


@dataclass(frozen=True, slots=True)
class Headers:
    """Send the status line and the headers. Left out, `Headers()` goes before the first `Send` or `End`.

    Args:
        status: 100 to 999.
        headers: added to what the framing needs; the content type is `text/event-stream` unless given.
        framing: "chunked": each `Send` is one HTTP chunk. "close": the body ends with the connection, which a client
            cannot tell from a cut. A `content-length` header overrides either.

    Raises:
        ValueError: a header that HTTP cannot carry; use `Raw` to send one all the same.
    """

    status: int = 200
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()
    framing: Literal["chunked", "close"] = "chunked"

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 999:
            raise ValueError(f"an HTTP status is 100 to 999, not {self.status}")
        if self.framing not in {"chunked", "close"}:
            raise ValueError(f'the framing is "chunked" or "close", not {self.framing!r}')
        pairs = self.pairs
        for name, value in pairs:
            if not name or re.search(r"[\r\n\0]", name + value) or not _encodable(name + value):
                raise ValueError(f"the header {name!r} is not one line of text; use Raw to send it all the same")
        object.__setattr__(self, "headers", pairs)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers, in order, as (name, value)."""
        return _pairs(self.headers)

    @property
    def names(self) -> dict[str, str]:
        """The last value of each header, by its name in lower case."""
        return {name.lower(): value for name, value in self.pairs}

    @property
    def has_body(self) -> bool:
        """Whether a body follows (RFC 9110, section 6.4.1)."""
        return self.status >= 200 and self.status not in {204, 304}

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in HTTP chunks."""
        return self.framing == "chunked" and self.has_body and "content-length" not in self.names

    def encode(self) -> bytes:
        r"""The head of the response, with the headers that its framing needs.

        >>> Headers().encode()
        b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
        """
        try:
            phrase = http.HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.pairs)]
        if self.has_body:
            if "content-type" not in self.names:
                lines.append("content-type: text/event-stream")
            if self.is_chunked:
                if "transfer-encoding" not in self.names:
                    lines.append("transfer-encoding: chunked")
            elif "content-length" not in self.names and "connection" not in self.names:
                lines.append("connection: close")
        return "\r\n".join([*lines, "\r\n"]).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes of the body in one write: as one HTTP chunk, or bare if the body is not chunked. Empty: nothing."""

    data: bytes

    def __post_init__(self) -> None:
        _check_bytes(self.data, "Send")


@dataclass(frozen=True, slots=True)
class Raw:
    """Write bytes to the connection as they are: a malformed chunk size, a broken status line.

    Where no `Headers` came before, they are the head too, and the connection ends the answer.
    """

    data: bytes

    def __post_init__(self) -> None:
        _check_bytes(self.data, "Raw")


@dataclass(frozen=True, slots=True)
class Wait:
    """Say nothing for so many seconds of the loop's clock."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds, "Wait")


@dataclass(frozen=True, slots=True)
class At:
    """Say nothing until so many seconds after the request was there: unlike a row of `Wait`, it does not drift."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds, "At")


@dataclass(frozen=True, slots=True)
class End:
    """End the body as its framing does. A script that says nothing else ends so."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection (FIN) where the answer stands: no last chunk."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST), once what was sent has left the process."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing more and keep the connection open until the client leaves."""


Step: TypeAlias = Headers | Send | Raw | Wait | At | End | Cut | Reset | Hang
Script: TypeAlias = bytes | Sequence[Step]
"""What is said to one request: a sequence of steps, or bytes, which stand for `[Send(bytes)]`."""

_LAST: Final = End | Cut | Reset | Hang


def answer(status: int, body: object, headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> tuple[Step, ...]:
    """The script of a whole answer that is no stream: an error, a JSON completion, a page of HTML.

    Args:
        status: the HTTP status.
        body: bytes or text as they are (text/plain), anything else as JSON.
        headers: added, or instead of the content type.

    >>> answer(401, {"error": {"message": "no such key"}})[1]
    Send(data=b'{"error": {"message": "no such key"}}')
    """
    match body:
        case bytes():
            data, content_type = body, "text/plain"
        case str():
            data, content_type = body.encode(), "text/plain"
        case _:
            data, content_type = json.dumps(body).encode(), "application/json"
    pairs = [*_pairs(headers)]
    if all(name.lower() != "content-type" for name, _ in pairs):
        pairs.append(("content-type", content_type))
    pairs.append(("content-length", str(len(data))))
    return (Headers(status, pairs), Send(data), End())


def check_script(script: Script) -> tuple[Step, ...]:
    """The steps of a script, once it makes sense: headers first, an ending last.

    Raises:
        TypeError: something in it is no step.
        ValueError: its steps are in an order that HTTP does not have.
    """
    if isinstance(script, bytes):
        return (Send(script),)
    steps = tuple(script)
    said = False
    for number, step in enumerate(steps):
        if not isinstance(step, get_args(Step)):
            known = ", ".join(kind.__name__ for kind in get_args(Step))
            raise TypeError(f"step {number} of a script is a {type(step).__name__}; it takes {known}")
        if isinstance(step, Headers) and said:
            raise ValueError(f"step {number} of a script sends headers after the answer has begun; use Raw if meant")
        if isinstance(step, _LAST) and number != len(steps) - 1:
            raise ValueError(f"step {number} of a script is {step}, and others follow: nothing can come after it")
        said = said or isinstance(step, Headers | Send)
    return steps


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    # The cast: for a type checker, an iterable of pairs might be a mapping whose keys are pairs.
    return tuple(cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers)


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _check_bytes(data: object, step: str) -> None:
    if not isinstance(data, bytes):
        raise TypeError(f"{step} takes bytes, not {type(data).__name__}; encode text, or build a feed with sse()")


def _check_seconds(seconds: float, step: str) -> None:
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{step} takes a finite number of seconds of at least 0, not {seconds}")
