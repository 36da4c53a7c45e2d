"""The reader whose memory is measured, a process of its own: ``python -m benchmarks.memory_reader WAY``.

Says ``{"missing": module}`` or ``{}``; then answers each line of standard input:
``{"base_url": …, "idle": streams, "traced": bool}`` with the bytes that a stream took, resident and, traced, by who
asked for them; ``{"base_url": …, "long": chunks}`` with the growth of the process while one stream went by.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import sysconfig
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cores import allow_many_connections
from .many import WAYS, ReadInto
from .process import ROOT

__all__ = ["main", "resident"]

# So many of the streams are open before the measuring starts, for what is made once: imports, caches, pools.
WARM_SHARE = 0.05
SAMPLES = 20
OPENING_SECONDS = 240.0  # tracemalloc makes it slow, and a pool may need the square of its connections in time


def resident() -> int:
    """Resident memory of this process, in bytes; Linux alone says it as it is now."""
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def _owner(file: str) -> str:
    """Who the code that asked for memory belongs to.

    >>> _owner(asyncio.__file__), _owner(str(ROOT / "streamkit" / "sse.py"))
    ('Python', 'streamkit')
    """
    path = Path(file)
    if path.is_relative_to(ROOT):
        return path.relative_to(ROOT).parts[0]
    for key in ("purelib", "platlib"):
        if path.is_relative_to(packages := sysconfig.get_path(key)):
            return path.relative_to(packages).parts[0]
    return "Python"


async def _reading(read: ReadInto, take: Callable[[str], object]) -> None:
    await read(take)


async def _open(read: ReadInto, streams: int) -> list[asyncio.Task[None]]:
    spoken = 0
    all_spoke = asyncio.Event()

    def take(text: str) -> None:
        nonlocal spoken
        spoken += 1
        if spoken == streams:
            all_spoke.set()

    reading = [asyncio.ensure_future(_reading(read, take)) for _ in range(streams)]
    async with asyncio.timeout(OPENING_SECONDS):
        await all_spoke.wait()
    return reading


async def _idle(read: ReadInto, streams: int, traced: bool) -> dict[str, Any]:
    warm = max(int(streams * WARM_SHARE), 1)
    reading = await _open(read, warm)
    gc.collect()
    if traced:
        tracemalloc.start()
    before = resident()
    measured = streams - warm
    reading += await _open(read, measured)
    gc.collect()
    answer: dict[str, Any] = {"resident": (resident() - before) / measured}
    if traced:
        owners: Counter[str] = Counter()
        for statistic in tracemalloc.take_snapshot().statistics("filename"):
            owners[_owner(statistic.traceback[0].filename)] += statistic.size
        tracemalloc.stop()
        answer["traced"] = {owner: size / measured for owner, size in owners.most_common()}
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    return answer


async def _long(read: ReadInto, chunks: int) -> dict[str, Any]:
    seen = characters = 0
    samples: list[tuple[int, int, int]] = []
    step = max(chunks // SAMPLES, 1)

    def take(text: str) -> None:
        nonlocal seen, characters
        seen += 1
        characters += len(text)
        if seen % step == 0:
            samples.append((seen, characters, resident()))

    await read(take)
    if seen != chunks:
        raise RuntimeError(f"{seen} chunks came of {chunks}")
    return {"samples": samples, "end": resident()}


async def _run(question: dict[str, Any], way: str) -> dict[str, Any]:
    _, open_way = WAYS[way]
    try:
        async with open_way(question["base_url"]) as read:
            if "idle" in question:
                return await _idle(read, question["idle"], question["traced"])
            return await _long(read, question["long"])
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def main(way: str) -> None:
    """Measure once for each line of standard input."""
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
    main(sys.argv[1])
