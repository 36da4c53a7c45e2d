"""The bounded queue between the pump and somebody who iterates over events."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from .mailbox import Post

__all__ = ["EventFeed"]

_T = TypeVar("_T")


class EventFeed(Generic[_T]):
    """The bounded queue between the pump and one iterator."""

    def __init__(self, post: Post, maxsize: int, event: str = "") -> None:
        self.event = event
        self.named = False
        """A log record has said that it is not read."""
        self.queue: deque[_T] = deque()
        self.closed = False
        self.paused = False
        """Whoever waited for an event was cancelled: it may never come back, and nobody is to wait for it."""
        self._post = post
        self._maxsize = maxsize
        self._wake: asyncio.Future[None] | None = None
        post.feeds.append(self)

    @property
    def full(self) -> bool:
        """The pump must wait."""
        return len(self.queue) >= self._maxsize and not self.closed and not self.paused

    def put(self, payload: _T) -> None:
        """Add an event; the pump looks at `full` after each chunk."""
        queue = self.queue
        queue.append(payload)
        if len(queue) >= self._maxsize:
            self._post.attention = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def take(self) -> _T:
        """The next event; there must be one."""
        self.paused = False
        payload = self.queue.popleft()
        if len(self.queue) == self._maxsize - 1:
            self._post.moved()
        return payload

    async def wait(self) -> None:
        """Wait for an event, or for `close`; one task at a time."""
        if self._wake is not None:
            raise RuntimeError("two tasks cannot wait on one iterator: make one for each with stream.events()")
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    def close(self) -> None:
        """No more events come."""
        self.closed = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def moved(self) -> None:
        """The pump may look again whether it still has to wait."""
        self._post.moved()

    def abandon(self) -> None:
        """Nobody takes events any more: the pump need not wait."""
        self.closed = True
        self.queue.clear()
        if self in self._post.feeds:
            self._post.feeds.remove(self)
        self._post.moved()
