"""The reader of many paced streams, a process of its own: ``python -m benchmarks.concurrent_reader WAY [CPU]``.

Says ``{"missing": module}`` or ``{}``; then, for each ``{"base_url": …, "streams": …, "warmup": s, "seconds": s}`` on
standard input, what it measured. The measuring begins ``warmup`` seconds after the first text of the last stream.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from typing import Any

from .cores import allow_many_connections, stay_on, waited_for_a_core
from .many import WAYS, ReadInto

__all__ = ["main", "percentile"]

OPENING_SECONDS = 60.0


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of ordered values.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


async def _measured(read: ReadInto, streams: int, warmup: float, seconds: float) -> dict[str, float]:
    delays: list[int] = []
    late = delays.append
    now = time.monotonic_ns
    speaking: set[int] = set()
    all_speak = asyncio.Event()

    async def one(number: int) -> None:
        def take(text: str) -> None:
            late(now() - int(text))
            if number not in speaking:
                speaking.add(number)
                if len(speaking) == streams:
                    all_speak.set()

        await read(take)

    gc.collect()
    reading = [asyncio.ensure_future(one(number)) for number in range(streams)]
    failed: asyncio.Future[Any] = asyncio.gather(*reading)
    try:
        opening: asyncio.Future[Any] = asyncio.ensure_future(all_speak.wait())
        await asyncio.wait([opening, failed], timeout=OPENING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not opening.done():
            opening.cancel()
            if failed.done():
                failed.result()
            raise TimeoutError(f"{len(speaking)} of {streams} streams had spoken after {OPENING_SECONDS:g} s")
        await asyncio.sleep(warmup)
        delays.clear()
        cpu, wall, waited = time.process_time(), time.perf_counter(), waited_for_a_core()
        await asyncio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        waited = waited_for_a_core() - waited
        ordered = sorted(delay / 1e6 for delay in delays)
        delays.clear()
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, failed, return_exceptions=True)
    return {
        "seconds": wall,
        "cpu_share": cpu / wall,
        "waited_share": waited / wall,
        "events_a_second": len(ordered) / wall,
        "microseconds_an_event": cpu * 1e6 / max(len(ordered), 1),
        "p50_ms": percentile(ordered, 0.5),
        "p99_ms": percentile(ordered, 0.99),
        "max_ms": ordered[-1],
    }


async def _run(question: dict[str, Any], way: str) -> dict[str, Any]:
    _, open_way = WAYS[way]
    try:
        async with open_way(question["base_url"]) as read:
            return await _measured(read, question["streams"], question["warmup"], question["seconds"])
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def main(way: str, core: str | None = None) -> None:
    """Measure once for each line of standard input."""
    stay_on(None if core is None else int(core))
    allow_many_connections()
    needs, _ = WAYS[way]
    try:
        importlib.import_module(needs)
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}), flush=True)
        return
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_run(json.loads(line), way), debug=False)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
