"""Many paced streams at once: the share of a core they take, and the delay from the server's write to the listener.

``python -m benchmarks concurrent``. Server and reader are processes of their own, each on a core of its own where there
are two, and new for every run; the clock of the delays is the monotonic one that they share. A reader that cannot keep
up falls behind without end: its delays then say how long it was measured, and no more.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any

from .cores import two_cores
from .many import WAYS
from .process import ROOT, Process
from .results import add_json_option, positive, save

__all__ = ["main", "measure"]

SECTION = "concurrent"
WARMUP = 1.0
SPARE = 4.0  # seconds for which the server goes on beyond what is measured


def _once(way: str, streams: int, rate: int, seconds: float) -> dict[str, Any]:
    reader_core, server_core = ((str(core),) for core in two_cores() or ()) if two_cores() else ((), ())
    python = [sys.executable, "-m"]
    with (
        Process.running([*python, "benchmarks.load_server", *server_core], ROOT) as server,
        Process.running([*python, "benchmarks.concurrent_reader", way, *reader_core], ROOT) as reader,
    ):
        if (missing := reader.receive().get("missing")) is not None:
            return {"missing": missing}
        events = int(rate * (WARMUP + seconds + SPARE))
        base_url = f"http://127.0.0.1:{server.receive()['port']}/paced/{streams}/{rate}/{events}/v1"
        return reader.ask({"base_url": base_url, "streams": streams, "warmup": WARMUP, "seconds": seconds})


def measure(ways: list[str], streams: list[int], rate: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Every way at every number of streams, the rounds interleaved; a way that fails at a size says why."""
    taken: dict[str, dict[str, list[dict[str, Any]]]] = {way: {str(size): [] for size in streams} for way in ways}
    for _ in range(rounds):
        for size in streams:
            for way in ways:
                taken[way][str(size)].append(_once(way, size, rate, seconds))
    return {"rate": rate, "seconds": seconds, "rounds": rounds, "pinned": two_cores() is not None, "ways": taken}


def median_of(rounds: list[dict[str, Any]], name: str) -> float | None:
    """The median of a figure over the rounds that have it."""
    values = [figures[name] for figures in rounds if name in figures]
    return statistics.median(values) if values else None


def table(measured: dict[str, Any]) -> str:
    """The figures as aligned text."""
    lines = [
        f"paced streams at {measured['rate']} events/s each, {measured['seconds']:g} s, "
        f"median of {measured['rounds']} rounds; "
        + ("reader and server on a core each" if measured["pinned"] else "reader and server not pinned to cores"),
        "",
        f"{'':16}{'streams':>8}{'CPU':>7}{'us/event':>10}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'preempted':>11}",
    ]
    for way, sizes in measured["ways"].items():
        for size, rounds in sizes.items():
            cpu = median_of(rounds, "cpu_share")
            if cpu is None:
                why = rounds[0].get("failed") or f"not installed: {rounds[0].get('missing')}"
                lines.append(f"{way:16}{int(size):8,}  {why}")
                continue
            number = {name: median_of(rounds, name) or 0.0 for name in rounds[0]}
            lines.append(
                f"{way:16}{int(size):8,}{cpu:7.0%}{number['microseconds_an_event']:10.1f}"
                f"{number['events_a_second']:10,.0f}{number['p50_ms']:9.1f}{number['p99_ms']:9.1f}"
                f"{number['waited_share']:11.1%}"
            )
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks concurrent", description=__doc__)
    parser.add_argument("--streams", default="100,300,1000", help="default %(default)s")
    parser.add_argument("--rate", type=positive, default=50, help="events a second a stream; default %(default)s")
    parser.add_argument("--seconds", type=positive, default=8, help="measured in each run; default %(default)s")
    parser.add_argument("--rounds", type=positive, default=3, help="default %(default)s")
    parser.add_argument("--only", default=",".join(WAYS), metavar="NAMES", help="default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    ways = options.only.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        parser.error(f"no way to read is called {', '.join(unknown)}; there are {', '.join(WAYS)}")
    try:
        streams = [positive(size) for size in options.streams.split(",")]
    except (ValueError, argparse.ArgumentTypeError):
        parser.error(f"--streams {options.streams}: wanted are numbers like 100,300")
    measured = measure(ways, streams, options.rate, options.seconds, options.rounds)
    print(table(measured))
    save(options.json, SECTION, measured)
    return 0
