"""One window, one stream: ``python -m benchmarks.windows_probe TOOLKIT WAY TOKENS BASE_URL [--stop]`` prints JSON.

``stall`` and ``seconds``; ``whole``, whether the widget has the text as it came; ``stopped_at`` on the monotonic clock.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from streamkit import CompletionStream, StreamDriver
from streamkit.loop_thread import LoopThread

__all__ = ["TOOLKITS", "WORDS", "main", "words"]

WORDS = ("the ", "rain ", "café ", "and ", "stone, ", "light ", "under ")
BEAT = 0.010


def words(tokens: int) -> list[str]:
    """The texts of so many tokens."""
    return list(itertools.islice(itertools.cycle(WORDS), tokens))


class Probe:
    """What is measured: on the UI's thread, the beats and the end."""

    def __init__(self, tokens: int, *, stop: bool) -> None:
        self._expected = "".join(words(tokens))
        self._stop = stop
        self._begun = self._last = 0.0
        self._stall = 0.0
        self.figures: dict[str, float | bool] = {}

    def begin(self, stream: CompletionStream) -> None:
        self._begun = self._last = time.monotonic()
        LoopThread.shared().call_soon(stream.start)

    def beat(self) -> None:
        if not self._begun:
            return  # what comes before is the opening of the window
        now = time.monotonic()
        self._stall = max(self._stall, now - self._last)
        self._last = now

    def is_to_stop(self, shown: str) -> bool:
        """Whether Stop is to be pressed now; once."""
        if not self._stop or len(shown) < len(self._expected) / 4 or "stopped_at" in self.figures:
            return False
        self.figures["stopped_at"] = time.monotonic()
        return True

    def end(self, shown: str) -> None:
        self.beat()
        self.figures |= {
            "stall": self._stall,
            "seconds": time.monotonic() - self._begun,
            "whole": shown == self._expected,
        }


def _bind_or_write(
    way: str,
    bind: Callable[..., Any],
    post: Callable[..., Any],
    stream: CompletionStream,
    write: Callable[[str], Any],
    end: Callable[[], Any],
) -> None:
    """Show the stream by `bind`, or as one would without: a write a token."""
    if way == "bind":
        bind(on_batch=lambda batch: end() if batch.ending is not None else None)
        return
    stream.on("text", lambda text: post(lambda: write(text)))
    stream.on("end", lambda _: post(end))


def _qt(way: str, probe: Probe, stream: CompletionStream) -> None:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QTextCursor
    from PySide6.QtWidgets import QPlainTextEdit, QPushButton

    from streamkit.gui.qt import QtDispatcher, application, bind

    app = application()
    view, stop = QPlainTextEdit(), QPushButton("Stop")
    view.resize(640, 480)
    view.show()
    dispatcher = QtDispatcher(view)

    def write(text: str) -> None:
        cursor = QTextCursor(view.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(text)
        view.verticalScrollBar().setValue(view.verticalScrollBar().maximum())

    def end() -> None:
        probe.end(view.toPlainText())
        app.quit()

    def beat() -> None:
        probe.beat()
        if probe.is_to_stop(view.toPlainText()):
            stop.click()

    def show(**options: Any) -> None:
        bind(stream, view, stop=stop, **options)

    _bind_or_write(way, show, dispatcher.post, stream, write, end)
    timer = QTimer(timerType=Qt.TimerType.PreciseTimer, interval=int(BEAT * 1000))
    timer.timeout.connect(beat)
    timer.start()
    QTimer.singleShot(200, lambda: probe.begin(stream))
    app.exec()


def _tk(way: str, probe: Probe, stream: CompletionStream) -> None:
    import tkinter as tk

    from streamkit.gui.tk import TkDispatcher, bind

    root = tk.Tk()
    view, stop = tk.Text(root, wrap="word"), tk.Button(root, text="Stop")
    view.pack()
    stop.pack()
    dispatcher = TkDispatcher(root)

    def write(text: str) -> None:
        view.insert("end", text)
        view.see("end")

    def shown() -> str:
        return view.get("1.0", "end-1c").replace("\n", "")  # `bind` breaks a line that Tk would take too long for

    def end() -> None:
        probe.end(shown())
        root.quit()

    def beat() -> None:
        root.after(int(BEAT * 1000), beat)
        probe.beat()
        if probe.is_to_stop(shown()):
            stop.invoke()

    def show(**options: Any) -> None:
        bind(stream, view, stop=stop, **options)

    _bind_or_write(way, show, dispatcher.post, stream, write, end)
    beat()
    root.after(200, lambda: probe.begin(stream))
    root.mainloop()


def _textual(way: str, probe: Probe, stream: CompletionStream) -> None:
    from textual.app import App
    from textual.widgets import Log

    from streamkit.gui.textual import StopButton, TextualDispatcher, bind

    class Window(App[None]):
        def compose(self) -> Any:
            yield Log()
            yield StopButton()

        def on_mount(self) -> None:
            self.view, self.stop = self.query_one(Log), self.query_one(StopButton)
            dispatcher = TextualDispatcher(self)
            _bind_or_write(way, self.show, dispatcher.post, stream, self.view.write, self.end)
            self.set_interval(BEAT, self.beat)
            self.set_timer(0.2, self.begin)

        def begin(self) -> None:
            probe.begin(stream)

        def show(self, **options: Any) -> None:
            bind(stream, self.view, stop=self.stop, **options)

        def text(self) -> str:
            return "\n".join(self.view.lines)

        def beat(self) -> None:
            probe.beat()
            if probe.is_to_stop(self.text()):
                self.stop.press()

        def end(self) -> None:
            probe.end(self.text())
            self.exit()

    asyncio.run(Window().run_async(headless=True, size=(100, 30)))


TOOLKITS: dict[str, Callable[[str, Probe, CompletionStream], None]] = {"qt": _qt, "tk": _tk, "textual": _textual}


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    toolkit, way, tokens, base_url, *stop = argv
    probe = Probe(int(tokens), stop=bool(stop))
    with LoopThread.shared().enter(StreamDriver(base_url, model="m")) as driver:
        TOOLKITS[toolkit](way, probe, driver.stream("hi"))
    print(json.dumps(probe.figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
