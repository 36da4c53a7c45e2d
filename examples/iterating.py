"""Pulling instead of listening: `async for` over the chunks, over the text, and one event waited for.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamkit import StreamDriver, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape(), speed=2) as server:
            yield server.base_url


async def main() -> None:
    async with base_url() as url, StreamDriver(url, model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")) as driver:
        # Chunk by chunk, each as the server sent it; listeners hear the same stream.
        stream = driver.stream("Write a poem")
        lines = 0

        @stream.on("text")
        def count(text: str) -> None:
            nonlocal lines
            lines += text.count("\n")

        async for chunk in stream:
            print(chunk, end="", flush=True)
        print(f"\n\n{lines + 1} lines; {stream.completion.usage}\n")

        # The payloads of any event. Leaving this loop only unsubscribes; the stream goes on.
        stream = driver.stream("Write a poem")
        async for text in stream.events("text"):
            print(f"the first piece is {text!r};", end=" ")
            break
        whole = await stream.wait_for("text_done")
        print(f"the whole is {len(whole)} characters")

        # Leaving the stream's own loop aborts it.
        stream = driver.stream("Write a poem")
        async for chunk in stream:
            if "\n" in chunk.text:
                break
        completion = await stream.wait_for("end")
        print(f"left after {completion.text!r}: {completion.ended_by}")


if __name__ == "__main__":
    asyncio.run(main())
