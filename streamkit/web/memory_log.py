"""`MemoryLog`: the records of streams in the memory of this process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from .log import StreamExists, StreamMeta, StreamSealed, StreamState, UnknownStream
from .records import LogGap, Record, StreamEnd

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from .records import EndReason

__all__ = ["MemoryLog"]


class _Stream:
    __slots__ = ("ended_at", "meta", "reason", "records", "size", "stop", "waiting")

    def __init__(self, meta: StreamMeta) -> None:
        self.meta = meta
        self.records: list[Record] = []
        self.size = 0
        self.reason: EndReason | None = None
        self.ended_at = 0.0
        self.stop: str | None = None
        self.waiting: list[asyncio.Future[None]] = []

    def add(self, records: Sequence[Record]) -> None:
        self.records += records
        self.size += sum(len(record.data) for record in records)
        self.wake()

    def wake(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


class MemoryLog:
    """Keeps the records of streams in memory, for a while after their end.

    Args:
        retention: how many seconds an ended stream can still be read.
        max_bytes: how much the records of ended streams may take; the one that ended first goes first. Running streams are
            never dropped: how large they may grow is the relay's to limit.
        clock: seconds, from any beginning.

    >>> async def main():
    ...     log = MemoryLog()
    ...     await log.open("s1", StreamMeta())
    ...     await log.append("s1", [Record(1, "chunk", b"{}")])
    ...     await log.seal("s1", StreamEnd("done"))
    ...     return [record.seq async for records in log.read("s1") for record in records]
    >>> asyncio.run(main())
    [1, 2]
    """

    renew_every: float | None = None

    def __init__(
        self,
        *,
        retention: float = 300.0,
        max_bytes: int = 256 * 2**20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not retention >= 0:
            raise ValueError(f"retention must be a number of seconds, 0 or more, not {retention!r}")
        if max_bytes < 0:
            raise ValueError(f"max_bytes must be 0 or more, not {max_bytes!r}")
        self._retention = retention
        self._max_bytes = max_bytes
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._ended: dict[str, None] = {}  # in the order in which they ended
        self._ended_bytes = 0
        self._claims: dict[str, tuple[str, float]] = {}  # key -> stream, valid until

    def __len__(self) -> int:
        """How many streams it holds."""
        self._sweep()
        return len(self._streams)

    async def open(self, stream_id: str, meta: StreamMeta) -> None:
        """Begin a stream; raises StreamExists."""
        self._sweep()
        if stream_id in self._streams:
            raise StreamExists("a stream of this id exists")
        self._streams[stream_id] = _Stream(meta)

    async def append(self, stream_id: str, records: Sequence[Record]) -> None:
        """Add records; raises UnknownStream, StreamSealed, ValueError."""
        stream = self._stream(stream_id)
        if stream.reason is not None:
            raise StreamSealed("the stream has ended")
        first = len(stream.records) + 1
        for seq, record in enumerate(records, first):
            if record.seq != seq or record.kind == "end":
                raise ValueError(f"record {record.seq} ({record.kind}) cannot stand at place {seq}")
        stream.add(records)

    async def seal(self, stream_id: str, end: StreamEnd) -> bool:
        """Add the terminal record; False: it has one. Raises UnknownStream."""
        stream = self._stream(stream_id)
        if stream.reason is not None:
            return False
        stream.reason, stream.ended_at = end.reason, self._clock()
        stream.add([Record(len(stream.records) + 1, "end", end.encode())])
        self._ended[stream_id] = None
        self._ended_bytes += stream.size
        self._sweep()
        return True

    async def read(self, stream_id: str, after: int = 0) -> AsyncGenerator[Sequence[Record | LogGap], None]:
        """The records past `after` until the terminal one; raises UnknownStream."""
        stream = self._stream(stream_id)
        loop = asyncio.get_running_loop()
        while True:
            if len(stream.records) > after:
                batch = stream.records[after:]
                after = len(stream.records)
                yield batch
                continue
            if stream.reason is not None:
                return
            if self._streams.get(stream_id) is not stream:
                raise UnknownStream("the stream was deleted")
            future = loop.create_future()
            stream.waiting.append(future)
            try:
                await future
            finally:
                if future in stream.waiting:  # it was cancelled
                    stream.waiting.remove(future)

    async def stop(self, stream_id: str, reason: str) -> bool:
        """Ask the writer to end the stream; False: it has ended. Raises UnknownStream."""
        stream = self._stream(stream_id)
        if stream.reason is not None:
            return False
        stream.stop = stream.stop or reason
        return True

    async def renew(self, stream_id: str) -> str | None:
        """The reason of a `stop` that was asked for; raises UnknownStream, StreamSealed."""
        stream = self._stream(stream_id)
        if stream.reason is not None:
            raise StreamSealed("the stream has ended")
        return stream.stop

    async def state(self, stream_id: str) -> StreamState | None:
        """How far it has come; None: unknown."""
        self._sweep()
        stream = self._streams.get(stream_id)
        return None if stream is None else StreamState(len(stream.records), stream.meta, stream.reason)

    async def claim(self, key: str, stream_id: str, seconds: float) -> str:
        """Let a key stand for a stream, unless it stands for one that is still known; returns that one."""
        self._sweep()
        winner, until = self._claims.get(key, ("", 0.0))
        if winner in self._streams and until > self._clock():
            return winner
        self._claims.pop(key, None)  # to the end: the first ones are those that run out first
        self._claims[key] = (stream_id, self._clock() + seconds)
        return stream_id

    async def delete(self, stream_id: str) -> bool:
        """Forget a stream; False: it was not known."""
        return self._forget(stream_id)

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _stream(self, stream_id: str) -> _Stream:
        self._sweep()
        try:
            return self._streams[stream_id]
        except KeyError:
            raise UnknownStream("no such stream") from None

    def _forget(self, stream_id: str) -> bool:
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return False
        if stream_id in self._ended:
            del self._ended[stream_id]
            self._ended_bytes -= stream.size
        stream.wake()  # who waits finds it gone
        return True

    def _sweep(self) -> None:
        """Forget what is over: looks at no more than it forgets."""
        while self._ended:
            oldest = next(iter(self._ended))
            fits = self._ended_bytes <= self._max_bytes or len(self._ended) == 1  # the latest may always be read
            if fits and self._clock() - self._streams[oldest].ended_at < self._retention:
                break
            self._forget(oldest)
        while self._claims:
            key = next(iter(self._claims))
            if self._claims[key][1] > self._clock():
                break
            del self._claims[key]
