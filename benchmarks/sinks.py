"""What the sinks cost: processor time an event, each by itself and all at once, beside a stream with none.

``python -m benchmarks sinks``. In memory, no socket, so that what is measured is the stream and its sinks: the feed comes in
64 KiB reads (blocks), and with each event in a read of its own (single), where a tape is a line and a write an event. The limit
is for blocks. Rounds interleaved; the least of them counts, because others only ever add.

OpenTelemetry is measured with its SDK, which samples every span and aggregates all metrics, and exports nothing; once without
the per-chunk metric as well. To the emitter of `pipe` somebody listens, for the text.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pyee import EventEmitter

from streamkit import CompletionStream, Connected
from streamkit.sinks import ConsoleSink, LogSink, StatsSink, TapeSink, TextAccumulator, TranscriptSink, pipe

from .feed import feed
from .results import positive

__all__ = ["main", "measure"]

Sink: TypeAlias = Callable[[CompletionStream], object]
BLOCK = 65_536


class _Memory:
    """A feed in memory, read by read."""

    server = "api.example.com:443"

    def __init__(self, reads: Sequence[bytes]) -> None:
        self._reads = reads
        self._next = 0

    @property
    def request(self) -> Mapping[str, Any]:
        return {"model": "m", "messages": []}

    async def connect(self) -> tuple[Connected, tuple[()]]:
        return Connected(200, {"content-type": "text/event-stream"}), ()

    async def read(self) -> bytes:
        self._next += 1
        return self._reads[self._next - 1] if self._next <= len(self._reads) else b""

    def read_nowait(self) -> bytes:
        return b""

    def close(self, *, whole: bool) -> None:
        pass

    def redact(self, text: str) -> str:
        return text


def _sinks(folder: Path) -> dict[str, Callable[[], list[Sink]]]:
    """By name: what makes the sinks of one stream."""
    logger = logging.Logger("app", logging.INFO)  # noqa: LOG001 - of this benchmark alone, in no tree
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    made: dict[str, Callable[[], list[Sink]]] = {
        "TextAccumulator": lambda: [TextAccumulator()],
        "StatsSink": lambda: [StatsSink()],
        "LogSink": lambda: [LogSink(logger)],
        "TranscriptSink": lambda: [TranscriptSink(folder / "transcript.jsonl")],
        "TapeSink": lambda: [TapeSink(folder / "tape.sse.jsonl", overwrite=True)],
        "ConsoleSink, plain": lambda: [ConsoleSink(io.StringIO())],
        "pipe": lambda: [pipe(_bus())],
    }
    try:
        from prometheus_client import CollectorRegistry

        from streamkit.sinks import PrometheusSink

        made["PrometheusSink"] = partial(lambda sink: [sink], PrometheusSink(CollectorRegistry()))
    except ImportError:
        pass
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        from streamkit.sinks import OTelSink

        otel = partial(
            OTelSink, tracer_provider=TracerProvider(), meter_provider=MeterProvider([InMemoryMetricReader()])
        )
        made["OTelSink, per_chunk=False"] = partial(lambda sink: [sink], otel(per_chunk=False))
        made["OTelSink"] = partial(lambda sink: [sink], otel())
    except ImportError:
        pass
    names = [name for name in made if name != "OTelSink, per_chunk=False"]
    without = [name for name in made if name != "OTelSink"]
    return {
        "none": list,
        **made,
        "all, OTelSink with per_chunk=False": lambda: [sink for name in without for sink in made[name]()],
        "all": lambda: [sink for name in names for sink in made[name]()],
    }


def _bus() -> EventEmitter:
    bus = EventEmitter()
    bus.on("text", lambda text: None)
    return bus


async def _once(reads: Sequence[bytes], sinks: list[Sink]) -> float:
    stream = CompletionStream(_Memory(reads)).attach(*sinks)
    before = time.process_time()
    await stream
    return time.process_time() - before


def measure(events: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Microseconds of processor time an event, in blocks and single, by what is attached."""
    single = [*feed(events).events, b"data: [DONE]\n\n"]
    body = b"".join(single)
    blocks = [body[at : at + BLOCK] for at in range(0, len(body), BLOCK)]
    least: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = _sinks(Path(folder))
        for _ in range(rounds):
            for name, make in ways.items():
                in_blocks, one_each = (asyncio.run(_once(reads, make())) / events * 1e6 for reads in (blocks, single))
                before = least.get(name, (in_blocks, one_each))
                least[name] = min(in_blocks, before[0]), min(one_each, before[1])
    return least


def main(argv: list[str]) -> int:
    """Print the table; 1 if all sinks at once add 15 microseconds or more, in blocks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sinks", description=__doc__)
    parser.add_argument("--events", type=positive, default=10_000, help="default %(default)s")
    parser.add_argument("--rounds", type=positive, default=5, help="default %(default)s")
    options = parser.parse_args(argv)
    figures = measure(options.events, options.rounds)
    none = figures["none"]
    print(f"{'us an event':<36}{'blocks':>10}{'added':>8}{'single':>10}{'added':>8}")
    for name, figure in figures.items():
        columns = (f"{each:>10.2f}{each - bare:>8.2f}" for each, bare in zip(figure, none, strict=True))
        print(f"{name:<36}{''.join(columns)}")
    return 0 if figures["all"][0] - none[0] < 15 else 1
