"""Clients that leave, stop, or are cut off, and a server that shuts down."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamkit.testing import Hang, Send, Wait, chunk, sse
from streamkit.web import MemoryLog
from streamkit.web.routes import relay_app

from .relayed import HELLO, OPEN, relay_over, site, until

STREAM = {**HELLO, "stream": True}


BUSY = [step for number in range(500) for step in (Send(sse(chunk(f"{number} "), done=False)), Wait(0.01))]


STARTS: list[tuple[str, dict[str, Any]]] = [
    ("/stream", HELLO),
    ("/v1/chat/completions", STREAM),
    ("/v1/chat/completions", HELLO),
]


def resources() -> tuple[int, int]:
    """Tasks of this loop, and open files and sockets of this process."""
    return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))


async def many(size: int) -> Any:
    for _ in range(size // 1000):
        yield b"x" * 1000


LEAVING = [*STARTS, ("/streams", HELLO)]


FORMS = [STARTS[0], STARTS[1], LEAVING[3]]


@pytest.mark.parametrize("cancellation", [False, True], ids=["aiohttp's default", "handler_cancellation"])
@pytest.mark.parametrize("script", [OPEN, BUSY], ids=["idle", "busy"])
@pytest.mark.parametrize(("path", "body"), LEAVING, ids=["guide", "openai", "whole", "native"])
async def test_client_that_leaves_takes_its_upstream_with_it(
    path: str, body: dict[str, Any], script: Any, cancellation: bool
) -> None:
    took: list[float] = []
    async with (
        relay_over(script, grace=0.0) as (upstream, relay),
        site(relay_app(relay), handler_cancellation=cancellation) as base,
        aiohttp.ClientSession(base, headers={"accept": "text/event-stream"}) as session,
    ):
        while len(took) < 3 and min(took, default=1.0) >= 0.5:  # a busy machine may be late, but not always
            asking = asyncio.create_task(session.post(path, json=body))
            if path == "/v1/chat/completions" and "stream" not in body:
                await until(lambda: len(upstream.requests) > len(took))
                left_at = time.monotonic()
                asking.cancel()
            else:
                response = await asking
                await response.content.readany()
                left_at = time.monotonic()
                response.close()
            async with asyncio.timeout(10):
                await upstream.requests[-1].closed.wait()
            took.append(time.monotonic() - left_at)
            await until(lambda: relay.running == 0)

    assert min(took) < 0.5


@pytest.mark.parametrize("cancellation", [False, True])
async def test_client_that_leaves_before_the_upstream_has_answered_takes_it_along(cancellation: bool) -> None:
    async with (
        relay_over([Hang()]) as (upstream, relay),
        site(relay_app(relay), handler_cancellation=cancellation) as base,
        aiohttp.ClientSession(base) as session,
    ):
        for path, body in [*STARTS, ("/streams", HELLO)]:
            asking = asyncio.create_task(session.post(path, json=body))
            await until(lambda: upstream.requests)
            asking.cancel()
            async with asyncio.timeout(0.5):
                await upstream.requests[-1].closed.wait()
            upstream.requests.clear()
        await until(lambda: relay.running == 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the files of /proc")
async def test_five_hundred_clients_that_come_and_go_leave_nothing() -> None:
    asyncio.get_running_loop().set_debug(False)  # tracebacks for so many connections take long
    log = MemoryLog(retention=0.0)
    async with (
        relay_over(OPEN, grace=0.0, log=log) as (upstream, relay),
        site(relay_app(relay)) as base,
    ):

        async def come_and_go(number: int) -> None:
            path, body = FORMS[number % 3]
            async with aiohttp.ClientSession(base, headers={"accept": "text/event-stream"}) as session:
                response = await session.post(path, json=body)
                await response.content.readany()
                response.close()

        async def settled() -> tuple[int, int, int]:
            await until(lambda: relay.running == 0 and not relay._hub._channels)
            await until(lambda: all(request.closed.is_set() for request in upstream.requests))
            await asyncio.sleep(0.1)
            upstream.requests.clear()
            assert len(log) <= 1  # ended ones are forgotten at once; the latest goes with the next look
            gc.collect()
            return *resources(), len(gc.get_objects())

        for _ in range(5):
            await asyncio.gather(*map(come_and_go, range(10)))
        before = await settled()
        for _ in range(50):
            await asyncio.gather(*map(come_and_go, range(10)))
        after = await settled()

    assert after[:2] == before[:2]
    assert after[2] - before[2] < 500, "more than one object a client is left"


async def test_reader_that_is_cut_off_twenty_times_misses_nothing_and_reads_nothing_twice() -> None:
    feed = [step for number in range(60) for step in (Send(sse(chunk(f"<{number}>"), done=False)), Wait(0.005))]
    async with (
        relay_over([*feed, Send(sse(chunk(finish_reason="stop")))]) as (upstream, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with session.post("/streams", json=HELLO) as response:
            url = response.headers["location"]
        text, last, status, connections = "", "", 200, 0
        while status == 200:
            async with session.get(url, headers={"Last-Event-ID": last} if last else {}) as response:
                status = response.status
                connections += 1
                buffer, count = b"", 0
                async for data in response.content.iter_any():
                    buffer += data
                    while b"\n\n" in buffer:
                        event, _, buffer = buffer.partition(b"\n\n")
                        fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if line[:1] != ":")
                        last = fields.get("id", last)
                        if "event" not in fields:
                            text += json.loads(fields["data"]).get("text", "")
                        count += 1
                    if count >= 3:
                        response.close()
                        break

    assert text == "".join(f"<{number}>" for number in range(60))
    assert status == 204
    assert connections > 20
    assert len(upstream.requests) == 1


async def test_shutdown_tells_every_client_and_takes_no_time() -> None:
    loop = asyncio.get_running_loop()
    async with relay_over(OPEN) as (upstream, relay), aiohttp.ClientSession() as session:
        async with site(relay_app(relay), shutdown_timeout=60.0) as base:

            async def read(number: int) -> bytes:
                path, body = STARTS[number % 2] if number % 3 else ("/streams", HELLO)
                got = b""
                try:
                    async with session.post(
                        base + path, json=body, headers={"accept": "text/event-stream"}
                    ) as response:
                        async for data in response.content.iter_any():
                            got += data
                except aiohttp.ClientPayloadError:
                    got += b"<cut>"
                return got

            reading = [asyncio.create_task(read(number)) for number in range(50)]
            await until(lambda: len(upstream.requests) == 50)
            await asyncio.sleep(0.2)
            began = loop.time()
        took = loop.time() - began
        told = await asyncio.gather(*reading)

    assert took < 1.5
    for number, got in enumerate(told):
        assert b"shut" in got, got
        assert b"[DONE]" not in got
        if number % 3:
            assert got.endswith(b"<cut>")
    assert all(request.closed.is_set() for request in upstream.requests)


async def test_client_that_reads_nothing_delays_nobody_and_costs_little() -> None:
    """It is not given up here: what the others get, they get while it stands still."""
    flood = [step for _ in range(100) for step in (Send(sse(chunk("x" * 20_000), done=False)), Wait(0.001))]
    length = 100 * 20_000
    async with (
        relay_over([*flood, Hang()], send_timeout=60.0, max_lag_bytes=None, on_disconnect="continue") as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        async with session.post("/streams", json=HELLO) as response:
            url = response.headers["location"]
        host, port = base.removeprefix("http://").split(":")
        with socket.socket() as stopped:
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stopped.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(stopped, (host, int(port)))
            await loop.sock_sendall(stopped, f"GET {url} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

            async def read() -> int:
                got = 0
                async with session.get(url) as response:
                    while got < length:
                        got += len(await response.content.readany())
                return got

            async with asyncio.timeout(30):
                assert min(await asyncio.gather(*(read() for _ in range(5)))) >= length
            behind = min(relay._hub.subscriptions(), key=lambda reader: reader._offset)
            assert behind.outcome is None
            # What went out for it: to the buffers of both ends, and of the process.
            assert behind._offset < 1_000_000


async def test_client_that_reads_nothing_is_given_up() -> None:
    flood = [Send(sse(*[chunk("x" * 1000) for _ in range(100)], done=False)) for _ in range(40)]
    async with (
        relay_over([*flood, Hang()], send_timeout=0.3, max_lag_bytes=None) as (upstream, relay),
        site(relay_app(relay)) as base,
    ):
        host, port = base.removeprefix("http://").split(":")
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
            data = json.dumps(STREAM).encode()
            await asyncio.get_running_loop().sock_sendall(
                sock,
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                % (len(data), data),
            )
            await until(lambda: upstream.requests)
            async with asyncio.timeout(5):
                await upstream.requests[0].closed.wait()
            await until(lambda: relay.running == 0)
