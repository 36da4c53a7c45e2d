"""One reader of a relayed stream: a cursor on bytes that it shares with all others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from .encode import Encoder
    from .encoded import Encoded, Piece
    from .records import StreamEnd

__all__ = ["Outcome", "RelaySubscription"]

Outcome: TypeAlias = Literal["end", "error", "lagging", "closed", "gone", "timeout"]
"""How a subscription ended.

"end": all was told, and the body ends as a whole one. "error": all was told, and the connection is to be closed without the end
of the body. "lagging", "timeout": the reader is too slow. "gone": it left. "closed": it was closed from here, untold.
"""


PATIENCE: Final = 1.0
"""How many seconds a reader that is far behind may take nothing of what waits for it, before it is too slow."""


class RelaySubscription:
    """A reader's place in a stream: iterate over it for the bytes to send, each item what is pending, joined.

    Heartbeats come in between after a silence, and one at once if nothing else is there yet. A reader that stops costs a cursor.

    Attributes:
        stream_id: what it reads.
        outcome: how it ended; None while it goes on.

    `Relay.subscribe` makes them; `close` or the end of the iteration gives them back.
    """

    __slots__ = (
        "_after",
        "_behind_since",
        "_encoded",
        "_free",
        "_gone",
        "_heartbeat_due",
        "_left",
        "_loop",
        "_max_lag",
        "_offer",
        "_offset",
        "_place",
        "_prefix",
        "_waiting",
        "last_at",
        "outcome",
        "stream_id",
    )

    def __init__(
        self,
        stream_id: str,
        encoded: Encoded,
        *,
        after: int = 0,
        prefix: bytes = b"",
        max_lag: int | None = None,
        left: Callable[[RelaySubscription], object] = lambda _: None,
    ) -> None:
        self.stream_id = stream_id
        self.outcome: Outcome | None = None
        self._encoded = encoded
        self._after = after
        self._place: int | None = None
        self._offset = 0
        """Where its place is, in bytes."""
        self._free = encoded.total
        """What was there when it came is no lag."""
        self._prefix = prefix
        """Goes before the first event."""
        self._max_lag = max_lag
        self._behind_since: float | None = None
        """When something first came that it was too busy to take; None: nothing has since it last took something."""
        self._left: Callable[[RelaySubscription], object] | None = left
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._offer: Callable[[Piece], bool] | None = None
        self._gone: Callable[[], bool] = _never
        self._heartbeat_due = True
        self.last_at = self._loop.time()
        """When something was last sent, by the loop's clock."""
        self._find_place()

    @property
    def encoder(self) -> Encoder:
        """What its bytes are: content type, headers."""
        return self._encoded.encoder

    @property
    def end(self) -> StreamEnd | None:
        """The terminal record, once it is there."""
        return self._encoded.end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if data := self.take():
                return data
            if self.outcome is None and self._is_told():
                end = self._encoded.end
                assert end is not None
                self._finish("end" if self._encoded.encoder.clean(end) else "error")
            if self.outcome is not None:
                raise StopAsyncIteration
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None

    def take(self) -> bytes:
        """What is to be sent now, b"" if nothing is."""
        if self.outcome is not None:
            return b""
        if self._place is None:
            self._find_place()
        data, self._behind_since = b"", None
        if self._place is not None:
            piece, self._place = self._encoded.pending(self._place)
            data = piece.data
            self._offset += len(data)
        if data:
            if self._prefix:
                data, self._prefix = self._prefix + data, b""
        elif self._heartbeat_due:
            data = self._encoded.heartbeat.data
        if data:
            self._heartbeat_due = False
            self.last_at = self._loop.time()
        return data

    def close(self, outcome: Outcome = "closed") -> None:
        """Read no more; the iteration ends. Closing again does nothing."""
        if self.outcome is None:
            self._finish(outcome)

    def direct(self, offer: Callable[[Piece], bool], gone: Callable[[], bool]) -> None:
        """From now on give what comes to `offer` at once, where it takes it; `gone` says that nobody is there any more.

        The iteration goes on with what `offer` did not take, and stands still meanwhile: so an event costs no turn of a task.
        """
        self._offer, self._gone = offer, gone

    # --- called by the channel and the hub ----------------------------------------------------------------------------

    def news(self, now: float) -> None:
        """Something was added."""
        waiting = self._waiting
        if waiting is None or waiting.done():
            self._check_lag(now)  # it is busy sending, or about to look
            return
        offer = self._offer
        if offer is not None and not self._prefix and self._place is not None:
            encoded = self._encoded
            count = len(encoded.frames)
            while self._place < count:
                piece, place = encoded.pending(self._place)
                if not offer(piece):
                    break
                self._place = place
                self._offset += len(piece.data)
                self.last_at = now
            else:
                if encoded.end is None:
                    return
        waiting.set_result(None)

    def beat(self, now: float, silence: float) -> None:
        """Time has passed: see whether the reader is still there, and needs a sign of life."""
        if self._gone():
            self.close("gone")
            return
        if now - self.last_at < silence:
            return
        waiting = self._waiting
        if waiting is None or waiting.done() or not self._encoded.heartbeat.data:
            return
        self.last_at = now
        if self._offer is None or not self._offer(self._encoded.heartbeat):
            self._heartbeat_due = True
            waiting.set_result(None)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _find_place(self) -> None:
        self._place = self._encoded.place_after(self._after)
        if self._place is not None:
            self._offset = sum(map(len, self._encoded.frames[: self._place]))

    def _is_told(self) -> bool:
        return self._encoded.end is not None and self._place == len(self._encoded.frames)

    def _check_lag(self, now: float) -> None:
        if self._behind_since is None:
            self._behind_since = now
        # Bytes alone do not make a reader slow: an upstream that has all of its answer at once is faster than anyone.
        if self._max_lag is None or now - self._behind_since < PATIENCE:
            return
        if self._encoded.total - max(self._offset, self._free) > self._max_lag:
            self.close("lagging")

    def _finish(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._offer, self._gone = None, _never
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
        left, self._left = self._left, None
        if left is not None:
            left(self)


def _never() -> bool:
    return False
