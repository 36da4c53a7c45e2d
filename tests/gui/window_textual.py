"""An app of Textual, without a terminal."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.conftest import require_or_skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamkit.gui.textual import TextualDispatcher


class TextualWindow:
    early = False  # its widgets live in a running app only

    def __init__(self) -> None:
        from textual.app import App
        from textual.widgets import Log

        class LogApp(App[None]):
            def compose(self) -> Iterator[Log]:
                yield Log()

        self.app: App[None] = LogApp()
        self.log = Log
        self._dispatcher: TextualDispatcher | None = None
        self.loop: Any = None

    @property
    def dispatcher(self) -> TextualDispatcher:
        if self._dispatcher is None:
            raise RuntimeError("the app does not run yet")
        return self._dispatcher

    def run(self, begin: Callable[[], object]) -> None:
        asyncio.run(self._run(begin), debug=True)

    async def _run(self, begin: Callable[[], object]) -> None:
        from streamkit.gui.textual import TextualDispatcher

        self.loop = asyncio.get_running_loop()
        self.loop.slow_callback_duration = 10  # the first layout takes a while, and is not ours to hurry
        async with self.app.run_test() as pilot:
            self.ended = asyncio.Event()
            self._dispatcher = TextualDispatcher(self.app.query_one(self.log))
            begin()
            await self.ended.wait()
            await pilot.pause()

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)

    def destroy(self) -> None:
        self.app.query(self.log).remove()


@contextmanager
def open_window() -> Iterator[TextualWindow]:
    try:
        import textual  # noqa: F401 - only whether it is there
    except ImportError:
        require_or_skip("textual is not installed: pip install 'streamkit-asyncio[textual]'")
    yield TextualWindow()
