"""Processor time an event, contender by contender, beside the floor of the same run.

Each contender and the feed server are processes of their own. The rounds are interleaved: every contender once in each
mode, then all again, so that a machine that slows down slows all of them. A first round warms up and is thrown away. A
contender whose text is not the feed's is an error, not a figure.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS
from .feed import EVENT_BYTES, feed
from .process import ROOT, Process

__all__ = ["Figure", "Report", "Row", "chosen", "measure"]

NODE = Path(__file__).resolve().with_name("node")


@dataclass(frozen=True)
class Figure:
    """A contender in a mode: CPU microseconds an event in each round; the median of its reads, if it can tell."""

    rounds: list[float]
    reads: int | None

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def least(self) -> float:
        return min(self.rounds)

    def ratio(self, floor: Figure) -> float:
        """The median of the ratios to the floor, round by round: what slows a round slows both of its parts."""
        return statistics.median(own / its for own, its in zip(self.rounds, floor.rounds, strict=True))


@dataclass
class Row:
    """A contender: its figures by mode, or why there are none."""

    name: str
    versions: dict[str, str] = field(default_factory=dict)
    missing: str | None = None
    figures: dict[str, Figure] = field(default_factory=dict)


@dataclass
class Report:
    """A run: what was asked for, and a row a contender."""

    events: dict[str, int]
    rounds: int
    rows: list[Row]

    def ratio(self, name: str, mode: str) -> float | None:
        """How many times the floor ``name`` took in ``mode``; None where one of them was not run."""
        rows = {row.name: row.figures for row in self.rows}
        floor, own = rows.get("floor", {}).get(mode), rows.get(name, {}).get(mode)
        return own.ratio(floor) if floor and own else None

    def table(self) -> str:
        """The report as aligned text."""
        lines = [
            f"CPU microseconds an event of {EVENT_BYTES} bytes, in the reader's process, request to end of feed:",
            f"median (least) of {self.rounds} rounds, and times the floor",
            f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
            "",
        ]
        modes = [f"{mode} ({events:,})" for mode, events in self.events.items()]
        lines += [f"{'':37}" + "".join(f"{mode:>26}" for mode in modes)]
        for row in self.rows:
            cells = "".join(self._cell(row, mode) for mode in self.events)
            if row.missing:
                cells = f"  not installed: {row.missing}"
            lines.append(f"{row.name:37}{cells}".rstrip())
        reads = [
            f"{mode} {figure.reads:,}"
            for row in self.rows
            if row.name == "floor"
            for mode, figure in row.figures.items()
            if figure.reads is not None
        ]
        if reads:
            lines += ["", f"reads a feed, by the floor: {', '.join(reads)}"]
        versions = {name: version for row in self.rows for name, version in row.versions.items()}
        lines += ["versions: " + ", ".join(f"{name} {version}" for name, version in versions.items())]
        return "\n".join(lines)

    def _cell(self, row: Row, mode: str) -> str:
        figure = row.figures.get(mode)
        if figure is None:
            return ""
        ratio = self.ratio(row.name, mode)
        times = f"{ratio:7.2f}x" if ratio is not None else ""
        return f"{figure.median:9.2f} ({figure.least:.2f})".rjust(17) + times.rjust(9)

    def as_json(self) -> dict[str, Any]:
        """The report as plain data, every round in it."""
        return {
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "cpus": os.cpu_count(),
            "event_bytes": EVENT_BYTES,
            "events": self.events,
            "contenders": [
                {
                    "name": row.name,
                    "versions": row.versions,
                    "missing": row.missing,
                    "modes": {
                        mode: {
                            "microseconds": figure.rounds,
                            "median": figure.median,
                            "least": figure.least,
                            "floors": self.ratio(row.name, mode),
                            "reads": figure.reads,
                        }
                        for mode, figure in row.figures.items()
                    },
                }
                for row in self.rows
            ],
        }


def chosen(only: str | None) -> list[str]:
    """The contenders that ``only`` names by their beginnings, comma-separated; all of them for None.

    Raises ValueError for a beginning that no contender has.

    >>> chosen("streamkit,httpx")
    ['streamkit: chunk + text listener', 'streamkit: the same, on its emitter', 'streamkit: async for', 'httpx-sse + json']
    """
    if only is None:
        return list(CONTENDERS)
    wanted = [part.strip() for part in only.split(",")]
    for part in wanted:
        if not any(name.startswith(part) for name in CONTENDERS):
            raise ValueError(f"no contender's name begins with {part!r}; there are {', '.join(CONTENDERS)}")
    return [name for name in CONTENDERS if name.startswith(tuple(wanted))]


def measure(names: list[str], events: dict[str, int], rounds: int, node: Path | None = None) -> Report:
    """Run ``rounds`` rounds of the contenders called ``names``.

    ``events`` is the number of text chunks for each mode of the feed server. ``node`` is a folder with the npm packages
    of the node contenders. Raises RuntimeError when a contender fails or gets the text wrong.
    """
    with ExitStack() as stack:
        server = stack.enter_context(Process.running([sys.executable, "-m", "benchmarks.feed_server"], ROOT))
        port = server.receive()["port"]
        rows: list[Row] = []
        running: dict[str, Process] = {}
        for name in names:
            row = Row(name)
            rows.append(row)
            command = _command(name, node)
            if command is None:
                row.missing = "node, or no --node folder"
                continue
            process = stack.enter_context(Process.running(*command))
            hello = process.receive()
            row.missing, row.versions = hello.get("missing"), hello.get("versions", {})
            if row.missing is None:
                running[name] = process

        taken: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for warm in range(rounds + 1):
            for mode, number in events.items():
                for name, process in running.items():
                    answer = process.ask({"base_url": f"http://127.0.0.1:{port}/{mode}/{number}/v1"})
                    if answer["text"] != feed(number).text:
                        raise RuntimeError(f"{name}: its text is not the feed's in {mode} writes")
                    if warm:
                        taken.setdefault((name, mode), []).append(answer)
        for row in rows:
            for mode, number in events.items():
                if answers := taken.get((row.name, mode)):
                    per_event = [answer["cpu"] * 1e6 / number for answer in answers]
                    reads = [answer["reads"] for answer in answers if answer["reads"] is not None]
                    row.figures[mode] = Figure(per_event, statistics.median_low(reads) if reads else None)
        return Report(events, rounds, rows)


def _command(name: str, node: Path | None) -> tuple[list[str], Path] | None:
    contender = CONTENDERS[name]
    if contender.node is None:
        return [sys.executable, "-m", "benchmarks.contender", name], ROOT
    executable = shutil.which("node")
    if executable is None or node is None:
        return None
    return [executable, "--expose-gc", str(NODE / contender.node)], node
