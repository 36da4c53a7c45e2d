"""The loop that carries a subscription to a connection, the same for every kind of server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from .encoded import Piece
    from .subscription import Outcome, RelaySubscription

__all__ = ["LINGER", "Outlet", "linger_after", "serve"]

LINGER: Final = 1.0
"""How long, in seconds, a client may take to read that the answer has failed, before its connection is closed: node and Chromium
throw away what the program has not read when they see that a body is cut. Those that understand the error leave at once."""


class Outlet(Protocol):
    """The body of a response whose headers are out."""

    async def send(self, data: bytes) -> None:
        """Write, and return when there is room for more. Raises OSError when the client has gone."""
        ...

    def offer(self, piece: Piece) -> bool:
        """Write at once if there is room, else take nothing and return False. It never raises."""
        ...

    def gone(self) -> bool:
        """Whether the client has gone, as far as can be seen without waiting."""
        ...


async def serve(subscription: RelaySubscription, outlet: Outlet, *, send_timeout: float = 20.0) -> Outcome:
    """Send a subscription's bytes until it ends, and say how it ended; the caller then ends the response accordingly.

    A client that takes nothing for `send_timeout` seconds is given up ("timeout"). Cancelling it closes the subscription.
    """
    subscription.direct(outlet.offer, outlet.gone)
    try:
        async with asyncio.timeout(None) as timeout:
            patience = _Patience(timeout, send_timeout)
            try:
                async for data in subscription:
                    patience.sending()
                    await outlet.send(data)
                    # Or a reader who came late would keep what it was sent at first, for as long as it reads.
                    del data
                    patience.sent()
            finally:
                patience.end()
    except TimeoutError:
        subscription.close("timeout")
    except OSError:
        subscription.close("gone")
    finally:
        subscription.close("gone")
    assert subscription.outcome is not None
    return subscription.outcome


class _Patience:
    """Ends a timeout when one of many sends has taken too long.

    A timeout for each would cost more than the send, which hardly ever waits. So this looks only now and then.
    """

    __slots__ = ("_look_at", "_loop", "_seconds", "_since", "_timeout")

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None
        self._look_at: asyncio.TimerHandle | None = None

    def sending(self) -> None:
        self._since = self._loop.time()
        if self._look_at is None:
            self._look_at = self._loop.call_at(self._since + self._seconds, self._look)

    def sent(self) -> None:
        self._since = None

    def end(self) -> None:
        if self._look_at is not None:
            self._look_at.cancel()

    def _look(self) -> None:
        self._look_at = None
        if self._since is None:
            return
        now, due = self._loop.time(), self._since + self._seconds
        if now >= due:
            self._timeout.reschedule(now)
        else:
            self._look_at = self._loop.call_at(due, self._look)


def linger_after(subscription: RelaySubscription) -> float:
    """How long the connection stays open for a client that was told of an error, in seconds; half of it where all shuts down."""
    end = subscription.end
    return LINGER / 2 if end is not None and end.reason == "shutdown" else LINGER
