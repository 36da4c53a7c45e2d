"""`async for` over the events of a stream: the pull side of a push stream, bounded."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ..feed import EventFeed

__all__ = ["EventIterator"]

_T = TypeVar("_T")

SLICE_SECONDS = 0.01
"""How long a loop that never has to wait for an event may keep the others waiting."""


class EventIterator(Generic[_T]):
    """Yields payloads until the stream is over, then raises what the stream ended with, if it did not end well.

    Leaving the loop, `aclose()`, or dropping the iterator unsubscribes.
    """

    def __init__(
        self,
        feed: EventFeed[_T],
        *,
        finish: Callable[[], None],
        left: Callable[[], None],
        cancelled: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._feed = feed
        self._finish = finish
        self._left = left
        self._cancelled = cancelled
        self._until = 0.0
        self._open = True

    def __aiter__(self) -> EventIterator[_T]:
        return self

    async def __anext__(self) -> _T:
        feed = self._feed
        if not feed.queue:
            await self._wait()
        elif time.perf_counter() > self._until:
            await self._or_cancel(asyncio.sleep(0))
            self._until = time.perf_counter() + SLICE_SECONDS
        return feed.take()

    async def aclose(self) -> None:
        """Unsubscribe; the iterator is at its end."""
        self._leave()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._open:
            self._open = False
            self._left()

    async def _wait(self) -> None:
        feed = self._feed
        while not feed.queue:
            if feed.closed or not self._open:
                was_open, self._open = self._open, False
                if was_open:
                    self._finish()
                raise StopAsyncIteration
            await self._or_cancel(feed.wait())
        self._until = time.perf_counter() + SLICE_SECONDS

    async def _or_cancel(self, waiting: Awaitable[None]) -> None:
        """Wait; if that is cancelled, and this iteration started the stream, the stream ends first."""
        self._feed.paused = False
        try:
            await waiting
        except asyncio.CancelledError:
            # The traceback may keep this iterator alive; the pump must not wait for it until it is used again.
            self._feed.paused = True
            self._feed.moved()
            if self._cancelled is not None:
                await self._cancelled()
            raise
