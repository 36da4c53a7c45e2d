from __future__ import annotations

import asyncio
import io
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pyee import EventEmitter

from streamkit import CompletionStream
from streamkit.sinks import ConsoleSink, LogSink, StatsSink, TextAccumulator, TranscriptSink, pipe
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

    def all_sinks() -> list[Callable[[CompletionStream], object]]:
        return [
            TextAccumulator(),
            StatsSink(),
            LogSink(logger),
            TranscriptSink(folder / "log.jsonl"),
            ConsoleSink(io.StringIO()),
            pipe(EventEmitter()),
        ]

    return microseconds_an_event(all_sinks) - microseconds_an_event(list)


def test_all_sinks_at_once_add_less_than_15_microseconds_an_event(tmp_path: Path) -> None:
    # In a process of its own: a measurement of coverage would be measured too.
    code = (
        "import pathlib, sys; from tests.sinks.test_cost import *; print(added_by_all_sinks(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    result = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)

    print(f"{result.stdout.strip()} µs an event")
    assert float(result.stdout) < 15
