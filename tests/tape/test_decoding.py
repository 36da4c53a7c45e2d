from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import Completion, StreamDriver, StreamError
from streamkit.tape import Ending, Tape, TapeRead, demo_tape
from streamkit.tape.decoding import decode_tape
from streamkit.testing import chunk, replay_server, sse

FINISH = sse(chunk(finish_reason="stop"))
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FEEDS = {
    "plain": sse(chunk("Hi")) + FINISH,
    "several choices": sse(chunk("Hi"), chunk("Ho", index=1), chunk(finish_reason="stop"), done=False),
    "reasoning": sse(chunk(reasoning_content="hm"), chunk("Hi", finish_reason="stop")),
    "tool call": sse(chunk(tool_calls=[CALL]), chunk(finish_reason="tool_calls")),
    "two calls in one index": sse(
        chunk(tool_calls=[CALL, {**CALL, "id": "call_2"}]), chunk(finish_reason="tool_calls")
    ),
    "comments": b": ping\n\n" + sse(chunk("Hi", finish_reason="stop")),
    "malformed": sse(chunk("Hi"), "{oops", chunk(finish_reason="stop")),
    "invalid utf-8": b'data: {"choices":[{"index":0,"delta":{"content":"\xff"},"finish_reason":"stop"}]}\n\n',
    "half a pair": b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83c"}}]}\n\n' + FINISH,
    "done without finish": sse(chunk("Hi")),
    "truncated": sse(chunk("Hi"), done=False),
    "no last blank line": sse(chunk("Hi", finish_reason="stop"), done=False).rstrip(),
    "whole json": json.dumps(
        {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    ).encode(),
    "error in a chunk": sse(chunk("Hi"), {"error": {"message": "oh"}}),
    "error event": sse(chunk("Hi"), done=False) + b"event: error\ndata: oh\n\n",
    "json error": b'{"error": {"message": "oh"}}',
    "usage": sse(chunk("Hi", finish_reason="stop"), chunk(usage={"prompt_tokens": 1, "completion_tokens": 2})),
}


def tape_of(*datas: bytes, status: int = 200, ending: Ending | None = "eof") -> Tape:
    reads = tuple(TapeRead(float(place), data) for place, data in enumerate(datas, 1))
    return Tape(
        status=status, headers_at=0.5, reads=reads, ending=ending, ended_at=len(datas) + 1.0 if ending else None
    )


async def streamed(tape: Tape) -> tuple[Completion, StreamError | None]:
    """What a stream makes of it."""
    error = None
    async with replay_server(tape, speed=0) as server, StreamDriver(server.base_url, "key", retries=0) as driver:
        stream = driver.stream("hi", model="m")
        try:
            await stream
        except StreamError as failure:
            error = failure
        return stream.completion, error


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
async def test_tape_says_what_a_stream_of_it_says(feed: bytes) -> None:
    tape = tape_of(feed)

    decoded = decode_tape(tape)
    completion, error = await streamed(tape)

    assert decoded.completion.choices == completion.choices
    assert decoded.completion.usage == completion.usage
    assert decoded.completion.quirks == completion.quirks
    if decoded.error is not None:  # that a feed just stops is no part of the feed
        assert str(decoded.error) == str(error)
        assert decoded.completion.ended_by == completion.ended_by == "error"
    elif error is None:
        assert decoded.completion.ended_by == completion.ended_by
        assert decoded.completion.complete == completion.complete


@given(data=st.data(), name=st.sampled_from(sorted(FEEDS)))
@settings(max_examples=100, deadline=None)
def test_boundaries_between_reads_change_nothing_but_the_times(data: st.DataObject, name: str) -> None:
    feed = FEEDS[name]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(feed) - 1), max_size=6)))
    pieces = [feed[start:end] for start, end in zip([0, *cuts], [*cuts, len(feed)], strict=True)]

    split, whole = decode_tape(tape_of(*pieces)), decode_tape(tape_of(feed))

    assert [event[1:] for event in split.events] == [event[1:] for event in whole.events]
    assert split.completion.choices == whole.completion.choices
    assert str(split.error) == str(whole.error)


@given(st.lists(st.binary(min_size=1) | st.text(min_size=1).map(str.encode), max_size=6), st.sampled_from([200, 404]))
@settings(max_examples=100, deadline=None)
def test_no_bytes_at_all_are_too_much(datas: list[bytes], status: int) -> None:
    decoded = decode_tape(tape_of(*datas, status=status))

    assert (decoded.error is None) <= (status == 200)
    assert [event.seconds for event in decoded.events] == sorted(event.seconds for event in decoded.events)


def test_each_event_has_the_time_of_its_read() -> None:
    feed = sse(chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"))
    cut = feed.index(b"lo") + 1

    decoded = decode_tape(tape_of(feed[:cut], feed[cut:]))

    texts = [(event.seconds, event.payload) for event in decoded.events if event.name == "text"]
    timings = decoded.completion.timings
    assert texts == [(1.0, "Hel"), (2.0, "lo")]
    assert (timings.connect, timings.first_read, timings.first_text, timings.last_chunk, timings.end) == (
        0.5,
        1,
        1,
        2,
        3,
    )


@pytest.mark.parametrize(
    ("ending", "ended_by"),
    [("eof", "eof"), ("reset", "error"), ("timeout", "error"), ("cancelled", "cancel"), (None, None)],
)
def test_cut_tape_ends_as_its_stream_did(ending: Ending | None, ended_by: str | None) -> None:
    completion = decode_tape(tape_of(sse(chunk("Hi"), done=False), ending=ending)).completion

    assert (completion.text, completion.ended_by, completion.complete) == ("Hi", ended_by, False)


def test_event_that_was_cut_is_none() -> None:
    feed = sse(chunk("Hel"), chunk("lo"), done=False)

    assert decode_tape(tape_of(feed[:-1], ending="reset")).completion.text == "Hel"
    assert decode_tape(tape_of(feed[:-1])).completion.text == "Hello"


def test_what_follows_done_is_not_looked_at() -> None:
    decoded = decode_tape(tape_of(sse(chunk("Hi", finish_reason="stop")) + sse(chunk("more"))))

    assert decoded.completion.text == "Hi"


async def test_shipped_tape_says_what_its_stream_says() -> None:
    completion, _ = await streamed(demo_tape())

    assert decode_tape(demo_tape()).completion.choices == completion.choices


def test_tape_without_an_answer_says_nothing() -> None:
    decoded = decode_tape(Tape(ending="reset", ended_at=0.1))

    assert (decoded.events, decoded.completion.choices, decoded.error) == ((), (), None)
