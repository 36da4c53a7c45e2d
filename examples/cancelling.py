"""Five ways to stop a stream before its end. What had arrived is never lost, and everyone hears the ending.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamkit import CompletionStream, StreamAborted, StreamDriver, StreamTimeout, Timeout, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape()) as server:
            yield server.base_url


def show(stream: CompletionStream) -> None:
    stream.on("text", lambda text: print(text, end="", flush=True))
    stream.on("abort", lambda aborted: print(f" [{aborted}]"))
    stream.on("error", lambda error: print(f" [{error}]"))


async def main() -> None:
    model = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
    async with base_url() as url, StreamDriver(url, model=model, sinks=[show]) as driver:
        # 1. abort: from a listener, another task, a signal handler or another thread, any number of times.
        stream = driver.stream("Write a poem").start()
        await stream.wait_for("text")
        asyncio.get_running_loop().call_later(0.5, stream.abort, "the user pressed Stop")
        try:
            await stream
        except StreamAborted as aborted:
            print(f"1. abort: {len(aborted.completion.text)} characters kept")

        # 2. Cancelling whoever awaits it: asyncio.timeout, a task group, a web framework whose client went away.
        stream = driver.stream("Write a poem")
        try:
            async with asyncio.timeout(1.0):
                await stream
        except TimeoutError:
            print(f"2. cancelled: {len(stream.completion.text)} characters kept")

        # 3. Leaving the loop.
        stream = driver.stream("Write a poem")
        async for chunk in stream:
            if "that" in chunk.text:
                break
        completion = await stream.wait_for("end")
        print(f"3. left: {len(completion.text)} characters kept")

        # 4. The end of a with block: it is over when the block is.
        async with driver.stream("Write a poem") as stream:
            stream.start()
            await stream.wait_for("text")
        print(f"4. with: {len(stream.completion.text)} characters kept")

        # 5. A limit of its own. That one is an error.
        try:
            await driver.stream("Write a poem", timeout=Timeout(total=0.8))
        except StreamTimeout as error:
            print(f"5. {error.phase} limit: {len(error.completion.text)} characters kept")


if __name__ == "__main__":
    asyncio.run(main())
