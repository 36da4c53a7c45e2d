"""HTTP/1.1 requests out of bytes, without I/O."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["BadRequestError", "ReceivedRequest", "RequestReader"]

_MAX_HEAD: Final = 64 * 2**10
_MAX_BODY: Final = 256 * 2**20


class BadRequestError(Exception):
    """What came is no HTTP/1.1 request; says why."""


@dataclass(eq=False)
class ReceivedRequest:
    """A request as the server read it, and what became of it.

    Attributes:
        method: as sent.
        path: with its query.
        headers: names in lower case; repeated ones joined by a comma.
        body: whole, chunking undone.
        at: when it was read whole, on the loop's clock.
        closed: set when the client has closed or reset the connection.
        closed_at: when, on the loop's clock; None before.
        answered: whether the script ran to its end, before the client left.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = 0.0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    closed_at: float | None = None
    answered: bool = False

    @property
    def json(self) -> Any:  # noqa: ANN401  # any JSON
        """The body, parsed.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body)

    def __repr__(self) -> str:
        # No body, no headers: prompts and keys.
        return f"<ReceivedRequest {self.method} {self.path.partition('?')[0]}, {len(self.body)} bytes>"


class RequestReader:
    r"""Bytes in, requests out.

    >>> reader = RequestReader()
    >>> reader.feed(b"POST /v1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
    >>> reader.next_request()
    >>> reader.feed(b"}")
    >>> reader.next_request()
    <ReceivedRequest POST /v1, 2 bytes>
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: tuple[str, str, dict[str, str]] | None = None
        self._body = bytearray()
        self._scanned = 0

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        self._buffer += data

    def next_request(self) -> ReceivedRequest | None:
        """The next request, or None until there is a whole one.

        Raises:
            BadRequestError: it cannot become one.
        """
        if self._head is None and (head := self._take_until(b"\r\n\r\n")) is not None:
            self._head = _parse_head(head)
        if self._head is None:
            return None
        method, path, headers = self._head
        if "transfer-encoding" in headers:
            whole = self._read_chunks()
        else:
            whole = self._read_length(headers.get("content-length", "0"))
        if not whole:
            return None
        request = ReceivedRequest(method, path, headers, bytes(self._body))
        self._head = None
        self._body = bytearray()
        return request

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for a `100 Continue` before it sends the body."""
        begun = self._buffer or self._body
        return self._head is not None and self._head[2].get("expect", "").lower() == "100-continue" and not begun

    def _take_until(self, mark: bytes) -> bytes | None:
        end = self._buffer.find(mark, max(0, self._scanned - len(mark)))
        self._scanned = 0 if end >= 0 else len(self._buffer)
        if end > _MAX_HEAD or self._scanned > _MAX_HEAD:
            raise BadRequestError(f"a head of more than {_MAX_HEAD} bytes")
        if end < 0:
            return None
        taken = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return taken

    def _read_length(self, length: str) -> bool:
        if not re.fullmatch(r"[0-9]{1,18}", length) or int(length) > _MAX_BODY:
            raise BadRequestError(f"a content length of {length[:40]!r}")
        if len(self._buffer) < int(length):
            return False
        self._body += self._buffer[: int(length)]
        del self._buffer[: int(length)]
        return True

    def _read_chunks(self) -> bool:
        # Each turn takes a whole chunk, so that a body in many reads is not read over and over.
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = re.fullmatch(rb"([0-9A-Fa-f]{1,8})[ \t]*(;.*)?", self._buffer[:end])
            if size is None:
                raise BadRequestError("a malformed chunk size")
            length = int(size[1], 16)
            if length == 0:
                return self._read_trailers(end)
            if len(self._body) + length > _MAX_BODY:
                raise BadRequestError(f"a body of more than {_MAX_BODY} bytes")
            after = end + 2 + length
            if len(self._buffer) < after + 2:
                return False
            self._body += self._buffer[end + 2 : after]
            del self._buffer[: after + 2]
        if len(self._buffer) > _MAX_HEAD:
            raise BadRequestError("a malformed chunk size")
        return False

    def _read_trailers(self, last_size_end: int) -> bool:
        end = self._buffer.find(b"\r\n\r\n", last_size_end)
        if end < 0:
            return False
        del self._buffer[: end + 4]
        return True


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    request_line = re.fullmatch(r"([!-~]+) (\S+) HTTP/1\.1", first)
    if request_line is None:
        raise BadRequestError("not an HTTP/1.1 request line")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise BadRequestError("a malformed header line")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return request_line[1], request_line[2], headers
