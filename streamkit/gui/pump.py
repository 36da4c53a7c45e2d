"""`PumpDispatcher`: for user interfaces that draw in a loop of their own, as games do."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING

from .dispatcher import Owner

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from .dispatcher import Call

__all__ = ["PumpDispatcher"]


class PumpDispatcher:
    """Calls functions whenever you call `pump()`: once a frame, in the render loop of pygame, DearPyGui, Panda3D, curses.

    Args:
        clock: for `later`, in seconds.

    `close()` it when the render loop is over, or use it in a `with` block.

    >>> with PumpDispatcher() as dispatcher:
    ...     dispatcher.post(lambda: print("in the next frame"))
    ...     dispatcher.pump()
    in the next frame
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._owner = Owner("the render loop")
        self._posted: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._count = itertools.count()  # calls that are due at one time come in the order in which they were asked for

    def pump(self) -> None:
        """Call what was posted, and what is due; on the UI thread, once a frame.

        What is posted meanwhile has to wait for the next frame. A call that raises comes out here; the rest waits likewise.
        """
        now, count = self._clock(), next(self._count)
        while self._timers and self._timers[0][0] <= now and self._timers[0][1] < count:
            self._owner.call(heapq.heappop(self._timers)[2])
        for _ in range(len(self._posted)):
            if not self._posted:
                break  # closed by one of them, or pumped by one of them
            self._owner.call(self._posted.popleft())

    def post(self, call: Call, /) -> None:
        """See `Dispatcher.post`."""
        self._owner.check()
        self._posted.append(call)

    def later(self, seconds: float, call: Call, /) -> None:
        """See `Dispatcher.later`."""
        self._owner.check()
        heapq.heappush(self._timers, (self._clock() + seconds, next(self._count), call))

    def on_close(self, call: Call, /) -> Call:
        """See `Dispatcher.on_close`."""
        return self._owner.on_close(call)

    def close(self) -> None:
        """The render loop is over: nothing is called from now on. On the UI thread; again: nothing."""
        self._owner.close()
        self._posted.clear()
        self._timers.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
