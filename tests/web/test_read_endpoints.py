from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest

from streamkit.web import Limits, Relay
from streamkit.web.access import bearer_tokens
from streamkit.web.http import Answer, StreamAnswer

from .relayed import CANARY, HELLO, OPEN, ask, body_of, read, relay_over, until


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


async def test_models_are_those_that_are_offered() -> None:
    async with relay_over(models=["small", "large"]) as (upstream, relay):
        answer = await ask(relay, "GET", "/v1/models")
        refused = await ask(relay, "POST", "/v1/chat/completions", {**HELLO, "model": "gpt-9"})
        await read(await ask(relay, "POST", "/stream", {"message": "hi"}))

    assert body_of(answer) == {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": 0, "owned_by": "streamkit"} for model in ("small", "large")
        ],
    }
    assert (refused.status, body_of(refused)["error"]["code"]) == (404, "model_not_found")
    assert [request.json["model"] for request in upstream.requests] == ["small"]


async def test_health_tells_when_it_closes() -> None:
    async with relay_over(authorize=lambda request: None) as (_, relay):
        well = await ask(relay, "GET", "/health")
        await relay.close()
        closing = await ask(relay, "GET", "/health")

    assert (well.status, closing.status) == (200, 503)


async def test_one_reader_too_many_is_told_when_to_come_back() -> None:
    async with relay_over(OPEN, limits=Limits(max_subscribers=1)) as (_, relay):
        stream_id = await started(relay)
        reading = await ask(relay, "GET", f"/streams/{stream_id}")
        refused = await ask(relay, "GET", f"/streams/{stream_id}")

        assert isinstance(reading, StreamAnswer)
        assert (refused.status, body_of(refused)["error"]["code"]) == (429, "too_many_readers")
        assert int(refused.headers["retry-after"]) >= 1
        reading.subscription.close()


async def test_reader_goes_on_after_the_last_event_that_it_has_seen() -> None:
    async with relay_over() as (upstream, relay):
        stream_id = await started(relay)
        path = f"/streams/{stream_id}"
        whole = await read(await ask(relay, "GET", path))
        rests = [
            await read(await ask(relay, "GET", path, last_event_id=f"{stream_id}:2")),
            await read(await ask(relay, "GET", path, query={"last_event_id": f"{stream_id}:2"})),
            await read(await ask(relay, "GET", path, query={"last_event_id": f"{stream_id}:1"}, last_event_id=f"{stream_id}:2")),
            await read(await ask(relay, "POST", "/streams", HELLO, last_event_id=f"{stream_id}:2")),
            await read(await ask(relay, "POST", "/streams", b"what is this", last_event_id=f"{stream_id}:2")),
        ]  # fmt: skip
        empty = await read(await ask(relay, "GET", path, last_event_id=""))

    strip = re.compile(rb"^(: hb\n)?retry: \d+\n")
    assert {strip.sub(b"", rest) for rest in rests} == {whole[whole.index(b"id: " + stream_id.encode() + b":3") :]}
    assert strip.sub(b"", empty) == strip.sub(b"", whole)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("place", ["end", "6", "7", "999999999999999"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_left_after_the_end(place: str, method: str) -> None:
    async with relay_over() as (upstream, relay):
        stream_id = await started(relay)
        await read(await ask(relay, "GET", f"/streams/{stream_id}"))
        path = f"/streams/{stream_id}" if method == "GET" else "/streams"
        answer = await ask(
            relay, method, path, HELLO if method == "POST" else None, last_event_id=f"{stream_id}:{place}"
        )

    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (204, b"")
    assert len(upstream.requests) == 1


async def test_state_and_snapshot_say_how_far_it_is() -> None:
    async with relay_over(OPEN) as (_, relay):
        stream_id = await started(relay)
        path = f"/streams/{stream_id}"
        state = body_of(await ask(relay, "GET", f"{path}/state"))
        snapshot = body_of(await ask(relay, "GET", f"{path}/snapshot"))
        head = await ask(relay, "HEAD", path)
        stopped = await ask(relay, "POST", f"{path}/stop")
        await until(lambda: relay.running == 0)
        after = body_of(await ask(relay, "GET", f"{path}/state"))
        again = await ask(relay, "POST", f"{path}/stop")

    assert state == {"stream": stream_id, "status": "running", "seq": 2, "reason": None}
    assert (snapshot["text"], snapshot["status"], snapshot["seq"]) == ("Hello", "running", 2)
    assert isinstance(head, Answer)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == "text/event-stream"
    assert (head.headers["x-streamkit-status"], head.headers["x-streamkit-seq"]) == ("running", "2")
    assert (stopped.status, again.status) == (204, 204)
    assert (after["status"], after["reason"]) == ("ended", "abort")


async def test_stop_ends_the_upstream_and_tells_readers() -> None:
    async with relay_over(OPEN) as (upstream, relay):
        stream_id = await started(relay)
        reading = asyncio.create_task(read(await ask(relay, "GET", f"/streams/{stream_id}")))
        await ask(relay, "POST", f"/streams/{stream_id}/stop")
        events = await reading
        async with asyncio.timeout(0.5):
            await upstream.requests[0].closed.wait()

    assert b'"reason":"abort"' in events


async def test_deleted_stream_is_as_if_it_had_never_been() -> None:
    async with relay_over(OPEN) as (upstream, relay):
        stream_id = await started(relay)
        deleted = await ask(relay, "DELETE", f"/streams/{stream_id}")
        after = await ask(relay, "GET", f"/streams/{stream_id}")
        async with asyncio.timeout(0.5):
            await upstream.requests[0].closed.wait()

    assert (deleted.status, after.status) == (204, 404)


async def test_stream_of_somebody_else_is_as_good_as_none() -> None:
    authorize = bearer_tokens({"ann": "token-of-ann", "bob": "token-of-bob"})
    async with relay_over(OPEN, authorize=authorize) as (upstream, relay):
        stream_id = await started(relay, authorization="Bearer token-of-ann")
        for method, path in [
            ("GET", "/streams/{}"),
            ("HEAD", "/streams/{}"),
            ("DELETE", "/streams/{}"),
            ("POST", "/streams/{}/stop"),
            ("GET", "/streams/{}/state"),
            ("GET", "/streams/{}/snapshot"),
        ]:
            foreign, unknown = [
                await ask(relay, method, path.format(name), authorization="Bearer token-of-bob")
                for name in (stream_id, "A" * 22)
            ]
            assert foreign == unknown
            assert foreign.status == 404
        resumed = await ask(
            relay, "POST", "/streams", HELLO, authorization="Bearer token-of-bob", last_event_id=f"{stream_id}:1"
        )
        assert resumed.status == 404
        assert relay.running == 1
        mine = await ask(relay, "GET", f"/streams/{stream_id}", authorization="Bearer token-of-ann")
        assert isinstance(mine, StreamAnswer)
        mine.subscription.close()
        assert len(upstream.requests) == 1
