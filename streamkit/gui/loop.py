"""`AsyncioDispatcher`: for user interfaces that run on an asyncio loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .dispatcher import DispatcherClosed, Owner

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .dispatcher import Call

__all__ = ["AsyncioDispatcher"]


class AsyncioDispatcher:
    """Calls functions on an asyncio loop: qasync, Textual, NiceGUI, Jupyter, or any other that a user interface lives on.

    Make it where the interface is (in a handler of it), so that what is called finds the context of the interface there:
    Textual's app, NiceGUI's client.

    Args:
        loop: default the one that runs.

    An asyncio loop tells nobody when it ends: `close()` the dispatcher when what it shows is gone, or use it in a `with` block.

    Raises:
        RuntimeError: no loop was given, and none runs.

    >>> async def main():
    ...     with AsyncioDispatcher() as dispatcher:
    ...         dispatcher.post(lambda: print("soon"))
    ...         await asyncio.sleep(0)
    >>> asyncio.run(main())
    soon
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if loop is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise RuntimeError(
                    "no event loop runs here: make the AsyncioDispatcher inside async code, or give it the loop"
                ) from None
        self._loop = loop
        self._owner = Owner("the event loop's user interface")

    def post(self, call: Call, /) -> None:
        """See `Dispatcher.post`."""
        self._owner.check()
        try:
            self._loop.call_soon_threadsafe(self._owner.call, call)
        except RuntimeError:
            self._check_loop()
            raise

    def later(self, seconds: float, call: Call, /) -> None:
        """See `Dispatcher.later`."""
        self._owner.check()
        try:
            self._loop.call_later(seconds, self._owner.call, call)
        except RuntimeError:
            self._check_loop()
            raise

    def on_close(self, call: Call, /) -> Call:
        """See `Dispatcher.on_close`."""
        return self._owner.on_close(call)

    def close(self) -> None:
        """What it shows is gone: nothing is called from now on. On the loop's thread; again: nothing."""
        self._owner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _check_loop(self) -> None:
        if self._loop.is_closed():
            raise DispatcherClosed(
                "the event loop of the user interface is closed: nothing can be shown there any more"
            )
