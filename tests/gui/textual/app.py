"""An app with one widget and a Stop button, in a test; and a stream on its loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from streamkit import CompletionStream, StreamError
from streamkit.testing import chunk, sse
from tests.conftest import require_or_skip

from ...stream.scripted import END, ScriptedSource
from ..contract import SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from textual.app import App
    from textual.widget import Widget


def need_textual() -> None:
    try:
        import textual  # noqa: F401 - only whether it is there
    except ImportError:
        require_or_skip("textual is not installed: pip install 'streamkit-asyncio[textual]'")


@asynccontextmanager
async def app_of(*make: Callable[[], Widget], size: tuple[int, int] = (60, 12)) -> AsyncIterator[tuple[App[None], Any]]:
    """Run an app with these widgets, made inside it; yields it and its pilot."""
    need_textual()
    from textual.app import App

    class SomeApp(App[None]):
        def compose(self) -> Any:
            for each in make:
                yield each()

    app = SomeApp()
    async with app.run_test(size=size) as pilot:
        yield app, pilot


class Fed:
    """A stream on this loop, and what its server says."""

    def __init__(self) -> None:
        self._source = ScriptedSource()
        self.stream = CompletionStream(self._source)

    async def start(self) -> None:
        self.stream.start()
        await self.stream.wait_for("connect")

    def say(self, *texts: str, **delta: Any) -> None:
        chunks = [chunk(**delta)] if delta else map(chunk, texts)
        self._source.push(sse(*chunks, done=False))

    def finish(self, reason: str = "stop") -> None:
        self._source.push(sse(chunk(finish_reason=reason)), END)

    def fail(self, error: StreamError) -> None:
        self._source.push(error)


async def until(met: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not met():
        assert time.monotonic() - begun < SECONDS, "it did not come"
        await asyncio.sleep(0.005)
