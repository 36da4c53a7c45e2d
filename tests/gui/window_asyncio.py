"""A window of a toolkit that lives on an asyncio loop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamkit.gui import AsyncioDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class AsyncioWindow:
    early = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.dispatcher = AsyncioDispatcher(loop)

    def run(self, begin: Callable[[], object]) -> None:
        self.loop.call_soon(begin)
        self.loop.run_forever()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)

    def destroy(self) -> None:
        self.dispatcher.close()


@contextmanager
def open_window() -> Iterator[AsyncioWindow]:
    loop = asyncio.SelectorEventLoop()
    try:
        yield AsyncioWindow(loop)
    finally:
        loop.close()
