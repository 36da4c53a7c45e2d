"""Where the records of streams are kept: the interface that memory, Redis and others implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ..errors import StreamkitError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from .records import EndReason, LogGap, Record, StreamEnd

__all__ = ["StreamExists", "StreamLog", "StreamMeta", "StreamSealed", "StreamState", "UnknownStream"]


class UnknownStream(StreamkitError):
    """The log holds no such stream: it never did, or its time is over."""


class StreamExists(StreamkitError):
    """A stream of this id was opened before."""


class StreamSealed(StreamkitError):
    """The stream has its terminal record: nothing can be added to it."""


class StreamMeta(msgspec.Struct, frozen=True):
    """What a log keeps beside a stream's records.

    Attributes:
        owner: the name of the principal who started it, None where there are no principals.
        created: seconds since the epoch.
        model: the model that was asked for.
        fingerprint: of the request, so that an idempotency key cannot stand for two of them; never the request itself.
    """

    owner: str | None = None
    created: float = 0.0
    model: str | None = None
    fingerprint: str | None = None


class StreamState(msgspec.Struct, frozen=True):
    """How far a stream has come: `seq` is that of its latest record, `reason` why it ended, None while it runs."""

    seq: int
    meta: StreamMeta
    reason: EndReason | None = None

    @property
    def status(self) -> Literal["running", "ended"]:
        """Whether more records can come."""
        return "running" if self.reason is None else "ended"


class StreamLog(Protocol):
    """A log of records for each stream, written by one process and read by any number.

    Ids of streams are the caller's; it makes them unguessable. All methods may be called at any time on one event loop, those
    that change a stream only by the log object that opened it, `seal` and `stop` by all. After `seal`, whoever called it first,
    nothing can be added: that is how a writer that was believed dead is fenced off.
    """

    renew_every: float | None
    """How often, in seconds, the writer has to call `renew` to be believed alive; None: it need not."""

    async def open(self, stream_id: str, meta: StreamMeta) -> None:
        """Begin a stream, without records; take its lease. Raises StreamExists."""
        ...

    async def append(self, stream_id: str, records: Sequence[Record]) -> None:
        """Add records, whose `seq` go on where the last ones ended, all or none; it renews the lease.

        Raises UnknownStream, StreamSealed, ValueError for a `seq` that leaves a hole. The same records a second time, after a
        reply was lost, are no error for a log that cannot tell.
        """
        ...

    async def seal(self, stream_id: str, end: StreamEnd) -> bool:
        """Add the terminal record, after the last that is there. False: it has one, and keeps it. Raises UnknownStream."""
        ...

    def read(self, stream_id: str, after: int = 0) -> AsyncGenerator[Sequence[Record | LogGap], None]:
        """The records past `after`, in order, in batches as they come, until the terminal one.

        A LogGap stands in for records that are gone. It also ends a stream whose writer died: by a terminal record with the
        reason "producer_lost". Raises UnknownStream, at the first step or when the stream is deleted.
        """
        ...

    async def stop(self, stream_id: str, reason: str) -> bool:
        """Ask the writer, wherever it is, to end the stream; False: it has ended. Raises UnknownStream."""
        ...

    async def renew(self, stream_id: str) -> str | None:
        """The writer is alive; returns the reason of a `stop` that was asked for. Raises UnknownStream, StreamSealed."""
        ...

    async def state(self, stream_id: str) -> StreamState | None:
        """How far it has come; None: unknown."""
        ...

    async def claim(self, key: str, stream_id: str, seconds: float) -> str:
        """Let a key stand for a stream for some time, unless it stands for one that is still known; return the one it has."""
        ...

    async def delete(self, stream_id: str) -> bool:
        """Forget a stream, its readers included; False: it was not known."""
        ...

    async def close(self) -> None:
        """Let go of connections. What the log keeps stays."""
        ...
