"""One meter a stream, measured at the socket."""

from __future__ import annotations

import gc
import weakref

import pytest

from streamkit import CompletionStream
from streamkit.sinks.meter import Meter, meter_of
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource, text_reads


@driven
async def test_all_who_ask_share_one_meter() -> None:
    stream = CompletionStream(ScriptedSource([*text_reads("a", "b"), END]))
    stream.on("end", lambda _: None)

    assert meter_of(stream) is meter_of(stream)

    stream.abort()
    with pytest.raises(Exception, match="aborted"):
        await stream


@driven
async def test_figures_are_those_of_the_reads() -> None:
    reads = text_reads("a", "b", "c")
    stream = CompletionStream(ScriptedSource([0.5, reads[0], 0.25, reads[1], 0.25, reads[2], END]))
    meter = meter_of(stream)

    with pytest.raises(Exception, match="cut short"):
        await stream

    assert meter.chunks == 3
    assert meter.ttft == pytest.approx(0.5)
    assert meter.error is not None
    assert meter.stats(stream.completion) is meter.stats(stream.completion)


def test_a_meter_does_not_keep_its_stream() -> None:
    stream = CompletionStream(ScriptedSource([END]))
    meter = meter_of(stream)
    gone = weakref.ref(stream)
    stream.abort()

    del stream
    gc.collect()

    assert gone() is None
    assert meter.chunks == 0


@driven
async def test_meter_that_comes_late_has_from_the_stream_what_it_missed() -> None:
    reads = [*text_reads("a", "b", "c", "d"), sse(chunk(finish_reason="stop"), chunk(usage={"completion_tokens": 7}))]
    script = [item for read in reads for item in (0.5, read)]  # the last two chunks say nothing
    early, late = (CompletionStream(ScriptedSource([*script, END])) for _ in range(2))
    of_early = meter_of(early)
    await early
    metered: list[Meter] = []
    late.on("text", lambda text: metered.append(meter_of(late)) if text == "b" else None)
    await late

    [of_late], stats = metered, of_early.stats(early.completion)
    missed = of_late.stats(late.completion)

    assert (missed.ttft, missed.e2e, missed.wall) == (stats.ttft, stats.e2e, stats.wall) == (0.5, 2.0, 2.5)
    assert (missed.tpot, missed.tokens_per_second) == (stats.tpot, stats.tokens_per_second) == (0.25, 4.0)
    assert (missed.ttfc, missed.ttfo) == (None, None)  # what it cannot know
    assert stats.chunks_per_second == missed.chunks_per_second == 2.0
    assert (missed.chunks, missed.inter_chunk and missed.inter_chunk.count) == (4, 1)  # what it has heard


@driven
async def test_meter_that_comes_in_the_first_read_takes_its_time() -> None:
    source = ScriptedSource([0.5, sse(chunk("a"), chunk("b"), done=False), 0.25, sse(chunk(finish_reason="stop")), END])
    stream = CompletionStream(source)
    metered: list[Meter] = []
    stream.on("text", lambda text: metered.append(meter_of(stream)) if text == "a" else None)

    completion = await stream
    stats = metered[0].stats(completion)

    assert (stats.ttft, stats.e2e, stats.inter_chunk) == (0.5, 0.5, None)


@driven
async def test_meter_that_comes_while_it_reasons_still_hears_the_first_output() -> None:
    thought, said = sse(chunk(reasoning="hm"), done=False), sse(chunk("yes"), done=False)
    source = ScriptedSource([0.5, thought, 0.5, thought, 0.5, said, 0.5, sse(chunk(finish_reason="stop")), END])
    stream = CompletionStream(source)
    metered: list[Meter] = []
    stream.once("reasoning", lambda _: metered.append(meter_of(stream)))

    completion = await stream
    stats = metered[0].stats(completion)

    assert (stats.ttft, stats.ttfo) == (0.5, 1.5)


@driven
async def test_meter_of_a_stream_that_is_over_has_its_times() -> None:
    reads = [*text_reads("a", "b"), sse(chunk(finish_reason="stop"))]
    stream = CompletionStream(ScriptedSource([item for read in reads for item in (0.5, read)] + [END]))
    await stream

    meter = meter_of(stream)
    await turns(3)
    stats = meter.stats(stream.completion)

    assert (stats.ttft, stats.e2e, stats.wall, stats.ended_by) == (0.5, None, 1.5, "done")
    assert (stats.chunks, stats.inter_chunk) == (0, None)


@driven
async def test_who_follows_gets_every_gap_before_the_end() -> None:
    reads = [*text_reads("a", "b", "c"), sse(chunk(finish_reason="stop"))]
    stream = CompletionStream(ScriptedSource([item for read in reads for item in (0.25, read)] + [END]))
    gaps: list[float] = []
    meter_of(stream).follow(gaps.extend)
    at_the_end: list[list[float]] = []
    stream.on("end", lambda _: at_the_end.append(gaps.copy()))

    await stream

    assert at_the_end == [[0.25, 0.25]]
