"""One system in a process of its own: ``python -m benchmarks.rows.client NAME``.

It speaks JSON lines, as ``openai_stream.mjs`` does: first ``{"versions": {...}}`` or ``{"missing": name}``; then, for
each `Play` on standard input, a `Seen`, until that input ends.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import logging
import platform
import sys
import time
import warnings
from collections.abc import Awaitable
from typing import Any

from .seen import Seen
from .systems import SYSTEMS, Play, System

__all__ = ["PATIENCE", "main", "play_case"]

PATIENCE = 3.0
"""After so many seconds a system hangs; every limit that a case sets is far shorter."""

DISTRIBUTIONS = {"streamkit": "streamkit-asyncio", "httpx_sse": "httpx-sse"}


async def play_case(system: System, play: Play) -> Seen:
    """Read a case with a system; never raises what the system does."""
    assert system.open is not None
    seen = Seen()
    try:
        async with asyncio.timeout(play.patience), system.open(play) as read:
            if play.warm:
                await read(Seen())
            if play.blocked:
                seen.blocked = await _longest_block(read(seen))
            else:
                await read(seen)
    except TimeoutError as error:
        # A system's own timeout may be one as well; ours comes bare, from the block above.
        if type(error) is TimeoutError:
            seen.ending = "hang"
        else:
            _note(seen, error, system)
    except Exception as error:
        _note(seen, error, system)
    return seen


def _note(seen: Seen, error: Exception, system: System) -> None:
    seen.ending = "error" if isinstance(error, _own_errors(system)) else "crash"
    seen.error = {"class": type(error).__name__, "message": f"{error} {getattr(error, 'body', None) or ''}".strip()}
    for name in ("status", "code", "type", "phase", "retryable", "retry_after", "request_id"):
        if (value := getattr(error, name, None)) is not None:
            seen.error[name] = value


def _own_errors(system: System) -> tuple[type[Exception], ...]:
    found: list[type[Exception]] = []
    for path in system.errors:
        module, _, name = path.partition(":")
        found.append(getattr(importlib.import_module(module), name))
    return tuple(found)


async def _longest_block(reading: Awaitable[None]) -> float:
    """The longest time that the loop's other tasks waited: processor time, so that a busy machine is nobody's fault."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    ticking = asyncio.create_task(tick())
    try:
        await reading
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
    return longest


def _versions(modules: tuple[str, ...]) -> dict[str, str]:
    versions: dict[str, str] = {"Python": platform.python_version()}
    for module in modules:
        name = DISTRIBUTIONS.get(module, module)
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = str(getattr(importlib.import_module(module), "__version__", "(checkout)"))
    return versions


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main(name: str) -> None:
    """Play each line of standard input to the system called ``name``."""
    system = SYSTEMS[name]
    for module in system.needs:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            _say({"missing": error.name})
            return
    _say({"versions": _versions(system.needs)})
    logging.disable()
    warnings.simplefilter("ignore")
    with asyncio.Runner(debug=False) as runner:
        for line in sys.stdin:
            print(runner.run(play_case(system, Play(**json.loads(line)))).as_json(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
