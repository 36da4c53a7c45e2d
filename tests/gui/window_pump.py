"""A window of a program that draws in a loop of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamkit.gui import PumpDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class PumpWindow:
    early = True

    def __init__(self, dispatcher: PumpDispatcher) -> None:
        self.dispatcher = dispatcher
        self.stopped = threading.Event()

    def run(self, begin: Callable[[], object]) -> None:
        begin()
        while not self.stopped.wait(1 / 240):
            self.dispatcher.pump()

    def stop(self) -> None:
        self.stopped.set()

    def destroy(self) -> None:
        self.dispatcher.close()


@contextmanager
def open_window() -> Iterator[PumpWindow]:
    with PumpDispatcher() as dispatcher:
        yield PumpWindow(dispatcher)
