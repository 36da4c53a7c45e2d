from __future__ import annotations

import asyncio
import gc
import json
import logging
import weakref
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pyee import EventEmitter

from streamkit import (
    CompletionStream,
    ConnectionFailed,
    Event,
    RetryPolicy,
    StatusError,
    StreamAborted,
    StreamDriver,
    StreamError,
    Timeout,
)
from streamkit.testing import (
    End,
    Hang,
    ReceivedRequest,
    Script,
    Send,
    Step,
    Wait,
    answer,
    chunk,
    completion_server,
    sse,
)

HELLO = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"))
KEY = "sk-canary-0123456789abcdef"
BEGUN: list[Step] = [Send(sse(chunk("Hel", role="assistant"), done=False)), Hang()]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


# --- where to, and with which key -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        (
            "/openai/deployments/d?api-version=2024-10-21",
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
        ("/a%20b/v1", "/a%20b/v1/chat/completions"),
        ("/a%2Fb/v1", "/a%2Fb/v1/chat/completions"),
    ],
)
async def test_the_url(suffix: str, path: str) -> None:
    async with completion_server(HELLO) as server, StreamDriver(f"http://127.0.0.1:{server.port}{suffix}") as driver:
        assert (await driver.stream("hi")).text == "Hello"
    assert server.requests[0].path == path
    assert server.requests[0].method == "POST"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host/v1", "http://", "/v1", "", "   ", "http://[::1/v1", "http://host:99999/v1"]
)
def test_what_is_no_base_url(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        StreamDriver(url)


def test_a_base_url_of_another_type() -> None:
    port: Any = 8000
    with pytest.raises(TypeError, match="base_url must be a text, not int"):
        StreamDriver(port)


async def test_url_and_key_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with completion_server(HELLO) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.base_url}/")
        monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")  # as a file or a shell may leave it
        async with StreamDriver() as driver:
            await driver.stream("hi")
        async with StreamDriver(api_key="sk-of-the-argument") as driver:
            await driver.stream("hi")
        async with StreamDriver(api_key="") as driver:
            await driver.stream("hi")
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [f"Bearer {KEY}", "Bearer sk-of-the-argument", None]


def test_an_empty_base_url_in_the_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert repr(StreamDriver()) == "<StreamDriver https://api.openai.com/v1>"


async def test_no_key_sends_no_header() -> None:
    async with completion_server(HELLO) as server, StreamDriver(server.base_url) as driver:
        await driver.stream("hi")
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-é", "sk-\x00", "sk-\r\nx-evil: 1", "sk-“x”"])
def test_what_is_no_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        StreamDriver("http://localhost", key)
    assert key not in str(caught.value)


async def test_credentials_in_the_base_url() -> None:
    async with (
        completion_server(HELLO) as server,
        StreamDriver(f"http://user:{KEY}@127.0.0.1:{server.port}/v1") as driver,
    ):
        assert KEY not in repr(driver)
        assert (await driver.stream("hi")).text == "Hello"
    assert server.requests[0].headers["authorization"].startswith("Basic ")


async def test_credentials_in_the_base_url_beside_a_key() -> None:
    """A clear refusal, or one of the two is sent: not a failure of streamkit."""
    async with completion_server(HELLO) as server:
        try:
            async with StreamDriver(f"http://user:word@127.0.0.1:{server.port}/v1", KEY, retries=0) as driver:
                await driver.stream("hi")
        except (ValueError, StreamError) as error:
            assert "streamkit failed" not in str(error)
            assert KEY not in str(error)


# --- what is sent -----------------------------------------------------------------------------------------------------


async def sent_by(
    *args: Any, driver_options: dict[str, Any] | None = None, **options: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    async with completion_server(HELLO) as server, StreamDriver(server.base_url, **(driver_options or {})) as driver:
        await driver.stream(*args, **options)
    return server.requests[0].json, server.requests[0].headers


async def test_a_prompt() -> None:
    body, _ = await sent_by("Write a poem", model="m", temperature=0, tools=[])
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Write a poem"}],
        "temperature": 0,
        "tools": [],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_messages_go_out_as_given() -> None:
    messages = [
        {"role": "system", "content": "Be brief: “né” 😀"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": ""},
    ]
    body, _ = await sent_by(messages, model="m")
    assert body["messages"] == messages


async def test_a_whole_request_and_extra_body() -> None:
    request = {"model": "mine", "messages": [{"role": "user", "content": "hi"}], "n": 2}
    body, _ = await sent_by(request, model="other", extra_body={"top_k": 5, "n": 3})
    assert (body["model"], body["n"], body["top_k"]) == ("mine", 3, 5)
    assert request == {"model": "mine", "messages": [{"role": "user", "content": "hi"}], "n": 2}


async def test_the_drivers_model_and_none() -> None:
    body, _ = await sent_by("hi", driver_options={"model": "default"})
    assert body["model"] == "default"
    body, _ = await sent_by("hi", driver_options={"model": "default"}, model="own")
    assert body["model"] == "own"
    body, _ = await sent_by("hi")
    assert "model" not in body


@pytest.mark.parametrize(("options", "sent"), [(None, None), ({"include_usage": False}, {"include_usage": False})])
async def test_usage_is_not_asked_for_on_request(options: dict[str, Any] | None, sent: dict[str, Any] | None) -> None:
    body, _ = await sent_by("hi", model="m", stream_options=options)
    assert body.get("stream_options") == sent


async def test_the_headers() -> None:
    _, headers = await sent_by("hi", driver_options={"api_key": KEY})
    assert headers["accept"] == "text/event-stream"
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"].startswith("streamkit/")


async def test_headers_of_the_user_win_whatever_their_case() -> None:
    options = {"api_key": KEY, "headers": {"User-Agent": "mine", "api-key": "azure", "X-One": "driver"}}
    _, headers = await sent_by("hi", driver_options=options, headers={"AUTHORIZATION": "Custom x", "x-one": "stream"})
    assert headers["user-agent"] == "mine"
    assert headers["api-key"] == "azure"
    assert headers["x-one"] == "stream"
    assert headers["authorization"] == "Custom x"


@pytest.mark.parametrize("headers", [{"x": "a\nb"}, {"x\r\n": "a"}, {"x": "a\0"}])
def test_headers_with_a_line_break_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        StreamDriver("http://localhost", headers=headers)


@pytest.mark.parametrize("headers", [{"x": 1}, {1: "x"}, {"x": None}])
def test_headers_of_another_type_are_refused(headers: dict[Any, Any]) -> None:
    with pytest.raises(TypeError, match="header"):
        StreamDriver("http://localhost", headers=headers)


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("", {}, "empty"),
        ("  \n", {}, "empty"),
        ([], {}, "empty"),
        (None, {}, "NoneType"),
        (7, {}, "int"),
        (b"hi", {}, "bytes"),
        (["hi"], {}, r"messages\[0\]"),
        ([{"content": "hi"}], {}, r"messages\[0\]"),
        ({"model": "m"}, {}, "messages"),
        ("hi", {"stream": False}, "stream"),
        ("hi", {"model": 5}, "model"),
        ("hi", {"stop": object()}, "stop"),
        ("hi", {"timeout": 5}, "timeout"),
        ("hi", {"retries": -1}, "retries"),
        ("hi", {"headers": {"x": "\n"}}, "header"),
    ],
)
async def test_what_cannot_be_sent_is_refused_at_once(prompt: Any, options: dict[str, Any], message: str) -> None:
    async with StreamDriver("http://127.0.0.1:9") as driver:
        with pytest.raises((TypeError, ValueError), match=message):
            driver.stream(prompt, **options)


async def test_a_caller_may_change_its_messages_afterwards() -> None:
    messages = [{"role": "user", "content": "hi"}]
    async with completion_server(HELLO) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream(messages)
        messages[0]["content"] = "changed"
        messages.append({"role": "user", "content": "more"})
        await stream
    assert server.requests[0].json["messages"] == [{"role": "user", "content": "hi"}]


# --- what belongs to one stream ---------------------------------------------------------------------------------------


async def test_sinks_are_attached_to_every_stream() -> None:
    seen: list[CompletionStream] = []
    texts: list[str] = []

    def sink(stream: CompletionStream) -> None:
        seen.append(stream)
        stream.on("text", texts.append)

    async with completion_server(HELLO) as server, StreamDriver(server.base_url, sinks=[sink]) as driver:
        streams = [driver.stream("hi"), driver.stream("hi")]
        assert seen == streams
        for stream in streams:
            await stream
    assert texts == ["Hel", "lo"] * 2


def test_a_sink_that_is_no_function() -> None:
    path: Any = "log.jsonl"
    with pytest.raises(TypeError, match="sink"):
        StreamDriver("http://localhost", sinks=[path])


async def test_an_emitter_of_the_caller() -> None:
    emitter = EventEmitter()
    plain: list[str] = []
    emitter.on("text", plain.append)
    async with completion_server(HELLO) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi", emitter=emitter)
        assert stream.emitter is emitter
        await stream
    assert plain == ["Hel", "lo"]
    assert emitter.event_names() == {"text"}


async def test_overrides_of_one_stream() -> None:
    async with completion_server([Hang()]) as server, StreamDriver(server.base_url, retries=5) as driver:
        with pytest.raises(StreamError, match=r"Timeout\.first"):
            await driver.stream("hi", timeout=Timeout(first=0.05), retries=0)
    assert len(server.requests) == 1
    async with (
        completion_server(answer(500, "no"), HELLO) as server,
        StreamDriver(server.base_url, retries=0) as driver,
    ):
        assert (await driver.stream("hi", retries=RetryPolicy(retries=1, initial=0))).text == "Hello"
        assert len(server.requests) == 2


async def test_a_hundred_streams_at_once_do_not_mix() -> None:
    async def echo(request: web.Request) -> web.StreamResponse:
        word = (await request.json())["messages"][0]["content"]
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(10):
            await response.write(sse(chunk(f"{word}.{number} "), done=False))
            await asyncio.sleep(0)
        await response.write(sse(chunk(finish_reason="stop")))
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        heard: dict[str, list[str]] = {str(number): [] for number in range(100)}
        async with StreamDriver(f"http://127.0.0.1:{port}/v1") as driver:
            streams = {}
            for word, texts in heard.items():
                streams[word] = driver.stream(word)
                streams[word].on("text", texts.append)
            completions = await asyncio.gather(*streams.values())
    finally:
        await runner.cleanup()
    for word, completion in zip(heard, completions, strict=True):
        expected = [f"{word}.{number} " for number in range(10)]
        assert completion.text == "".join(expected)
        assert heard[word] == expected


# --- the session ------------------------------------------------------------------------------------------------------


async def test_an_owned_session_is_closed() -> None:
    async with completion_server(HELLO) as server:
        driver = StreamDriver(server.base_url)
        await driver.stream("hi")
        session = driver._session
        assert session is not None
        assert not session.closed
        await driver.close()
        assert session.closed
        await driver.close()


async def test_a_borrowed_session_is_not_closed() -> None:
    async with completion_server(HELLO) as server, aiohttp.ClientSession(headers={"x-session": "1"}) as session:
        async with StreamDriver(server.base_url, session=session) as driver:
            assert (await driver.stream("hi")).text == "Hello"
        assert not session.closed
    assert server.requests[0].headers["x-session"] == "1"


async def test_a_borrowed_session_with_a_total_timeout_does_not_end_the_stream() -> None:
    """aiohttp's default, five minutes for everything, is no limit of ours."""
    script: list[Step] = [Send(sse(chunk("Hel"), done=False)), Wait(0.15), Send(HELLO), End()]
    timeout = aiohttp.ClientTimeout(total=0.05, sock_read=0.05)
    async with (
        completion_server(script) as server,
        aiohttp.ClientSession(timeout=timeout) as session,
        StreamDriver(server.base_url, session=session) as driver,
    ):
        assert (await driver.stream("hi")).text == "HelHello"


async def test_a_borrowed_session_that_is_closed() -> None:
    session = aiohttp.ClientSession()
    await session.close()
    async with StreamDriver("http://127.0.0.1:9/v1", session=session, retries=0) as driver:
        with pytest.raises((StreamError, RuntimeError)) as caught:
            await driver.stream("hi")
    assert "please report" not in str(caught.value)


async def test_an_unclosed_driver_warns() -> None:
    async with completion_server(HELLO) as server:
        driver = StreamDriver(server.base_url, KEY)
        await driver.stream("hi")
        session = driver._session
        assert session is not None
        gone = weakref.ref(driver)
        with pytest.warns(ResourceWarning, match="unclosed <StreamDriver") as caught:
            del driver
            gc.collect()
        assert gone() is None
        assert not any(KEY in str(warning.message) for warning in caught)
        await session.close()


def test_a_driver_that_opened_nothing_needs_no_closing(recwarn: pytest.WarningsRecorder) -> None:
    StreamDriver("http://localhost")
    gc.collect()
    assert not recwarn.list


# --- the end of it ----------------------------------------------------------------------------------------------------


async def begun(driver: StreamDriver) -> CompletionStream:
    stream = driver.stream("hi")
    assert await stream.wait_for("text") == "Hel"
    return stream


async def assert_closed_within_100_ms(request: ReceivedRequest, since: float) -> None:
    async with asyncio.timeout(5):
        await request.closed.wait()
    assert request.closed_at is not None
    assert request.closed_at - since < 0.1


async def test_abort_closes_the_connection() -> None:
    loop = asyncio.get_running_loop()
    async with completion_server(BEGUN) as server, StreamDriver(server.base_url) as driver:
        stream = await begun(driver)
        since = loop.time()
        stream.abort("enough")
        with pytest.raises(StreamAborted, match="enough") as caught:
            await stream
        await assert_closed_within_100_ms(server.requests[0], since)
        assert caught.value.completion.text == "Hel"


async def test_abort_while_the_headers_are_awaited_closes_the_connection() -> None:
    loop = asyncio.get_running_loop()
    async with completion_server([Hang()]) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi").start()
        while not server.requests:
            await asyncio.sleep(0)
        since = loop.time()
        stream.abort()
        with pytest.raises(StreamAborted):
            await stream
        await assert_closed_within_100_ms(server.requests[0], since)


async def test_cancelling_closes_the_connection() -> None:
    loop = asyncio.get_running_loop()
    async with completion_server(BEGUN) as server, StreamDriver(server.base_url) as driver:
        stream = driver.stream("hi")
        text = asyncio.Event()
        stream.on("text", lambda _: text.set())

        async def consume() -> None:
            await stream

        task = asyncio.create_task(consume())
        await text.wait()
        since = loop.time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await assert_closed_within_100_ms(server.requests[0], since)
        assert stream.completion.ended_by == "cancel"


async def test_leaving_the_loop_closes_the_connection() -> None:
    loop = asyncio.get_running_loop()
    async with completion_server(BEGUN) as server, StreamDriver(server.base_url) as driver:
        async for piece in driver.stream("hi"):
            assert str(piece) == "Hel"
            break
        since = loop.time()
        await assert_closed_within_100_ms(server.requests[0], since)


async def test_a_failed_feed_closes_the_connection() -> None:
    script: list[Step] = [Send(sse(chunk("Hel"), {"error": {"message": "boom"}}, done=False)), Hang()]
    async with completion_server(script) as server, StreamDriver(server.base_url, retries=0) as driver:
        with pytest.raises(StreamError, match="boom"):
            await driver.stream("hi")
        await assert_closed_within_100_ms(server.requests[0], asyncio.get_running_loop().time())


async def test_close_aborts_what_runs_and_waits_for_its_end() -> None:
    async with completion_server(BEGUN) as server:
        driver = StreamDriver(server.base_url)
        streams = [await begun(driver) for _ in range(3)]
        ends: list[str] = []
        for stream in streams:
            stream.on("abort", lambda abort: ends.append(f"abort {abort.reason}"))

            @stream.on("end")
            async def slow(completion: object) -> None:
                await asyncio.sleep(0.01)
                ends.append("end")

        await driver.close()
        assert sorted(ends) == ["abort the driver was closed"] * 3 + ["end"] * 3
        for stream in streams:
            with pytest.raises(StreamAborted):
                await stream


async def test_a_closed_driver_refuses() -> None:
    driver = StreamDriver("http://127.0.0.1:9/v1")
    waiting = driver.stream("hi")
    await driver.close()
    with pytest.raises(RuntimeError, match="closed"):
        driver.stream("hi")
    with pytest.raises(RuntimeError, match="closed"):
        await waiting


def test_a_driver_belongs_to_the_loop_of_its_first_stream() -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    server = completion_server(HELLO)

    async def use(driver: StreamDriver) -> str:
        return (await driver.stream("hi")).text

    try:
        first.run_until_complete(server.__aenter__())
        driver = StreamDriver(server.base_url)
        assert first.run_until_complete(use(driver)) == "Hello"
        with pytest.raises(RuntimeError, match="another event loop"):
            second.run_until_complete(use(driver))
        assert first.run_until_complete(use(driver)) == "Hello"
        first.run_until_complete(driver.close())
        first.run_until_complete(server.__aexit__())
    finally:
        first.close()
        second.close()


def test_a_driver_and_its_streams_can_be_made_without_a_loop() -> None:
    driver = StreamDriver("http://127.0.0.1:9/v1")
    assert repr(driver.stream("hi")) == "<CompletionStream not started, 0 characters>"


# --- keys never show --------------------------------------------------------------------------------------------------

FILLER = "x" * 100
ECHOES: dict[str, Script] = {
    "401 json": answer(
        401, {"error": {"message": f"Incorrect API key provided: {KEY}.", "code": KEY, "type": f"bad {KEY}"}}
    ),
    "401 detail": answer(401, {"detail": f"no such key: {KEY}"}),
    "401 text": answer(401, f"no such key: {KEY}"),
    "401 html": answer(401, f"<html><title>who is {KEY}?</title></html>", {"content-type": "text/html"}),
    "401 long": answer(401, {"error": {"message": "x" * 485 + KEY}}),
    "429": answer(429, {"error": {"message": f"key {KEY} is out of quota"}}),
    "503": answer(503, f"upstream refused {KEY}"),
    "redirect": answer(302, "", {"location": f"https://login.example.org/?key={KEY}"}),
    "error in the stream": sse(chunk("Hel"), {"error": {"message": f"key {KEY}", "code": KEY, "type": KEY}}),
    "error text": sse(chunk("Hel"), {"error": f"key {KEY}"}),
    "error event": sse(
        chunk("Hel"), b'event: error\ndata: {"message": "key %b", "code": "%b"}\n\n' % (KEY.encode(), KEY.encode())
    ),
    "error beside": sse({**chunk("Hel", finish_reason="error"), "error": {"message": f"key {KEY}"}}),
    "error first": sse({"error": {"message": f"key {KEY}", "code": 500}}),
    "malformed": sse(chunk("Hel"), f"{{{KEY}", chunk(finish_reason="stop")),
    "malformed, cut at the key": sse(chunk("Hel"), "{" + FILLER + KEY + FILLER, chunk(finish_reason="stop")),
    "invalid utf-8": sse(chunk(f"a?{KEY}"), chunk(finish_reason="stop")).replace(b"a?", b"a\xff"),
    "too many malformed": sse(chunk("Hel"), *30 * [f"{{{KEY}"]),
    "no feed": f"Forbidden: {KEY}".encode(),
    "no feed, cut at the key": ("Forbidden " + FILLER + KEY + FILLER).encode(),
    "html page": f"<html>{KEY}</html>".encode(),
    "json page": json.dumps({"hello": KEY}).encode(),
    "json error": json.dumps({"error": {"message": KEY, "code": KEY, "type": KEY}}).encode(),
}


def shown(error: BaseException | None) -> str:
    """All that a traceback, a log or a debugger shows of an error and its causes."""
    text = ""
    while error is not None:
        text += f"{error!s} {error!r} {error.args!r}\n"
        if isinstance(error, StreamError):
            text += f"{error.code} {error.type} {error.request_id}\n"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return text


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("way", ["argument", "header", "query"])
async def test_a_key_that_the_server_echoes_never_shows(echo: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[str] = []
    async with completion_server(ECHOES[echo]) as server:
        url, key, headers = server.base_url, None, None
        if way == "argument":
            key = KEY
        elif way == "header":
            headers = {"api-key": KEY}
        else:
            url += f"?api-key={KEY}"
        async with StreamDriver(url, key, headers=headers, retries=RetryPolicy(retries=1, initial=0)) as driver:
            stream = driver.stream("hi")

            @stream.on("*")
            def note(event: Event) -> None:
                if event.name in {"chunk", "text", "text_done", "done", "end"}:
                    return  # what the model says is not the driver's to change
                events.append(f"{event.payload!s} {event.payload!r}")
                events.append(shown(getattr(event.payload, "error", None)))

            try:
                await stream
            except StreamError as error:
                events.append(shown(error))
            unheard = driver.stream("hi").start()  # nobody awaits it: its failure is logged
            await unheard.finished()
            del unheard, stream
            gc.collect()
            events += [repr(driver), repr(driver.__dict__.get("_settings"))]
    everything = "\n".join([*events, *(record.getMessage() for record in caplog.records), caplog.text])
    for part in (KEY, KEY[:14], KEY[-14:]):
        where = everything.find(part)
        assert where < 0, everything[max(0, where - 200) : where + 100]


async def test_a_key_does_not_show_where_no_connection_is_made(unused_tcp_port: int) -> None:
    async with StreamDriver(f"http://127.0.0.1:{unused_tcp_port}/v1?key={KEY}", KEY, retries=0) as driver:
        with pytest.raises(ConnectionFailed) as caught:
            await driver.stream("hi")
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("key", ["k", "EMPTY", "none", "key", "test"])
async def test_a_placeholder_key_does_not_spoil_the_message(key: str) -> None:
    """Local servers take any key: a word of the message that happens to be the key stays readable."""
    refusal = answer(401, {"error": {"message": "The token is EMPTY or none of the test keys"}})
    async with completion_server(refusal) as server, StreamDriver(server.base_url, key, retries=0) as driver:
        with pytest.raises(StatusError) as caught:
            await driver.stream("hi")
    assert "check OPENAI_API_KEY or api_key=" in caught.value.message


async def test_no_repr_shows_the_prompt() -> None:
    async with completion_server(BEGUN) as server, StreamDriver(server.base_url, KEY) as driver:
        stream = driver.stream("a secret prompt")
        start = asyncio.ensure_future(stream.wait_for("start"))
        payload = await start
        assert "secret prompt" not in f"{payload!r} {stream!r} {driver!r} {server.requests!r}"
        stream.abort()
        with pytest.raises(StreamAborted):
            await stream
