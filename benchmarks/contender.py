"""One contender in a process of its own: ``python -m benchmarks.contender NAME``.

It speaks JSON lines, as the runners in ``node/`` do: first ``{"versions": {...}}`` or ``{"missing": name}``; then, for
each ``{"base_url": url}`` on standard input, ``{"cpu": s, "text": str, "reads": int | null}``, until that input ends.

The clock is `time.process_time`, user and system time of all threads, from the request to the end of the feed. Sessions
and clients are made before it starts and live through the rounds, so connections are reused. Every run starts with a
full collection and the collector on, at its default thresholds. The loop is asyncio's own, its debug mode off.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.metadata
import json
import sys
import time
from contextlib import AsyncExitStack

from .contenders import CONTENDERS, Read

__all__ = ["main"]

# The distribution, where it is not called what its module is.
DISTRIBUTIONS = {"streamkit.driver": "streamkit-asyncio", "httpx_sse": "httpx-sse"}


def _versions(modules: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for module in modules:
        name = DISTRIBUTIONS.get(module, module)
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "(checkout)"
    return versions


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


def main(name: str) -> None:
    """Run the contender called ``name`` once for each line of standard input."""
    contender = CONTENDERS[name]
    if contender.open is None:
        raise ValueError(f"{name!r} is no Python contender: node runs {contender.node}")
    for module in contender.needs:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            _say({"missing": error.name})
            return
    _say({"versions": _versions(contender.needs)})

    stack = AsyncExitStack()
    readers: dict[str, Read] = {}
    with asyncio.Runner(debug=False) as runner:
        for line in sys.stdin:
            base_url = json.loads(line)["base_url"]
            if base_url not in readers:
                readers[base_url] = runner.run(stack.enter_async_context(contender.open(base_url)))
            _say(runner.run(_timed(readers[base_url])))
        runner.run(stack.aclose())


async def _timed(read: Read) -> dict[str, object]:
    gc.collect()
    started = time.process_time()
    reading = await read()
    cpu = time.process_time() - started
    return {"cpu": cpu, "text": "".join(reading.pieces), "reads": reading.reads}


if __name__ == "__main__":
    main(sys.argv[1])
