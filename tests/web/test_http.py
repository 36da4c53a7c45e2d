from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from streamkit.web import Limits
from streamkit.web.access import CORS, Principal, bearer_tokens
from streamkit.web.http import PATHS, Answer, Request, StreamAnswer
from streamkit.web.refusals import Refused

from .relayed import CANARY, HELLO, KEY, ask, body_of, read, relay_over, until

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


SMALL = Limits(max_body=2000, max_messages=3, max_depth=8)


BAD_REQUESTS: list[tuple[str, str, object, dict[str, str], int, str]] = [
    # Nothing there.
    ("GET", "/", None, {}, 404, "not_found"),
    ("GET", "/v2/models", None, {}, 404, "not_found"),
    ("GET", "/streams/abc/x", None, {}, 404, "not_found"),
    ("POST", "/streams/", HELLO, {}, 404, "not_found"),
    ("GET", "/streams/unknown", None, {}, 404, "not_found"),
    ("HEAD", "/streams/unknown", None, {}, 404, "not_found"),
    ("DELETE", "/streams/unknown", None, {}, 404, "not_found"),
    ("POST", "/streams/unknown/stop", None, {}, 404, "not_found"),
    ("GET", "/streams/unknown/state", None, {}, 404, "not_found"),
    ("GET", "/streams/unknown/snapshot", None, {}, 404, "not_found"),
    ("GET", "/streams/a b", None, {}, 404, "not_found"),
    ("GET", "/streams/a\r\nset-cookie: b", None, {}, 404, "not_found"),
    ("GET", "/streams/" + "a" * 5000, None, {}, 404, "not_found"),
    ("GET", "/streams/\x00", None, {}, 404, "not_found"),
    # Methods.
    ("GET", "/streams", None, {}, 405, "method_not_allowed"),
    ("PUT", "/streams/x", None, {}, 405, "method_not_allowed"),
    ("GET", "/v1/chat/completions", None, {}, 405, "method_not_allowed"),
    ("POST", "/v1/models", HELLO, {}, 405, "method_not_allowed"),
    ("BREW", "/stream", None, {}, 405, "method_not_allowed"),
    # Bodies.
    ("POST", "/streams", b"{}", {"content_type": "text/plain"}, 415, "not_json"),
    ("POST", "/streams", b"{}", {"content_type": "application/x-www-form-urlencoded"}, 415, "not_json"),
    ("POST", "/stream", b"{}", {"content_type": "multipart/form-data; boundary=x"}, 415, "not_json"),
    ("POST", "/v1/chat/completions", b"{}", {"content_type": ""}, 415, "not_json"),
    ("POST", "/v1/chat/completions", b"{}", {"content_encoding": "gzip"}, 415, "compressed"),
    ("POST", "/streams", b"", {}, 400, "invalid_json"),
    ("POST", "/streams", b"{" + CANARY.encode(), {}, 400, "invalid_json"),
    ("POST", "/streams", b'["' + CANARY.encode() + b'"]', {}, 400, "invalid_json"),
    ("POST", "/streams", b'{"a":' * 100 + b"1" + b"}" * 100, {}, 400, "too_deep"),
    ("POST", "/streams", {"messages": [{"role": "user", "content": CANARY * 200}]}, {}, 413, "request_too_large"),
    ("POST", "/streams", {}, {}, 400, "missing_field"),
    ("POST", "/stream", {}, {}, 400, "missing_field"),
    ("POST", "/v1/chat/completions", {"messages": CANARY}, {}, 400, "invalid_value"),
    ("POST", "/v1/chat/completions", {"messages": HELLO["messages"] * 4}, {}, 400, "too_many_messages"),
    ("POST", "/v1/chat/completions", {**HELLO, "stream": CANARY}, {}, 400, "invalid_value"),
    ("POST", "/v1/chat/completions", {**HELLO, "n": 1000}, {}, 400, "too_many_choices"),
    ("POST", "/v1/chat/completions", {**HELLO, "base_url": "http://evil"}, {}, 400, "forbidden_field"),
    ("POST", "/streams", {**HELLO, "api_key": KEY}, {}, 400, "forbidden_field"),
    ("POST", "/stream", {"message": CANARY, "extra_headers": {"a": KEY}}, {}, 400, "forbidden_field"),
    # Headers.
    ("POST", "/streams", HELLO, {"idempotency_key": ""}, 400, "invalid_idempotency_key"),
    ("POST", "/streams", HELLO, {"idempotency_key": "a b"}, 400, "invalid_idempotency_key"),
    ("POST", "/streams", HELLO, {"idempotency_key": "x" * 256}, 400, "invalid_idempotency_key"),
    ("POST", "/streams", HELLO, {"last_event_id": "garbage"}, 400, "invalid_last_event_id"),
    ("POST", "/streams", HELLO, {"last_event_id": "abc:1 2"}, 400, "invalid_last_event_id"),
    ("POST", "/streams", HELLO, {"last_event_id": "abc:-1"}, 400, "invalid_last_event_id"),
    ("POST", "/streams", HELLO, {"last_event_id": "unknown:3"}, 404, "not_found"),
    ("POST", "/streams", HELLO, {"last_event_id": "unknown:end"}, 404, "not_found"),
    ("GET", "/streams/abc", None, {"last_event_id": "abd:1"}, 400, "invalid_last_event_id"),
    ("POST", "/streams", HELLO, {"sec_fetch_site": "cross-site", "origin": "https://evil.example"}, 403, "origin_not_allowed"),
    ("POST", "/stream", HELLO, {"sec_fetch_site": "same-site"}, 403, "origin_not_allowed"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "code"),
    BAD_REQUESTS,
    ids=[f"{row[0]}-{row[1][:20]!r}-{row[5]}-{number}" for number, row in enumerate(BAD_REQUESTS)],
)
async def test_bad_request_gets_a_status_and_an_error_object_and_starts_nothing(
    method: str, path: str, body: object, headers: dict[str, Any], status: int, code: str
) -> None:
    async with relay_over(limits=SMALL) as (upstream, relay):
        answer = await ask(relay, method, path, body, **headers)

        assert relay.running == 0
        assert not upstream.requests
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if method == "HEAD":
        assert answer.body == b""
        return
    told = body_of(answer)
    assert list(told) == ["error"]
    assert set(told["error"]) == {"message", "type", "code", "param"}
    assert told["error"]["code"] == code
    assert told["error"]["message"]
    assert CANARY not in answer.body.decode()
    assert "sk-canary" not in answer.body.decode()
    if status == 405:
        assert method not in answer.headers["allow"].split(", ")


async def test_closing_relay_says_so() -> None:
    async with relay_over() as (upstream, relay):
        await relay.close()
        answers = [await ask(relay, "POST", path, body) for path, body in STARTS]

    for answer in answers:
        assert (answer.status, body_of(answer)["error"]["code"]) == (503, "shutting_down")
        assert "retry-after" in answer.headers
    assert not upstream.requests


async def test_bug_inside_is_an_answer_without_details_and_a_record_without_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def authorize(request: Request) -> Principal:
        raise KeyError(CANARY, KEY)

    async with relay_over(authorize=authorize) as (_, relay):
        answer = await ask(relay, "POST", "/streams", HELLO)

    assert (answer.status, body_of(answer)["error"]["code"]) == (500, "internal")
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "KeyError" in record.getMessage()
    assert "test_http.py" in record.getMessage()


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/health"])
async def test_nobody_gets_anything_without_a_token(path: str) -> None:
    async with relay_over(authorize=bearer_tokens({"ann": "token-of-ann"})) as (upstream, relay):
        for method in PATHS[path]:
            for token in (None, f"Bearer {KEY}", "Basic token-of-ann"):
                header: dict[str, Any] = {"authorization": token} if token else {}
                answer = await ask(relay, method, path.replace("{id}", "x"), HELLO, **header)

                assert (answer.status, body_of(answer)["error"]["type"]) == (401, "authentication_error")
                assert answer.headers["www-authenticate"].startswith("Bearer")
        assert not upstream.requests


async def test_hook_may_be_async_and_may_refuse_in_its_own_way() -> None:
    async def authorize(request: Request) -> Principal | None:
        await asyncio.sleep(0)
        if request.headers.get("cookie") is None:
            raise Refused("log in first", status=403, code="no_session", type="permission_error")
        return Principal(request.headers["cookie"])

    async with relay_over(authorize=authorize) as (_, relay):
        refused = await ask(relay, "POST", "/streams", HELLO)
        taken = await ask(relay, "POST", "/streams", HELLO, cookie="ann")
        await until(lambda: relay.running == 0)

    assert (refused.status, body_of(refused)["error"]["code"]) == (403, "no_session")
    assert taken.status == 201


ORIGIN = "https://chat.example"


PREFLIGHT: dict[str, Any] = {
    "access_control_request_method": "POST",
    "access_control_request_headers": "authorization,x-stainless-os",
}


async def test_cors_is_off_by_default() -> None:
    async with relay_over() as (_, relay):
        preflight = await ask(relay, "OPTIONS", "/v1/chat/completions", origin=ORIGIN, **PREFLIGHT)
        answer = await ask(relay, "GET", "/v1/models", origin=ORIGIN)

    assert (preflight.status, preflight.headers["allow"]) == (204, "POST, OPTIONS")
    assert not [name for name in {**preflight.headers, **answer.headers} if name.startswith("access-control")]


async def test_cors_lets_the_pages_of_an_origin_in_and_no_others() -> None:
    async with relay_over(cors=CORS([ORIGIN])) as (_, relay):
        preflight = await ask(relay, "OPTIONS", "/v1/chat/completions", origin=ORIGIN, **PREFLIGHT)
        evil = await ask(relay, "OPTIONS", "/v1/chat/completions", origin="https://evil.example", **PREFLIGHT)
        stream = await ask(relay, "POST", "/v1/chat/completions", STREAM, origin=ORIGIN, sec_fetch_site="cross-site")
        await read(stream)
        refused = await ask(relay, "POST", "/v1/chat/completions", {}, origin=ORIGIN)

    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert preflight.headers["access-control-allow-headers"] == "authorization, x-stainless-os"
    assert "access-control-allow-origin" not in evil.headers
    assert isinstance(stream, StreamAnswer)
    assert stream.headers["access-control-allow-origin"] == ORIGIN
    assert refused.headers["access-control-allow-origin"] == ORIGIN  # or the page could not read why
    assert refused.headers["vary"] == "origin"
