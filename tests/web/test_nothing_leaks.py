"""What is malformed, too much, or hostile, over real HTTP: a status, an error object, and no word of it in a log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from streamkit import SSEDecoder
from streamkit.testing import Hang, Headers, Script, Send, answer, chunk, sse
from streamkit.web import Limits
from streamkit.web.access import bearer_tokens
from streamkit.web.routes import relay_app

from .relayed import CANARY, HELLO, KEY, OPEN, relay_over, site, until

TOKEN = "canary-token-of-ann"
SECRETS = ("canary", "sk-", "hunter2")


@pytest.fixture(autouse=True)
async def silent_log(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Every logger of the process, down to its least word: none may say what a client has sent."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(False)
    yield
    for record in caplog.records:
        said = caplog.handler.format(record)
        assert not any(secret in said for secret in SECRETS), said


async def raw(base: str, request: bytes) -> bytes:
    """Send bytes as they are; the whole answer."""
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    async with asyncio.timeout(10):
        answered = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answered


def post(path: str, body: bytes, *headers: bytes, host: bytes = b"x") -> bytes:
    lines = [
        b"POST %b HTTP/1.1" % path.encode(),
        b"host: %b" % host,
        b"connection: close",
        b"authorization: Bearer %b" % TOKEN.encode(),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join([*lines, b"", body])


GOOD = json.dumps(HELLO).encode()

#: What arrives, and the status; aiohttp itself answers what is no HTTP.
MALFORMED: dict[str, tuple[bytes, int]] = {
    "no HTTP at all": (b"canary\r\n\r\n", 400),
    "a bad header": (b"POST /streams HTTP/1.1\r\nhost: x\r\nauthori zation: Bearer canary\r\n\r\n", 400),
    "a header with NUL": (b"POST /streams HTTP/1.1\r\nhost: x\r\nauthorization: Bearer canary\x00\r\n\r\n", 400),
    "a bad length": (b"POST /streams HTTP/1.1\r\nhost: x\r\ncontent-length: canary\r\n\r\n", 400),
    "a header without end": (b"POST /streams HTTP/1.1\r\nx: " + b"canary" * 5000 + b"\r\n\r\n", 400),
    "no JSON": (post("/streams", b'{"canary'), 400),
    "JSON that is no object": (post("/stream", b'"canary"'), 400),
    "invalid UTF-8": (post("/stream", b'{"message": "canary\xff"}'), 400),
    "half of a surrogate pair": (post("/v1/chat/completions", b'{"messages":[{"role":"user","content":"canary\\ud800"}]}'), 400),
    "a bomb of brackets": (post("/streams", b"[" * 100_000), 400),
    "not a number": (post("/streams", b'{"messages":[{"role":"user","content":"canary"}],"n":NaN}'), 400),
    "a huge number": (post("/streams", b'{"messages":[{"role":"user","content":"canary"}],"max_tokens":1e999}'), 400),
    "messages of nothing": (post("/streams", b'{"messages":[null]}'), 400),
    "a role of nobody": (post("/streams", b'{"messages":[{"role":"canary","content":"x"}]}'), 400),
    "a field that chooses the host": (post("/streams", GOOD[:-1] + b', "api_base": "http://canary"}'), 400),
    "a field that chooses the key": (post("/streams", GOOD[:-1] + b', "Api-Key": "sk-canary"}'), 400),
    "a model with a line end": (post("/streams", GOOD[:-1] + b', "model": "canary\\r\\nx: y"}'), 400),
    "an id with a line end": (b"GET /streams/canary%0d%0ax:y HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer canary-token-of-ann\r\n\r\n", 404),
    "a cursor with a line end": (b"GET /streams/abc?last_event_id=canary%0d%0aid:1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer canary-token-of-ann\r\n\r\n", 400),
    "too large": (post("/streams", GOOD + b" " * 3000), 413),
    "not JSON by its type": (post("/streams", GOOD).replace(b"application/json", b"text/plain"), 415),
    "compressed": (post("/streams", GOOD, b"content-encoding: br"), 415),
    "an unknown path": (post("/canary", GOOD), 404),
    "no such method": (post("/v1/models", GOOD), 405),
    "another site's page": (post("/streams", GOOD, b"sec-fetch-site: cross-site", b"origin: https://canary.example"), 403),
    "somebody else's token": (post("/streams", GOOD).replace(b"token-of-ann", b"token-of-bob"), 401),
    "a key that is none": (post("/streams", GOOD, b"idempotency-key: canary key"), 400),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed_request_is_answered_and_starts_nothing(name: str) -> None:
    request, status = MALFORMED[name]
    authorize = bearer_tokens({"ann": TOKEN})
    async with (
        relay_over(limits=Limits(max_body=2000 if name == "too large" else 2**20), authorize=authorize) as (
            upstream,
            relay,
        ),
        site(relay_app(relay)) as base,
    ):
        answered = await raw(base, request)

    head, _, body = answered.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.0 %d " % status))
    assert not upstream.requests
    if not name.startswith(("no HTTP", "a bad", "a header")):
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "code", "param"}
        assert b"content-type: application/json" in head.lower()
        assert "canary" not in json.dumps(error)
        assert b"x: y" not in head


LIMITS: dict[str, tuple[dict[str, Any], Script, list[int], str]] = {
    "streams of all": ({"max_streams": 2}, OPEN, [201, 201, 503], "busy"),
    "streams of one": ({"max_streams_per_principal": 2}, OPEN, [201, 201, 429], "too_many_streams"),
    "starts": ({"starts_per_minute": 2}, OPEN, [201, 201, 429], "rate_limited"),
    "messages": ({"max_messages": 1}, OPEN, [400], "too_many_messages"),
    "choices": ({"max_choices": 1}, OPEN, [400], "too_many_choices"),
    "depth": ({"max_depth": 2}, OPEN, [400], "too_deep"),
    "body": ({"max_body": 50}, OPEN, [413], "request_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
async def test_limit_is_a_status_and_says_when_to_come_back(name: str) -> None:
    limits, script, statuses, code = LIMITS[name]
    body = {"messages": HELLO["messages"] * (2 if name == "messages" else 1), "n": 2}
    async with (
        relay_over(script, limits=Limits(**limits)) as (upstream, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        got: list[int] = []
        headers: Any = {}
        told: Any = {}
        for _ in statuses:
            async with session.post("/streams", json=body) as response:
                got.append(response.status)
                headers, told = response.headers, await response.json()
        assert got == statuses
        assert told["error"]["code"] == code
        assert ("retry-after" in headers) == (statuses[-1] in {429, 503})
        assert CANARY not in json.dumps(told)
        assert len(upstream.requests) == len(statuses) - 1


@pytest.mark.parametrize(
    "script",
    [
        answer(400, {"error": {"message": f"bad key {KEY}", "code": KEY, "type": f"Bearer {KEY}"}}),
        [Send(sse(chunk("a"), {"error": {"message": f"bad key {KEY} in Bearer hunter2hunter2", "code": "x"}}))],
        [Headers(headers={"x-request-id": f"a, {KEY}"}), Send(sse(chunk("a"), done=False))],
        [Send(b"data: canary\n\n" * 30)],
        [Headers(302, headers={"location": f"http://canary.invalid/?key={KEY}"})],
    ],
    ids=["status", "in the stream", "request id", "no feed", "redirect"],
)
@pytest.mark.parametrize("path", ["/streams", "/stream", "/v1/chat/completions"])
async def test_upstream_that_fails_says_nothing_of_keys_and_prompts(script: Script, path: str) -> None:
    async with relay_over(script) as (_, relay), site(relay_app(relay)) as base:
        answered = await raw(base, post(path, GOOD, b"accept: text/event-stream"))
        await until(lambda: relay.running == 0)

    assert b"error" in answered
    assert KEY.encode() not in answered
    assert b"hunter2" not in answered


# --- injection --------------------------------------------------------------------------------------------------------

HOSTILE = (
    "a\r\n\r\nevent: end\r\ndata: {}\r\n\r\n",
    "b\n\ndata: [DONE]\n\n",
    "\rid: other:9\r",
    ": hb\n\x00\u2028\u2029\ufeff\x85",
    "\U0001f600 data: </script>",
)


@pytest.mark.parametrize("form", ["native", "guide", "openai", "whole"])
async def test_text_of_the_model_is_text_and_no_event(form: str) -> None:
    path = {"native": "/streams", "guide": "/stream"}.get(form, "/v1/chat/completions")
    body = {**HELLO, **({"stream": True} if form == "openai" else {})}
    feed = sse(*map(chunk, HOSTILE), chunk(finish_reason="stop"))
    async with (
        relay_over([Send(feed)]) as (_, relay),
        site(relay_app(relay)) as base,
        aiohttp.ClientSession(base, headers={"accept": "text/event-stream"}) as session,
        session.post(path, json=body) as response,
    ):
        got = await response.read()
        stream_id = response.headers["x-streamkit-stream"]

    if form == "whole":
        assert json.loads(got)["choices"][0]["message"]["content"] == "".join(HOSTILE)
        return
    events = SSEDecoder().feed(got)
    values = [json.loads(event.data) for event in events if event.event == "message" and event.data != "[DONE]"]
    if form == "openai":
        text = "".join(value["choices"][0]["delta"].get("content", "") for value in values)
    else:
        text = "".join(value.get("content" if form == "guide" else "text", "") for value in values)
    assert text == "".join(HOSTILE)
    assert [event.data for event in events].count("[DONE]") == (form != "native")
    assert {event.id.split(":")[0] for event in events} == ({stream_id} if form == "native" else {""})


async def test_silent_upstream_is_not_logged_either() -> None:
    async with (
        relay_over([Hang()], limits=Limits(max_seconds=0.2), early_commit=0.05) as (_, relay),
        site(relay_app(relay)) as base,
    ):
        answered = await raw(base, post("/stream", GOOD))

    assert b'"code":"max_seconds"' in answered
