"""The client at the other end of an ASGI request: what it sends, what it is sent, and whether it is there."""

from __future__ import annotations

import asyncio
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Self

    from .encoded import Piece

__all__ = ["ASGIClient"]

Receive: TypeAlias = "Callable[[], Awaitable[MutableMapping[str, Any]]]"
Send: TypeAlias = "Callable[[MutableMapping[str, Any]], Awaitable[None]]"

_T = TypeVar("_T")

BODY_SECONDS: Final = 30.0
"""How long a client may take to send its request."""


_ASK_AGAIN_SECONDS: Final = 1.0
"""How long to leave one alone who answers every question at once, with what is known."""

log = logging.getLogger("streamkit.web")


@cache
def _tell_of_repeated_bodies() -> None:
    log.warning(
        "clients cannot be seen to leave: middleware answers every receive() with the request's body, where ASGI has the "
        "disconnect follow. Have it give the body once, and await the server's receive() from then on"
    )


class ASGIClient:
    """Reads a request's body, takes a response's, and knows when the client has gone, which ASGI tells to whom awaits `receive`.

    One task does so from its entering to its leaving: servers, and middleware more so, bear no second one.

    Args:
        receive, send: of the request.
        max_body: bytes that are kept of the body; what comes after them is read and forgotten.

    """

    def __init__(self, receive: Receive, send: Send, max_body: int) -> None:
        self._receive = receive
        self._send = send
        self._max_body = max_body
        self._body = bytearray()
        # Futures, because an asyncio.Event is three quarters of a kilobyte, of which every reader would have two.
        loop = asyncio.get_running_loop()
        self._has_body: asyncio.Future[None] = loop.create_future()
        """All of it has come, or more than allowed, or the client has gone."""
        self._when_gone: Callable[[], object] = lambda: None
        self._left: asyncio.Future[None] = loop.create_future()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._listening = asyncio.get_running_loop().create_task(self._listen(), name="streamkit.web.receive")
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._listening is not None
        self._listening.cancel()
        await asyncio.wait([self._listening])
        if not self._listening.cancelled():
            self._listening.exception()  # of the server's; it has its own log

    async def _listen(self) -> None:
        whole = False
        try:
            while (message := await self._receive())["type"] == "http.request":
                if whole:
                    _tell_of_repeated_bodies()
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                    continue
                whole = not message.get("more_body", False)
                if len(self._body) <= self._max_body:
                    self._body += message.get("body", b"")
                if whole or len(self._body) > self._max_body:
                    _set(self._has_body)
        except asyncio.CancelledError:  # from here: it is there, but we are done
            raise
        except Exception:
            self._lost()
            raise
        self._lost()

    def _lost(self) -> None:
        _set(self._left)
        _set(self._has_body)
        self._when_gone()

    def gone(self) -> bool:
        """Whether the client has left; some servers say so too when they shut down."""
        return self._left.done()

    def when_gone(self, callback: Callable[[], object]) -> None:
        """Call this, and none that was given before, when the client has gone; at once if it has."""
        self._when_gone = callback
        if self.gone():
            callback()

    async def until_gone(self, seconds: float) -> None:
        """Wait until the client has gone, or for so long."""
        await asyncio.wait([self._left], timeout=seconds)

    async def while_there(self, work: asyncio.Future[_T]) -> None:
        """Wait for something as long as the client does: then it is done, or cancelled because the client went first."""
        self.when_gone(work.cancel)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise

    async def body(self, limit: int) -> bytes:
        """The body of the request. Raises Refused: it has not come in time (408), or is longer than `limit` (413)."""
        if not self._has_body.done():
            await asyncio.wait([self._has_body], timeout=BODY_SECONDS)
        if not self._has_body.done():
            raise Refused("the request took too long to come", status=408, code="request_timeout")
        if len(self._body) > limit:
            raise Refused(f"the request is larger than {limit} bytes", status=413, code="request_too_large")
        return bytes(self._body)

    # --- what it is sent ----------------------------------------------------------------------------------------------

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of the response."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, data: bytes) -> None:
        """Send a part of the body; returns when the server has room. Raises OSError when the client has gone."""
        if self.gone():
            raise ConnectionResetError("the client has gone")
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body, and that it is whole."""
        await self._send({"type": "http.response.body", "body": data})

    def offer(self, piece: Piece) -> bool:
        """Take nothing: ASGI knows no sending without waiting."""
        return False


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
