"""An upstream that refuses, or fails in the middle: each client is told what it would have been told straight."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.judges.answers import ByModel
from benchmarks.judges.client import Client
from benchmarks.judges.saw import saw_of
from benchmarks.judges.stage import staged
from streamkit.testing import End, Script, Send, Step, Wait, answer, chunk, sse

from .curl import curl, origin_of, parsed


def error(message: str, kind: str, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


REFUSALS: dict[str, tuple[Step, ...]] = {
    "too many": answer(429, error("Slow down", "rate_limit_error", "rate_limited"), {"retry-after": "7"}),
    "too long": answer(400, error("Too many tokens", "invalid_request_error", "context_length_exceeded")),
    "no such": answer(404, error("There is no model of that name", "invalid_request_error", "model_not_found")),
    "unwell": answer(500, error("Something broke", "server_error", "oops")),
    "full": answer(503, error("Overloaded", "overloaded_error", "overloaded"), {"retry-after": "30"}),
}
STATUS = {"too many": 429, "too long": 400, "no such": 404, "unwell": 500, "full": 503}
RETRY_AFTER = {"too many": "7", "full": "30"}

BEGUN = [chunk("Hel", role="assistant"), chunk("lo")]
BROKEN = error("The engine died", "server_error", "engine_dead")
FAILURES: dict[str, Script] = {
    "in the middle": sse(*BEGUN, BROKEN, done=False),
    "then [DONE]": sse(*BEGUN, BROKEN),
    "later": [Send(sse(*BEGUN, done=False)), Wait(0.1), Send(sse(BROKEN, done=False)), End()],
    "at once": sse(BROKEN, done=False),
}


async def test_refusals_are_the_same_errors(openai: Client, parser: Client) -> None:
    async with ByModel(REFUSALS) as upstream, staged(upstream.base_url) as stage:
        for client in openai, parser:
            straight = await client.reports(upstream.base_url, REFUSALS)
            assert [report["error"]["status"] for report in straight] == list(STATUS.values())
            assert [report["error"]["retry_after"] for report in straight] == [
                RETRY_AFTER.get(name) for name in REFUSALS
            ]
            assert await client.reports(stage.base_url, REFUSALS) == straight


async def test_refusals_are_told_before_there_is_a_stream(parser: Client, eventsource: Client) -> None:
    async with ByModel(REFUSALS) as upstream, staged(upstream.base_url) as stage:
        straight = await parser.reports(upstream.base_url, REFUSALS)
        native = await eventsource.reports(stage.origin, REFUSALS)
    assert [report["error"] for report in native] == [report["error"] for report in straight]
    assert [report["events"] for report in native] == [[]] * len(REFUSALS)


async def test_curl_sees_the_status_and_when_to_come_back() -> None:
    async with ByModel(REFUSALS) as upstream, staged(upstream.base_url) as stage:
        code, head, body = await curl(stage.base_url + "/chat/completions", "too many")
    assert (code, head.split()[1]) == (0, b"429")
    assert b"retry-after: 7\r\n" in head
    assert b"Slow down" in body


async def test_failures_are_the_same_errors_after_the_same_text(openai: Client, parser: Client) -> None:
    async with ByModel(FAILURES) as upstream, staged(upstream.base_url) as stage:
        for client in openai, parser:
            straight = map(saw_of, await client.reports(upstream.base_url, FAILURES))
            relayed = map(saw_of, await client.reports(stage.base_url, FAILURES))
            for model, before, after in zip(FAILURES, straight, relayed, strict=True):
                assert after.said() == before.said()
                assert after.text == ("" if model == "at once" else "Hello")
                assert before.error is not None
                assert after.error is not None
                assert after.error["code"] == before.error["code"] == "engine_dead"
                # What fails at once is a status, as the relay has sent none yet: openai-python puts it before the text.
                assert after.error["message"].removeprefix("Error code: 502 - ") == before.error["message"]
                assert not after.done


async def test_an_eventsource_is_told_the_failure_and_that_it_is_over(eventsource: Client) -> None:
    async with ByModel(FAILURES) as upstream, staged(upstream.base_url) as stage:
        reports = await eventsource.reports(stage.origin, FAILURES)
    for model, report in zip(FAILURES, reports, strict=True):
        saw = saw_of(report)
        assert saw.error is not None
        told = [saw.error[name] for name in ("message", "type", "code")]
        assert told == ["The engine died", "server_error", "engine_dead"]
        assert saw.text == ("" if model == "at once" else "Hello")
        if model == "at once":
            assert saw.error["status"] == 502  # of the POST: there has been no stream
        else:
            assert (saw.done, report["events"][-1]["event"]) == (False, "end")


async def test_curl_sees_the_failure_twice() -> None:
    """In the last event, and in a body that is not whole (18: transfer closed with outstanding data)."""
    async with ByModel(FAILURES) as upstream, staged(upstream.base_url) as stage:
        seen = await asyncio.gather(*(curl(stage.base_url + "/chat/completions", model) for model in FAILURES))
    for code, head, body in seen:
        assert b"The engine died" in body
        assert b"[DONE]" not in body
        assert code == (18 if head.split()[1] == b"200" else 0)
    assert [code for code, _, _ in seen] == [18, 18, 18, 0]


async def test_a_busy_reader_gets_the_text_and_the_error(parser: Client) -> None:
    """fetch throws away what nobody has read when the connection ends before the body does."""
    models = ["in the middle", "later"]
    async with ByModel(FAILURES) as upstream, staged(upstream.base_url) as stage:
        reports = [(await parser.reports(stage.base_url, [model], busy=300))[0] for model in models]
    for saw in map(saw_of, reports):
        assert saw.text == "Hello"
        assert saw.error is not None
        assert saw.error["message"] == "The engine died"


async def test_refusals_after_the_headers_are_told_in_the_stream(openai: Client, parser: Client) -> None:
    """The relay waits for the upstream only so long; then its own headers are out."""
    late = {name: [Wait(0.3), *script] for name, script in REFUSALS.items()}
    async with ByModel(late) as upstream, staged(upstream.base_url, early_commit=0.02) as stage:
        for client in openai, parser:
            straight = map(saw_of, await client.reports(upstream.base_url, late))
            relayed = map(saw_of, await client.reports(stage.base_url, late))
            for model, before, after in zip(late, straight, relayed, strict=True):
                assert before.error is not None
                assert after.error is not None
                assert after.error["code"] == before.error["code"]
                # openai-python puts the status before what the server says.
                assert before.error["message"].removeprefix(f"Error code: {STATUS[model]} - ") == after.error["message"]
                assert after.error.get("status") is None
        code, head, body = await curl(origin_of(stage.base_url) + "/stream", "full")
    assert (code, head.split()[1]) == (18, b"200")
    assert [event["data"][:9] for event in parsed(body)] == ['{"error":']
