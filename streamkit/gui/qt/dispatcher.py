"""`QtDispatcher`: the thread of Qt, which needs no asyncio."""

from __future__ import annotations

import threading
from collections import deque
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..dispatcher import Owner
from .binding import binding_of, running_application

if TYPE_CHECKING:
    from PySide6.QtCore import QObject

    from ..dispatcher import Call

__all__ = ["QtDispatcher"]


class QtDispatcher:
    """Calls functions on Qt's thread, by a queued signal; that thread needs no asyncio.

    Args:
        owner: the object, mostly a window, with whose end this one ends; default the QApplication. Also the end of the
            application's `exec()` ends it.

    Make it on Qt's thread: one for a window, not one for each stream. What a call raises is reported by the binding, as for any
    slot: PySide6 prints it, PyQt6 ends the process unless `sys.excepthook` is the program's own.

    Raises:
        TypeError: `owner` is no QObject.
        RuntimeError: this is not the owner's thread; or there is neither an owner nor a QApplication.
        ModuleNotFoundError: neither an owner, nor a binding.

    >>> import os
    >>> os.environ["QT_QPA_PLATFORM"] = "offscreen"  # only where there is no display
    >>> from streamkit.gui.qt import application
    >>> app = application()
    >>> dispatcher = QtDispatcher()
    >>> dispatcher.post(lambda: print("on Qt's thread"))
    >>> dispatcher.post(app.quit)
    >>> app.exec()
    on Qt's thread
    0
    """

    def __init__(self, owner: QObject | None = None) -> None:
        target: Any = running_application() if owner is None else owner
        binding = binding_of(target, "QObject", "owner")
        core: Any = import_module(f"{binding}.QtCore")
        if target.thread() != core.QThread.currentThread():
            raise RuntimeError(
                "a QtDispatcher must be made on its owner's thread, which for widgets is Qt's main thread"
            )
        self._owner = Owner("the window")
        self._calls: deque[Call] = deque()
        # Held while another thread uses the bridge, and while this one lets go of it. Re-entrant, because a finaliser that
        # posts may run anywhere.
        self._lock = threading.RLock()
        self._bridge = _bridge_class(binding)(target, self._call_next, self.close)
        # A method of a QObject, so that Qt takes the connections back with it.
        target.destroyed.connect(self._bridge.over)
        core.QCoreApplication.instance().aboutToQuit.connect(self._bridge.over)

    def post(self, call: Call, /) -> None:
        """See `Dispatcher.post`."""
        with self._lock:
            self._owner.check()
            self._calls.append(call)
            self._bridge.posted.emit()

    def later(self, seconds: float, call: Call, /) -> None:
        """See `Dispatcher.later`."""
        self._owner.check()
        self._bridge.call_later(max(round(seconds * 1000), 0), lambda: self._owner.call(call))

    def on_close(self, call: Call, /) -> Call:
        """See `Dispatcher.on_close`."""
        return self._owner.on_close(call)

    def close(self) -> None:
        """Nothing is called from now on, though the owner may live; on Qt's thread. Again: nothing."""
        with self._lock:
            if self._owner.closed:
                return
            self._owner.closed = True  # nobody uses the bridge any more
        self._calls.clear()
        self._owner.close()
        self._bridge.deleteLater()

    def _call_next(self) -> None:
        if self._calls:
            self._owner.call(self._calls.popleft())


@cache
def _bridge_class(binding: str) -> Any:  # noqa: ANN401 - which binding is known at run time only
    core: Any = import_module(f"{binding}.QtCore")

    class Bridge(core.QObject):  # type: ignore[misc]  # likewise
        """A child of the owner: so Qt deletes it on the right thread, whichever lets go of the dispatcher last."""

        posted = core.Signal() if binding == "PySide6" else core.pyqtSignal()

        def __init__(self, parent: object, call_next: Call, over: Call) -> None:
            super().__init__(parent)
            self._call_next = call_next
            self._over = over
            self._timers: dict[int, Call] = {}
            # Queued on the same thread, too: else what is posted there would overtake.
            self.posted.connect(self.call_next, core.Qt.ConnectionType.QueuedConnection)

        def call_next(self) -> None:
            self._call_next()

        def over(self) -> None:
            self._over()

        def call_later(self, milliseconds: int, call: Call) -> None:
            # Not QTimer.singleShot: the form of it that ends with an object is not in every version.
            self._timers[self.startTimer(milliseconds, core.Qt.TimerType.PreciseTimer)] = call

        def timerEvent(self, event: Any) -> None:  # noqa: ANN401, N802 - Qt's name
            self.killTimer(event.timerId())
            if (call := self._timers.pop(event.timerId(), None)) is not None:
                call()

    return Bridge
