"""Several sinks on one stream: each a function of a stream that subscribes what it needs and knows of no other.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from streamkit import Completion, CompletionStream, Event, StreamDriver, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape(), speed=2) as server:
            yield server.base_url


log = logging.getLogger("app")
LOGGED = {"start", "connect", "retry", "warning", "done", "error", "abort", "end"}


def console(stream: CompletionStream) -> None:
    stream.on("text", sys.stdout.write)  # any callable of one string
    stream.on("text_done", lambda text: print("\n"))


def logger(stream: CompletionStream) -> None:
    """Names and times, but no text: prompts and answers stay out of logs."""

    @stream.on("*")
    def write(event: Event) -> None:
        if event.name in LOGGED:
            log.info(event.name)


def meter(stream: CompletionStream) -> None:
    """What belongs to one stream lives in this call, so that the sink serves any number of streams."""
    pieces = 0

    @stream.on("text")
    def count(text: str) -> None:
        nonlocal pieces
        pieces += 1

    @stream.on("end")
    def report(completion: Completion) -> None:
        timings = completion.timings
        if timings.first_text is not None and timings.last_chunk is not None:
            seconds = timings.last_chunk - timings.first_text
            print(f"first text after {timings.first_text:.2f} s, then {pieces / max(seconds, 0.001):.0f} pieces/s")


class TextAccumulator:
    """A sink with something to keep: an object that can be called with a stream."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, stream: CompletionStream) -> None:
        stream.on("text_done", self.texts.append)


def broken(stream: CompletionStream) -> None:
    """Its failure is reported on `listener_error`; nobody else notices."""

    @stream.on("text")
    def fail(text: str) -> None:
        raise ValueError("a bug in a sink")

    stream.once("listener_error", lambda error: print(f"[{error}: {error.__cause__}]"))


async def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="[%(relativeCreated)d ms: %(message)s]")
    logging.getLogger("streamkit").setLevel(logging.CRITICAL)  # or a traceback for each failure of `broken`

    accumulator = TextAccumulator()
    sinks: list[Callable[[CompletionStream], object]] = [console, logger, meter, accumulator, broken]
    async with base_url() as url, StreamDriver(url, sinks=sinks) as driver:
        await driver.stream("Write a poem", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))
    print(f"accumulated: {len(accumulator.texts[0])} characters")


if __name__ == "__main__":
    asyncio.run(main())
