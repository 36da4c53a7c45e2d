"""The signal that ends a server, heard in time.

ASGI servers tell an application that they are shutting down after its responses have ended, and a stream ends late or never: they
wait for each other. So whoever has streams open hears SIGTERM and SIGINT with the server: its handler is kept and called. A
worker of Hypercorn's gets no signal: its parent sets an event, which the worker looks at ten times a second. So does this.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["hear_shutdown"]

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))

_LOOK_SECONDS: Final = 0.1

_listeners: dict[object, Callable[[], object]] = {}
_replaced: dict[int, Any] = {}
"""The handlers that were there before ours, by signal; a process has one of each, which is why this is no object's."""
_passing_on: set[int] = set()
"""The signals that the handler before ours is being called with."""
_looks: list[asyncio.TimerHandle] = []
"""The next look at the event that a parent sets, if there is to be one."""


def hear_shutdown(listener: Callable[[], object]) -> Callable[[], None]:
    """Call `listener` in the main thread when the process is told to end; returns what undoes that.

    At once, if a server that shows it was told before: a response may begin after the signal. (Uvicorn and Hypercorn do.)
    The handler that is there is called after it. Outside the main thread, where Python sets no handlers, nothing happens. The
    handler that was there comes back with the last listener's leaving, unless somebody has put another one over ours. In a worker
    of Hypercorn's, call this with its event loop running, which then calls `listener`.

    >>> stop_hearing = hear_shutdown(lambda: print("told"))
    >>> stop_hearing()
    """
    token = object()
    _listeners[token] = listener
    _look_at_event()
    for number in _SIGNALS:
        there = signal.getsignal(number)
        # None: a handler that is not Python's, and that Python could not put back.
        if there is None or there in (signal.SIG_IGN, _heard):
            continue
        try:
            signal.signal(number, _heard)
        except ValueError:  # not the main thread
            break
        _replaced[number] = there
    if _is_ending():
        listener()

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


def _tell() -> None:
    for listener in list(_listeners.values()):
        listener()


def _is_ending() -> bool:
    """Whether the server that has a handler here was told already: nobody will tell it again."""
    # Uvicorn's handler is a method of its server, which has this attribute. Of Granian nothing can be seen from here.
    return any(getattr(getattr(there, "__self__", None), "should_exit", False) for there in _replaced.values())


def _heard(number: int, frame: Any) -> None:  # noqa: ANN401 - a frame, of no interest
    if number in _passing_on:  # by a handler that was put over ours, calls it, and has ours over it by now
        return
    _tell()
    there = _replaced.get(number)
    if callable(there):
        _passing_on.add(number)
        try:
            there(number, frame)
        finally:
            _passing_on.discard(number)
    else:  # the default: to die of it
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _event() -> Any:  # noqa: ANN401 - of multiprocessing, which is not imported where nobody has done so
    """What Hypercorn's parent process sets; None in any other process."""
    module = sys.modules.get("multiprocessing.process")
    # Hypercorn gives it to its worker as this argument, and to nobody else; there is no public way to it.
    arguments = getattr(module.current_process(), "_kwargs", {}) if module is not None else {}
    event = arguments.get("shutdown_event")
    return event if hasattr(event, "is_set") else None


def _look_at_event() -> None:
    """Look at the event while somebody listens, and tell all when it is set.

    Waiting for it in a thread is no way: who sets a multiprocessing event waits for all that wait for it, a killed worker too.
    """
    if _looks or (event := _event()) is None:
        return
    loop = asyncio.get_running_loop()

    def look() -> None:
        _looks.clear()
        if event.is_set():
            _tell()
        elif _listeners:
            _looks.append(loop.call_later(_LOOK_SECONDS, look))

    _looks.append(loop.call_later(_LOOK_SECONDS, look))
