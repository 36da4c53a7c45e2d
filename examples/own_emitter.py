"""A pyee emitter of one's own: an application that has one already publishes its streams there, beside its other events.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pyee import EventEmitter

from streamkit import Completion, StreamDriver, demo_tape
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape(), speed=2) as server:
            yield server.base_url


class Application:
    """Knows pyee, and nothing of streamkit but the names of the events."""

    def __init__(self) -> None:
        self.events = EventEmitter()
        self.events.on("question", lambda question: print(f"> {question}\n"))
        self.events.on("text", lambda text: print(text, end="", flush=True))
        self.events.on("done", self.finish)

    def finish(self, completion: Completion) -> None:
        print(f"\n\n{completion.usage}")


async def main() -> None:
    application = Application()
    async with base_url() as url, StreamDriver(url) as driver:
        question = "What is a stream, and who is listening?"
        application.events.emit("question", question)
        model = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
        stream = driver.stream(question, model=model, emitter=application.events)
        assert stream.emitter is application.events

        # Subscribed through the stream a listener is typed, and cannot disturb the others.
        stream.on("text_done", lambda text: print(f"\n({len(text.split())} words)", end=""))
        await stream

    # The stream has taken its own listeners off again; the application's are still there.
    print("listeners left:", sorted(str(name) for name in application.events.event_names()))


if __name__ == "__main__":
    asyncio.run(main())
