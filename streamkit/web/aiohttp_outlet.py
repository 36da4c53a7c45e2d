"""The body of an aiohttp response as an outlet of the relay."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .serving import LINGER

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.abc import AbstractStreamWriter

    from .encoded import Piece
    from .subscription import Outcome

__all__ = ["ResponseOutlet"]

SEND_BUFFER: Final = 32 * 1024
"""Of the kernel; by default a client that has stopped reading swallows megabytes before anyone notices."""

HIGH_WATER: Final = 16 * 1024
"""What may wait in the process for one client, in bytes, before it counts as slow."""

_LOOK_EVERY: Final = 0.02


class ResponseOutlet:
    """Writes to one `aiohttp.web.StreamResponse`; what is offered goes straight to the transport, framed once for all clients.

    Args:
        request: the request that is answered.
        response: not prepared yet; without compression.
        silence: seconds after which the kernel gives up a client that acknowledges nothing (TCP_USER_TIMEOUT; Linux only).
    """

    __slots__ = ("_chunked", "_request", "_silence", "_transport", "_writer", "response")

    def __init__(self, request: web.Request, response: web.StreamResponse, *, silence: float = 30.0) -> None:
        self._request = request
        self.response = response
        self._silence = silence
        self._transport: asyncio.Transport | None = None
        self._writer: AbstractStreamWriter | None = None
        self._chunked = False

    async def prepare(self) -> None:
        """Send the headers. Raises OSError when the client has gone."""
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            with suppress(OSError):  # an optimisation only
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._silence * 1000))
        self._writer = await self.response.prepare(self._request)
        if self._writer is not None:
            self._writer.send_headers()  # aiohttp would keep them for its own first write, and the first may be ours
        self._chunked = self.response.headers.get("Transfer-Encoding", "").lower() == "chunked"

    async def send(self, data: bytes) -> None:
        """Write through aiohttp, and wait for room."""
        await self.response.write(data)
        if self._writer is not None:
            await self._writer.drain()

    def offer(self, piece: Piece) -> bool:
        """Write to the transport if less than the high water waits there."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > HIGH_WATER:
            return False
        transport.write(piece.chunk if self._chunked else piece.data)
        return True

    def gone(self) -> bool:
        """Whether the connection is closed."""
        return self._request.transport is None or self._request.transport.is_closing()

    async def finish(self, outcome: Outcome, *, linger: float = LINGER) -> None:
        """End the response as a subscription ended: whole; flushed, but without the end of its body; or dropped.

        A body without an end is left open for `linger` seconds, unless the client leaves before: fetch, in browsers and in node,
        and aiohttp throw away what has not been read yet, the error among it, when the connection ends before the body does.
        """
        if outcome == "end":
            with suppress(OSError):
                await self.response.write_eof()
        elif self._transport is not None:
            self.response.force_close()
            if outcome == "error":
                until = time.monotonic() + linger
                while not self.gone() and time.monotonic() < until:  # noqa: ASYNC110 - aiohttp tells nobody that a client left
                    await asyncio.sleep(_LOOK_EVERY)
                self._transport.close()
            else:
                self._transport.abort()
