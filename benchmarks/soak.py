"""Thousands of streams with random faults in one process: ``python -m benchmarks soak``.

Servers cut, reset, stall, dribble, lie and answer with statuses; readers await, iterate, break, abort from a task, a thread
or a listener, are cancelled once or twice; listeners raise, dawdle, block, leave. Whatever happens, every stream has exactly
one ending, keeps the grammar of events, ends as its script says unless somebody interrupted it, and leaves nothing behind:
no task, no socket, no file descriptor, no memory, no log record or warning that nobody expects.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import random
import sys
import time
import warnings
import weakref
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from streamkit import CompletionStream, StreamDriver
from streamkit.testing import ReceivedRequest, ScriptedServer, Step
from streamkit.testing.script import check_script

from .soak_plan import Plan, plan
from .soak_stream import LIMITS, Run

__all__ = ["Soak", "main"]


class _Server(ScriptedServer):
    """Answers by the plan of the stream that asks; a second request of the same stream gets the whole feed."""

    def __init__(self) -> None:
        super().__init__(b"")
        self.plans: dict[int, Plan] = {}
        self._asked: set[int] = set()

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        number = request.json["seed"]
        planned = self.plans[number]
        first = number not in self._asked
        self._asked.add(number)
        return check_script(planned.script if first else planned.whole)

    def forget(self, number: int) -> None:
        del self.plans[number]
        self._asked.discard(number)


@dataclass
class _Records(logging.Handler):
    """Log records, and what the loop and the interpreter had to say that nobody expects."""

    unexpected: list[str] = field(default_factory=list)
    listeners: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __hash__(self) -> int:
        return id(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Count what tells of the listeners that were made to fail; note everything else."""
        if record.name == "streamkit.listeners":
            self.listeners += 1
        else:
            self.unexpected.append(f"log record of {record.name}: {record.getMessage()}")


@dataclass
class Soak:
    """A soak: so many streams, so many at a time; what came of it is in the attributes when `run` has returned.

    Args:
        streams: how many.
        concurrency: how many at a time.
        seed: the same seed makes the same plans, though not the same timing.
    """

    streams: int
    concurrency: int = 50
    seed: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list)
    """The resident memory in bytes, ten times during the run, from a tenth of it on; empty where it is not known."""
    descriptors: tuple[int, int, int] | None = None
    """File descriptors before, at most during, and after; None where they cannot be counted."""
    _streams: weakref.WeakSet[CompletionStream] = field(default_factory=weakref.WeakSet)

    async def run(self) -> None:
        """Run it; nothing is raised, everything that is wrong is in `problems`."""
        loop = asyncio.get_running_loop()
        records = _Records()
        logging.getLogger().addHandler(records)
        # Who keeps the records of the listeners that raise keeps their tracebacks, and with them the streams.
        listeners = logging.getLogger("streamkit.listeners")
        listeners.addHandler(records)
        listeners.propagate = False
        loop.set_exception_handler(lambda _, context: self.problems.append(f"the loop had to handle {context!r}"))
        hook, sys.unraisablehook = sys.unraisablehook, lambda error: self.problems.append(f"unraisable: {error!r}")
        began, before, tasks = time.perf_counter(), _descriptors(), asyncio.all_tasks()
        await loop.run_in_executor(None, int)  # the thread of the executor stays
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                peak = await self._all()
                gc.collect()
                await asyncio.sleep(0.1)
                self.problems += [f"warning: {warning.message}" for warning in warned]
        finally:
            logging.getLogger().removeHandler(records)
            listeners.removeHandler(records)
            listeners.propagate = True
            loop.set_exception_handler(None)
            sys.unraisablehook = hook
        self.problems += records.unexpected
        self.problems += [f"a task is left: {task!r}" for task in asyncio.all_tasks() - tasks]
        self.problems += [f"a stream is left: {stream!r}" for stream in self._streams]
        after = _descriptors()
        if before is not None and after is not None:
            self.descriptors = (before, peak, after)
            if after > before:
                self.problems.append(f"{after - before} file descriptors are left")
        self.seconds = time.perf_counter() - began

    async def _all(self) -> int:
        peak, numbers = 0, iter(range(self.streams))
        async with _Server() as server:
            drivers = [
                StreamDriver(server.base_url, timeout=LIMITS, listener_errors=policy, drain_timeout=0.5)
                for policy in ("log", "raise", "detach")
            ]

            async def work() -> None:
                nonlocal peak
                for number in numbers:
                    if number and number % max(1, self.streams // 10) == 0:
                        gc.collect()
                        server.requests.clear()
                        self.memory += _resident()
                    peak = max(peak, _descriptors() or 0)
                    rng = random.Random(f"{self.seed}/{number}")
                    planned = server.plans[number] = plan(rng)
                    run = Run(rng.choice(drivers), planned, number, rng)
                    self._streams.add(run.stream)
                    try:
                        async with asyncio.timeout(60):
                            await run.run()
                    except Exception as error:
                        self.problems.append(f"stream {number}: {type(error).__name__}: {error}")
                    server.forget(number)
                    self.events += run.events
                    self.faults[planned.fault] += 1
                    self.endings[run.ending] += 1

            await asyncio.gather(*(work() for _ in range(self.concurrency)))
            server.requests.clear()
            for driver in drivers:
                await driver.close()
        return peak

    def growth(self) -> float:
        """By what part the memory grew since it was warm: the last measurement against the fourth."""
        return self.memory[-1] / self.memory[3] - 1 if len(self.memory) > 4 else 0.0

    def report(self) -> str:
        """The figures, as text."""
        run = f"{self.streams:,} streams, {self.concurrency} at a time, seed {self.seed}"
        lines = [
            f"{run}: {self.seconds:.0f} s, {self.events:,} events",
            "endings: " + ", ".join(f"{name} {count:,}" for name, count in self.endings.most_common()),
            "faults: " + ", ".join(f"{name} {count:,}" for name, count in self.faults.most_common()),
        ]
        if self.descriptors is not None:
            before, peak, after = self.descriptors
            lines.append(f"file descriptors: {before} before, {peak} at most, {after} after")
        if self.memory:
            measured = ", ".join(f"{size / 2**20:.1f}" for size in self.memory)
            lines.append(f"resident memory in MiB: {measured} ({self.growth():+.1%} since it was warm)")
        lines.append(f"problems: {len(self.problems)}")
        return "\n".join(lines + self.problems[:20])


def _descriptors() -> int | None:
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())
    except OSError:
        return None


def _resident() -> list[int]:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return []
    return [pages * os.sysconf("SC_PAGE_SIZE")]


def main(argv: list[str]) -> int:
    """The command; returns 1 if anything was wrong, or the memory grew by more than a twentieth."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=__doc__)
    parser.add_argument("--streams", type=int, default=20_000, help="default %(default)s")
    parser.add_argument("--concurrency", type=int, default=50, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: another each time")
    options = parser.parse_args(argv)
    soak = Soak(options.streams, options.concurrency, options.seed)
    asyncio.run(soak.run())
    print(soak.report())
    return 1 if soak.problems or soak.growth() > 0.05 else 0
