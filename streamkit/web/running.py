"""The streams that run in this process, and what becomes of them when their readers leave."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ..errors import ConnectionFailed
from ..wire.failure import advice
from .limits import Admission, Limits
from .public_errors import failure_of
from .publish import Publication
from .records import Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import StreamError
    from ..stream import CompletionStream
    from .hub import Channel

__all__ = ["OnDisconnect", "Running", "RunningStreams"]

OnDisconnect: TypeAlias = Literal["abort", "continue"]
"""What happens to a stream when the last of its readers has left."""

JOIN_SECONDS: Final = 30.0
"""How long a stream that is to be aborted without readers waits for its first one."""

_TOO_SLOW: Final = Failure("the stream took longer than the relay allows", "server_error", "max_seconds", status=504)

_REASONS: Final = {"abort": "stopped", "error": "a limit of the relay", "shutdown": "the relay closes"}

log = logging.getLogger("streamkit.web")


class Running:
    """A stream that runs in this process."""

    def __init__(
        self, stream: CompletionStream, publication: Publication, owner: str, on_disconnect: OnDisconnect
    ) -> None:
        self.stream = stream
        self.publication = publication
        self.owner = owner
        self.on_disconnect: OnDisconnect = on_disconnect
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Aborts it when nobody has come, or come back."""
        self.deadline: asyncio.TimerHandle | None = None

    def end(self, reason: Literal["abort", "error", "shutdown"], error: Failure | None = None) -> bool:
        """End it; False: it was over. The readers are told first: the stream itself may have to wait for its listeners."""
        was_over = self.publication.end is not None
        self.publication.finish(reason, error)
        self.stream.abort(_REASONS[reason])
        return not was_over


class RunningStreams:
    """All of them, by id.

    Args:
        limits: how many, how long.
        grace: how many seconds a reader that can come back has to do so.
        clock: seconds, that only go forward.
        released: called with the channel of a stream that runs no more.
    """

    def __init__(
        self, limits: Limits, *, grace: float, clock: Callable[[], float], released: Callable[[Channel], object]
    ) -> None:
        self.admission = Admission(limits, clock=clock)
        self._limits = limits
        self._grace = grace
        self._released = released
        self._running: dict[str, Running] = {}
        self._detached: dict[str, None] = {}  # in the order in which they lost their last reader
        self._closing = False

    def __len__(self) -> int:
        return len(self._running)

    def get(self, stream_id: str) -> Running | None:
        """The stream of this id, if it runs here."""
        return self._running.get(stream_id)

    def launch(
        self,
        stream_id: str,
        stream: CompletionStream,
        publication: Publication,
        owner: str,
        on_disconnect: OnDisconnect,
    ) -> Running:
        """Start a stream that is open in the log; from here on it ends by itself, or by `Running.end`."""
        loop = asyncio.get_running_loop()
        # A listener of the relay's own, not of a sink: with one, the stream does not complain that nobody has heard.
        stream.on("error", lambda error: _note(stream_id, error))
        stream.start()
        running = self._running[stream_id] = Running(stream, publication, owner, on_disconnect)
        running.task = loop.create_task(self._see_through(stream_id, running), name="streamkit.web.stream")
        if self._limits.max_seconds is not None:
            running.deadline = loop.call_later(self._limits.max_seconds, running.end, "error", _TOO_SLOW)
        if on_disconnect == "abort":
            running.timer = loop.call_later(JOIN_SECONDS, running.end, "abort")
        else:
            self._detached[stream_id] = None
        return running

    async def _see_through(self, stream_id: str, running: Running) -> None:
        try:
            await running.publication.run()
            await running.stream.finished()
        finally:
            for timer in (running.timer, running.deadline):
                if timer is not None:
                    timer.cancel()
            running.stream.abort("the relay has given it up")
            del self._running[stream_id]
            self._detached.pop(stream_id, None)
            self.admission.leave(running.owner)
            self._released(running.publication.channel)

    def joined(self, channel: Channel) -> None:
        """A stream has got a reader."""
        self._detached.pop(channel.stream_id, None)
        running = self._running.get(channel.stream_id)
        if running is not None and running.timer is not None:
            running.timer.cancel()
            running.timer = None

    def left(self, channel: Channel, resumable: bool) -> None:
        """A stream has lost its last reader, which can come back if it read what is resumable."""
        running = self._running.get(channel.stream_id)
        if running is None or running.publication.end is not None or self._closing:
            return
        if running.on_disconnect == "abort":
            grace = self._grace if resumable else 0.0
            running.timer = asyncio.get_running_loop().call_later(grace, running.end, "abort")
            return
        self._detached[channel.stream_id] = None
        most = self._limits.max_detached
        while most is not None and len(self._detached) > most:
            oldest = next(iter(self._detached))
            del self._detached[oldest]
            log.warning("stream %s is aborted: more than max_detached=%d run without a reader", oldest, most)
            self._running[oldest].end("abort")

    def end_all(self) -> list[asyncio.Task[None]]:
        """Tell all readers that this process ends; returns what to wait for."""
        self._closing = True
        for running in self._running.values():
            running.end("shutdown")
        return [running.task for running in self._running.values() if running.task is not None]


def _note(stream_id: str, error: StreamError) -> None:
    failure = failure_of(error)
    # For whoever runs the relay: where nobody answers, or what to look at. The upstream's own words may quote a question.
    why = error.message if isinstance(error, ConnectionFailed) else advice(error.status) if error.status else ""
    # The code is the upstream's, which may write anything into it.
    log.warning(
        "stream %s failed: %s, code %r, status %s, request %s%s",
        stream_id,
        type(error).__name__,
        failure.code,
        failure.status,
        failure.request_id,
        f": {why}" if why else "",
    )
