"""A sign of life before the first byte of the upstream and between any two tokens: no client is disturbed by it.

The upstream sends its next token when the heartbeat after the last one has been on its way to the client: no clock decides whether
there was one.
"""

from __future__ import annotations

import re

import pytest

from benchmarks.judges.client import Client
from benchmarks.judges.saw import saw_of
from benchmarks.judges.stage import staged
from streamkit.testing import chunk, sse

from .curl import curl, parsed
from .tap import BEAT, Tap, patient_upstream, tapped

CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 8, "total_tokens": 9}
WORDS = [f"word{number} " for number in range(8)]
ARGUMENTS = ['{"a"', ": 1", "}"]


def event(payload: dict[str, object]) -> bytes:
    return sse(payload, done=False)


PIECES = [
    *((event(chunk(word)), word.encode()) for word in WORDS),
    (event(chunk(tool_calls=[CALL])), b""),
    *((event(chunk(tool_calls=[{"index": 0, "function": {"arguments": part}}])), b"") for part in ARGUMENTS),
    (event(chunk(finish_reason="tool_calls")), b""),
    (event(chunk(usage=USAGE)), b""),
    (b"data: [DONE]\n\n", b""),
]


def beats_between(heard: bytes) -> bool:
    """Whether there was one before each of the words, and after the last."""
    answer = heard[heard.index(b"text/event-stream") :]
    parts = re.split(rb"word\d ", answer)
    return len(parts) == len(WORDS) + 1 and all(BEAT in part for part in parts)


async def test_heartbeats_everywhere_change_nothing(anyone: tuple[Client, str]) -> None:
    client, path = anyone
    waits: list[Tap] = []
    async with (
        patient_upstream(PIECES, waits) as upstream,
        staged(upstream, heartbeat=0.01, early_commit=0.01) as stage,
        tapped(stage.origin) as tap,
    ):
        waits.append(tap)
        (report,) = await client.reports(tap.origin + path, ["m"])
        assert beats_between(tap.heard)
    saw = saw_of(report)
    assert (saw.text, saw.finish_reason, saw.usage, saw.error) == ("".join(WORDS), "tool_calls", USAGE, None)
    assert saw.tool_calls == [["look", '{"a": 1}', "call_1"]]
    assert saw.done in {True, None}
    assert report.get("problems", []) == []
    if "comments" in report:
        assert report["comments"] > len(WORDS)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/stream", "/streams"])
async def test_heartbeats_split_no_event(path: str) -> None:
    waits: list[Tap] = []
    async with (
        patient_upstream(PIECES, waits) as upstream,
        staged(upstream, heartbeat=0.01, early_commit=0.01) as stage,
        tapped(stage.origin) as tap,
    ):
        if path == "/streams":  # its answer is the stream's address
            relayed = await stage.relay.start({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
            waits.append(tap)
            code, _, body = await curl(f"{tap.origin}{path}/{relayed.id}")
        else:
            waits.append(tap)
            code, _, body = await curl(tap.origin + path, "m")
        assert beats_between(tap.heard)
    assert code == 0
    events = parsed(body)
    assert [word for word in WORDS if any(word in event["data"] for event in events)] == WORDS
    # A heartbeat is a line, and no event: with none of them, the same events are there.
    assert parsed(body.replace(BEAT, b"")) == events
    assert body.count(BEAT) >= len(WORDS)
