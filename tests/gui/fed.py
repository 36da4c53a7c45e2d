"""A stream whose feed a test says piece by piece, on a loop in a thread of its own, as beside a window."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streamkit import CompletionStream
from streamkit.loop_thread import LoopThread
from streamkit.testing import chunk, sse

from ..stream.scripted import END, ScriptedSource
from .contract import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamkit import StreamError

__all__ = ["FedStream", "call_of", "fed", "until"]


class FedStream:
    """The stream, and what its server says."""

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._source = ScriptedSource()
        self.stream = CompletionStream(self._source)

    def start(self) -> None:
        """Start the stream; returns when it is connected."""
        connected = threading.Event()
        self.stream.once("connect", lambda _: connected.set())
        self._thread.call_soon(self.stream.start)
        assert connected.wait(SECONDS)

    def say(self, *texts: str, **delta: Any) -> None:
        """Send each text as a chunk, or one chunk of this delta (`reasoning_content=...`)."""
        chunks = [chunk(**delta)] if delta else map(chunk, texts)
        self._thread.call_soon(self._source.push, sse(*chunks, done=False))

    def finish(self, reason: str = "stop") -> None:
        self._thread.call_soon(self._source.push, sse(chunk(finish_reason=reason)), END)

    def fail(self, error: StreamError) -> None:
        self._thread.call_soon(self._source.push, error)

    def ended_by(self) -> str | None:
        """How it ended, when it has."""
        self._thread.submit(self.stream.finished()).result(SECONDS)
        return self.stream.completion.ended_by


@contextmanager
def fed() -> Iterator[Callable[[], FedStream]]:
    """Makes streams, not started yet."""
    with LoopThread("streams") as thread:
        made: list[FedStream] = []

        def make() -> FedStream:
            made.append(FedStream(thread))
            return made[-1]

        yield make
        for each in made:
            each.stream.abort("the test is over")
            if each.stream.completion.ended_by is None and each._source.connects:
                thread.submit(each.stream.finished()).result(SECONDS)


def until(turn: Callable[[], object], met: Callable[[], object]) -> None:
    """Turn a toolkit's event loop until a condition is met."""
    begun = time.monotonic()
    while not met():
        assert time.monotonic() - begun < SECONDS, "it did not come"
        turn()
        time.sleep(0.001)


def call_of(name: str, arguments: str) -> list[dict[str, object]]:
    """The `tool_calls` of a delta."""
    return [{"index": 0, "id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]
