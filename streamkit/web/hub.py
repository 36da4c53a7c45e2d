"""Fan-out inside one process: each stream is read and encoded once, however many read along."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Final, TypeAlias

from .encode import encoding
from .encoded import Encoded
from .records import Failure, LogGap, Record, StreamEnd
from .subscription import RelaySubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .encode import EncodingName
    from .log import StreamLog

__all__ = ["Channel", "Hub"]

TICK: Final = 0.25
"""How often readers are looked after, in seconds, at least: for all of them one timer, and none for each."""

SLICE: Final = 1000
"""How many records are encoded before others have their turn: some milliseconds' work."""

log = logging.getLogger("streamkit.web")

_Key: TypeAlias = "tuple[EncodingName, bool]"


class Channel:
    """One stream in this process: its records, its encodings, its readers.

    It is fed by the publication of a stream that runs here, or by a task that reads the log.
    """

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id
        self.local = False
        """Its stream runs here."""
        self.end: StreamEnd | None = None
        self.readers = 0
        self.reading: asyncio.Task[None] | None = None
        self.records: list[Record | LogGap] = []
        self._seq = 0
        self._encodings: dict[_Key, tuple[Encoded, dict[RelaySubscription, None]]] = {}

    def add(self, records: Sequence[Record | LogGap]) -> None:
        """Take in records in their order; tell those who read."""
        if self.end is not None or not records:
            return
        self.records += records
        last = records[-1]
        if isinstance(last, LogGap):
            self._seq = last.last
        else:
            self._seq = last.seq
            if last.kind == "end":
                self.end = StreamEnd.decode(last.data)
        for encoded, _ in self._encodings.values():
            encoded.add(records)
        self._tell()

    def fail(self, end: StreamEnd) -> None:
        """End it for those who read here, though the log does not say so: it cannot be written, or read."""
        self.add([Record(self._seq + 1, "end", end.encode())])

    def _tell(self) -> None:
        now = asyncio.get_running_loop().time()
        for _, subscriptions in self._encodings.values():
            for subscription in list(subscriptions):
                try:
                    subscription.news(now)
                except Exception:
                    log.exception("a reader's outlet failed")
                    subscription.close("gone")

    async def encoded(
        self, name: EncodingName, *, include_usage: bool
    ) -> tuple[Encoded, dict[RelaySubscription, None]]:
        """The bytes in one encoding, and who reads them; what has come is encoded when the first one asks."""
        key = (name, include_usage)
        if key not in self._encodings:
            encoded, done = Encoded(encoding(name, self.stream_id, include_usage=include_usage)), 0
            while done < len(self.records):
                if done:
                    await asyncio.sleep(0)  # a long stream would keep the loop from everybody else
                encoded.add(self.records[done : done + SLICE])
                done += SLICE
            self._encodings.setdefault(key, (encoded, {}))  # another may have been as quick
        return self._encodings[key]

    def subscriptions(self) -> list[RelaySubscription]:
        """All who read it."""
        return [subscription for _, readers in self._encodings.values() for subscription in readers]


class Hub:
    """The channels of one process, and the clock that looks after their readers.

    Args:
        stream_log: where streams that do not run here are read from.
        heartbeat: seconds of silence after which a reader gets a sign of life.
        max_lag_bytes: how far a reader that can resume may fall behind before it is cut; None: no limit. For any other one
            a cut is the loss of the answer.
        retry_ms: how long a browser is to wait before it reconnects, from and to: each is told another time, so that they do
            not all come back at once.
        joined: called when a channel has got one more reader.
        left: called when a channel has lost its last one, with whether that one could come back and resume.
    """

    def __init__(
        self,
        stream_log: StreamLog,
        *,
        heartbeat: float = 15.0,
        max_lag_bytes: int | None = 256 * 1024,
        retry_ms: tuple[int, int] = (1500, 4000),
        joined: Callable[[Channel], object] = lambda _: None,
        left: Callable[[Channel, bool], object] = lambda *_: None,
    ) -> None:
        self._log = stream_log
        self._heartbeat = heartbeat
        self._tick_every = min(TICK, heartbeat / 2)
        self._max_lag = max_lag_bytes
        self._retry = retry_ms
        self._joined = joined
        self._left = left
        self._channels: dict[str, Channel] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._readers = 0
        self._unread = asyncio.Event()
        self._unread.set()

    def open(self, stream_id: str) -> Channel:
        """The channel of a stream that runs here."""
        channel = self._channels[stream_id] = Channel(stream_id)
        channel.local = True
        return channel

    def release(self, channel: Channel) -> None:
        """The stream does not run here any more: whoever reads it yet reads on to the end, later ones read the log."""
        channel.local = False
        self._drop_if_unused(channel)

    def channel(self, stream_id: str) -> Channel | None:
        """The channel of a stream that is being read or written here."""
        return self._channels.get(stream_id)

    async def subscribe(
        self, stream_id: str, after: int = 0, name: EncodingName = "native", *, include_usage: bool = False
    ) -> RelaySubscription:
        """A reader of a stream, from after the record `after` on; it has to exist."""
        loop = asyncio.get_running_loop()
        channel = self._channels.get(stream_id)
        if channel is None:
            channel = self._channels[stream_id] = Channel(stream_id)
            channel.reading = loop.create_task(self._read(channel), name="streamkit.web.read")
            self._reading.add(channel.reading)
            channel.reading.add_done_callback(self._reading.discard)
        # It counts from here on, so that the channel stays while what has come is encoded.
        self._enter(channel)
        try:
            encoded, readers = await channel.encoded(name, include_usage=include_usage)
        except BaseException:
            self._leave(channel, resumable=False)
            raise
        prefix, max_lag = b"", None
        if encoded.encoder.resumable:
            max_lag = self._max_lag
            prefix = b"retry: %d\n" % random.randint(*self._retry)  # noqa: S311 - no secret

        def left(subscription: RelaySubscription) -> None:
            del readers[subscription]
            self._leave(channel, resumable=subscription.encoder.resumable)

        subscription = RelaySubscription(
            stream_id,
            encoded,
            after=after if encoded.encoder.resumable else 0,
            prefix=prefix,
            max_lag=max_lag,
            left=left,
        )
        readers[subscription] = None
        if self._timer is None:
            self._timer = loop.call_later(self._tick_every, self._tick)
        return subscription

    def _enter(self, channel: Channel) -> None:
        channel.readers += 1
        self._readers += 1
        self._unread.clear()
        self._joined(channel)

    def _leave(self, channel: Channel, *, resumable: bool) -> None:
        channel.readers -= 1
        self._readers -= 1
        if not self._readers:
            self._unread.set()
        if not channel.readers:
            self._left(channel, resumable)
        self._drop_if_unused(channel)

    def subscriptions(self) -> list[RelaySubscription]:
        """All who read here."""
        return [reader for channel in self._channels.values() for reader in channel.subscriptions()]

    async def until_unread(self) -> None:
        """Wait until nobody reads."""
        await self._unread.wait()

    def forget(self, stream_id: str) -> None:
        """The stream was deleted: close its readers."""
        channel = self._channels.get(stream_id)
        if channel is not None:
            for subscription in channel.subscriptions():
                subscription.close()

    async def close(self) -> None:
        """Close all readers, and stop reading."""
        for subscription in self.subscriptions():
            subscription.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._reading:
            task.cancel()
        if self._reading:
            await asyncio.wait(self._reading)

    def _drop_if_unused(self, channel: Channel) -> None:
        if channel.readers or channel.local:
            return
        if self._channels.get(channel.stream_id) is channel:
            del self._channels[channel.stream_id]
        if channel.reading is not None:
            channel.reading.cancel()

    async def _read(self, channel: Channel) -> None:
        try:
            async for records in self._log.read(channel.stream_id):
                for start in range(0, len(records), SLICE):
                    channel.add(records[start : start + SLICE])
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - a log may fail in any way, and those who read must hear of it
            log.warning("stream %s cannot be read from the log: %s", channel.stream_id, type(error).__name__)
        channel.fail(
            StreamEnd("error", error=Failure("the stream cannot be read", "server_error", "internal", status=500))
        )

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        subscriptions = self.subscriptions()
        for subscription in subscriptions:
            subscription.beat(now, self._heartbeat)
        if subscriptions:
            self._timer = loop.call_later(self._tick_every, self._tick)
