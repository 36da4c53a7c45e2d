"""A listener on the way from a relay to its client, and an upstream that goes on when it has heard something there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aiohttp import web

from streamkit.testing.listening import stop_listening

__all__ = ["Tap", "patient_upstream", "tapped"]

BEAT = b": hb\n"


class Tap:
    """What has passed to clients."""

    def __init__(self) -> None:
        self.origin = ""
        self.heard = b""
        self.open: set[_ClientSide] = set()
        self._news = asyncio.Event()

    def pass_on(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    async def beat_after(self, mark: bytes) -> None:
        """Wait until a heartbeat has passed after the last thing that had the mark."""
        async with asyncio.timeout(20):
            while (place := self.heard.rfind(mark)) < 0 or BEAT not in self.heard[place:]:
                self._news.clear()
                await self._news.wait()


class _ServerSide(asyncio.Protocol):
    def __init__(self, tap: Tap, client: asyncio.Transport) -> None:
        self._tap = tap
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._tap.pass_on(data)
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()


class _ClientSide(asyncio.Protocol):
    def __init__(self, tap: Tap, port: int) -> None:
        self._tap = tap
        self._port = port
        self._server: asyncio.Transport | None = None
        self._client: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._client = transport
        self._tap.open.add(self)
        self.connecting = asyncio.get_running_loop().create_task(self._connect(transport))

    async def _connect(self, client: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        self._server, _ = await loop.create_connection(lambda: _ServerSide(self._tap, client), "127.0.0.1", self._port)
        if client.is_closing():
            self._server.close()
        else:
            client.resume_reading()

    def data_received(self, data: bytes) -> None:
        assert self._server is not None
        self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tap.open.discard(self)
        if self._server is not None:
            self._server.close()

    def drop(self) -> None:
        """Close both ends at once."""
        for transport in self._client, self._server:
            if transport is not None:
                transport.abort()


@asynccontextmanager
async def tapped(origin: str) -> AsyncIterator[Tap]:
    """A way to the server of that origin, `tap.origin`, that is listened to."""
    tap, port = Tap(), urlsplit(origin).port
    assert port is not None
    server = await asyncio.get_running_loop().create_server(lambda: _ClientSide(tap, port), "127.0.0.1", 0)
    tap.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tap
    finally:
        await stop_listening(server)
        sides = list(tap.open)
        await asyncio.gather(*(side.connecting for side in sides), return_exceptions=True)
        for side in sides:
            side.drop()
        await server.wait_closed()


@asynccontextmanager
async def patient_upstream(pieces: Sequence[tuple[bytes, bytes]], waits: list[Tap]) -> AsyncIterator[str]:
    """A completion server that sends a piece, and the next one when a heartbeat has passed a tap after the mark of that piece.

    It says nothing at all, no headers either, before the first heartbeat. With no tap in `waits` it does not wait.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        tap = waits[0] if waits else None
        if tap is not None:
            await tap.beat_after(b"HTTP/1.1 200")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for data, mark in pieces:
            await response.write(data)
            if tap is not None and mark:
                await tap.beat_after(mark)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    assert runner.server is not None
    listener = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    finally:
        await stop_listening(listener)
        await runner.cleanup()
