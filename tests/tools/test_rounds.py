from __future__ import annotations

import threading

import pytest

from streamkit import RoundsSource, Source, Usage
from streamkit.testing import chunk, sse
from streamkit.tools import ToolCompletion, ToolStream
from streamkit.tools.calls import CallPolicy
from streamkit.tools.rounds import ToolSource, _add, _sum
from streamkit.tools.tool import tools_by_name

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource
from .conversation import asks, call, following, is_grammatical, says


async def weather(city: str) -> str:
    return f"4 °C in {city}"


def source_of(*rounds: ScriptedSource) -> ToolSource:
    """A run over sources in memory."""
    left = list(rounds)
    policy = CallPolicy(tools_by_name([weather]))
    return ToolSource(left.pop(0), lambda body: left.pop(0), policy, max_rounds=len(rounds))


def test_it_is_a_source_of_rounds_and_a_plain_one_is_none():
    source: RoundsSource = source_of(ScriptedSource())
    plain: Source = source
    assert plain.request["messages"] == []
    assert not hasattr(ScriptedSource(), "more")


@driven
async def test_the_timings_are_those_of_the_whole_run_by_one_clock():
    first = ScriptedSource([2.0, asks(call("weather", {"city": "Oslo"})), END])
    second = ScriptedSource([3.0, sse(chunk("4 °C."), done=False), 1.0, says("."), END])
    stream = ToolStream(source_of(first, second))
    events = following(stream)
    completion = await stream
    assert is_grammatical(events)
    timings = completion.timings
    assert (timings.connect, timings.first_chunk, timings.first_text, timings.last_chunk, timings.end) == (
        0,
        2,
        5,
        6,
        6,
    )
    assert [each.completion.timings.first_chunk for each in completion.rounds] == [2, 5]
    assert (first.closed[0], second.closed[0]) == (True, True)


@driven
async def test_a_run_that_has_not_begun_is_an_empty_completion():
    stream = ToolStream(source_of(ScriptedSource([says("Hi."), END])))
    assert stream.completion == ToolCompletion()
    assert stream.completion.rounds == ()
    await stream


@driven
async def test_another_thread_never_sees_half_a_round():
    many = [asks(call("weather", {"city": "Oslo"}, f"call_{each}")) for each in range(8)]
    stream = ToolStream(source_of(*(ScriptedSource([5, feed, 5, END]) for feed in (*many, says("Done.")))))
    over = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        while not over.is_set():
            seen = stream.completion
            numbers = [each.number for each in seen.rounds]
            answered = [len(each.answers) for each in seen.rounds[:-1]]
            calls = [call.id for each in seen.rounds for call in each.completion.tool_calls]
            wrong_calls = len(set(calls)) != len(calls)
            if wrong_calls or numbers != list(range(1, len(numbers) + 1)) or answered != [1] * len(answered):
                wrong.append(seen)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        await stream
        await turns(3)
    finally:
        over.set()
        thread.join()
    assert wrong == []


def test_usage_is_summed_where_it_is_known():
    assert _sum([None, None]) is None
    one = Usage(1, 2, 3, {"cost": 0.5, "details": {"cached": 1}, "tier": "a"})
    assert _sum([None, one]) is one
    assert _sum(
        [one, None, Usage(None, 2, None, {"details": {"cached": 2, "audio": 1}, "tier": "b", "byok": True})]
    ) == Usage(1, 4, 3, {"cost": 0.5, "details": {"cached": 3, "audio": 1}, "tier": "b", "byok": True})


@pytest.mark.parametrize(
    ("one", "other", "both"), [(1, 2.5, 3.5), (True, True, True), ("a", None, "a"), ([1], [2], [2])]
)
def test_only_numbers_add_up(one, other, both):
    assert _add(one, other) == both
