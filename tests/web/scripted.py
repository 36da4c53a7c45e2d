"""What the relay's tests drive without a socket: a driver over scripts, a log that fails on order, an outlet in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from streamkit import CompletionStream, StreamDriver
from streamkit.web import MemoryLog, Record, Relay, RelaySubscription, StreamEnd
from streamkit.web.encoded import Piece

from ..stream.scripted import Item, ScriptedSource

__all__ = [
    "REQUEST",
    "FailingLog",
    "MemoryOutlet",
    "ScriptedDriver",
    "chunk_record",
    "driver_of",
    "relay_of",
    "rest_of",
    "text_chunk",
    "texts",
]

REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def text_chunk(text: str) -> bytes:
    """A chunk's JSON with a text."""
    return json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode()


def chunk_record(seq: int, text: str = "x") -> Record:
    """A record with a text."""
    return Record(seq, "chunk", text_chunk(text))


class ScriptedDriver:
    """Makes streams over `ScriptedSource`s: of the given scripts in order, then of empty ones, which the test pushes to."""

    def __init__(self, *scripts: Sequence[Item], sinks: Iterable[Callable[[CompletionStream], object]] = ()) -> None:
        self._scripts = list(scripts)
        self._sinks = tuple(sinks)
        self.sources: list[ScriptedSource] = []
        self.requests: list[Mapping[str, Any]] = []

    def stream(self, request: Mapping[str, Any]) -> CompletionStream:
        self.requests.append(request)
        source = ScriptedSource(self._scripts.pop(0) if self._scripts else ())
        self.sources.append(source)
        return CompletionStream(source).attach(*self._sinks)


def driver_of(
    *scripts: Sequence[Item], sinks: Iterable[Callable[[CompletionStream], object]] = ()
) -> tuple[StreamDriver, ScriptedDriver]:
    """The same driver twice: as the relay's, and as the test's."""
    driver = ScriptedDriver(*scripts, sinks=sinks)
    return cast("StreamDriver", driver), driver


class FailingLog(MemoryLog):
    """Fails where it is told to; `hang` makes it wait for ever instead."""

    def __init__(self, *, appends: int = 10**9, seals: int = 10**9, hang: bool = False) -> None:
        super().__init__()
        self.appends = appends
        self.seals = seals
        self.hang = hang

    async def _fail(self) -> None:
        if self.hang:
            await asyncio.Event().wait()
        raise OSError("the disk is full of secrets")

    async def append(self, stream_id: str, records: Sequence[Record]) -> None:
        self.appends -= 1
        if self.appends < 0:
            await self._fail()
        await super().append(stream_id, records)

    async def seal(self, stream_id: str, end: StreamEnd) -> bool:
        self.seals -= 1
        if self.seals < 0:
            await self._fail()
        return await super().seal(stream_id, end)


class MemoryOutlet:
    """A connection in memory: it has room for so many bytes until `drain`, and can go away."""

    def __init__(self, room: int = 10**9) -> None:
        self.sent: list[bytes] = []
        self.offered = 0
        self.left = False
        self._room = room
        self._drained = asyncio.Event()

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)

    def drain(self, room: int) -> None:
        self._room = room
        self._drained.set()

    async def send(self, data: bytes) -> None:
        if self.left:
            raise ConnectionResetError("gone")
        self.sent.append(data)
        self._room -= len(data)
        while self._room < 0:
            self._drained.clear()
            await self._drained.wait()

    def offer(self, piece: Piece) -> bool:
        if self.left or self._room < len(piece.data):
            return False
        self._room -= len(piece.data)
        self.sent.append(piece.data)
        self.offered += 1
        return True

    def gone(self) -> bool:
        return self.left


def relay_of(*scripts: Any, sinks: Any = (), **settings: Any) -> tuple[Relay, ScriptedDriver]:
    """A relay over scripted streams."""
    driver, scripted = driver_of(*scripts, sinks=sinks)
    return Relay(driver, **settings), scripted


async def rest_of(subscription: RelaySubscription) -> bytes:
    """All that a reader reads."""
    return b"".join([data async for data in subscription])


def texts(body: bytes) -> str:
    """The text in the events of the native encoding."""
    lines = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    return "".join(line.get("text", "") for line in lines)
