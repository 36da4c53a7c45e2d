"""What the sinks cost: processor time an event, each by itself and all at once, beside a stream with none.

``python -m benchmarks sinks``. In memory, no socket: the feed comes in 64 KiB reads, so that what is measured is the
stream and its sinks. Rounds interleaved; the least of them counts, because others only ever add. OpenTelemetry is measured
with an SDK that aggregates and exports nothing, and without per-chunk metrics as well.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
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


class _Blocks:
    """A feed in memory, in 64 KiB reads."""

    def __init__(self, body: bytes) -> None:
        self._reads = [body[at : at + BLOCK] for at in range(0, len(body), BLOCK)]
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
        "pipe": lambda: [pipe(EventEmitter())],
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

        from streamkit.sinks import OTelSink

        meters = MeterProvider([InMemoryMetricReader()])
        made["OTelSink, per_chunk=False"] = partial(
            lambda sink: [sink], OTelSink(meter_provider=meters, per_chunk=False)
        )
        made["OTelSink"] = partial(lambda sink: [sink], OTelSink(meter_provider=meters))
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


async def _once(body: bytes, sinks: list[Sink]) -> float:
    stream = CompletionStream(_Blocks(body)).attach(*sinks)
    before = time.process_time()
    await stream
    return time.process_time() - before


def measure(events: int, rounds: int) -> dict[str, float]:
    """Microseconds of processor time an event, by what is attached."""
    body = b"".join(feed(events).events) + b"data: [DONE]\n\n"
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        ways = _sinks(Path(folder))
        for _ in range(rounds):
            for name, make in ways.items():
                taken = asyncio.run(_once(body, make())) / events * 1e6
                least[name] = min(taken, least.get(name, taken))
    return least


def main(argv: list[str]) -> int:
    """Print the table; 1 if all sinks at once add 15 microseconds or more."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sinks", description=__doc__)
    parser.add_argument("--events", type=positive, default=10_000, help="default %(default)s")
    parser.add_argument("--rounds", type=positive, default=5, help="default %(default)s")
    options = parser.parse_args(argv)
    figures = measure(options.events, options.rounds)
    none = figures["none"]
    print(f"{'attached':<36}{'us an event':>12}{'added':>8}")
    for name, figure in figures.items():
        print(f"{name:<36}{figure:>12.2f}{figure - none:>8.2f}")
    return 0 if figures["all, OTelSink with per_chunk=False"] - none < 15 else 1
