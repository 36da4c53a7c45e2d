from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from streamkit import StreamDriver
from streamkit.testing import Cut, Hang, Headers, Send, Wait, chunk, completion_server, sse
from streamkit.web import Limits, Relay
from streamkit.web.asgi import relay_asgi

from .asgi_call import Call, calling, until_there
from .relayed import HELLO, HELLO_FEED, OPEN, relay_over, until

STREAM = {**HELLO, "stream": True}


@asynccontextmanager
async def app_over(*scripts: Any, **settings: Any) -> AsyncIterator[tuple[Any, Any, Relay]]:
    """The upstream, the application, the relay."""
    async with relay_over(*scripts, **settings) as (upstream, relay):
        yield upstream, relay_asgi(relay, signals=False), relay


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "root"), [("/ai/streams", "/ai"), ("/streams", "/ai"), ("/ai/streams", "/ai/")])
async def test_mounted_it_is_found_and_its_links_begin_with_the_mount(path: str, root: str) -> None:
    """The path has the mount in it, as the specification says, or has not, as it was before."""
    async with app_over() as (_, app, _):
        call = await Call("POST", path, HELLO, root=root).run(app)
        assert call.status == 201
        assert call.json["url"] == call.headers["location"]
        assert call.json["url"].startswith("/ai/streams/")

        reading = await Call("GET", call.json["url"], root="/ai").run(app)
        assert b"event: end" in reading.body
        assert reading.is_whole


async def test_query_and_headers_reach_it() -> None:
    async with app_over() as (_, app, _):
        started = await Call("POST", "/streams", HELLO).run(app)
        url, stream = started.json["url"], started.json["stream"]
        whole = await Call("GET", url).run(app)
        assert b'"text":"Hel"' in whole.body
        by_query = await Call("GET", url, query=f"a=&last_event_id={stream}%3A2".encode()).run(app)
        by_header = await Call("GET", url, last_event_id=f"{stream}:2").run(app)

        assert b'"text":"Hel"' not in by_query.body
        assert b"event: end" in by_query.body
        assert by_header.body.split(b"\n")[1:] == by_query.body.split(b"\n")[1:]
        over = await Call("GET", url, last_event_id=f"{stream}:end").run(app)
        assert (over.status, over.body, over.is_whole) == (204, b"", True)
        assert "content-length" not in over.headers


async def test_whole_answers_have_a_length_and_those_to_head_have_no_body() -> None:
    async with app_over() as (_, app, _):
        get = await Call("GET", "/health").run(app)
        assert int(get.headers["content-length"]) == len(get.body) > 0
        head = await Call("HEAD", "/health").run(app)
        assert (head.status, head.body, head.is_whole) == (200, b"", True)
        assert "content-length" not in head.headers


async def test_large_body_is_refused_and_starts_nothing() -> None:
    async with app_over(limits=Limits(max_body=1000)) as (upstream, app, _):
        call = await Call("POST", "/stream", {"message": "x" * 2000}, parts=20).run(app)

        assert (call.status, call.json["error"]["code"]) == (413, "request_too_large")
        assert not upstream.requests


async def test_client_that_leaves_before_its_request_is_whole_starts_nothing() -> None:
    async with app_over() as (upstream, app, relay):
        call = Call("POST", "/stream", {"message": "hi"})
        call.withheld = True
        async with calling(app, call):
            await asyncio.sleep(0)
            call.leave.set()
        assert not call.sent or call.status >= 400
        assert not upstream.requests
        assert not relay.running


async def test_client_that_leaves_before_there_is_an_answer_ends_the_stream() -> None:
    async with app_over([Headers(), Hang()]) as (upstream, app, relay):
        call = Call("POST", "/v1/chat/completions", STREAM)
        async with calling(app, call):
            await until(lambda: upstream.requests)
            call.leave.set()
        assert call.status == 499
        await until(lambda: not relay.running)
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)


async def test_other_kinds_of_scopes() -> None:
    async with app_over() as (_, app, _):
        call = Call("GET", "/")
        call.scope["type"] = "websocket"
        await call.run(app)
        assert call.sent[0]["type"] == "websocket.close"
        call.scope["type"] = "telepathy"
        with pytest.raises(RuntimeError, match="'telepathy'"):
            await call.run(app)


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "last"),
    [("/stream", {"message": "hi"}, b"data: [DONE]\n\n"), ("/v1/chat/completions", STREAM, b"data: [DONE]\n\n")],
)
async def test_stream_is_sent_to_its_end(path: str, body: Any, last: bytes) -> None:
    async with app_over() as (_, app, _):
        call = await Call("POST", path, body).run(app)

    assert call.headers["content-type"].startswith("text/event-stream")
    assert call.headers["x-accel-buffering"] == "no"
    assert call.body.endswith(last)
    assert call.is_whole
    assert [message["type"] for message in call.sent] == [
        "http.response.start",
        *["http.response.body"] * (len(call.sent) - 1),
    ]


async def test_stream_that_fails_is_left_without_an_end_once_the_client_knows() -> None:
    cut = [Send(sse(chunk("Hel"), done=False)), Wait(0.02), Cut()]
    async with app_over(cut) as (_, app, _):
        call = Call("POST", "/v1/chat/completions", STREAM)
        async with calling(app, call) as task:
            await call.until(until_there(b"upstream_cut"))
            await asyncio.sleep(0)
            assert not task.done()  # the connection stays open for those who have not read it all
            call.leave.set()
        assert not call.is_whole
        assert b"[DONE]" not in call.body


async def test_client_that_stays_after_the_error_is_waited_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamkit.web.serving.LINGER", 0.05)
    async with app_over([Send(sse(chunk("Hel"), done=False)), Cut()]) as (_, app, _):
        call = await Call("POST", "/v1/chat/completions", STREAM).run(app)

    assert not call.is_whole


async def test_client_that_leaves_ends_the_stream() -> None:
    async with app_over(OPEN) as (upstream, app, relay):
        call = Call("POST", "/v1/chat/completions", STREAM)
        async with calling(app, call):
            await call.until(until_there(b"lo"))
            call.leave.set()
        await asyncio.wait_for(upstream.requests[0].closed.wait(), 5)
        await until(lambda: not relay.running)


@pytest.mark.parametrize("at", ["headers", "body"])
async def test_server_that_cannot_send_any_more_ends_the_stream(at: str) -> None:
    ticking = [step for number in range(500) for step in (Send(sse(chunk(f"{number} "), done=False)), Wait(0.01))]
    async with app_over(ticking) as (upstream, app, relay):
        call = Call("POST", "/v1/chat/completions", STREAM)
        if at == "headers":
            call.failing = BrokenPipeError()
        async with calling(app, call) as task:
            if at == "body":
                await call.until(until_there(b"3 "))
                call.failing = BrokenPipeError()
            async with asyncio.timeout(10):
                await task
                await upstream.requests[0].closed.wait()
        await until(lambda: not relay.running)


async def test_client_that_takes_nothing_is_given_up() -> None:
    ticking = [step for number in range(500) for step in (Send(sse(chunk(f"{number} "), done=False)), Wait(0.01))]
    async with app_over(ticking, send_timeout=0.1) as (upstream, app, _):
        call = Call("POST", "/v1/chat/completions", STREAM)
        async with calling(app, call) as task:
            await call.until(until_there(b"3 "))
            call.room.clear()
            async with asyncio.timeout(10):
                await task
                await upstream.requests[0].closed.wait()
        assert not call.is_whole


@pytest.mark.parametrize("path", ["/streams", "/v1/chat/completions"])
async def test_server_that_cancels_an_open_response_lets_it_say_why(path: str) -> None:
    async with app_over(OPEN) as (_, app, relay):
        call = Call("POST", path, STREAM, accept="text/event-stream")
        task = asyncio.ensure_future(app(call.scope, call.receive, call.send))
        await call.until(until_there(b"lo"))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert b'"code":"shutdown"' in call.body or b"shutting down" in call.body
        assert not call.is_whole
        # Whoever can resume may do so: nothing says that the stream itself is over.
        assert b"event: end" not in call.body
        assert b"[DONE]" not in call.body
        assert not relay._hub.subscriptions()


async def test_cancelled_before_there_is_an_answer_it_leaves_nothing() -> None:
    async with app_over([Headers(), Hang()]) as (upstream, app, relay):
        call = Call("POST", "/v1/chat/completions", STREAM)
        task = asyncio.ensure_future(app(call.scope, call.receive, call.send))
        await until(lambda: upstream.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert not call.sent
        await until(lambda: not relay.running)


async def test_an_answer_that_comes_while_the_request_is_cancelled_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay's answer and the server's patience end in one turn of the loop."""
    from streamkit.web import http

    async with app_over(OPEN) as (_, app, relay):
        original, tasks = http.handle, list[asyncio.Task[None]]()

        async def handle(*args: Any) -> Any:
            got = await original(*args)
            tasks[0].cancel()
            return got

        monkeypatch.setattr("streamkit.web.asgi.handle", handle)
        call = Call("POST", "/v1/chat/completions", STREAM)
        tasks.append(asyncio.ensure_future(app(call.scope, call.receive, call.send)))
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]

        assert not relay._hub.subscriptions()
        await until(lambda: not relay.running)


# --- the server's start and end ---------------------------------------------------------------------------------------


@asynccontextmanager
async def living(app: Any) -> AsyncIterator[list[Any]]:
    """The application between the server's start and end."""
    stop, sent = asyncio.Event(), list[Any]()
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        kind = next(messages)
        if kind == "lifespan.shutdown":
            await stop.wait()
        return {"type": kind}

    async def send(message: Any) -> None:
        sent.append(message)

    task = asyncio.ensure_future(app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send))
    await until(lambda: sent)
    yield sent
    stop.set()
    await task


async def test_lifespan_closes_the_relay_and_its_driver(caplog: pytest.LogCaptureFixture) -> None:
    async with completion_server(HELLO_FEED) as upstream:
        driver = StreamDriver(upstream.base_url, model="m")
        relay = Relay(driver)
        app = relay.asgi()
        async with living(app) as sent:
            assert (await Call("POST", "/stream", {"message": "hi"}).run(app)).is_whole
        assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        assert relay.closed
        with pytest.raises(RuntimeError, match="closed"):
            await driver.stream("hi")
        refused = await Call("POST", "/stream", {"message": "hi"}).run(app)
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert not caplog.records


async def test_app_without_lifespan_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    async with completion_server(HELLO_FEED) as upstream, StreamDriver(upstream.base_url, model="m") as driver:
        relay = Relay(driver)
        app = relay_asgi(relay, signals=False)
        for _ in range(2):
            await Call("GET", "/health").run(app)
        await relay.close()

    assert [(record.levelno, record.name) for record in caplog.records] == [(logging.WARNING, "streamkit.web")]
    assert "async with relay:" in caplog.text


async def test_app_that_enters_the_relay_hears_nothing_of_lifespans(caplog: pytest.LogCaptureFixture) -> None:
    async with app_over() as (_, app, _):
        await Call("GET", "/health").run(app)

    assert not caplog.records


async def test_signal_tells_every_client_and_reaches_the_server(told_to_end: list[int]) -> None:
    async with relay_over(OPEN) as (_, relay):
        app = relay.asgi()
        calls = [Call("POST", "/v1/chat/completions", STREAM) for _ in range(3)]
        tasks = [asyncio.ensure_future(app(call.scope, call.receive, call.send)) for call in calls]
        for call in calls:
            await call.until(until_there(b"lo"))
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)

        assert told_to_end == [signal.SIGTERM]
        assert relay.closed
        for call in calls:
            assert b"shutdown" in call.body
            assert not call.is_whole


async def test_a_relay_that_is_gone_hears_no_signal(told_to_end: list[int]) -> None:
    own = signal.getsignal(signal.SIGTERM)
    async with (
        completion_server(HELLO_FEED) as upstream,
        StreamDriver(upstream.base_url) as driver,
        Relay(driver) as relay,
    ):
        await Call("GET", "/health").run(relay.asgi())
        assert signal.getsignal(signal.SIGTERM) != own
    del relay
    gc.collect()

    assert signal.getsignal(signal.SIGTERM) == own


def test_signal_after_the_loop_has_ended_reaches_the_server_alone(told_to_end: list[int]) -> None:
    relay = Relay(StreamDriver("http://127.0.0.1:9/v1"))
    asyncio.run(Call("GET", "/health").run(relay.asgi()))
    signal.raise_signal(signal.SIGTERM)

    assert told_to_end == [signal.SIGTERM]
    assert not relay.closed


async def test_json_of_an_answer_that_is_no_stream() -> None:
    async with app_over() as (_, app, _):
        call = await Call("POST", "/v1/chat/completions", HELLO).run(app)

    assert json.loads(call.body)["choices"][0]["message"]["content"] == "Hello"
    assert int(call.headers["content-length"]) == len(call.body)
