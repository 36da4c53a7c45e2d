from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from streamkit.web import Record, RelaySubscription, StreamEnd, encoding, serve
from streamkit.web.aiohttp_outlet import HIGH_WATER, SEND_BUFFER, ResponseOutlet
from streamkit.web.encoded import Encoded, Piece
from streamkit.web.hub import Hub
from streamkit.web.memory_log import MemoryLog
from streamkit.web.records import EndReason
from streamkit.web.serving import LINGER

from .scripted import chunk_record


class Server:
    """One stream, served to whoever asks; by HTTP over loopback."""

    def __init__(self) -> None:
        self.hub = Hub(MemoryLog(), max_lag_bytes=None)
        self.channel = self.hub.open("s")
        self.outcomes: list[str] = []
        self.outlets: list[ResponseOutlet] = []
        self.subscriptions: list[RelaySubscription] = []
        self.send_timeout = 20.0
        self.linger = LINGER
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        subscription = await self.hub.subscribe("s", name="guide")
        headers = {"Content-Type": subscription.encoder.content_type}
        outlet = ResponseOutlet(request, web.StreamResponse(headers=headers))
        await outlet.prepare()
        self.subscriptions.append(subscription)
        self.outlets.append(outlet)
        outcome = await serve(subscription, outlet, send_timeout=self.send_timeout)
        await outlet.finish(outcome, linger=self.linger)
        self.outcomes.append(outcome)
        return outlet.response

    async def until(self, what: str, count: int) -> None:
        async with asyncio.timeout(10):
            while len(getattr(self, what)) < count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await server.hub.close()
        await runner.cleanup()


async def get(server: Server, version: str = "1.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(f"HTTP/{version} 200".encode())
    assert (b"chunked" in head.lower()) is (version == "1.1")
    return reader, writer


def end(seq: int, reason: EndReason = "done") -> Record:
    return Record(seq, "end", StreamEnd(reason).encode())


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_what_goes_past_aiohttp_is_framed_as_its_own(version: str):
    async with serving() as server:
        reader, writer = await get(server, version)
        await server.until("subscriptions", 1)
        for seq in range(1, 30):
            server.channel.add([chunk_record(seq, "é" * seq)])
            if seq % 10 == 0:
                await asyncio.sleep(0)
        server.channel.add([end(30)])
        await server.until("outcomes", 1)
        raw = b""
        while not raw.endswith(b"0\r\n\r\n" if version == "1.1" else b"[DONE]\n\n"):
            raw += await reader.read(65536)
        body = unchunked(raw) if version == "1.1" else raw
        assert body.replace(b": hb\n", b"") == encoded(29, "é")
        assert server.outcomes == ["end"]
        await hang_up(writer)


def encoded(count: int, text: str) -> bytes:
    encoded = Encoded(encoding("guide", "s"))
    encoded.add([*(chunk_record(seq, text * seq) for seq in range(1, count + 1)), end(count + 1)])
    return b"".join(encoded.frames)


def unchunked(raw: bytes) -> bytes:
    body = b""
    while raw:
        size, raw = raw.split(b"\r\n", 1)
        length = int(size, 16)
        body, raw = body + raw[:length], raw[length + 2 :]
    return body


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_failed_stream_is_told_in_full_and_its_body_has_no_end(version: str):
    async with serving() as server:
        server.linger = 0.1
        reader, writer = await get(server, version)
        await server.until("subscriptions", 1)
        server.channel.add([chunk_record(1), end(2, "error")])
        raw = await reader.read()
        assert b'"error"' in raw
        assert b"[DONE]" not in raw
        assert not raw.endswith(b"0\r\n\r\n")
        assert server.outcomes == ["error"]
        await hang_up(writer)


async def test_after_an_error_the_connection_stays_until_the_client_has_read_it_and_leaves():
    async with serving() as server:
        server.linger = 60.0
        reader, writer = await get(server)
        await server.until("subscriptions", 1)
        server.channel.add([chunk_record(1), end(2, "error")])
        await reader.readuntil(b'"error"')
        await reader.readuntil(b"\n\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                while await reader.read(100):
                    pass
        assert server.outcomes == []
        assert server.channel.readers == 0  # it is no reader any more, and holds nothing
        await hang_up(writer)
        await server.until("outcomes", 1)
        assert server.outcomes == ["error"]


async def test_a_connection_serves_again_after_a_whole_stream():
    async with serving() as server:
        server.channel.add([chunk_record(1), end(2)])
        reader, writer = await get(server)
        await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
        assert b"[DONE]" in await reader.readuntil(b"0\r\n\r\n")
        await hang_up(writer)


@pytest.mark.parametrize("busy", [False, True])
async def test_a_client_that_leaves_is_noticed_in_half_a_second(busy: bool):
    async with serving() as server:
        _, writer = await get(server)
        await server.until("subscriptions", 1)
        loop = asyncio.get_running_loop()
        left_at = loop.time()
        await hang_up(writer)
        seq = 0
        while not server.outcomes and loop.time() - left_at < 5:
            if busy:
                seq += 1
                server.channel.add([chunk_record(seq)])
            await asyncio.sleep(0.01)
        assert server.outcomes == ["gone"]
        assert loop.time() - left_at < 1.0  # 0.25 s on an idle machine
        assert server.channel.readers == 0


async def test_a_client_that_stops_reading_costs_little_and_is_given_up():
    async with serving() as server:
        server.send_timeout = 0.3
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", server.port))
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await server.until("outlets", 1)
            for seq in range(1, 400):
                server.channel.add([chunk_record(seq, "x" * 1000)])
                await asyncio.sleep(0)
            transport = server.outlets[0]._transport
            assert transport is not None
            assert transport.get_write_buffer_size() <= HIGH_WATER + 64 * 1024
            await server.until("outcomes", 1)
            assert server.outcomes == ["timeout"]
        assert server.channel.readers == 0


async def test_the_buffers_of_a_connection_are_small():
    async with serving() as server:
        _, writer = await get(server)
        await server.until("outlets", 1)
        transport = server.outlets[0]._transport
        assert transport is not None
        assert transport.get_write_buffer_limits()[1] == HIGH_WATER
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        await hang_up(writer)
        await server.until("outcomes", 1)


async def test_nothing_is_offered_to_a_closed_connection():
    async with serving() as server:
        _, writer = await get(server)
        await server.until("outlets", 1)
        await hang_up(writer)
        await server.until("outcomes", 1)
        assert not server.outlets[0].offer(Piece(b"x"))
        assert server.outlets[0].gone()
