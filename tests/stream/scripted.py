"""A source in memory: what it says, and when, is the test's to drive."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from streamkit import CompletionStream, Connected, StreamError, StreamWarning
from streamkit.testing import chunk, sse

from ..clock import turns

__all__ = ["END", "Item", "ScriptedSource", "feed_of", "heard", "is_grammatical", "spaced", "text_reads", "untyped"]

END = b""
"""The clean end of a feed."""

Item: TypeAlias = bytes | StreamError | asyncio.Event | int | float
"""Bytes, END, an error that `read` raises, an event to wait for, a number of turns of the loop, or (float) of seconds."""


class ScriptedSource:
    """A `streamkit.Source`: one script an attempt; `push` adds to the running one, and where a script stops, `read` waits.

    Args:
        attempts: the items of each attempt; a StreamError in place of a list is raised by `connect`. Past the last one, an
            attempt has an empty script.
        hang: `connect` waits for this event first.
    """

    def __init__(self, *attempts: Sequence[Item] | StreamError, hang: asyncio.Event | None = None) -> None:
        self._attempts = list(attempts)
        self._hang = hang
        self._items: deque[Item] = deque()
        self._pushed: asyncio.Future[None] | None = None
        self.connects = 0
        self.reading = 0
        """How many `read` calls are waiting: never more than one."""
        self.most_reading = 0
        self.taken = bytearray()
        """What `read` and `read_nowait` have given out."""
        self.closed: list[bool] = []
        """The `whole` of each `close`."""

    @property
    def request(self) -> Mapping[str, Any]:
        return {"model": "scripted", "messages": []}

    async def connect(self) -> tuple[Connected, Sequence[StreamWarning]]:
        self.connects += 1
        attempt = self._attempts.pop(0) if self._attempts else ()
        if self._hang is not None:
            await self._hang.wait()
        if isinstance(attempt, StreamError):
            raise attempt
        self._items = deque(attempt)
        return Connected(200, {"content-type": "text/event-stream"}, f"req_{self.connects}"), []

    def push(self, *items: Item) -> None:
        """Add to the script of the running attempt."""
        self._items.extend(items)
        if self._pushed is not None and not self._pushed.done():
            self._pushed.set_result(None)

    async def read(self) -> bytes:
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            while True:
                while not self._items:
                    self._pushed = asyncio.get_running_loop().create_future()
                    await self._pushed
                match self._items[0]:
                    case bytes() as data:
                        if data:  # the end stays the end
                            self._items.popleft()
                        self.taken += data
                        return data
                    case StreamError() as error:
                        raise error
                    case asyncio.Event() as event:
                        await event.wait()
                    case int() as count:
                        await turns(count)
                    case float() as seconds:
                        await asyncio.sleep(seconds)
                self._items.popleft()
        finally:
            self.reading -= 1

    def read_nowait(self) -> bytes:
        if self._items and isinstance(self._items[0], bytes) and self._items[0]:
            data = self._items.popleft()
            assert isinstance(data, bytes)
            self.taken += data
            return data
        return b""

    def close(self, *, whole: bool) -> None:
        self.closed.append(whole)

    def redact(self, text: str) -> str:
        return text.replace("sk-secret", "[redacted]")


def feed_of(*texts: str, finish: str | None = "stop", done: bool = True) -> bytes:
    """The feed of an answer: a role, the texts, a finish and `[DONE]`."""
    chunks = [chunk("", role="assistant"), *map(chunk, texts)]
    if finish is not None:
        chunks.append(chunk(finish_reason=finish))
    return sse(*chunks, done=done)


def text_reads(*texts: str) -> list[bytes]:
    """Each text as a chunk in a read of its own."""
    return [sse(chunk(text), done=False) for text in texts]


def spaced(reads: Sequence[bytes], count: int) -> list[Item]:
    """The reads, each followed by so many turns of the loop."""
    return [item for data in reads for item in (data, count)]


def heard(stream: CompletionStream) -> list[str]:
    """The names of the events that a stream publishes from now on, in order."""
    names: list[str] = []
    stream.on("*", lambda event: names.append(event.name))
    return names


def is_grammatical(names: Sequence[str]) -> bool:
    """Whether the events of a whole stream came in an order in which they may come."""
    said = " ".join(name for name in names if name not in ANYWHERE)
    starts_and_ends = bool(names) and names[0] == "start" and names[-1] == "end"
    return starts_and_ends and GRAMMAR.fullmatch(said) is not None


ANYWHERE = {"warning", "heartbeat", "stall", "listener_error", "read"}
GRAMMAR = re.compile(
    r"start( (connect )?retry)*"
    r"( connect)?( chunk( (reasoning|text|refusal|tool_delta|usage))*)*"
    r"(( tool_call)* text_done done| error| abort) end"
)


def untyped(stream: CompletionStream) -> Any:
    """The stream without its types: they know events by literal name, not by a name in a variable."""
    return stream
