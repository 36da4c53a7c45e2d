"""Reads on while the pump waits for a listener.

aiohttp throws away what it holds unread when a connection is cut. So nothing may lie there while the pump does something else:
it is moved into a backlog, up to a limit; past that, TCP's own back-pressure holds the server.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ..errors import StreamError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from .source import Source

__all__ = ["BACKLOG_BYTES", "EagerReader"]

BACKLOG_BYTES = 4 * 2**20
"""How much is read ahead of the listeners."""


class EagerReader:
    """The reads of one attempt, each stamped with the loop's clock when it came."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._backlog: deque[tuple[float, bytes | StreamError]] = deque()
        self._bytes = 0
        self.at = self._loop.time()
        """When the bytes that `read` returned last came from the socket."""

    @property
    def has_backlog(self) -> bool:
        """`read` returns at once."""
        return bool(self._backlog)

    async def read(self) -> bytes:
        """The next bytes, b"" at a clean end; raises StreamError when all that came before the cut has been read."""
        if self._backlog:
            self.at, item = self._backlog.popleft()
            if isinstance(item, StreamError):
                raise item
            self._bytes -= len(item)
            return item
        data = await self._source.read()
        self.at = self._loop.time()
        return data

    async def breathe(self) -> None:
        """Let the other tasks of the loop run, and take over what came meanwhile."""
        await asyncio.sleep(0)
        if self._bytes < BACKLOG_BYTES and (data := self._source.read_nowait()):
            self._keep(data)

    async def beside(self, waiting: Awaitable[None]) -> None:
        """Wait for something that may take long, and read on meanwhile."""
        ahead = self._loop.create_task(self._read_ahead())
        try:
            await waiting
        finally:
            ahead.cancel()
            await asyncio.wait([ahead])

    async def _read_ahead(self) -> None:
        while self._bytes < BACKLOG_BYTES:
            if self._backlog and ((last := self._backlog[-1][1]) == b"" or isinstance(last, StreamError)):
                return  # the end has been read
            try:
                data = await self._source.read()
            except StreamError as error:
                self._backlog.append((self._loop.time(), error))
                return
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._bytes += len(data)
        self._backlog.append((self._loop.time(), data))
