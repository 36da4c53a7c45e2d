"""The limits of a stream: one timer, moved only when it goes off, so that a read costs two looks at the clock.

Our own, because aiohttp's `sock_read` does not fire after a malformed chunk size, and counts keep-alives as life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ..settings import Timeout

__all__ = ["Phase", "Watchdog"]

Phase: TypeAlias = Literal["first", "idle", "total", "after_finish"]

_EARLY = 1e-6
"""A timer of the loop may go off this much before its time, by its clock's resolution."""


class Watchdog:
    """Calls `expired(phase)` when a limit has run out, `stalled(seconds, limit)` at half the idle limit.

    Time counts while the pump waits for the socket, between `wait` and `woke`; `content` sets it back to zero.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timeout: Timeout,
        *,
        expired: Callable[[Phase], None],
        stalled: Callable[[float, float], None],
    ) -> None:
        self._loop = loop
        self._timeout = timeout
        self._expired = expired
        self._stalled = stalled
        self._phase: Phase = "first"
        self._limit: float | None = None
        self._spent = 0.0
        self._since: float | None = None
        self._told = False
        self._timer: asyncio.TimerHandle | None = None
        self._total = None if timeout.total is None else loop.call_later(timeout.total, expired, "total")

    def enter(self, phase: Literal["first", "idle", "after_finish"]) -> None:
        """Another limit holds from now on."""
        if phase == self._phase and self._timer is not None:
            return
        self._phase = phase
        self._limit = getattr(self._timeout, phase)
        self._spent = 0.0
        self._told = False
        self._cancel()
        self._arm()

    def wait(self) -> None:
        """The pump begins to wait for the socket."""
        self._since = self._loop.time()

    def woke(self) -> None:
        """The pump has something to do."""
        if self._since is not None:
            self._spent += self._loop.time() - self._since
            self._since = None

    def content(self) -> None:
        """Content came: the limit starts anew."""
        self._spent = 0.0
        self._told = False

    def stop(self) -> None:
        """No limit holds any more, the one for the whole stream included."""
        self._cancel()
        self._limit = None
        if self._total is not None:
            self._total.cancel()
            self._total = None

    def pause(self) -> None:
        """No limit but the one for the whole stream holds until the next `enter`."""
        self._cancel()
        self._limit = None

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_mark(self) -> float | None:
        """The number of seconds at which something is due."""
        if self._limit is None:
            return None
        return self._limit / 2 if self._phase == "idle" and not self._told else self._limit

    def _arm(self) -> None:
        mark = self._next_mark()
        if mark is not None:
            waited = self._waited()
            self._timer = self._loop.call_later(max(0.0, mark - waited), self._look)

    def _waited(self) -> float:
        return self._spent + (0.0 if self._since is None else self._loop.time() - self._since)

    def _look(self) -> None:
        self._timer = None
        limit, mark, waited = self._limit, self._next_mark(), self._waited()
        if limit is None or mark is None:
            return
        # Only while the pump waits: when it is busy with a listener, the time does not count.
        if self._since is not None and waited + _EARLY >= mark:
            if mark == limit:
                self._expired(self._phase)
                return
            self._told = True
            self._stalled(waited, limit)
        self._arm_later()

    def _arm_later(self) -> None:
        mark = self._next_mark()
        if mark is not None and self._timer is None:
            # Busy past the mark: look again soon, the pump is about to wait.
            self._timer = self._loop.call_later(max(0.005, mark - self._waited()), self._look)
