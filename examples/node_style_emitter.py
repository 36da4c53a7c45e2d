"""Several listeners on one stream, as with Node's EventEmitter: on, once, prepend_listener, off, and one ending for all.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamkit import Chunk, Completion, ListenerError, StreamDriver, StreamError, Usage, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape()) as server:
            yield server.base_url


async def main() -> None:
    async with base_url() as url, StreamDriver(url) as driver:
        stream = driver.stream("Write a poem", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))

        # A retry connects again: `once` hears of the first time only. Prepending puts a listener before the others.
        stream.once("connect", lambda connected: print(f"connected: {connected.status}\n"))
        stream.prepend_listener("start", lambda start: print(f"asking {start.model}"))

        # `on` decorates. A chunk prints as its text.
        @stream.on("chunk")
        def show(chunk: Chunk) -> None:
            print(chunk, end="", flush=True)

        # A listener may take itself off.
        title: list[str] = []

        @stream.on("text")
        def first_line(text: str) -> None:
            title.append(text)
            if "\n" in text:
                stream.off("text", first_line)

        # An async listener gets its events one at a time, in order, and the ending waits for it.
        saved: list[str] = []

        @stream.on("text")
        async def save(text: str) -> None:
            await asyncio.sleep(0)
            saved.append(text)

        # A listener that raises is reported here. The stream and the other listeners do not notice.
        @stream.on("usage")
        def broken(usage: Usage) -> None:
            raise ValueError("a bug in a listener")

        @stream.on("listener_error")
        def report(error: ListenerError) -> None:
            print(f"\n\n{error}: {error.__cause__}")

        # Exactly one of done, error and abort comes, and then end.
        @stream.on("done")
        def done(completion: Completion) -> None:
            print(f"{completion.finish_reason}: {completion.usage}")

        @stream.on("error")
        def failed(error: StreamError) -> None:
            print(f"\nfailed after {len(error.completion.text)} characters: {error}")

        @stream.on("end")
        def end(completion: Completion) -> None:
            print(f"the end of {''.join(title).strip()!r}: {len(saved)} pieces saved")

        await stream


if __name__ == "__main__":
    asyncio.run(main())
