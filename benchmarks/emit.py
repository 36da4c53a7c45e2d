"""What it costs to publish an event, by the number of its listeners: streamkit's relay beside plain pyee.

``python -m benchmarks emit``. All in one process, the rounds interleaved, CPU time. Async listeners are measured to
completion: every call has returned. Plain pyee makes a task of each call, and promises nothing about their order;
streamkit calls a listener once at a time, in order, from its mailbox.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pyee import EventEmitter
from pyee.asyncio import AsyncIOEventEmitter

from streamkit.subscriptions import Subscriptions

from .results import add_json_option, positive, save

__all__ = ["LISTENERS", "WAYS", "main", "measure"]

LISTENERS = (0, 1, 3, 10, 100)
SECTION = "emit"
EVENTS = 20_000
BATCH = 500  # fewer than a mailbox holds: no listener is waited for before its batch is out


def _listeners(number: int) -> list[Callable[[str], None]]:
    def make() -> Callable[[str], None]:
        def listener(text: str) -> None:
            pass

        return listener

    return [make() for _ in range(number)]


def _async_listeners(number: int) -> list[Callable[[str], Awaitable[None]]]:
    def make() -> Callable[[str], Awaitable[None]]:
        async def listener(text: str) -> None:
            pass

        return listener

    return [make() for _ in range(number)]


async def _pyee(listeners: int, texts: list[str]) -> float:
    emitter = EventEmitter()
    for listener in _listeners(listeners):
        emitter.on("text", listener)
    emit = emitter.emit
    started = time.process_time()
    for text in texts:
        emit("text", text)
    return time.process_time() - started


async def _streamkit(listeners: int, texts: list[str]) -> float:
    subscriptions = Subscriptions()
    for listener in _listeners(listeners):
        subscriptions.add("text", listener)
    subscriptions.refresh()
    publisher = subscriptions.wanted.get
    started = time.process_time()
    for text in texts:
        if (publish := publisher("text")) is not None:  # as the stream's own loop does it
            publish(text)
    spent = time.process_time() - started
    subscriptions.close()
    return spent


async def _pyee_async(listeners: int, texts: list[str]) -> float:
    emitter = AsyncIOEventEmitter()
    for listener in _async_listeners(listeners):
        emitter.on("text", listener)
    emit = emitter.emit
    started = time.process_time()
    for at in range(0, len(texts), BATCH):
        for text in texts[at : at + BATCH]:
            emit("text", text)
        await emitter.wait_for_complete()
    return time.process_time() - started


async def _streamkit_async(listeners: int, texts: list[str]) -> float:
    subscriptions = Subscriptions()
    for listener in _async_listeners(listeners):
        subscriptions.add("text", listener)
    subscriptions.refresh()
    publisher = subscriptions.wanted.get
    started = time.process_time()
    for at in range(0, len(texts), BATCH):
        for text in texts[at : at + BATCH]:
            if (publish := publisher("text")) is not None:
                publish(text)
        await subscriptions.post.idle(60.0)
    spent = time.process_time() - started
    await subscriptions.post.close()
    subscriptions.close()
    return spent


WAYS: dict[str, Callable[[int, list[str]], Awaitable[float]]] = {
    "pyee, sync": _pyee,
    "streamkit, sync": _streamkit,
    "pyee, async": _pyee_async,
    "streamkit, async": _streamkit_async,
}


async def measure(rounds: int, events: int) -> dict[str, Any]:
    """Nanoseconds an event: for each way, for each number of listeners, every round."""
    taken: dict[str, dict[str, list[float]]] = {way: {str(number): [] for number in LISTENERS} for way in WAYS}
    for warm in range(rounds + 1):
        for number in LISTENERS:
            for way, run in WAYS.items():
                # Fewer events for more listeners: the number of calls is what makes it long.
                texts = [f"text {at}" for at in range(max(events // max(number, 1), 1))]
                gc.collect()
                spent = await run(number, texts)
                if warm:
                    taken[way][str(number)].append(spent * 1e9 / len(texts))
    return {"events": events, "rounds": rounds, "nanoseconds": taken}


def table(measured: dict[str, Any]) -> str:
    """The figures as aligned text."""
    lines = [
        f"CPU nanoseconds an event, by the number of its listeners: median of {measured['rounds']} rounds",
        "",
        f"{'':20}" + "".join(f"{number:>12}" for number in LISTENERS),
    ]
    for way, figures in measured["nanoseconds"].items():
        lines.append(f"{way:20}" + "".join(f"{statistics.median(rounds):12,.0f}" for rounds in figures.values()))
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks emit", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=7, help="default %(default)s")
    parser.add_argument("--events", type=positive, default=EVENTS, help="for one listener; default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    with asyncio.Runner(debug=False) as runner:
        measured = runner.run(measure(options.rounds, options.events))
    print(table(measured))
    save(options.json, SECTION, measured)
    return 0
