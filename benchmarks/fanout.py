"""One stream to many readers over loopback HTTP: processor time a delivered event, delay, memory a reader.

``python -m benchmarks fanout``. Beside aiohttp-sse and sse-starlette, each as its documentation shows: a queue a subscriber.
``streamkit-asgi`` is the relay under uvicorn, as sse-starlette is, and is measured against that.
The server and the readers are processes of their own, on a core each where there are two, and new for every run; the rounds are
interleaved. Among the readers is a curl that is stopped (SIGSTOP) all the while: the others are not to notice. "Resident" is what
another such process grew by when as many readers as ``--waiting`` says came (/proc/self/statm), after a few had warmed it up,
without what the kernel keeps. Python takes memory a megabyte at a time: a few hundred readers would be a coarse measure of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .concurrent import median_of
from .cores import two_cores
from .fanout_server import WAYS
from .process import ROOT, Process
from .results import add_json_option, positive, save

__all__ = ["main", "measure"]

SECTION = "fanout"
WARMUP = 1.0
WARM_READERS = 20
P99_LIMIT_MS = 100.0
RIVALS = {"streamkit": ("aiohttp-sse", "sse-starlette"), "streamkit-asgi": ("sse-starlette",)}
"""Whom each of ours has to be ahead of: the second has the same server, which takes most of the time, as the first does."""


@contextmanager
def _stopped_curl(url: str) -> Iterator[bool]:
    """A client that has the headers and then reads no more; False without curl."""
    curl = shutil.which("curl")
    if curl is None:
        yield False
        return
    with subprocess.Popen([curl, "-sN", url], stdout=subprocess.DEVNULL) as popen:
        time.sleep(0.3)
        os.kill(popen.pid, signal.SIGSTOP)
        try:
            yield True
        finally:
            popen.kill()


@contextmanager
def _served(way: str) -> Iterator[tuple[Process, Process, dict[str, Any]]]:
    """A server and its readers, new, and where they find it; a few of them have come."""
    cores = two_cores()
    server_core, reader_core = ((str(core),) for core in cores) if cores else ((), ())
    python = [sys.executable, "-m"]
    with (
        Process.running([*python, "benchmarks.fanout_server", way, *server_core], ROOT) as server,
        Process.running([*python, "benchmarks.fanout_readers", *reader_core], ROOT) as clients,
    ):
        where = server.receive()
        if "missing" not in where:
            clients.ask({"do": "open", **where, "count": WARM_READERS})
        yield server, clients, where


def _resident(way: str, readers: int, rate: int) -> float:
    with _served(way) as (server, clients, where):
        server.ask({"do": "publish", "rate": rate, "seconds": WARMUP})
        before = server.ask({"do": "resident"})["resident"]
        more = readers - WARM_READERS
        clients.ask({"do": "open", **where, "count": more})
        after = server.ask({"do": "resident"})["resident"]
    return float(after - before) / more


def _once(way: str, readers: int, waiting: int, rate: int, seconds: float) -> dict[str, Any]:
    with _served(way) as (server, clients, where):
        if (missing := where.get("missing")) is not None:
            return {"missing": missing}
        clients.ask({"do": "open", **where, "count": readers - WARM_READERS})
        with _stopped_curl(f"http://127.0.0.1:{where['port']}{where['path']}") as stopped:
            server.ask({"do": "publish", "rate": rate, "seconds": WARMUP})
            clients.ask({"do": "result"})
            published = server.ask({"do": "publish", "rate": rate, "seconds": seconds})
            result = clients.ask({"do": "result"})
    if result["delivered"] != published["events"] * readers:
        return {"failed": f"{result['delivered']:,} of {published['events'] * readers:,} events came"}
    return {
        "microseconds_an_event": published["cpu"] * 1e6 / result["delivered"],
        "cpu_share": published["cpu"] / published["wall"],
        "resident_a_reader": _resident(way, waiting, rate),
        "stopped_curl": stopped,
        **result,
    }


def measure(ways: list[str], *, readers: int, waiting: int, rate: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Every way, the rounds interleaved."""
    taken: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            taken[way].append(_once(way, readers, waiting, rate, seconds))
    return {
        "readers": readers,
        "waiting": waiting,
        "rate": rate,
        "seconds": seconds,
        "rounds": rounds,
        "pinned": two_cores() is not None,
        "ways": taken,
    }


def table(measured: dict[str, Any]) -> str:
    """The figures as aligned text."""
    lines = [
        (
            f"{measured['readers']} readers of one stream at {measured['rate']} events/s, and one that is stopped;"
            f" {measured['seconds']:g} s, median of {measured['rounds']} rounds;"
            f" {'a core each' if measured['pinned'] else 'not pinned'}"
        ),
        "",
        f"{'':16}{'us/event':>10}{'CPU':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'KiB/reader':>12}",
    ]
    for way, rounds in measured["ways"].items():
        if median_of(rounds, "p50_ms") is None:
            why = rounds[0].get("failed") or f"not installed: {rounds[0].get('missing')}"
            lines.append(f"{way:16}  {why}")
            continue
        number = {name: median_of(rounds, name) or 0.0 for name in rounds[0]}
        lines.append(
            f"{way:16}{number['microseconds_an_event']:10.1f}{number['cpu_share']:7.0%}{number['p50_ms']:9.1f}"
            f"{number['p99_ms']:9.1f}{number['max_ms']:9.1f}{number['resident_a_reader'] / 1024:12.1f}"
        )
    return "\n".join(lines)


def judged(measured: dict[str, Any]) -> list[str]:
    """What streamkit does not keep: the delay, and to take less time and memory than the others that were measured."""
    ways = measured["ways"]
    failures = []
    for way, rivals in RIVALS.items():
        if way not in ways:
            continue
        p99 = median_of(ways[way], "p99_ms")
        if p99 is None or p99 >= P99_LIMIT_MS:
            failures.append(f"{way}: p99 is {p99} ms, not under {P99_LIMIT_MS:g} ms")
        for rival in rivals:
            for name in ("microseconds_an_event", "resident_a_reader"):
                mine, other = median_of(ways[way], name), median_of(ways.get(rival, []), name)
                if mine is not None and other is not None and mine >= other:
                    failures.append(f"{way}: {name} is {mine:.1f}, and {rival} has {other:.1f}")
    return failures


def main(argv: list[str]) -> int:
    """Print the table; 1 if streamkit is too slow, or not ahead of the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fanout", description=__doc__)
    parser.add_argument("--readers", type=positive, default=300, help="default %(default)s")
    parser.add_argument(
        "--waiting", type=positive, default=1000, help="readers whose memory is measured; default %(default)s"
    )
    parser.add_argument("--rate", type=positive, default=50, help="events a second; default %(default)s")
    parser.add_argument("--seconds", type=positive, default=6, help="measured in each run; default %(default)s")
    parser.add_argument("--rounds", type=positive, default=3, help="default %(default)s")
    parser.add_argument("--only", default=",".join(WAYS), metavar="NAMES", help="default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    ways = options.only.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        parser.error(f"no way to serve is called {', '.join(unknown)}; there are {', '.join(WAYS)}")
    for option in ("readers", "waiting"):
        if (wanted := getattr(options, option)) <= WARM_READERS:
            parser.error(f"--{option} {wanted}: more than {WARM_READERS} are wanted")
    measured = measure(
        ways,
        readers=options.readers,
        waiting=options.waiting,
        rate=options.rate,
        seconds=options.seconds,
        rounds=options.rounds,
    )
    print(table(measured))
    save(options.json, SECTION, measured)
    for failure in (failures := judged(measured)):
        print(f"FAIL {failure}", file=sys.stderr)
    return 1 if failures else 0
