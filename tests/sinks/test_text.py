from __future__ import annotations

from typing import Any

import pytest

from streamkit import CompletionStream, StreamError
from streamkit.sinks import TextAccumulator
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource, feed_of


@driven
async def test_keeps_each_stream_apart_and_the_latest_at_hand() -> None:
    accumulator = TextAccumulator()
    first = CompletionStream(ScriptedSource([feed_of("a", "b"), END])).attach(accumulator)
    second = CompletionStream(ScriptedSource([feed_of("c\r\n"), END])).attach(accumulator)

    assert accumulator[first] == ""
    await second
    await first

    assert (accumulator[first], accumulator[second], accumulator.text) == ("ab", "c\r\n", "c\r\n")


@driven
async def test_grows_and_survives_a_failure() -> None:
    accumulator = TextAccumulator()
    stream = CompletionStream(ScriptedSource([sse(chunk("Hel"), done=False), StreamError("broken")]))
    stream.attach(accumulator)
    seen: list[str] = []
    stream.on("text", lambda text: seen.append(accumulator[stream]))

    with pytest.raises(StreamError):
        await stream

    assert (seen, accumulator.text) == (["Hel"], "Hel")


@driven
async def test_late_one_has_all_the_text() -> None:
    stream = CompletionStream(ScriptedSource([feed_of("a", "b"), END]))
    await stream
    accumulator = TextAccumulator()

    stream.attach(accumulator)
    await turns(5)

    assert accumulator.text == "ab"


@driven
async def test_keeps_reasoning_when_asked() -> None:
    accumulator = TextAccumulator("reasoning")
    feed = sse(chunk(reasoning="hm"), chunk("yes"), chunk(finish_reason="stop"))

    await CompletionStream(ScriptedSource([feed, END])).attach(accumulator)

    assert accumulator.text == "hm"


def test_unknown_kind() -> None:
    wrong: Any = "chunk"
    with pytest.raises(ValueError, match="kind must be one of text, reasoning, refusal, not 'chunk'"):
        TextAccumulator(wrong)


@driven
async def test_stream_that_it_does_not_know() -> None:
    stream = CompletionStream(ScriptedSource())

    with pytest.raises(KeyError):
        TextAccumulator()[stream]
