"""`send_stream`: the response of an endpoint that has a stream."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from streamkit import StreamAborted, StreamDriver
from streamkit.testing import Hang, Headers, Send, Wait, answer, chunk, completion_server, sse
from streamkit.web.asgi import _RelayASGI, send_stream
from streamkit.web.subscription import PATIENCE

from .asgi_call import Call, calling, until_there
from .relayed import HELLO_FEED, OPEN, until


@asynccontextmanager
async def stream_over(*scripts: Any, **settings: Any) -> AsyncIterator[tuple[Any, StreamDriver]]:
    async with (
        completion_server(*(scripts or (HELLO_FEED,))) as upstream,
        StreamDriver(upstream.base_url, model="m", retries=0, **settings) as driver,
    ):
        yield upstream, driver


def sending(stream: Any, **settings: Any) -> Any:
    """An application that answers with a stream."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send_stream(stream, scope, receive, send, **settings)

    return app


@pytest.mark.parametrize(
    ("encoding", "first", "last"),
    [
        ("native", b"retry: ", b'"seq":4}\n\n'),
        ("openai", b"data: {", b"data: [DONE]\n\n"),
        ("guide", b'data: {"content":"Hel"}', b"data: [DONE]\n\n"),
        ("plain", b"Hel", b"lo"),
    ],
)
async def test_stream_of_ones_own_is_sent_in_any_encoding(encoding: Any, first: bytes, last: bytes) -> None:
    async with stream_over() as (_, driver):
        heard: list[str] = []
        stream = driver.stream("hi")
        stream.on("text", heard.append)
        app = sending(stream, encoding=encoding, headers=[("x-mine", "1")])
        call = await Call("POST", "/").run(app)

    assert call.status == 200
    assert call.headers["x-mine"] == "1"
    body = call.body.removeprefix(b": hb\n")
    assert body.startswith(first)
    assert body.endswith(last) or encoding == "native"
    assert call.is_whole
    assert heard == ["Hel", "lo"]
    assert encoding != "plain" or call.headers["content-encoding"] == "identity"


async def test_upstream_that_refuses_is_a_status() -> None:
    refusal = answer(429, {"error": {"message": "slow down"}}, {"retry-after": "7"})
    async with stream_over(refusal) as (_, driver):
        call = await Call("POST", "/").run(sending(driver.stream("hi"), headers=[("x-mine", "1")]))

    assert (call.status, call.headers["retry-after"], call.headers["x-mine"]) == (429, "7", "1")
    assert call.headers["content-type"] == "application/json"
    assert "slow down" in call.json["error"]["message"]


async def test_silent_upstream_is_committed_to_with_the_first_heartbeat() -> None:
    async with stream_over([Headers(), Hang()]) as (_, driver):
        call = Call("POST", "/")
        async with calling(sending(driver.stream("hi"), heartbeat=0.05, encoding="openai"), call):
            await call.until(lambda call: call.body.count(b": hb\n") > 2)
        assert call.status == 200


async def test_client_that_leaves_aborts_a_stream_of_ones_own() -> None:
    async with stream_over(OPEN) as (upstream, driver):
        stream = driver.stream("hi")
        call = Call("POST", "/")
        reasons: list[Any] = []
        stream.on("abort", lambda aborted: reasons.append(aborted.reason))
        async with calling(sending(stream), call):
            await call.until(until_there(b"lo"))
            call.leave.set()
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)
        await until(lambda: stream.completion.ended_by)

    assert stream.completion.ended_by == "abort"
    assert stream.completion.text == "Hello"
    assert reasons == ["the client has gone"]


async def test_client_that_leaves_before_the_first_word_aborts_it_too() -> None:
    async with stream_over([Headers(), Hang()]) as (upstream, driver):
        stream = driver.stream("hi")
        call = Call("POST", "/")
        async with calling(sending(stream), call):
            await until(lambda: upstream.requests)
            call.leave.set()
        assert call.status == 499
        await until(lambda: stream.completion.ended_by)
        assert stream.completion.ended_by == "abort"


async def test_listeners_of_the_end_are_not_cut_short_by_the_response() -> None:
    async with stream_over() as (_, driver):
        stream = driver.stream("hi")
        saved: list[str] = []

        @stream.on("done")
        async def save(completion: Any) -> None:
            await asyncio.sleep(0.2)
            saved.append(str(completion))

        call = await Call("POST", "/").run(sending(stream, encoding="openai"))
        assert call.is_whole
        await until(lambda: saved)

    assert saved == ["Hello"]


async def test_signal_is_told_to_the_client_of_a_stream_of_ones_own(told_to_end: list[int]) -> None:
    async with stream_over(OPEN) as (_, driver):
        call = Call("POST", "/")
        async with calling(sending(driver.stream("hi"), encoding="openai"), call) as task:
            await call.until(until_there(b"lo"))
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(10):
                await task

    assert b"shutdown" in call.body
    assert not call.is_whole


@pytest.mark.parametrize(
    ("encoding", "kind"), [("native", "text/event-stream; charset=utf-8"), ("plain", "text/plain; charset=utf-8")]
)
async def test_head_gets_the_headers_and_asks_nothing_of_the_upstream(encoding: Any, kind: str) -> None:
    async with stream_over() as (upstream, driver):
        stream = driver.stream("hi")
        call = await Call("HEAD", "/").run(sending(stream, encoding=encoding, headers=[("X-Mine", "1")]))
        with pytest.raises(StreamAborted, match="HEAD"):
            await stream
        assert not upstream.requests

    assert (call.status, call.body, call.is_whole) == (200, b"", True)
    assert (call.headers["content-type"], call.headers["x-mine"]) == (kind, "1")


async def test_who_comes_back_for_more_of_an_answer_gets_no_other_one() -> None:
    """An EventSource does, when the answer has ended or was cut."""
    async with stream_over() as (upstream, driver):
        stream = driver.stream("hi")
        call = await Call("GET", "/", Last_Event_ID="x:1").run(sending(stream, headers=[("X-Mine", "1")]))
        with pytest.raises(StreamAborted, match="resumed"):
            await stream
        assert not upstream.requests
        assert (call.status, call.body, call.headers) == (204, b"", {"x-mine": "1"})

        call = await Call("GET", "/", Last_Event_ID="x:1").run(sending(driver.stream("hi"), encoding="guide"))
        assert call.body.endswith(b"data: [DONE]\n\n")


async def test_slow_client_gets_all_of_it() -> None:
    """Nobody can come back to a stream of one's own, so it is cut for nothing but taking nothing."""
    texts = [chunk("x" * 4000) for _ in range(100)]
    steps = [step for text in texts for step in (Send(sse(text, done=False)), Wait(0.02))]
    async with stream_over([*steps, Send(HELLO_FEED)]) as (_, driver):
        call = Call("POST", "/")
        async with calling(sending(driver.stream("hi")), call) as task:
            await call.until(until_there(b"x"))
            call.room.clear()
            await asyncio.sleep(PATIENCE + 0.3)
            call.room.set()
            await asyncio.wait_for(task, 10)
    assert call.is_whole
    assert call.body.count(b"x") >= 400_000


@pytest.mark.parametrize("script", [HELLO_FEED, answer(400, {"error": {"message": "no"}})])
async def test_client_that_does_not_take_the_end_is_given_up(script: Any) -> None:
    async with stream_over(script) as (_, driver):
        call = Call("POST", "/")
        received = call.send

        async def send(message: Any) -> None:
            if message.get("status") == 400 or (message["type"].endswith("body") and not message.get("more_body")):
                call.room.clear()
            await received(message)

        async def app(scope: Any, receive: Any, _: Any) -> None:
            await send_stream(driver.stream("hi"), scope, receive, send, send_timeout=0.2)

        async with asyncio.timeout(5):
            await app(call.scope, call.receive, send)
    assert not call.is_whole


async def test_client_that_left_before_it_all_began_holds_nothing_up() -> None:
    async with stream_over() as (_, driver):
        call = Call("POST", "/")
        call._parts.clear()
        call.leave.set()
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await call.run(sending(driver.stream("hi")))
        assert loop.time() - begin < 0.8


async def test_nobody_is_left_to_hear_of_a_refusal() -> None:
    async with stream_over(answer(400, {"error": {"message": "no"}})) as (_, driver):
        call = Call("POST", "/")
        call.failing = OSError("the client has gone")  # as ASGI has it from version 2.4 on
        await call.run(sending(driver.stream("hi")))
        await Call("HEAD", "/").run(sending(driver.stream("hi")))


async def generated() -> AsyncIterator[str]:
    yield "no stream"


@pytest.mark.parametrize("thing", [None, "Hello", generated(), StreamDriver])
async def test_what_is_no_stream_is_refused_with_one_sentence(thing: Any) -> None:
    from streamkit.web.starlette import RelayResponse

    call = Call("POST", "/")
    with pytest.raises(TypeError, match=rf"takes what driver.stream\(…\) returns, not this {type(thing).__name__}"):
        await call.run(sending(thing))
    assert not call.sent
    with pytest.raises(TypeError, match="driver.stream"):
        RelayResponse(thing)


async def test_encoding_that_is_none_is_refused_where_it_is_named() -> None:
    from streamkit.web.starlette import RelayResponse

    async with stream_over() as (_, driver):
        with pytest.raises(ValueError, match="native, openai, guide or plain, not 'sse'"):
            RelayResponse(driver.stream("hi"), encoding=cast("Any", "sse"))


def test_another_event_loop_is_refused_with_one_sentence() -> None:
    async def unused(*_: Any) -> Any:
        raise AssertionError("it is refused before")

    scope = {"type": "http", "method": "POST"}
    for app in (sending(None), _RelayASGI(cast("Any", None), signals=True)):
        coroutine = app(scope, unused, unused)
        with pytest.raises(RuntimeError, match="streamkit runs on asyncio") as refused:
            coroutine.send(None)  # as a loop would, which is not asyncio's
        assert "\n" not in str(refused.value)


async def ended(driver: StreamDriver) -> Any:
    stream = driver.stream("hi")
    await stream
    return stream


async def begun(driver: StreamDriver) -> Any:
    stream = driver.stream("hi")
    await stream.start().wait_for("chunk")
    return stream


async def left(driver: StreamDriver) -> Any:
    async with driver.stream("hi") as stream:
        return stream


async def aborted(driver: StreamDriver) -> Any:
    stream = driver.stream("hi")
    stream.abort()
    return stream


async def relayed(driver: StreamDriver) -> Any:
    stream = driver.stream("hi")
    call = Call("POST", "/")
    async with calling(sending(stream), call):
        await call.until(lambda call: call.sent)
        call.leave.set()
    return stream


@pytest.mark.parametrize(
    ("make", "script", "sentence"),
    [
        (ended, HELLO_FEED, "this stream has ended"),
        (begun, OPEN, "this stream has begun"),
        (relayed, OPEN, "this stream is relayed already"),
        (left, HELLO_FEED, "this stream was aborted, or its `async with` was left"),
        (aborted, HELLO_FEED, "this stream was aborted"),
    ],
)
async def test_stream_that_cannot_be_sent_is_refused_with_one_sentence(
    make: Callable[[StreamDriver], Any], script: Any, sentence: str
) -> None:
    async with stream_over(script) as (_, driver):
        stream = await make(driver)
        call = Call("POST", "/")
        with pytest.raises(RuntimeError, match=sentence) as refused:
            await call.run(sending(stream))

    assert not call.sent
    assert "\n" not in str(refused.value)


async def test_stream_of_a_driver_that_is_closed_is_refused_with_one_sentence() -> None:
    """Made in the endpoint, for example, instead of the lifespan. Nobody is told to start it, either."""
    async with stream_over() as (_, driver):
        stream = driver.stream("hi")
    call = Call("POST", "/")
    with pytest.raises(RuntimeError, match="this StreamDriver is closed"):
        await call.run(sending(stream))
    del stream
    gc.collect()
    assert not call.sent


async def test_stream_of_another_loop_is_refused_with_one_sentence() -> None:
    async with completion_server(OPEN) as upstream:
        here, begun_there = asyncio.get_running_loop(), asyncio.Event()
        streams: list[Any] = []

        async def there() -> None:
            async with StreamDriver(upstream.base_url, model="m") as driver:
                streams.append(driver.stream("hi").start())
                here.call_soon_threadsafe(begun_there.set)
                with pytest.raises(StreamAborted):
                    await streams[0]

        running = here.run_in_executor(None, lambda: asyncio.run(there()))
        await begun_there.wait()
        call = Call("POST", "/")
        with pytest.raises(RuntimeError, match="loop") as refused:
            await call.run(sending(streams[0]))
        streams[0].abort("enough")
        await running

    assert not call.sent
    assert "\n" not in str(refused.value)
