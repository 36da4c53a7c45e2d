from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest

from streamkit.testing import Cut, Hang, Headers, Reset, Script, Send, Wait, answer as upstream_says, chunk, sse
from streamkit.web import Limits, Relay
from streamkit.web.access import bearer_tokens
from streamkit.web.http import Answer, StreamAnswer

from .relayed import CANARY, HELLO, HELLO_FEED, KEY, OPEN, ask, body_of, read, relay_over, until

STREAM = {**HELLO, "stream": True}


STARTS = [("/streams", HELLO), ("/stream", {"message": CANARY}), ("/v1/chat/completions", HELLO)]


@pytest.fixture(autouse=True)
def canaries(caplog: pytest.LogCaptureFixture):
    """Nothing that any test here does writes a prompt or a key into any log."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in (*caplog.get_records("setup"), *caplog.get_records("call")):
        text = record.getMessage() + repr(record.exc_info) + repr(record.__dict__)
        assert CANARY not in text
        assert "sk-canary" not in text
        assert "token-of-" not in text


async def started(relay: Relay, **headers: Any) -> str:
    answer = await ask(relay, "POST", "/streams", HELLO, **headers)
    assert isinstance(answer, Answer)
    assert answer.status in {200, 201}
    return str(body_of(answer)["stream"])


async def test_native_start_names_the_stream_and_where_it_is() -> None:
    async with relay_over() as (_, relay):
        answer = await ask(relay, "POST", "/streams", HELLO, root="/ai")
        told = body_of(answer)
        events = await read(await ask(relay, "GET", told["url"].removeprefix("/ai")))

    assert answer.status == 201
    assert re.fullmatch("[A-Za-z0-9_-]{22}", told["stream"])  # 128 random bits
    assert told["url"] == answer.headers["location"] == f"/ai/streams/{told['stream']}"
    assert answer.headers["x-streamkit-stream"] == told["stream"]
    assert b'data: {"text":"Hel"}' in events
    assert events.rstrip().splitlines()[-2:] == [
        b"event: end",
        b'data: {"reason":"done","finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"seq":6}',
    ]


async def test_ids_are_not_guessed_from_others() -> None:
    async with relay_over() as (_, relay):
        ids = [await started(relay) for _ in range(20)]

    assert len(set(ids)) == 20
    assert len({stream_id[:4] for stream_id in ids}) > 15


async def test_native_start_streams_at_once_for_whom_accepts_events() -> None:
    async with relay_over() as (upstream, relay):
        answer = await ask(relay, "POST", "/streams", HELLO, accept="text/event-stream, */*")
        events = await read(answer)

    assert isinstance(answer, StreamAnswer)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-streamkit-stream"] in events.decode()
    assert "connection" not in answer.headers
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("body", [{"message": CANARY}, HELLO])
async def test_guides_get_their_shape(body: dict[str, object]) -> None:
    async with relay_over() as (upstream, relay):
        events = await read(await ask(relay, "POST", "/stream", body))

    lines = [line for line in events.split(b"\n\n") if line]
    assert lines == [b'data: {"content":"Hel"}', b'data: {"content":"lo"}', b"data: [DONE]"]
    assert upstream.requests[0].json["messages"] == HELLO["messages"]


async def test_openai_stream_is_the_upstreams_own() -> None:
    async with relay_over() as (_, relay):
        plain = await read(await ask(relay, "POST", "/v1/chat/completions", STREAM))
        asked = await read(
            await ask(relay, "POST", "/v1/chat/completions", {**STREAM, "stream_options": {"include_usage": True}})
        )

    usage = next(event for event in HELLO_FEED.split(b"\n\n") if b"total_tokens" in event) + b"\n\n"
    assert asked.removeprefix(b": hb\n") == HELLO_FEED
    assert plain.removeprefix(b": hb\n") == HELLO_FEED.replace(usage, b"")


async def test_openai_answer_that_is_not_streamed_has_it_all() -> None:
    def call(index: int, **function: str) -> dict[str, object]:
        named = {"id": "call_1", "type": "function"} if "name" in function else {}
        return {"index": 0, **named, "function": function}

    feed = sse(
        {**chunk("", role="assistant"), "system_fingerprint": "fp_1", "service_tier": "default"},
        chunk("A"),
        chunk("B", index=1, role="assistant"),
        chunk("a", reasoning_content="hm"),
        chunk(tool_calls=[call(0, name="weather", arguments='{"city"')]),
        chunk(tool_calls=[call(0, arguments=':"Oslo"}')]),
        {**chunk(finish_reason="tool_calls"), "citations": ["c1"]},
        {**chunk(finish_reason="stop", index=1), "citations": ["c2"]},
        chunk(usage={"total_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}),
    )
    async with relay_over(feed) as (upstream, relay):
        answer = await ask(relay, "POST", "/v1/chat/completions", {**HELLO, "n": 2})

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert body_of(answer) == {
        "id": "chatcmpl-streamkit",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": "streamkit-test",
        "system_fingerprint": "fp_1",
        "service_tier": "default",
        "citations": ["c1", "c2"],
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Aa",
                    "refusal": None,
                    "reasoning_content": "hm",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            },
            {
                "index": 1,
                "message": {"role": "assistant", "content": "B", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            },
        ],
        "usage": {
            "prompt_tokens": None,
            "completion_tokens": None,
            "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    }
    assert upstream.requests[0].json["stream"] is True
    assert upstream.requests[0].json["n"] == 2


@pytest.mark.parametrize(("path", "body"), STARTS)
async def test_upstream_gets_the_relays_key_and_nothing_of_the_clients_headers(path: str, body: object) -> None:
    async with relay_over(authorize=bearer_tokens({"ann": "token-of-ann"})) as (upstream, relay):
        answer = await ask(
            relay, "POST", path, body,
            authorization="Bearer token-of-ann", cookie="session=sk-canary", x_forwarded_for="10.9.8.7", user_agent="spy",
        )  # fmt: skip
        told = await read(answer)
        if path == "/streams":
            told += await read(
                await ask(relay, "GET", f"/streams/{body_of(answer)['stream']}", authorization="Bearer token-of-ann")
            )

    (request,) = upstream.requests
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "token-of-ann" not in repr(request.headers) + repr(request.json)
    assert "cookie" not in request.headers
    assert "10.9.8.7" not in repr(request.headers)
    assert "sk-canary" not in told.decode() + repr(answer.headers)


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        (Limits(max_streams=1), 503, "busy"),
        (Limits(max_streams_per_principal=1), 429, "too_many_streams"),
        (Limits(starts_per_minute=1), 429, "rate_limited"),
    ],
)
@pytest.mark.parametrize(("path", "body"), STARTS)
async def test_one_stream_too_many_is_told_when_to_come_back(
    limits: Limits, status: int, code: str, path: str, body: object
) -> None:
    async with relay_over(OPEN, limits=limits) as (upstream, relay):
        await started(relay)
        answer = await ask(relay, "POST", path, body)

        assert (answer.status, body_of(answer)["error"]["code"]) == (status, code)
        assert int(answer.headers["retry-after"]) >= 1
        assert len(upstream.requests) == 1


async def test_stream_that_takes_too_long_or_says_too_much_ends_in_an_error() -> None:
    long: Script = [Send(sse(chunk("x" * 4000), done=False)), Hang()]
    async with relay_over(OPEN, long, limits=Limits(max_seconds=0.3, max_output_bytes=2000)) as (upstream, relay):
        slow = await read(await ask(relay, "POST", "/v1/chat/completions", STREAM))
        whole = await ask(relay, "POST", "/v1/chat/completions", HELLO)

        assert json.loads(slow.strip().split(b"data: ")[-1])["error"]["code"] == "max_seconds"
        assert (whole.status, body_of(whole)["error"]["code"]) == (500, "output_too_long")
        for request in upstream.requests:
            async with asyncio.timeout(2):
                await request.closed.wait()


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (upstream_says(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}), 400, "context_length_exceeded"),
        (upstream_says(401, {"error": {"message": f"Incorrect API key: {KEY}", "code": "invalid_api_key"}}), 401, "invalid_api_key"),
        (upstream_says(404, {"error": {"message": "no such model", "code": "model_not_found"}}), 404, "model_not_found"),
        (upstream_says(429, {"error": {"message": "slow"}}, {"retry-after": "7", "x-request-id": "req_1"}), 429, "rate_limited"),
        (upstream_says(500, "<html>nginx</html>"), 500, "upstream_http"),
        (upstream_says(503, {"error": {"message": "busy"}}, {"retry-after": "7", "x-request-id": "req_1"}), 503, "upstream_http"),
        (upstream_says(407, "proxy"), 502, "upstream_http"),
        ([Headers(), Cut()], 502, "upstream_cut"),
        ([Reset()], 502, "upstream_cut"),
        (sse(done=False), 502, "upstream_cut"),
        (sse({"error": {"message": "overloaded", "code": "overloaded", "status": 529}}), 529, "overloaded"),
        (b"hello", 502, "upstream_protocol"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
@pytest.mark.parametrize(
    ("path", "body"), [*STARTS, ("/v1/chat/completions", STREAM)], ids=["native", "guide", "whole", "openai"]
)
async def test_refusal_of_the_upstream_is_a_status(
    script: Script, status: int, code: str, path: str, body: object
) -> None:
    async with relay_over(script) as (_, relay):
        answer = await ask(relay, "POST", path, body)
        await until(lambda: relay.running == 0)

    assert isinstance(answer, Answer)
    assert (answer.status, body_of(answer)["error"]["code"]) == (status, code)
    assert "sk-canary" not in answer.body.decode()
    assert "127.0.0.1" not in answer.body.decode()
    if code in {"rate_limited", "upstream_http"} and status in {429, 503}:
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-request-id"] == "req_1"


async def test_unreachable_upstream_is_a_bad_gateway_that_names_no_host() -> None:
    async with relay_over() as (upstream, relay):
        await upstream.__aexit__()
        answer = await ask(relay, "POST", "/v1/chat/completions", STREAM)

    assert answer.status == 502
    assert "127.0.0.1" not in json.dumps(body_of(answer))


async def test_after_the_first_bytes_an_error_is_told_in_the_stream() -> None:
    cut: Script = [Send(sse(chunk("Hel"), done=False)), Wait(0.05), Cut()]
    async with relay_over(cut) as (_, relay):
        openai = await ask(relay, "POST", "/v1/chat/completions", STREAM)
        told = await read(openai)
        native = await read(await ask(relay, "POST", "/streams", HELLO, accept="text/event-stream"))
        guide = await ask(relay, "POST", "/stream", {"message": "hi"})
        guided = await read(guide)
        whole = await ask(relay, "POST", "/v1/chat/completions", HELLO)

    assert isinstance(openai, StreamAnswer)
    assert openai.subscription.outcome == "error"
    assert isinstance(guide, StreamAnswer)
    assert guide.subscription.outcome == "error"
    assert json.loads(told.strip().split(b"data: ")[-1])["error"]["code"] == "upstream_cut"
    assert b"[DONE]" not in told
    assert b"[DONE]" not in guided
    assert b"event: stream-error" in native
    assert b'"reason":"error"' in native
    assert (whole.status, body_of(whole)["error"]["code"]) == (502, "upstream_cut")


async def test_slow_upstream_commits_early_and_its_refusal_comes_in_the_stream() -> None:
    slow = [Wait(0.3), *upstream_says(429, {"error": {"message": "slow down"}})]
    async with relay_over(slow, early_commit=0.05) as (_, relay):
        answer = await ask(relay, "POST", "/v1/chat/completions", STREAM)
        assert isinstance(answer, StreamAnswer)
        told = await read(answer)

    assert told.startswith(b": hb\n")
    assert json.loads(told.split(b"data: ")[-1])["error"]["code"] == "rate_limited"


async def test_request_id_of_the_upstream_is_passed_on() -> None:
    script: Script = [Headers(headers={"x-request-id": "req_42"}), Send(HELLO_FEED)]
    async with relay_over(script) as (_, relay):
        for path, body in [*STARTS, ("/v1/chat/completions", STREAM)]:
            answer = await ask(relay, "POST", path, body)
            await read(answer)
            assert answer.headers["x-request-id"] == "req_42"


async def test_idempotency_key_starts_one_stream_a_principal() -> None:
    authorize = bearer_tokens({"ann": "token-of-ann", "bob": "token-of-bob"})
    async with relay_over(authorize=authorize) as (upstream, relay):
        ann: dict[str, Any] = {"authorization": "Bearer token-of-ann", "idempotency_key": "k1"}
        first, second = await asyncio.gather(*(ask(relay, "POST", "/streams", HELLO, **ann) for _ in range(2)))
        other = await ask(relay, "POST", "/streams", {**HELLO, "temperature": 1}, **ann)
        bob = await ask(relay, "POST", "/streams", HELLO, authorization="Bearer token-of-bob", idempotency_key="k1")
        await until(lambda: relay.running == 0)

    assert sorted([first.status, second.status]) == [200, 201]
    assert body_of(first)["stream"] == body_of(second)["stream"]
    assert (other.status, body_of(other)["error"]["code"]) == (422, "idempotency_key_reused")
    assert bob.status == 201
    assert body_of(bob)["stream"] != body_of(first)["stream"]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(("path", "body"), [*STARTS, ("/v1/chat/completions", STREAM)])
async def test_who_leaves_before_the_answer_leaves_nothing_running(path: str, body: object) -> None:
    async with relay_over([Hang()]) as (upstream, relay):
        asking = asyncio.create_task(ask(relay, "POST", path, body))
        await until(lambda: upstream.requests)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(0.5):
            await upstream.requests[0].closed.wait()
        await until(lambda: relay.running == 0)
