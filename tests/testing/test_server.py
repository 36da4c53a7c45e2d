from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from streamkit.testing import (
    At,
    Cut,
    End,
    Hang,
    Headers,
    Raw,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Step,
    Wait,
    answer,
    chunk,
    completion_server,
    sse,
)

from .loopback import REQUEST, exchange


async def post(server: ScriptedServer, session: aiohttp.ClientSession, **request: object) -> tuple[int, bytes]:
    async with session.post(server.base_url + "/chat/completions", json=request) as response:
        return response.status, await response.read()


async def say(server: ScriptedServer, data: bytes) -> bytes:
    """Send bytes and return all that the server says before it closes."""
    reads, _ = await exchange(server.port, data)
    return b"".join(reads)


async def test_it_answers_and_notes_the_request() -> None:
    feed = sse(chunk("Hello"), chunk(finish_reason="stop"))

    async with completion_server(feed) as server, aiohttp.ClientSession() as session:
        url = server.base_url + "/chat/completions?api-version=1"
        async with session.post(url, json={"model": "m"}, headers={"X-A": "1"}) as response:
            body = await response.read()
        (request,) = server.requests

    assert response.status == 200 and response.reason == "OK"
    assert response.content_type == "text/event-stream" and body == feed
    assert (request.method, request.path) == ("POST", "/v1/chat/completions?api-version=1")
    assert request.json == {"model": "m"} and request.headers["x-a"] == "1"
    assert request.answered


async def test_scripts_come_in_order_and_the_last_repeats() -> None:
    async with completion_server(b"1", b"2", [Headers(201), Send(b"3")]) as server, aiohttp.ClientSession() as session:
        answers = [await post(server, session, n=n) for n in range(4)]

    assert answers == [(200, b"1"), (200, b"2"), (201, b"3"), (201, b"3")]
    assert [request.json["n"] for request in server.requests] == [0, 1, 2, 3]


async def test_each_send_is_a_chunk_and_the_connection_is_used_again() -> None:
    pieces = [b"a", "é".encode()[:1], "é".encode()[1:], b"b" * 100_000]

    async with completion_server([*map(Send, pieces), Send(b"")]) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            received = []
            async with session.post(server.base_url, data=b"") as response:
                piece = b""
                async for data, ends_chunk in response.content.iter_chunks():
                    piece += data
                    if ends_chunk:
                        received.append(piece)
                        piece = b""
            assert received == pieces
        assert len(server._connections) == 1


async def test_each_send_is_one_write() -> None:
    script: list[Step] = [Headers(), Wait(0.01), Send(b"a"), Wait(0.01), Send(b"bc"), Wait(0.01)]

    async with completion_server(script) as server:
        (head, *reads), _ = await exchange(server.port, until=b"0\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and head.endswith(b"\r\n\r\n")
    assert reads == [b"1\r\na\r\n", b"2\r\nbc\r\n", b"0\r\n\r\n"]


async def test_a_whole_answer() -> None:
    error = {"error": {"message": "slow down"}}

    async with (
        completion_server(answer(429, error, {"retry-after": "1"})) as server,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(2):
            async with session.post(server.base_url, data=b"") as response:
                assert (response.status, response.reason) == (429, "Too Many Requests")
                assert await response.json() == error
                assert response.headers["retry-after"] == "1" and "transfer-encoding" not in response.headers
        assert len(server._connections) == 1


async def test_a_body_that_ends_with_the_connection() -> None:
    script: list[Step] = [Headers(framing="close"), Send(b"all"), End()]

    async with completion_server(script) as server:
        said = await say(server, REQUEST)

    assert said == b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\nall"


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body(status: int) -> None:
    async with completion_server([Headers(status)]) as server, aiohttp.ClientSession() as session:
        assert await post(server, session) == await post(server, session) == (status, b"")
        assert len(server._connections) == 1


async def test_an_unknown_status_and_odd_headers() -> None:
    script: list[Step] = [
        Headers(599, [("x-name", "é\udcff"), ("Transfer-Encoding", "chunked"), ("Content-Type", "x/y")]),
        Send(b"1"),
    ]

    async with (
        completion_server(script) as server,
        aiohttp.ClientSession() as session,
        session.post(server.base_url, data=b"") as response,
    ):
        assert response.status == 599 and await response.read() == b"1"

    assert response.headers["x-name"] == "é\udcff"
    assert response.headers.getall("transfer-encoding") == ["chunked"]
    assert response.headers.getall("content-type") == ["x/y"]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([Cut()], aiohttp.ServerDisconnectedError),
        ([Reset()], aiohttp.ClientOSError),
        ([Send(b"begun"), Cut()], aiohttp.ClientPayloadError),
        ([Send(b"begun"), Reset()], (aiohttp.ClientPayloadError, aiohttp.ClientOSError)),
        ([Headers(200, {"content-length": "9"}), Send(b"begun"), End()], aiohttp.ClientPayloadError),
        ([Raw(b"HTTP/1.1 OK\r\n\r\n")], aiohttp.ClientResponseError),
        ([Raw(b"nonsense\r\n\r\n")], aiohttp.ClientResponseError),
    ],
)
async def test_answers_that_fail(script: Script, error: type[Exception] | tuple[type[Exception], ...]) -> None:
    async with completion_server(script) as server, aiohttp.ClientSession() as session:
        with pytest.raises(error):
            await post(server, session)

    assert server.requests[0].answered and not server.requests[0].closed.is_set()


@pytest.mark.parametrize("last", [Cut(), Reset()])
async def test_all_that_was_sent_arrives_before_the_connection_ends(last: Cut | Reset) -> None:
    feed = [Send(b"x" * 999)] * 40

    async with completion_server([Headers(framing="close"), *feed, last]) as server:
        reads, was_reset = await exchange(server.port)

    assert b"".join(reads).partition(b"\r\n\r\n")[2] == b"x" * 999 * 40
    assert was_reset is isinstance(last, Reset)


async def test_raw_bytes_go_out_as_they_are() -> None:
    async with completion_server([Headers(), Send(b"a"), Raw(b"zz\r\nb\r\n"), Cut()]) as server:
        said = await say(server, REQUEST)

    assert said.partition(b"\r\n\r\n")[2] == b"1\r\na\r\nzz\r\nb\r\n"


async def test_what_is_raw_from_the_start_is_the_whole_answer() -> None:
    async with completion_server([Raw(b"HTTP/1.1 200 OK\r\n\r\n"), Send(b"rest")]) as server:
        assert await say(server, REQUEST) == b"HTTP/1.1 200 OK\r\n\r\nrest"


async def test_waits_are_of_the_loops_clock() -> None:
    loop = asyncio.get_running_loop()

    async with (
        completion_server([Wait(0.02), Send(b"1"), At(0.01), At(0.05)]) as server,
        aiohttp.ClientSession() as session,
    ):
        await post(server, session)
        took = loop.time() - server.requests[0].at

    assert took >= 0.05 - 0.002  # a timer may fire within the clock's resolution


@pytest.mark.parametrize("script", [[Hang()], [Send(b"begun"), Hang()], [Send(b"begun"), Wait(1000)]])
async def test_it_notes_when_the_client_leaves(script: Script) -> None:
    loop = asyncio.get_running_loop()

    async with completion_server(script) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        while not server.requests:
            await asyncio.sleep(0)
        (request,) = server.requests
        assert not request.closed.is_set() and request.closed_at is None
        left = loop.time()
        writer.close()
        await asyncio.wait_for(request.closed.wait(), 5)

    assert request.closed_at is not None and left <= request.closed_at <= left + 0.5
    assert not request.answered


async def test_it_notes_when_the_client_resets_a_flood() -> None:
    """The server waits for room in the socket: a client that does not read, and then is gone."""
    async with completion_server([Send(b"x" * 2**20)] * 64) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1000)
        writer.write(REQUEST)
        await reader.readexactly(100)
        await asyncio.sleep(0.02)
        assert not server.requests[0].answered
        writer.transport.abort()
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)

    assert not server.requests[0].answered


async def test_closed_after_the_answer_is_noted_too() -> None:
    async with completion_server(b"x") as server:
        async with aiohttp.ClientSession() as session:
            await post(server, session)
            assert not server.requests[0].closed.is_set()
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)

    assert server.requests[0].answered


async def test_requests_in_one_read_are_answered_one_after_the_other() -> None:
    last = b"POST /2 HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"

    async with completion_server([Headers(), Wait(0.01), Send(b"1")], b"2", answer(200, b"3")) as server:
        said = await say(server, REQUEST + REQUEST + last)

    bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"1\r\n1\r\n0\r\n\r\n", b"1\r\n2\r\n0\r\n\r\n", b"3"]


async def test_a_header_can_close_the_connection() -> None:
    async with completion_server([Headers(200, {"connection": "close"}), Send(b"1")]) as server:
        assert (await say(server, REQUEST)).endswith(b"\r\n\r\n1\r\n1\r\n0\r\n\r\n")


async def test_only_posts_get_a_script() -> None:
    async with completion_server(b"1") as server, aiohttp.ClientSession() as session:
        async with session.get(server.base_url + "/models") as response:
            assert response.status == 405 and "answers POST only, not GET" in await response.text()
        assert await post(server, session) == (200, b"1")

    assert [request.method for request in server.requests] == ["GET", "POST"]


async def test_what_is_no_http_gets_a_400() -> None:
    async with completion_server(b"1") as server:
        said = await say(server, b"\x16\x03\x01\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n") and said.endswith(b"not an HTTP/1.1 request line\n")
    assert server.requests == []


async def test_a_chunked_request_and_one_that_waits_for_the_go_ahead() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"a"'
        yield b":1}"

    async with completion_server(b"1") as server, aiohttp.ClientSession() as session:
        async with session.post(server.base_url, data=body()) as response:
            await response.read()
        async with session.post(server.base_url, json={"a": 1}, expect100=True) as response:
            await response.read()

    assert [request.json for request in server.requests] == [{"a": 1}, {"a": 1}]


async def test_a_client_that_closes_its_half_has_left() -> None:
    async with completion_server([Send(b"x"), Hang()]) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST)
        await reader.readuntil(b"x")
        writer.write_eof()
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)
        writer.close()


async def test_leaving_closes_what_is_open() -> None:
    async with completion_server([Send(b"begun"), Hang()]) as server, aiohttp.ClientSession() as session:
        responses = [await session.post(server.base_url, data=b"") for _ in range(3)]
        idle, other = socket.create_connection(("127.0.0.1", server.port)), server.port
        await asyncio.sleep(0.01)
        assert len(server._connections) == 4
        await server.__aexit__(None, None, None)
        assert server._connections == set()
        for response in responses:
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        idle.close()

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", other))
    assert not any(request.closed.is_set() for request in server.requests)


async def test_a_connection_that_comes_as_it_is_left_is_closed() -> None:
    with socket.socket() as late:
        late.setblocking(False)
        async with completion_server(b"1") as server:
            late.connect_ex(("127.0.0.1", server.port))
            await asyncio.sleep(0)  # accepted, and perhaps not yet made
        try:
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(late, 1), 5) == b""
        except ConnectionError:
            pass
    assert server._connections == set()


async def test_it_has_a_url_only_while_it_listens() -> None:
    server = completion_server(b"1")
    with pytest.raises(RuntimeError, match="the server does not listen: enter it with `async with`"):
        _ = server.base_url
    async with server:
        assert server.base_url == f"http://127.0.0.1:{server.port}/v1"


async def test_a_burst_leaves_the_loop_to_others() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    burst = [Send(b"x")] * 2000
    async with completion_server(burst) as server, aiohttp.ClientSession() as session:
        counter = asyncio.create_task(count())
        _, body = await post(server, session)
        counter.cancel()

    assert body == b"x" * 2000 and turns > 2000 / 64


@pytest.mark.parametrize(
    ("scripts", "error", "message"),
    [
        ([], ValueError, "a server needs a script"),
        ([b"1", [End(), End()]], ValueError, "nothing can come after it"),
        (["text"], TypeError, "step 0 of a script is a str"),
    ],
)
def test_scripts_are_checked_when_the_server_is_made(
    scripts: Sequence[Script], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        completion_server(*scripts)
