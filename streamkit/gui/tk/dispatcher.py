"""`TkDispatcher`: the event loop of tkinter."""

from __future__ import annotations

import math
import socket
import sys
import threading
import tkinter as tk
from collections import deque
from typing import TYPE_CHECKING

from ..dispatcher import Owner

if TYPE_CHECKING:
    from ..dispatcher import Call

__all__ = ["TkDispatcher", "exists"]

POLL_SECONDS = 0.015
"""How often the pump looks, where Tk cannot watch a socket."""

# Kept until the process exits: Tcl aborts it when an interpreter is freed in another thread than its own, and what a stream let
# go of (a listener that knows the window, garbage) is freed in the stream's thread.
_interpreters: set[object] = set()


class TkDispatcher:
    """Calls functions in tkinter's event loop, for as long as a widget lives.

    Never calls Tk from another thread: that would wait until the event loop has time for it, and so stop the stream while the
    window is busy; and before `mainloop()` it fails after a second. On Unix, `post` writes a byte to a socket that Tk watches;
    on Windows, where Tk can watch none, Tk looks every 15 ms whether something was posted.

    Args:
        widget: a widget, or the window (`tkinter.Tk()`). Its `<Destroy>` closes the dispatcher.
        poll: look so often, in seconds, instead of what is best for the system.

    Make it in the thread of the window. What a posted function raises goes to the window's `report_callback_exception`, which
    prints it.

    Raises:
        TypeError, ValueError: not a widget, a time that makes no sense.
        DispatcherClosed: the widget is destroyed already.
    """

    def __init__(self, widget: tk.Misc, *, poll: float | None = None) -> None:
        if not isinstance(widget, tk.Misc):
            raise TypeError(f"widget must be a tkinter widget or window, not a {type(widget).__name__}")
        if poll is not None and not 0 < poll < math.inf:
            raise ValueError(f"poll must be a number of seconds, more than 0, not {poll!r}")
        _interpreters.add(widget.tk)
        self._owner = Owner(f"the tkinter widget {widget}")
        if not exists(widget):
            self._owner.close()
            self._owner.check()
        self._root: tk.Misc | None = widget.nametowidget(".")
        """None once it is closed: then nothing of Tk is held that another thread could be the last to let go."""
        self._posted: deque[Call] = deque()
        self._timers: set[str] = set()
        self._lock = threading.Lock()  # nobody writes to a number that has become another file's
        self._wakers: tuple[socket.socket, socket.socket] | None = None
        self._path = str(widget)
        widget.bind("<Destroy>", self._destroyed, add="+")
        if poll is None and hasattr(widget.tk, "createfilehandler"):
            self._wakers = socket.socketpair()
            for waker in self._wakers:
                waker.setblocking(False)
            widget.tk.createfilehandler(self._wakers[0], tk.READABLE, self._woken)
        else:
            self._poll = poll or POLL_SECONDS
            self._look()

    def post(self, call: Call, /) -> None:
        """See `Dispatcher.post`."""
        self._owner.check()
        self._posted.append(call)
        self._wake()

    def later(self, seconds: float, call: Call, /) -> None:
        """See `Dispatcher.later`."""
        self._owner.check()
        assert self._root is not None

        def due() -> None:
            self._timers.discard(timer)
            self._owner.call(call)

        # Of the root: the widget's own would be left to fail, with a message, when the widget is destroyed.
        timer = self._root.after(math.ceil(max(seconds, 0.0) * 1000), due)
        self._timers.add(timer)

    def on_close(self, call: Call, /) -> Call:
        """See `Dispatcher.on_close`."""
        return self._owner.on_close(call)

    def close(self) -> None:
        """Nothing is called from now on. In the window's thread; again: nothing."""
        if (root := self._root) is None:
            return
        self._root = None
        for timer in self._timers:
            root.after_cancel(timer)
        if self._wakers is not None:
            root.tk.deletefilehandler(self._wakers[0])
        with self._lock:
            wakers, self._wakers = self._wakers, None
        for waker in wakers or ():
            waker.close()
        self._owner.close()
        self._posted.clear()

    def _destroyed(self, event: tk.Event[tk.Misc]) -> None:
        # A window hears it of the widgets in it, too.
        if str(event.widget) == self._path:
            self.close()

    def _wake(self) -> None:
        with self._lock:
            if self._wakers is not None:
                try:
                    self._wakers[1].send(b"\0")
                except BlockingIOError:
                    pass  # full of bytes that will wake it

    def _woken(self, waker: socket.socket, mask: int) -> None:
        try:
            waker.recv(4096)
        except BlockingIOError:
            pass  # read by the event loop of a dialog
        self._call_posted()

    def _look(self) -> None:
        if self._root is not None:
            # First, so that it goes on where a call opens a dialog, and with it an event loop of its own.
            self.later(self._poll, self._look)
            self._call_posted()

    def _call_posted(self) -> None:
        count = len(self._posted)
        if count > 1:
            self._wake()  # for the rest, if one of them opens a dialog
        for _ in range(count):
            if not self._posted:
                break  # taken by the event loop of such a dialog, or closed
            call, root = self._posted.popleft(), self._root
            try:
                self._owner.call(call)
            except Exception:  # noqa: BLE001 - reported as Tk reports any callback; from here it would end mainloop
                assert root is not None
                getattr(root, "report_callback_exception")(*sys.exc_info())  # noqa: B009 - unknown to the stubs of Misc


def exists(widget: tk.Misc) -> bool:
    """Whether a widget is not destroyed; in the window's thread."""
    try:
        return bool(widget.winfo_exists())
    except tk.TclError:  # so is the whole application
        return False
