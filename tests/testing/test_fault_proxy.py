from __future__ import annotations

import asyncio
import gc
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamkit import (
    ConnectionFailed,
    ConnectionLost,
    RetryPolicy,
    StreamDriver,
    StreamError,
    StreamTimeout,
    Timeout,
    TruncatedStream,
)
from streamkit.tape import demo_tape
from streamkit.testing import (
    Hang,
    Headers,
    LinkFaults,
    Send,
    chunk,
    completion_server,
    fault_proxy,
    replay_server,
    sse,
)
from tests.clock import run, turns

from .loopback import REQUEST, exchange
from .test_replay import DrivenLoop

FEED = sse(chunk("Hello", role="assistant"), chunk(" there"), chunk(finish_reason="stop"))
FIRST = FEED.index(b" there")  # what comes before it holds the first event whole, and the second in part


async def answer_of(base_url: str, **settings: Any) -> tuple[str, StreamError | None]:
    """The text that a driver got, and how it failed."""
    settings = {"retries": 0, **settings}
    async with StreamDriver(base_url, **settings) as driver:
        stream = driver.stream("Hi", model="m")
        try:
            await stream
        except StreamError as error:
            return error.completion.text, error
        return stream.completion.text, None


async def accepted(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as sock:
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except ConnectionRefusedError:
            return False
        return True


# ----------------------------------------------------------------------------------------------- through a driver


async def test_a_driver_notices_no_proxy_without_faults() -> None:
    async with replay_server(demo_tape(), speed=0) as server, fault_proxy(server.base_url) as proxy:
        through, error = await answer_of(proxy.base_url)
        direct, _ = await answer_of(server.base_url)
        await turns(20)

    assert error is None and through == direct
    assert proxy.connections == 1
    assert proxy.bytes_to_client > len(demo_tape().body) and proxy.bytes_to_server > 100


@pytest.mark.parametrize("slice_", [1, 5])
async def test_a_sliced_answer_is_the_same_answer(slice_: int) -> None:
    async with (
        completion_server(FEED) as server,
        fault_proxy(server.base_url, LinkFaults(slice=slice_), LinkFaults(slice=slice_)) as proxy,
    ):
        assert await answer_of(proxy.base_url) == ("Hello there", None)
        assert server.requests[0].json["model"] == "m"


async def test_a_reset_loses_the_connection_and_not_the_text_before_it() -> None:
    head = len(Headers().encode()) + len(b"%x\r\n" % len(FEED))

    async with completion_server(FEED) as server, fault_proxy(server.base_url) as proxy:
        proxy.to_client = LinkFaults(reset_after=head + FIRST)
        text, error = await answer_of(proxy.base_url)

    assert isinstance(error, ConnectionLost) and text == "Hello"


async def test_a_cut_of_a_body_that_ends_with_the_connection_is_truncated() -> None:
    head = Headers(framing="close")

    async with completion_server([head, Send(FEED)]) as server, fault_proxy(server.base_url) as proxy:
        proxy.to_client = LinkFaults(cut_after=len(head.encode()) + FIRST)
        text, error = await answer_of(proxy.base_url)

    assert isinstance(error, TruncatedStream) and text == "Hello"


async def test_a_cut_of_a_chunked_body_is_a_lost_connection() -> None:
    async with completion_server(FEED) as server, fault_proxy(server.base_url) as proxy:
        proxy.to_client = LinkFaults(cut_after=len(Headers().encode()) + 5 + FIRST)
        text, error = await answer_of(proxy.base_url)

    assert isinstance(error, ConnectionLost) and text == "Hello"


def test_silence_is_a_timeout_with_the_text_before_it() -> None:
    async def main() -> None:
        async with completion_server(FEED) as server, fault_proxy(server.base_url) as proxy:
            proxy.to_client = LinkFaults(silence_after=len(Headers().encode()) + 5 + FIRST)
            text, error = await answer_of(proxy.base_url, timeout=Timeout(idle=30))
            assert isinstance(error, StreamTimeout) and error.phase == "idle" and text == "Hello"
            # What the client did, closing, has gone through.
            await asyncio.wait_for(server.requests[0].closed.wait(), 5)

    run(main, loop_factory=DrivenLoop)


async def test_a_refused_connection_fails() -> None:
    async with completion_server(FEED) as server, fault_proxy(server.base_url, refuse=True) as proxy:
        text, error = await answer_of(proxy.base_url)
        assert isinstance(error, ConnectionFailed) and text == ""
        await proxy.accept_connections()
        assert await answer_of(proxy.base_url) == ("Hello there", None)

    assert proxy.connections == 1


async def test_a_retry_after_a_reset_gets_the_whole_answer() -> None:
    async with (
        completion_server(FEED) as server,
        fault_proxy(server.base_url, LinkFaults(reset_after=20)) as proxy,
        StreamDriver(proxy.base_url, retries=RetryPolicy(retries=1, initial=0.0)) as driver,
    ):
        stream = driver.stream("Hi", model="m")

        @stream.on("retry")
        def heal(_: object) -> None:
            proxy.to_client = LinkFaults()

        completion = await stream

    assert completion.text == "Hello there"
    assert len(server.requests) == proxy.connections == 2


async def test_an_abort_reaches_the_server_through_the_proxy() -> None:
    async with (
        completion_server([Send(FEED[:FIRST]), Hang()]) as server,
        fault_proxy(server.base_url) as proxy,
        StreamDriver(proxy.base_url) as driver,
    ):
        async with driver.stream("Hi", model="m") as stream:
            await stream.wait_for("text")
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)


async def test_many_connections_with_faults_of_all_kinds_leave_nothing_behind() -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"slice": 20},
        {"delay": 0.01},
        {"reset_after": 150},
        {"cut_after": 150},
        {"silence_after": 150},
    ]
    descriptors = Path("/proc/self/fd")
    before = len([*descriptors.iterdir()]) if descriptors.is_dir() else 0

    async with completion_server(FEED) as server:
        for _ in range(4):
            async with fault_proxy(server.base_url) as proxy:
                asking = []
                for kind in kinds * 2:
                    proxy.to_client = LinkFaults(**kind)
                    asking.append(asyncio.create_task(answer_of(proxy.base_url, timeout=Timeout(first=0.1, idle=0.1))))
                    while proxy.connections < len(asking):
                        await asyncio.sleep(0)
                answers = await asyncio.gather(*asking)
            assert proxy.open_connections == 0
            assert all("Hello there".startswith(text) for text, _ in answers)

    gc.collect()
    assert not descriptors.is_dir() or len([*descriptors.iterdir()]) <= before


# -------------------------------------------------------------------------------------------------- the proxy itself


@pytest.mark.parametrize(
    ("target", "base_url"),
    [
        ("http://localhost:8000/v1", "http://127.0.0.1:{}/v1"),
        ("http://localhost:8000/v1/", "http://127.0.0.1:{}/v1/"),
        ("https://user:secret@example.org/a/b?api-version=1", "https://127.0.0.1:{}/a/b?api-version=1"),
        ("http://[::1]:8000", "http://127.0.0.1:{}"),
        ("localhost:8000", "http://127.0.0.1:{}"),
        ("[::1]:8000", "http://127.0.0.1:{}"),
    ],
)
async def test_its_base_url_is_the_targets(target: str, base_url: str) -> None:
    async with fault_proxy(target) as proxy:
        assert proxy.base_url == base_url.format(proxy.port)
        assert "secret" not in repr(proxy) and "api-version" not in repr(proxy)


@pytest.mark.parametrize(
    "target",
    ["", "localhost", "localhost:", "localhost:0", "localhost:x", "localhost:1/v1", "ftp://h:1", "http://", "[:1"],
)
def test_a_wrong_target_is_named(target: str) -> None:
    with pytest.raises(
        ValueError, match="the target must be a base URL, as in http://localhost:8000/v1, or host:port"
    ) as e:
        fault_proxy(target)

    assert repr(target) in str(e.value)


def test_wrong_types_are_named() -> None:
    wrong: Any = {"delay": 1}

    with pytest.raises(TypeError, match="the target must be a base URL or host:port, not int"):
        fault_proxy(wrong and 8000)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what it is about
    with pytest.raises(TypeError, match="to_client takes a LinkFaults, not dict"):
        fault_proxy("localhost:1", wrong)
    with pytest.raises(TypeError, match="to_server takes a LinkFaults, not dict"):
        fault_proxy("localhost:1").to_server = wrong


async def test_it_has_a_url_only_while_it_listens() -> None:
    proxy = fault_proxy("localhost:1", LinkFaults(delay=1), LinkFaults(slice=2))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the proxy does not listen: enter it with `async with`"):
            _ = proxy.base_url
        async with proxy:
            assert await accepted(proxy.port)
            port = proxy.port
        assert not await accepted(port)
        async with proxy:
            await proxy.refuse_connections()

    assert (proxy.to_client, proxy.to_server) == (LinkFaults(delay=1), LinkFaults(slice=2))


async def test_refused_connections_leave_open_ones_alone() -> None:
    async with completion_server([Send(b"1"), Hang()]) as server, fault_proxy(server.base_url) as proxy:
        async with aiohttp.ClientSession() as session, session.post(proxy.base_url, data=b"") as response:
            assert await response.content.readexactly(1) == b"1"
            await proxy.refuse_connections()
            await proxy.refuse_connections()
            assert not await accepted(proxy.port)
            assert proxy.open_connections == 1 and not response.content.at_eof()
        port = proxy.port
        await proxy.accept_connections()
        await proxy.accept_connections()
        assert proxy.port == port and await accepted(port)


async def test_open_connections_can_be_reset() -> None:
    async with completion_server([Send(b"1"), Hang()]) as server, fault_proxy(server.base_url) as proxy:
        await proxy.reset_connections()
        asking = [asyncio.create_task(exchange(proxy.port)) for _ in range(3)]
        while len(server.requests) < 3 or proxy.bytes_to_client < 3:
            await asyncio.sleep(0)
        await proxy.reset_connections()
        assert proxy.open_connections == 0
        assert [was_reset for _, was_reset in await asyncio.gather(*asking)] == [True] * 3
        for request in server.requests:
            await asyncio.wait_for(request.closed.wait(), 5)
        assert await accepted(proxy.port)


async def test_a_target_that_is_not_there_is_a_reset_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with fault_proxy(f"127.0.0.1:{nobody.getsockname()[1]}") as proxy:
            with caplog.at_level(logging.WARNING, "streamkit"):
                reads, was_reset = await exchange(proxy.port)

    assert (reads, was_reset) == ([], True)
    assert "no connection to 127.0.0.1:" in caplog.text and "so the client is reset" in caplog.text


async def test_leaving_drops_what_is_open() -> None:
    async with completion_server([Send(b"1"), Hang()]) as server:
        async with fault_proxy(server.base_url) as proxy:
            asking = asyncio.create_task(exchange(proxy.port, REQUEST))
            while not proxy.bytes_to_client:
                await asyncio.sleep(0)
            late = socket.create_connection(("127.0.0.1", proxy.port))
        reads, _ = await asyncio.wait_for(asking, 5)
        assert b"".join(reads).endswith(b"1\r\n1\r\n")
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)
    late.close()
    assert proxy.open_connections == 0


@pytest.mark.parametrize("count", range(6))
async def test_a_connection_that_comes_as_it_is_left_is_closed(count: int) -> None:
    async with completion_server(b"1") as server:
        with socket.socket() as late:
            late.setblocking(False)
            async with fault_proxy(server.base_url) as proxy:
                late.connect_ex(("127.0.0.1", proxy.port))
                await turns(count)  # accepted, or carried already, or neither
            try:
                assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(late, 1), 5) == b""
            except ConnectionError:
                pass
        assert proxy.open_connections == 0
