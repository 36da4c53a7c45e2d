from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from pyee import EventEmitter

from streamkit import CompletionStream
from streamkit.sinks import (
    ConsoleSink,
    LogSink,
    OTelSink,
    PrometheusSink,
    StatsSink,
    TapeSink,
    TextAccumulator,
    TranscriptSink,
    pipe,
)
from streamkit.sinks.otel_chunks import chunk_time_histogram
from streamkit.testing import chunk, sse

from ..conftest import REPO
from ..stream.scripted import END, ScriptedSource

EVENTS = 5_000
BLOCK = 65_536


ROUNDS = 5


def seconds_for(sinks: list[Callable[[CompletionStream], object]]) -> float:
    """Processor time of a stream that is read by these."""
    feed = sse(chunk("word "), done=False) * EVENTS + sse(chunk(finish_reason="stop"))
    blocks = [feed[at : at + BLOCK] for at in range(0, len(feed), BLOCK)]

    async def main() -> float:
        stream = CompletionStream(ScriptedSource([*blocks, END])).attach(*sinks)
        before = time.process_time()
        await stream
        return time.process_time() - before

    return asyncio.run(main())


def seconds_of_the_sdk() -> float:
    """Processor time that the OpenTelemetry SDK takes for a value for each event."""
    histogram = chunk_time_histogram(MeterProvider([InMemoryMetricReader()]).get_meter("test"))
    attributes, context = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}, Context()
    before = time.process_time()
    for _ in range(EVENTS):
        histogram.record(0.0, attributes, context)
    return time.process_time() - before


def added_by_all_sinks(folder: Path) -> float:
    """In values that the SDK takes.

    A yardstick, because a slower or busier machine makes more microseconds of the same work; benchmarks/sinks.py has the
    microseconds. The rounds are interleaved, and the least of each counts: other processes disturb.
    """
    logger = logging.Logger("app", logging.INFO)  # noqa: LOG001 - of this test alone, in no tree
    logger.addHandler(logging.StreamHandler(io.StringIO()))

    prometheus = PrometheusSink(CollectorRegistry())
    # The per-chunk metric takes what the SDK takes for a value: test_otel_chunks holds it to that.
    meters = MeterProvider([InMemoryMetricReader()])
    otel = OTelSink(tracer_provider=TracerProvider(), meter_provider=meters, per_chunk=False)
    bus = EventEmitter()
    bus.on("text", lambda text: None)

    def all_sinks() -> list[Callable[[CompletionStream], object]]:
        return [
            TextAccumulator(),
            StatsSink(),
            LogSink(logger),
            TranscriptSink(folder / "log.jsonl"),
            TapeSink(folder / "tape.sse.jsonl", overwrite=True),
            ConsoleSink(io.StringIO()),
            pipe(bus),
            prometheus,
            otel,
        ]

    ways = (lambda: seconds_for(all_sinks()), lambda: seconds_for([]), seconds_of_the_sdk)
    rounds = [[way() for way in ways] for _ in range(ROUNDS)]
    with_sinks, without, sdk = (min(taken[way] for taken in rounds) for way in range(len(ways)))
    return (with_sinks - without) / sdk


def test_all_sinks_at_once_cost_less_than_the_sdk_takes_for_a_value(tmp_path: Path) -> None:
    # In a process of its own: a measurement of coverage would be measured too.
    code = (
        "import pathlib, sys; from tests.sinks.test_cost import *; print(added_by_all_sinks(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)

    print(f"{result.stdout.strip()} of what the SDK takes for a value")
    assert float(result.stdout) < 1
