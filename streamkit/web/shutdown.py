"""The signal that ends a server, heard in time.

ASGI servers tell an application that they are shutting down after its responses have ended, and a stream ends late or never: they
wait for each other. So whoever has streams open hears SIGTERM and SIGINT with the server: its handler is kept and called.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hear_shutdown"]

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))

_listeners: dict[object, Callable[[], object]] = {}
_replaced: dict[int, Any] = {}
"""The handlers that were there before ours, by signal; a process has one of each, which is why this is no object's."""


def hear_shutdown(listener: Callable[[], object]) -> Callable[[], None]:
    """Call `listener` in the main thread when the process is told to end; returns what undoes that.

    The handler that is there is called after it. Outside the main thread, where Python sets no handlers, nothing happens. The
    handler that was there comes back with the last listener's leaving, unless somebody has put another one over ours.

    >>> stop_hearing = hear_shutdown(lambda: print("told"))
    >>> stop_hearing()
    """
    token = object()
    _listeners[token] = listener
    for number in _SIGNALS:
        if number in _replaced:
            continue
        there = signal.getsignal(number)
        # None: a handler that is not Python's, and that Python could not put back.
        if there is not None and there != signal.SIG_IGN:
            try:
                signal.signal(number, _heard)
            except ValueError:  # not the main thread
                break
            _replaced[number] = there

    def stop_hearing() -> None:
        _listeners.pop(token, None)
        if _listeners:
            return
        for number, there in list(_replaced.items()):
            if signal.getsignal(number) == _heard:
                try:
                    signal.signal(number, there)
                except ValueError:  # not the main thread: ours stays, and only passes on
                    continue
                del _replaced[number]

    return stop_hearing


def _heard(number: int, frame: Any) -> None:  # noqa: ANN401 - a frame, of no interest
    for listener in list(_listeners.values()):
        listener()
    there = _replaced.get(number)
    if callable(there):
        there(number, frame)
    else:  # the default: to die of it
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
