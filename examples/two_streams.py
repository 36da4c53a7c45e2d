"""Two streams side by side: one driver, and a sink that prints each under its own name.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamkit import Completion, CompletionStream, StreamDriver, demo_tape
from streamkit.testing import completion_server, tape_script


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:  # the second request is answered faster than the first
        async with completion_server(tape_script(demo_tape(), speed=2), tape_script(demo_tape(), speed=3)) as server:
            yield server.base_url


class Column:
    """A sink that prints whole lines under a name of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, stream: CompletionStream) -> None:
        line = ""

        @stream.on("text")
        def show(text: str) -> None:
            nonlocal line
            *whole, line = (line + text).split("\n")
            for each in whole:
                print(f"{self.name} | {each}")

        @stream.on("done")
        def finish(completion: Completion) -> None:
            print(f"{self.name} | {line}\n{self.name} | -- {completion.usage}")


async def main() -> None:
    async with base_url() as url, StreamDriver(url, model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")) as driver:
        poem = driver.stream("Write a poem").attach(Column("  poem"))
        answer = driver.stream("What is a stream?").attach(Column("answer"))
        first, second = await asyncio.gather(poem, answer)
    print(f"\n{len(first.text)} and {len(second.text)} characters")


if __name__ == "__main__":
    asyncio.run(main())
