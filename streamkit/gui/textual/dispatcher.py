"""`TextualDispatcher`: the event loop of a Textual app."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.app import App
from textual.dom import DOMNode

from ..dispatcher import DispatcherClosed, Owner

if TYPE_CHECKING:
    from textual.worker import Worker

    from ..dispatcher import Call

__all__ = ["WORKERS", "TextualDispatcher", "is_mounted"]

WORKERS = "streamkit"
"""The group of the workers that live as long as a widget does."""


class TextualDispatcher:
    """Calls functions in a Textual app's event loop, for as long as a widget, a screen or the app lives.

    What is called has the context in which this was made: `app` is found, and a timer that is set there fires.
    `App.call_from_thread` is not used: it waits for the app, and so would stop the stream whenever the app is busy.

    Args:
        node: a widget, a screen or the app, whose unmounting closes the dispatcher. While someone waits for that (`on_close`, and
            so every stream that is shown), a worker of the node does, in the group "streamkit"; cancelling it is taken for
            the end of the node.

    Make it in the app, in `on_mount` or later.

    Raises:
        TypeError: `node` is no part of a Textual app.
        RuntimeError: made outside the app's event loop.
        DispatcherClosed: the node is not mounted (any more).
    """

    def __init__(self, node: DOMNode) -> None:
        if not isinstance(node, DOMNode):
            raise TypeError(f"node must be a widget, a screen or an app of Textual, not a {type(node).__name__}")
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "no event loop runs here: make the TextualDispatcher in the app, in on_mount or later"
            ) from None
        if not is_mounted(node):
            raise DispatcherClosed(f"the {type(node).__name__} is not mounted: nothing can be shown there")
        self._node = node
        self._owner = Owner(f"the {type(node).__name__}")
        self._waiting = 0
        """For how many, and so whether the worker runs."""
        self._enough = asyncio.Event()

    def post(self, call: Call, /) -> None:
        """See `Dispatcher.post`."""
        self._check()
        self._post(partial(self._call, call))

    def later(self, seconds: float, call: Call, /) -> None:
        """See `Dispatcher.later`."""
        self._check()
        self._loop.call_later(seconds, self._call, call)

    def on_close(self, call: Call, /) -> Call:
        """See `Dispatcher.on_close`."""
        self._check()
        forget = self._owner.on_close(call)
        self._post(partial(self._wait_for, +1))
        forgotten = False

        def take_back() -> None:
            nonlocal forgotten
            forget()
            if not forgotten:
                forgotten = True
                try:
                    self._post(partial(self._wait_for, -1))
                except DispatcherClosed:
                    pass

        return take_back

    def close(self) -> None:
        """Nothing is called from now on, though the node may live; in the app's thread. Again: nothing."""
        self._owner.close()
        self._enough.set()

    def _check(self) -> None:
        if not self._owner.closed and not self._node.is_running:
            self._owner.closed = True
            self._post(self.close)
        self._owner.check()

    def _post(self, call: Call) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            if not self._loop.is_closed():
                raise
            self._owner.closed = True
            self._owner.check()

    def _call(self, call: Call) -> None:
        if is_mounted(self._node):
            self._owner.call(call)
        else:
            self.close()

    def _wait_for(self, more: int) -> None:
        before, self._waiting = self._waiting, self._waiting + more
        if self._owner.closed:
            return
        if not is_mounted(self._node):
            self.close()
        elif not self._waiting:
            self._enough.set()
        elif not before:
            self._enough = asyncio.Event()
            self._worker: Worker[None] = self._node.run_worker(
                partial(self._wait, self._enough), "streamkit", WORKERS, exit_on_error=False
            )

    async def _wait(self, enough: asyncio.Event) -> None:
        try:
            await enough.wait()
        except asyncio.CancelledError:
            self.close()
            raise


def is_mounted(node: DOMNode) -> bool:
    """Whether a node is part of an app that runs; in the app's thread."""
    return node.is_running and (isinstance(node, App) or node.is_attached)
