"""The shortest async program: listeners on a stream, and one `await` that drives it.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamkit import Completion, StreamDriver, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape(), speed=2) as server:
            yield server.base_url


async def main() -> None:
    async with base_url() as url, StreamDriver(url) as driver:
        stream = driver.stream("Write a poem", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))

        @stream.on("text")
        def show(text: str) -> None:
            print(text, end="", flush=True)

        @stream.on("done")
        def finished(completion: Completion) -> None:
            print(f"\n\n{completion.finish_reason}, {completion.usage}")

        completion = await stream  # raises StreamError, with what had arrived as its `completion`
        print(f"the first text came after {(completion.timings.first_text or 0) * 1000:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
