"""Several sinks on one driver: each a function of a stream that subscribes what it needs and knows of no other.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from streamkit import CompletionStream, StreamDriver, demo_tape
from streamkit.sinks import ConsoleSink, LogSink, StatsSink, TextAccumulator, TranscriptSink
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape(), speed=2) as server:
            yield server.base_url


TRANSCRIPT = Path("transcript.jsonl")


class LongestWord:
    """One of your own: what belongs to one stream lives in the call, so that it serves any number of streams."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def __call__(self, stream: CompletionStream) -> None:
        stream.on("text_done", lambda text: self.words.append(max(text.split(), key=len)))


def broken(stream: CompletionStream) -> None:
    """Its failure is reported on `listener_error`; nobody else notices."""

    @stream.on("text")
    def fail(text: str) -> None:
        raise ValueError("a bug in a sink")

    stream.once("listener_error", lambda error: print(f"[{error}: {error.__cause__}]"))


async def main() -> None:
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="[%(levelname)s %(message)s]")
    logging.getLogger("streamkit.listeners").setLevel(logging.CRITICAL)  # or a traceback for each failure of `broken`

    stats, texts, longest = StatsSink(), TextAccumulator(), LongestWord()
    sinks: list[Callable[[CompletionStream], object]] = [
        ConsoleSink(),
        LogSink(),
        TranscriptSink(TRANSCRIPT),
        stats,
        texts,
        longest,
        broken,
    ]
    async with base_url() as url, StreamDriver(url, sinks=sinks) as driver:
        await driver.stream("Write a poem", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))

    print(f"figures: {stats.recent[-1]}")
    print(f"accumulated: {len(texts.text)} characters; the longest word: {longest.words[-1]}")


if __name__ == "__main__":
    asyncio.run(main())
    line = json.loads(TRANSCRIPT.read_text(encoding="utf-8").splitlines()[-1])
    print(f"{TRANSCRIPT}: {', '.join(line)}")
