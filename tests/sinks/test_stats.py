from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from streamkit import CompletionStream, StreamError, Timeout
from streamkit.settings import RetryPolicy, Settings
from streamkit.sinks import StatsSink, StreamStats
from streamkit.testing import chunk, sse

from ..clock import driven
from ..stream.scripted import END, ScriptedSource

USAGE = {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26}


def at_once(*chunks: Any, done: bool = False) -> bytes:
    return sse(*chunks, done=done)


async def measured(source: ScriptedSource, settings: Settings | None = None) -> StreamStats:
    sink = StatsSink()
    stream = CompletionStream(source, settings=settings).attach(sink)
    try:
        await stream
    except StreamError:
        pass
    [stats] = sink.recent
    return stats


@driven
async def test_every_figure_of_a_scripted_stream_is_exact() -> None:
    source = ScriptedSource(
        [
            0.25,
            at_once(chunk("", role="assistant")),
            0.25,
            at_once(chunk(reasoning="hm")),
            0.5,
            at_once(chunk("a")),
            0.25,
            at_once(chunk("b")),
            1.0,
            at_once(chunk("c")),
            0.5,
            at_once(chunk("d")),
            0.125,
            at_once(chunk(finish_reason="stop")),
            0.125,
            at_once(chunk(usage=USAGE), done=True),
            END,
        ]
    )

    stats = await measured(source)

    assert stats.ttfb == 0.0
    assert stats.ttfc == 0.25
    assert stats.ttft == 0.5
    assert stats.ttfo == 1.0
    assert stats.e2e == 2.75
    assert stats.wall == 3.0
    assert stats.chunks == 8
    assert stats.inter_chunk is not None
    assert (stats.inter_chunk.count, stats.inter_chunk.p50, stats.inter_chunk.max) == (4, 0.5, 1.0)
    assert stats.tpot == 2.25 / 4
    assert stats.chunks_per_second == 4 / 2.25
    assert stats.tokens_per_second == 4 / 2.25
    assert stats.e2e_tokens_per_second == 5 / 2.75
    assert (stats.ended_by, stats.finish_reason, stats.error) == ("done", "stop", None)
    assert (stats.prompt_tokens, stats.completion_tokens) == (21, 5)


@driven
async def test_figures_agree_with_the_definitions_of_other_tools() -> None:
    """Each tool's formula, over the times at which this script's chunks came."""
    source = ScriptedSource(
        [
            1.0,
            at_once(chunk("a")),
            0.5,
            at_once(chunk("b")),
            0.25,
            at_once(chunk("c")),
            at_once(chunk(finish_reason="stop", usage=USAGE), done=True),
            END,
        ]
    )
    responses, n = [1.0, 1.5, 1.75], 5
    latency, ttft = responses[-1], responses[0]

    stats = await measured(source)

    assert stats.inter_chunk is not None
    vllm_itl = [after - before for before, after in pairwise(responses)]
    assert stats.ttft == ttft
    assert stats.e2e == latency
    assert stats.tpot == (latency - ttft) / (n - 1)  # vLLM TPOT, genai-perf ITL, guidellm ITL
    assert stats.inter_chunk.mean == sum(vllm_itl) / len(vllm_itl)
    assert math.isclose(stats.e2e_tokens_per_second or 0, n / latency)  # guidellm, llmperf
    assert stats.tpot is not None
    assert stats.tokens_per_second == 1 / stats.tpot


@driven
async def test_slow_listener_distorts_nothing() -> None:
    import asyncio

    source = ScriptedSource(
        [1.0, at_once(chunk("a")), 1.0, at_once(chunk("b"), chunk(finish_reason="stop"), done=True), END]
    )
    sink = StatsSink()
    stream = CompletionStream(source).attach(sink)

    async def slow(text: str) -> None:
        await asyncio.sleep(3)

    stream.on("text", slow)
    await stream

    [stats] = sink.recent
    assert (stats.ttft, stats.e2e) == (1.0, 2.0)


@driven
async def test_what_is_unknown_is_none_and_no_estimate() -> None:
    source = ScriptedSource([at_once(chunk("a"), chunk("b"), chunk(finish_reason="stop"), done=True), END])

    stats = await measured(source)

    assert stats.tpot is stats.tokens_per_second is stats.completion_tokens is stats.e2e_tokens_per_second is None
    assert stats.chunks_per_second is None  # all of it came in one read
    assert stats.inter_chunk is not None
    assert stats.inter_chunk.max == 0.0


@driven
async def test_single_token_has_no_time_per_token() -> None:
    one = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    source = ScriptedSource([1.0, at_once(chunk("a", usage=one), chunk(finish_reason="stop"), done=True), END])

    stats = await measured(source)

    assert (stats.ttft, stats.tpot, stats.inter_chunk) == (1.0, None, None)


@driven
async def test_cumulative_usage_is_not_summed_up() -> None:
    """vLLM's continuous_usage_stats: the last one counts."""

    def usage(tokens: int) -> dict[str, int]:
        return {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}

    source = ScriptedSource(
        [
            *(at_once(chunk("a", usage=usage(n))) for n in (1, 2, 3)),
            at_once(chunk("", finish_reason="stop"), done=True),
            END,
        ]
    )

    stats = await measured(source)

    assert stats.completion_tokens == 3


@driven
async def test_tool_calls_are_output() -> None:
    call = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]
    source = ScriptedSource(
        [1.0, at_once(chunk(tool_calls=call)), at_once(chunk(finish_reason="tool_calls"), done=True), END]
    )

    stats = await measured(source)

    assert (stats.ttft, stats.ttfo) == (1.0, 1.0)


@driven
async def test_failed_attempt_counts_in_the_time_and_not_in_its_first_data() -> None:
    source = ScriptedSource(
        [0.5, at_once(chunk("", role="assistant")), 0.5, StreamError("overloaded", retryable=True)],
        [1.0, b": hello\n\n", 1.0, at_once(chunk("a"), chunk(finish_reason="stop"), done=True), END],
    )
    policy = RetryPolicy(retries=1)

    stats = await measured(source, Settings(retry=policy))

    assert stats.retries == 1
    assert stats.ttfc is not None
    assert stats.ttfc == stats.ttft
    assert stats.ttfc >= 3.0  # both attempts, and the pause between them


@driven
async def test_heartbeat_is_no_first_chunk_and_a_split_line_is_one() -> None:
    data = at_once(chunk("a"), chunk(finish_reason="stop"), done=True)
    source = ScriptedSource([b": data: no\n\n", 1.0, data[:3], 1.0, data[3:], END])

    stats = await measured(source)

    assert stats.ttfc == 2.0


@driven
async def test_stalls_are_counted() -> None:
    source = ScriptedSource(
        [at_once(chunk("a")), 6.0, at_once(chunk("b"), chunk(finish_reason="stop"), done=True), END]
    )

    stats = await measured(source, Settings(timeout=Timeout(idle=10.0)))

    assert stats.stalls == 1


@driven
async def test_failed_stream_has_figures_too() -> None:
    source = ScriptedSource([1.0, at_once(chunk("a")), 1.0, StreamError("broken")])

    stats = await measured(source, Settings(retry=RetryPolicy(retries=0)))

    assert (stats.ended_by, stats.error, stats.ttft, stats.wall) == ("error", "StreamError", 1.0, 2.0)
    assert str(stats) == "ttft 1.00 s · 1 chunk · StreamError"


@driven
async def test_sink_that_comes_late_hears_of_the_end() -> None:
    from ..clock import turns

    source = ScriptedSource([at_once(chunk("a"), chunk(finish_reason="stop"), done=True), END])
    stream = CompletionStream(source)
    await stream
    sink = StatsSink()

    stream.attach(sink)
    await turns(5)

    assert [stats.ended_by for stats in sink.recent] == ["done"]


@driven
async def test_callback_may_be_async_and_keep_bounds_what_is_kept() -> None:
    import asyncio

    given: list[StreamStats] = []

    async def on_stats(stats: StreamStats) -> None:
        await asyncio.sleep(0.5)
        given.append(stats)

    sink = StatsSink(on_stats, keep=2)
    for _ in range(3):
        source = ScriptedSource([at_once(chunk("a"), chunk(finish_reason="stop"), done=True), END])
        await CompletionStream(source).attach(sink)

    assert len(given) == 3
    assert list(sink.recent) == given[1:]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"on_stats": 1}, TypeError, "on_stats must be callable, not int"),
        ({"keep": -1}, ValueError, "keep must be a whole number, 0 or more, not -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        StatsSink(**arguments)
