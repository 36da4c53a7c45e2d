"""One meter a stream, however many sinks ask for its figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from .figures import StreamStats, Tally
from .pending import PendingValues

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import StreamError
    from ..model import Chunk, Completion, Read, Retry, Stall, StreamStart, StreamWarning
    from ..stream import CompletionStream

__all__ = ["Meter", "meter_of"]

_DATA_LINE: Final = re.compile(rb"(?:^|[\r\n])data:")


class Meter:
    """The figures of one stream, as they stand or as they were at its end.

    It holds no reference to its stream: the streams that have meters are kept in a table by weak reference.

    One that comes to a stream that has content already takes from it when the first content came; what else it has missed stays
    unknown, and it counts what it hears. See `StreamStats`.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._pending: list[PendingValues] = []
        self._error: StreamError | None = None
        self._final: StreamStats | None = None

    @property
    def error(self) -> StreamError | None:
        """How the stream failed; None if it did not, or not yet."""
        return self._error

    @property
    def chunks(self) -> int:
        """How many chunks came so far."""
        return self._tally.chunks

    @property
    def ttft(self) -> float | None:
        """Seconds from the start to the first content; None before it came."""
        first, started = self._tally.first_token, self._tally.started
        return None if first is None or started is None else first - started

    def stats(self, completion: Completion) -> StreamStats:
        """The figures, given the stream's completion."""
        if self._final is not None:
            return self._final
        return self._tally.stats(completion, None if self._error is None else type(self._error).__name__)

    def follow(self, take: Callable[[list[float]], None]) -> None:
        """Have the gaps between chunks with content taken in elsewhere as well: in batches, from now on, all by `end`.

        `take` must not raise: several sinks share a meter.
        """
        self._pending.append(PendingValues(take, since=self._tally.last_token or 0.0))

    def listen(self, stream: CompletionStream) -> None:
        """Begin to measure; `meter_of` calls it."""
        tally, pending, tail = self._tally, self._pending, b""
        missed, latest_read = stream.completion, stream.read_at

        def start(start: StreamStart) -> None:
            tally.started = start.at
            if missed.choices:
                tally.take_up(missed, latest_read)

        def read(read: Read) -> None:
            # Chunks that only say a role are published with the first content, so the read itself has to tell.
            nonlocal tail
            head = tail + read.data
            if _DATA_LINE.search(head):
                tally.first_data = read.at
                stream.off("read", read_listener)
            tail = head[-len(b"\ndata") :]

        read_listener = read

        def retry(retry: Retry) -> None:
            nonlocal tail
            tally.retries += 1
            # The failed attempt said nothing to anyone: its first data was not the stream's.
            if tally.first_data is not None:
                tally.first_data, tail = None, b""
                stream.on("read", read_listener)

        def chunk(chunk: Chunk) -> None:
            tally.chunks += 1
            output = reasoning = False
            for choice in chunk.choices:
                if (delta := choice.delta) is not None:
                    if delta.content or delta.tool_calls or delta.refusal:
                        output = True
                    elif delta.reasoning:
                        reasoning = True
            if output or reasoning:
                at = stream.read_at
                last, tally.last_token = tally.last_token, at
                if output and tally.first_output is None:
                    tally.first_output = at
                if last is not None:
                    gap = at - last
                    tally.gaps.add(gap)
                    for values in pending:
                        values.add(gap, at)
                else:
                    tally.first_of_round(at)

        def stall(stall: Stall) -> None:
            tally.stalls += 1

        def warning(warning: StreamWarning) -> None:
            tally.warnings += 1

        def error(error: StreamError) -> None:
            self._error = error

        def end(completion: Completion) -> None:
            self._final = self.stats(completion)
            for values in pending:
                values.flush()

        stream.on("start", start, replay=True)
        if not missed.choices:
            stream.on("read", read)
        stream.on("chunk", chunk)
        if stream.has_event("round"):
            on: Any = stream.on  # its types know the events of every stream
            on("round", lambda _: tally.begin_round())
        stream.on("retry", retry)
        stream.on("stall", stall)
        stream.on("warning", warning)
        stream.on("error", error, replay=True)
        stream.on("end", end, replay=True)


_METERS: WeakKeyDictionary[CompletionStream, Meter] = WeakKeyDictionary()


def meter_of(stream: CompletionStream) -> Meter:
    """The meter of a stream, which begins to listen when it is first asked for: ask before you listen to `end` yourself."""
    meter = _METERS.get(stream)
    if meter is None:
        meter = _METERS[stream] = Meter()
        meter.listen(stream)
    return meter
