from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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
from streamkit.testing import chunk, sse

from ..conftest import REPO
from ..stream.scripted import END, ScriptedSource

EVENTS = 5_000
BLOCK = 65_536


def microseconds_an_event(sinks: Callable[[], list[Callable[[CompletionStream], object]]]) -> float:
    """Processor time, the least of three: other processes disturb."""
    feed = sse(chunk("word "), done=False) * EVENTS + sse(chunk(finish_reason="stop"))
    blocks = [feed[at : at + BLOCK] for at in range(0, len(feed), BLOCK)]

    async def main() -> float:
        stream = CompletionStream(ScriptedSource([*blocks, END])).attach(*sinks())
        before = time.process_time()
        await stream
        return time.process_time() - before

    return min(asyncio.run(main()) for _ in range(3)) / EVENTS * 1e6


def added_by_all_sinks(folder: Path) -> float:
    """In microseconds an event."""
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

    return microseconds_an_event(all_sinks) - microseconds_an_event(list)


def test_all_sinks_at_once_leave_the_sdk_its_8_of_15_microseconds_an_event(tmp_path: Path) -> None:
    # In a process of its own: a measurement of coverage would be measured too.
    code = (
        "import pathlib, sys; from tests.sinks.test_cost import *; print(added_by_all_sinks(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)

    print(f"{result.stdout.strip()} µs an event")
    assert float(result.stdout) < 15 - 8
