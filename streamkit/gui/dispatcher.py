"""How to reach the thread of a user interface from another one: the protocol that every toolkit's adapter fulfils."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ..errors import StreamkitError

__all__ = ["Call", "Dispatcher", "DispatcherClosed", "Owner"]

Call: TypeAlias = Callable[[], object]
"""What is posted: a function without arguments, whose result nobody looks at."""

log = logging.getLogger("streamkit.gui")


class DispatcherClosed(StreamkitError, RuntimeError):
    """What the dispatcher belongs to (a widget, a window, an event loop) is gone: nothing can be called there any more."""


@runtime_checkable
class Dispatcher(Protocol):
    """Calls functions on the thread of a user interface.

    They are called in the context (`contextvars`) in which the dispatcher was made, which is that of the user interface.
    What they raise is the toolkit's to report, as it reports any callback of its own.

    Adapters: `AsyncioDispatcher`, `PumpDispatcher`, `qt.QtDispatcher`, `tk.TkDispatcher`. One of your own needs these three.
    """

    def post(self, call: Call, /) -> None:
        """Call a function on the UI thread, soon, after what was posted before.

        From any thread. Returns at once, even where the UI is blocked or its loop has not begun.

        Raises:
            DispatcherClosed: its owner is gone.
        """

    def later(self, seconds: float, call: Call, /) -> None:
        """Call a function once, that much later. On the UI thread only.

        Raises:
            DispatcherClosed: its owner is gone.
        """

    def on_close(self, call: Call, /) -> Call:
        """Call a function when the owner dies; on the UI thread. From any thread.

        Returns:
            A function that takes this back; it does nothing if it is too late.

        Raises:
            DispatcherClosed: its owner is gone already.
        """
        ...


class Owner:
    """What adapters are made of: whether what they belong to lives, who wants to know of its death, and its context.

    Args:
        name: what it is, for the message of DispatcherClosed: "the window".

    >>> owner = Owner("the window")
    >>> forget = owner.on_close(lambda: print("closed"))
    >>> owner.call(lambda: print("called"))
    called
    >>> owner.close()
    closed
    >>> owner.call(print)
    >>> owner.check()
    Traceback (most recent call last):
      ...
    streamkit.gui.dispatcher.DispatcherClosed: the window is closed: nothing can be shown there any more
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._context = contextvars.copy_context()
        self._on_close: dict[object, Call] = {}  # by a key of its own each: one function may be there twice
        self.closed = False

    def check(self) -> None:
        """Raise DispatcherClosed if it is closed."""
        if self.closed:
            raise DispatcherClosed(f"{self._name} is closed: nothing can be shown there any more")

    def call(self, call: Call) -> None:
        """Call a function in the owner's context, unless it is closed; on the UI thread."""
        if not self.closed:
            self.run(call)

    def run(self, call: Callable[..., object], *args: Any) -> None:  # noqa: ANN401 - as it is called
        """Call a function in the owner's context."""
        # A copy, because a context cannot be entered twice, and a modal dialog calls from inside a call.
        self._context.copy().run(call, *args)

    def on_close(self, call: Call) -> Call:
        """See `Dispatcher.on_close`."""
        self.check()
        key = object()
        self._on_close[key] = call
        return lambda: self._on_close.pop(key, None)

    def close(self) -> None:
        """Nothing is called from now on, but who asked to hear of that does, once; on the UI thread."""
        self.closed = True
        while self._on_close:
            call = self._on_close.pop(next(iter(self._on_close)))
            try:
                self.run(call)
            except Exception:
                log.exception("what was to be called when %s closed raised", self._name)
