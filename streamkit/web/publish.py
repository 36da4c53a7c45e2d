"""The sink that turns a stream's events into the records of a log."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..errors import StreamError
from .chunks import chunk_json
from .log import StreamSealed
from .public_errors import failure_of, public_request_id
from .records import Failure, Record, StreamEnd, end_of

if TYPE_CHECKING:
    from ..model import Chunk, Connected
    from ..stream import CompletionStream
    from .hub import Channel
    from .log import StreamLog
    from .records import EndReason

__all__ = ["Publication"]

log = logging.getLogger("streamkit.web")

LOG_SECONDS: Final = 30.0
"""How long a log may take to note something; then it has failed."""

SEAL_SECONDS: Final = 1.0
"""How long a log that has just failed may take to note that the stream has ended."""

MOST_RECORDS: Final = 256
"""How many records are appended at once."""

_TOO_LONG: Final = Failure("the answer is longer than the relay allows", "server_error", "output_too_long", status=500)
_LOG_FAILED: Final = Failure("the stream could not be stored", "server_error", "internal", status=500)


class Publication:
    """Writes one stream to its log and, what the log has taken, to those who read in this process.

    It is a sink: `stream.attach(publication)`. Its listeners only note what came; `run` writes it beside the stream, all that
    came with one read at once, so that a slow log delays no other subscriber. Whatever happens, there is one terminal record,
    and nothing after it: `end` is the first ending that anyone gave.

    Args:
        stream_log: has the stream already.
        channel: of those who read here.
        max_bytes: how long the records may be together; then the stream is aborted. None: no limit.
    """

    def __init__(
        self, stream_log: StreamLog, stream_id: str, channel: Channel, *, max_bytes: int | None = None
    ) -> None:
        self._log = stream_log
        self._id = stream_id
        self.channel = channel
        self._room = max_bytes
        self._stream: CompletionStream | None = None
        self._pending: list[Record] = []
        self._work = asyncio.Event()
        self._seq = 0
        self._written = 0
        self.started = asyncio.Event()
        """The first record is there, or the ending."""
        self.end: StreamEnd | None = None
        self.error: StreamError | None = None
        """Why the stream failed."""
        self.request_id: str | None = None
        """Of the upstream, if it is one that a header may carry."""

    def __call__(self, stream: CompletionStream) -> None:
        """Subscribe to the stream."""
        self._stream = stream
        stream.on("connect", self._connected, replay=True)
        stream.on("chunk", self._chunk)
        # The answer is whole from here on: clients need not wait until slow sinks have taken it in.
        stream.on("text_done", lambda _: self.finish("done"))
        stream.on("error", self._failed)
        stream.on("abort", lambda _: self.finish("abort"))
        stream.on("end", lambda _: self.finish("abort"))  # should all else have failed

    @property
    def empty(self) -> bool:
        """No record has come."""
        return self._seq == 0

    def finish(self, reason: EndReason, error: Failure | None = None) -> None:
        """End it; the first ending counts, and what comes later is not published. `run` then writes it."""
        if self.end is None:
            assert self._stream is not None
            self.end = end_of(self._stream.completion, reason, error)
            self._notify()

    def give_up(self) -> None:
        """Take no more note of the stream: there is nowhere to publish it."""
        self.end = StreamEnd("abort")
        self._pending.clear()

    async def run(self) -> None:
        """Write until the terminal record is written; it does not raise for a log that fails: readers are told of that."""
        try:
            await self._write()
        except StreamSealed:
            await self._sealed_by_another()
        except asyncio.CancelledError:
            self.channel.fail(StreamEnd("shutdown"))
            raise
        except Exception as error:  # noqa: BLE001 - a log may fail in any way, and those who read must hear of it
            log.error("stream %s cannot be stored: %s", self._id, type(error).__name__)  # noqa: TRY400 - a traceback may show records
            self.finish("error", _LOG_FAILED)
            self.channel.fail(StreamEnd("error", error=_LOG_FAILED))
            self._abort("the log failed")
            with suppress(Exception):
                async with asyncio.timeout(SEAL_SECONDS):
                    await self._log.seal(self._id, StreamEnd("error", error=_LOG_FAILED))

    async def _write(self) -> None:
        stream_log, pending = self._log, self._pending
        while True:
            await self._until_work()
            while pending:
                batch = pending[:MOST_RECORDS]
                async with asyncio.timeout(LOG_SECONDS):
                    await stream_log.append(self._id, batch)
                del pending[: len(batch)]
                self._written = batch[-1].seq
                self.channel.add(batch)
            if self.end is not None and not pending:
                break
        async with asyncio.timeout(LOG_SECONDS):
            sealed = await stream_log.seal(self._id, self.end)
        if not sealed:
            raise StreamSealed("the stream was sealed by another process")
        self.channel.add([Record(self._written + 1, "end", self.end.encode())])

    async def _until_work(self) -> None:
        """Wait for records or the ending; meanwhile stay alive in the eyes of others, and look whether they asked for a stop."""
        every = self._log.renew_every
        while not self._work.is_set():
            if every is None:
                await self._work.wait()
                break
            try:
                async with asyncio.timeout(every):
                    await self._work.wait()
            except TimeoutError:
                if (reason := await self._log.renew(self._id)) is not None:
                    self.finish("abort")
                    self._abort(reason)
        self._work.clear()

    async def _sealed_by_another(self) -> None:
        """This process was believed dead: what the log says is the truth, for those who read here too."""
        log.warning("stream %s was ended by another process", self._id)
        self.finish("producer_lost")
        self._abort("ended by another process")
        with suppress(Exception):
            async with asyncio.timeout(SEAL_SECONDS):
                async for records in self._log.read(self._id, self._written):
                    self.channel.add(records)
        self.channel.fail(StreamEnd("producer_lost"))

    def _abort(self, reason: str) -> None:
        if self._stream is not None:
            self._stream.abort(reason)

    # --- listeners ----------------------------------------------------------------------------------------------------

    def _connected(self, connected: Connected) -> None:
        self.request_id = public_request_id(connected.request_id)

    def _chunk(self, chunk: Chunk) -> None:
        if self.end is not None:
            return
        data = chunk_json(chunk)
        if self._room is not None:
            self._room -= len(data)
            if self._room < 0:
                self.finish("error", _TOO_LONG)
                self._abort("the answer is too long")
                return
        self._seq += 1
        self._pending.append(Record(self._seq, "chunk", data))
        if not self._work.is_set():
            self._notify()

    def _failed(self, error: StreamError) -> None:
        self.error = error
        self.finish("error", failure_of(error))

    def _notify(self) -> None:
        self._work.set()
        self.started.set()
