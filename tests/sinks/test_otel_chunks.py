from __future__ import annotations

import asyncio
import timeit
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from streamkit import CompletionStream
from streamkit.sinks.otel_chunks import ChunkTimes, chunk_time_histogram
from streamkit.testing import chunk, sse

from ..clock import driven
from ..stream.scripted import END, ScriptedSource, text_reads
from .telemetry import Telemetry

NAME = "gen_ai.client.operation.time_per_output_chunk"
ATTRIBUTES = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def histogram_of(reader: InMemoryMetricReader) -> Any:
    """The one data point of the one metric; None if nothing was recorded."""
    data = reader.get_metrics_data()
    if data is None:
        return None
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    return point


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0001, 0.01, 0.0100001, 0.02, 0.3, 5.12, 200.0]) | st.floats(0, 100), max_size=700)
)
def test_what_is_exported_is_what_single_records_would_have_made_of_it(gaps: list[float]) -> None:
    ours, theirs = InMemoryMetricReader(), InMemoryMetricReader()
    single = chunk_time_histogram(MeterProvider([theirs]).get_meter("test"))
    times = ChunkTimes(chunk_time_histogram(MeterProvider([ours]).get_meter("test")), ATTRIBUTES, Context(), first=0.0)
    at = 0.0
    for gap in gaps:
        before, at = at, at + gap
        times.add(at)
        single.record(at - before, ATTRIBUTES)
    times.flush()

    point, expected = histogram_of(ours), histogram_of(theirs)

    if not gaps:
        assert point is expected is None
        return
    for field in ("count", "bucket_counts", "explicit_bounds", "min", "max", "attributes"):
        assert getattr(point, field) == getattr(expected, field), field
    assert point.sum == pytest.approx(expected.sum)


@driven
async def test_times_are_those_of_the_reads_and_chunks_of_one_read_have_none_between_them() -> None:
    telemetry = Telemetry()
    both = sse(chunk("c"), chunk("d"), done=False)
    reads = text_reads("a", "b")
    last = sse(chunk(finish_reason="stop"))
    source = ScriptedSource([1.0, reads[0], 0.015, reads[1], 3.0, both, 0.5, last, END])

    await CompletionStream(source).attach(telemetry.sink())

    [point] = telemetry.metrics()[NAME]
    counts = dict(zip((*point.explicit_bounds, None), point.bucket_counts, strict=True))
    assert {bound: count for bound, count in counts.items() if count} == {0.01: 1, 0.02: 1, 0.64: 1, 5.12: 1}
    assert (point.count, point.min, point.max) == (4, 0.0, pytest.approx(3.0))
    assert point.sum == pytest.approx(3.515)


@driven
async def test_slow_stream_is_seen_while_it_runs() -> None:
    telemetry, fourth = Telemetry(), asyncio.Event()
    script = [item for read in text_reads("a", "b", "c", "d") for item in (read, 0.6)]
    stream = CompletionStream(ScriptedSource(script)).attach(telemetry.sink())
    stream.on("text", lambda text: fourth.set() if text == "d" else None)
    stream.start()
    await fourth.wait()

    [point] = telemetry.metrics()[NAME]
    assert point.count == 2  # of three: the last waits for company

    stream.abort()
    await stream.finished()
    assert [point.count for point in telemetry.metrics()[NAME]] == [3]


@driven
async def test_longest_time_of_a_batch_leads_to_the_span() -> None:
    telemetry = Telemetry()
    reads = text_reads("a", "b", "c", "d")
    source = ScriptedSource(
        [reads[0], 0.1, reads[1], 0.7, reads[2], 0.1, reads[3], sse(chunk(finish_reason="stop")), END]
    )

    await CompletionStream(source).attach(telemetry.sink())

    [point] = telemetry.metrics()[NAME]
    [exemplar] = point.exemplars
    span = telemetry.span.get_span_context()
    assert exemplar.value == pytest.approx(0.7)
    assert span is not None
    assert (exemplar.trace_id, exemplar.span_id) == (span.trace_id, span.span_id)
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_chunk_costs_hardly_more_than_the_sdk_takes_for_a_value() -> None:
    histogram = chunk_time_histogram(MeterProvider([InMemoryMetricReader()]).get_meter("test"))
    none = Context()

    def single() -> None:
        for _ in range(2_000):
            histogram.record(0.0, ATTRIBUTES, none)

    def ours() -> None:
        times = ChunkTimes(histogram, ATTRIBUTES, none, first=0.0)
        for _ in range(2_000):
            times.add(0.0)
        times.flush()

    assert min(timeit.repeat(ours, number=1, repeat=7)) < 1.5 * min(timeit.repeat(single, number=1, repeat=7))
