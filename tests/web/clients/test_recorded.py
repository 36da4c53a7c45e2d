"""Recorded answers of many servers: through the relay every client reads what it reads straight from the upstream.

What is different is listed here, with the reason, and held to be no other way.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.judges.client import Client
from benchmarks.judges.saw import Saw, saw_of
from benchmarks.judges.stage import staged
from streamkit.sse import SSEDecoder

from ...feeds import Feed, openai_chat_feeds
from .recorded_reports import feeds_upstream, recorded_reports

# Servers that ended an answer without a word: a client cannot tell by itself, the relay tells it.
CUT = {"mistral__magistral-medium-latest__content-array__3ae79eb2"}

# The error is in a line that is no event (`error: {…}`): a client skips it by the rules, streamkit reads it.
ERROR_IN_NO_EVENT = {"gpustack__qwen3__reasoning__ce51379f"}

# The error stands in a chunk beside choices, or the chunk is half an object: clients fail at other places than streamkit does.
MALFORMED = {"openai__gpt-4-0125-preview__text__0b6e108a"}


@pytest.fixture(scope="module")
def feeds(shared: object) -> list[Feed]:
    return openai_chat_feeds()


def expected_of(feed: Feed) -> dict[str, Any]:
    expected = feed.expected
    return {
        "text": expected["text"],
        "reasoning": expected["reasoning"] or expected.get("reasoning_details_text") or "",
        "refusal": expected["refusal"] or "",
        "tool_calls": [[call["name"], call["arguments"], call["id"] or None] for call in expected["tool_calls"]],
        "finish_reason": expected["finish_reasons"].get("0"),
        "usage": expected["usage"],
    }


def differences(feed: Feed, straight: Saw, relayed: Saw) -> list[str]:
    """What a client reads otherwise; the relay may add what the client did not find by itself, if the sidecar has it too."""
    found = []
    expected, before = expected_of(feed), straight.said()
    for name, value in relayed.said().items():
        if value != before[name] and (before[name] or value != expected[name]):
            found.append(f"{name}: straight {before[name]!r}, relayed {value!r}")
    name = feed.path.stem
    fails = straight.error is not None or name in CUT | ERROR_IN_NO_EVENT
    if (relayed.error is not None) != (fails and name not in MALFORMED):
        found.append(f"error: straight {straight.error}, relayed {relayed.error}")
    elif straight.error is not None and relayed.error is not None:
        found += [
            f"error.{part}: {straight.error[part]!r}, relayed {relayed.error[part]!r}"
            for part in ("message", "code")
            if str(straight.error.get(part)) != str(relayed.error.get(part))
        ]
    return [f"{name}: {one}" for one in found]


async def test_openai_clients_read_the_same(feeds: list[Feed], openai: Client) -> None:
    straight, relayed = (map(saw_of, reports) for reports in await recorded_reports(openai, feeds))
    found = [one for feed, *saws in zip(feeds, straight, relayed, strict=True) for one in differences(feed, *saws)]
    assert not found, "\n".join(found)


async def test_a_parser_reads_the_same_and_is_told_the_end(feeds: list[Feed], parser: Client) -> None:
    both = await recorded_reports(parser, feeds)
    straight, relayed = ([saw_of(report) for report in reports] for reports in both)
    found = [one for feed, *saws in zip(feeds, straight, relayed, strict=True) for one in differences(feed, *saws)]
    assert not found, "\n".join(found)
    for saw, report in zip(relayed, both.relayed, strict=True):
        # [DONE] for every answer that is whole, also where the server had none; and for no other.
        assert saw.done == (saw.error is None)
        assert report["problems"] == []
        assert {event["event"] for event in report["events"]} == {"message"}


async def test_the_usage_is_left_out_for_a_client_that_did_not_ask(feeds: list[Feed], openai: Client) -> None:
    chosen = [feed for feed in feeds if feed.path.stem not in MALFORMED and usage_comes_alone(feed)][:20]
    assert len(chosen) > 10
    async with feeds_upstream(chosen) as upstream, staged(upstream.base_url) as stage:
        reports = await openai.reports(stage.base_url, [feed.path.stem for feed in chosen], usage=False)
        asked = [request.json["stream_options"] for request in upstream.requests]
    saw = [saw_of(report) for report in reports]
    assert [one.text for one in saw] == [feed.expected["text"] for feed in chosen]
    assert [one.usage for one in saw] == [None] * len(chosen)
    assert asked == [{"include_usage": True}] * len(chosen)


def usage_comes_alone(feed: Feed) -> bool:
    chunks = [json.loads(event.data) for event in SSEDecoder().feed(feed.body) if event.data.startswith("{")]
    with_usage = [chunk for chunk in chunks if chunk.get("usage")]
    return bool(with_usage) and not any(chunk["choices"] for chunk in with_usage)


async def test_eventsource_reads_what_was_recorded(feeds: list[Feed], eventsource: Client) -> None:
    async with feeds_upstream(feeds) as upstream, staged(upstream.base_url) as stage:
        relayed = map(saw_of, await eventsource.reports(stage.origin, [feed.path.stem for feed in feeds]))
    found = []
    for feed, saw in zip(feeds, relayed, strict=True):
        expected, name = expected_of(feed), feed.path.stem
        if "function_call" in feed.expected:
            call = feed.expected["function_call"]
            expected["tool_calls"] = [[call["name"], call["arguments"], None]]
        found += [
            f"{name}: {field}: {value!r}, recorded {expected[field]!r}"
            for field, value in saw.said().items()
            if value != expected[field]
        ]
        fails = bool(feed.expected.get("error")) or name in CUT
        if (saw.error is not None, saw.done) != (fails, not fails):
            found.append(f"{name}: error {saw.error}, done {saw.done}")
    assert not found, "\n".join(found)
