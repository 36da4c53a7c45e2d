"""`PendingValues`: numbers that come one at a time, and are recorded some hundred at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PendingValues"]

_MOST: Final = 256
"""At some microseconds each, that many do not hold up the loop for longer than a slice of the pump's work."""
_LONGEST: Final = 1.0
"""Seconds: what collects metrics does so every 10 to 60."""


class PendingValues:
    """Numbers on their way into a metric, so that the metric's work does not come between the listeners of each chunk.

    Args:
        take: called with at least one and at most 256 numbers, in the order in which they came: when there are so many, with
            the first that comes more than a second after the last call, and by `flush`.
        since: the time from which that second counts.

    >>> values = PendingValues(print, since=0.0)
    >>> values.add(0.25, at=0.25)
    >>> values.add(0.5, at=0.75)
    >>> values.add(0.5, at=1.25)
    [0.25, 0.5, 0.5]
    >>> values.flush()
    """

    def __init__(self, take: Callable[[list[float]], None], since: float) -> None:
        self._take = take
        self._until = since + _LONGEST
        self._waiting: list[float] = []

    def add(self, number: float, at: float) -> None:
        """Take in one more; `at` is the time, by the clock of `since`."""
        waiting = self._waiting
        waiting.append(number)
        if len(waiting) == _MOST or at > self._until:
            self._until = at + _LONGEST
            self.flush()

    def flush(self) -> None:
        """Pass on what waits, if anything does."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._take(waiting)
