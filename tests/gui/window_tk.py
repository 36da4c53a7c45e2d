"""A window of tkinter, on a display of its own where there is none."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from tests.conftest import require_or_skip

if TYPE_CHECKING:
    import tkinter as tk
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from streamkit.gui.tk import TkDispatcher


@cache
def display() -> str:
    """An Xvfb of this process, on a display number that it found free itself; ends with the process."""
    if (xvfb := shutil.which("Xvfb")) is None:
        require_or_skip("Xvfb is not installed: apt install xvfb")
    # -noreset: else it starts anew whenever its last client leaves, and whoever comes in between is turned away.
    command = [xvfb, "-displayfd", "1", "-screen", "0", "1280x1024x24", "-noreset", "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    with server.stdout:
        number = server.stdout.readline().strip()
    assert number, "Xvfb did not start"

    def end() -> None:
        server.terminate()
        server.wait(5)

    atexit.register(end)
    return f":{number}"


def root() -> tk.Tk:
    """A window of tkinter on the display."""
    try:
        import tkinter as tk
    except ImportError:
        require_or_skip("tkinter is not installed: apt install python3-tk")
    if sys.platform == "linux":
        os.environ["DISPLAY"] = display()
    return tk.Tk()


class TkWindow:
    early = True

    def __init__(self, poll: float | None) -> None:
        import tkinter as tk

        from streamkit.gui.tk import TkDispatcher

        self.root = root()
        self.frame = tk.Frame(self.root)
        self.frame.pack()
        self.dispatcher: TkDispatcher = TkDispatcher(self.frame, poll=poll)
        # `stop` has to work from any thread, and when the dispatcher is closed.
        self._stopper = TkDispatcher(self.root)

    def run(self, begin: Callable[[], object]) -> None:
        self.root.after(0, begin)
        self.root.mainloop()

    def stop(self) -> None:
        self._stopper.post(self.root.quit)

    def destroy(self) -> None:
        self.frame.destroy()


@contextmanager
def open_window(poll: float | None = None) -> Iterator[TkWindow]:
    window = TkWindow(poll)
    try:
        yield window
    finally:
        window.root.destroy()


def open_polled_window() -> AbstractContextManager[TkWindow]:
    """As on Windows, where Tk watches no sockets."""
    return open_window(0.015)
