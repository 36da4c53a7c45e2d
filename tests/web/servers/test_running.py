from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from streamkit.testing import Cut, Hang, Headers, Script, ScriptedServer, Send, Wait, answer, chunk, sse

from ..relayed import HELLO, HELLO_FEED, OPEN
from .running import SERVERS, Running, curl, serving

STREAM = {**HELLO, "stream": True}
STARTS = [
    ("/ai/streams", {"accept": "text/event-stream"}),
    ("/ai/v1/chat/completions", {}),
    ("/answer", {}),
    ("/text", {}),
    ("/wrapped/ai/v1/chat/completions", {}),
]
"""Ways to get a stream: below a mount, from an endpoint, behind middleware."""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@asynccontextmanager
async def upstream(server: Running, *scripts: Script) -> AsyncIterator[tuple[ScriptedServer, aiohttp.ClientSession]]:
    async with (
        ScriptedServer(*scripts, port=server.upstream_port) as scripted,
        aiohttp.ClientSession(server.url, timeout=aiohttp.ClientTimeout(20)) as session,
    ):
        yield scripted, session


async def read_until(response: aiohttp.ClientResponse, what: bytes) -> list[bytes]:
    """What comes, as it comes, until there is what is waited for."""
    reads: list[bytes] = []
    while what not in b"".join(reads):
        data = await response.content.readany()
        assert data, f"it ended before {what!r}: {reads!r}"
        reads.append(data)
    return reads


async def rest(response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """The body, and whether HTTP says that it is whole."""
    got = b""
    try:
        async for data in response.content.iter_any():
            got += data
    except aiohttp.ClientError:
        return got, False
    finally:
        response.close()
    return got, True


@pytest.mark.parametrize("root", ["/ai", "/wrapped/ai"])
async def test_all_routes_answer_below_a_mount(server: Running, root: str) -> None:
    async with upstream(server, HELLO_FEED) as (_, session):
        async with session.post(f"{root}/streams", json=HELLO) as response:
            assert response.status == 201
            url = response.headers["location"]
            assert url == f"{root}/streams/{(await response.json())['stream']}"
        async with session.get(url) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            native = await response.text()
            assert "event: end" in native
        last = re.findall("^id: (.*)$", native, re.MULTILINE)[-1]
        async with session.get(url, headers={"last-event-id": last}) as response:
            assert (response.status, await response.read()) == (204, b"")
        async with session.get(f"{url}/snapshot") as response:
            assert (await response.json())["text"] == "Hello"
        async with session.head(url) as response:
            assert response.headers["x-streamkit-status"] == "ended"
        async with session.post(f"{root}/stream", json={"message": "hi"}) as response:
            assert (await response.text()).endswith("data: [DONE]\n\n")
        async with session.post(f"{root}/v1/chat/completions", json=STREAM) as response:
            assert (await response.text()).endswith("data: [DONE]\n\n")
        async with session.post(f"{root}/v1/chat/completions", json=HELLO) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "Hello"
        async with session.post(f"{root}/v1/chat/completions", data=b"{") as response:
            assert response.status == 415
        async with session.get(f"{root}/nothing") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(("path", "headers"), STARTS)
async def test_tokens_come_one_by_one(server: Running, path: str, headers: dict[str, str]) -> None:
    """The application compresses, and the client would take that; the upstream falls silent after the last of them."""
    tokens = [step for number in range(5) for step in (Send(sse(chunk(f"token{number}"), done=False)), Wait(0.05))]
    async with (
        upstream(server, [*tokens, Hang()]) as (_, session),
        session.post(path, json=STREAM, headers={**headers, "accept-encoding": "gzip"}) as response,
    ):
        assert response.status == 200
        assert response.headers.get("content-encoding", "identity") == "identity"
        reads = await read_until(response, b"token4")

    assert len([read for read in reads if b"token" in read]) > 1  # five, on a machine that has nothing else to do


@pytest.mark.parametrize("state", ["idle", "busy", "silent"])
@pytest.mark.parametrize(("path", "headers"), STARTS[1:])
async def test_client_that_leaves_closes_the_upstream(
    server: Running, path: str, headers: dict[str, str], state: str
) -> None:
    scripts: dict[str, Script] = {
        "idle": OPEN,
        "busy": [step for number in range(2000) for step in (Send(sse(chunk(f"{number} "), done=False)), Wait(0.005))],
        "silent": [Headers(), Hang()],
    }
    loop = asyncio.get_running_loop()
    async with upstream(server, scripts[state]) as (scripted, session), asyncio.timeout(15):
        asking = asyncio.ensure_future(session.post(path, json=STREAM))
        if state == "silent":
            while not scripted.requests:
                await asyncio.sleep(0.01)
            left_at = loop.time()
            asking.cancel()
            await asyncio.wait([asking])
        else:
            response = await asking
            await response.content.readany()
            left_at = loop.time()
            response.close()
        await scripted.requests[0].closed.wait()

        closed_at = scripted.requests[0].closed_at
        assert closed_at is not None
        assert closed_at - left_at < 0.5  # it takes some milliseconds


async def test_answer_that_fails_is_told_and_cut(server: Running) -> None:
    script: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.05), Cut()]
    async with upstream(server, script) as (_, session):
        responses = [await session.post(path, json=STREAM, headers=headers) for path, headers in STARTS]
        told = await asyncio.gather(*map(rest, responses))

    for (path, _), (got, whole) in zip(STARTS, told, strict=True):
        assert b"Hel" in got
        assert path == "/text" or (b"upstream_cut" in got and b"[DONE]" not in got), path
        assert not whole or path.startswith("/wrapped"), path  # that middleware ends everything as a whole body


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("granian", []),
        ("hypercorn", ["--keep-alive=1"]),  # it resets no stream, but closes the connection when that is idle
    ],
)
async def test_answer_that_fails_is_cut_over_http2(name: str, more: list[str], tmp_path: Path) -> None:
    cut: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.05), Cut()]
    with serving(name, tmp_path, more=more) as running:
        async with ScriptedServer(cut, port=running.upstream_port):
            version = ("--http2-prior-knowledge", "--write-out", "\n%{http_version}")
            for path in ("/ai/v1/chat/completions", "/answer", "/text"):
                async with curl(running.url + path, STREAM, *version) as process:
                    output, _ = await process.communicate()
                assert output.endswith(b"\n2")
                assert b"Hel" in output
                assert path == "/text" or b"upstream_cut" in output
                assert process.returncode in {92, 18}  # a stream that was reset, a transfer that was partial


async def test_upstream_that_refuses_becomes_a_status(server: Running) -> None:
    refusal = answer(429, {"error": {"message": "slow down", "code": "rate_limited"}}, {"retry-after": "7"})
    async with upstream(server, refusal) as (_, session):
        for path, headers in STARTS:
            async with session.post(path, json=STREAM, headers=headers) as response:
                assert (response.status, response.headers.get("retry-after")) == (429, "7")
                assert (await response.json())["error"]["code"] == "rate_limited"


async def test_reader_that_stops_is_cut_and_delays_nobody(server: Running) -> None:
    """16 MB in 2 s go to two readers: more than the system keeps for the one that takes nothing, and longer than it is waited for."""
    flood = [step for _ in range(256) for step in (Send(sse(chunk("x" * 64_000), done=False)), Wait(0.008))]
    async with upstream(server, [Send(sse(chunk("a"), done=False)), Wait(0.3), *flood, Send(HELLO_FEED)]) as (
        _,
        session,
    ):
        async with session.post("/ai/streams", json=HELLO) as response:
            url = response.headers["location"]
        with socket.create_connection(("127.0.0.1", server.port), 10) as stopped:
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            stopped.sendall(f"GET {url} HTTP/1.1\r\nhost: x\r\n\r\n".encode())

            loop = asyncio.get_running_loop()
            got, longest, last = b"", 0.0, loop.time()
            async with session.get(url) as response:
                async for data in response.content.iter_any():
                    longest, last = max(longest, loop.time() - last), loop.time()
                    got += data
            taken = await loop.run_in_executor(None, read_all, stopped)

    assert b"event: end" in got
    assert longest < 1.5  # the other is given up after 2 seconds
    assert taken.startswith(b"HTTP/1.1 200")
    assert len(taken) < len(got)
    assert b"event: end" not in taken
    assert not taken.endswith(b"0\r\n\r\n")


def read_all(connection: socket.socket) -> bytes:
    got = b""
    with suppress(ConnectionError):
        while data := connection.recv(2**18):
            got += data
    return got


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[(name, []) for name in SERVERS],
        ("uvicorn", ["--workers=2"]),
        ("hypercorn", ["--workers=2"]),
        ("hypercorn", ["--workers=0"]),
    ],
)
async def test_sigterm_ends_the_server_in_time_and_tells_every_client(
    name: str, more: list[str], tmp_path: Path
) -> None:
    with serving(name, tmp_path, more=more) as server:
        async with upstream(server, OPEN) as (scripted, session):
            responses = []
            for number in range(50):
                path, headers = STARTS[number % 5]
                responses.append(await session.post(path, json=STREAM, headers=headers))
            for response in responses:
                await read_until(response, b"lo")
            reading = asyncio.gather(*map(rest, responses))
            seconds = await asyncio.get_running_loop().run_in_executor(None, server.terminate)
            told = await reading
            async with asyncio.timeout(5):
                await asyncio.gather(*[request.closed.wait() for request in scripted.requests])
        log = server.log.read_text()

    assert seconds < 2
    assert len(told) == 50
    for (got, whole), (path, _) in zip(told, STARTS * 10, strict=True):
        assert path == "/text" or b"shutdown" in got, path
        assert b"[DONE]" not in got
        assert not whole or path.startswith("/wrapped"), path
    assert "Traceback" not in log
    assert "Unclosed" not in log


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
async def test_stream_that_begins_after_the_signal_is_told_too(name: str, tmp_path: Path) -> None:
    """Its endpoint was still at work when the signal came. Granian shows nobody that it was told."""
    with serving(name, tmp_path) as server:
        async with upstream(server, OPEN) as (_, session):
            asking = asyncio.ensure_future(session.post("/late", json=STREAM))
            while "at work" not in server.log.read_text():
                await asyncio.sleep(0.01)
            ending = asyncio.get_running_loop().run_in_executor(None, server.terminate)
            got, whole = await rest(await asking)
            seconds = await ending

    assert b"shutdown" in got
    assert not whole
    assert seconds < 3
