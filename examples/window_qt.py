"""A chat window with Qt (PySide6): history, Stop, an error line, tokens a second.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from streamkit import Completion, CompletionStream, StreamDriver, StreamError, demo_tape
from streamkit.gui import Batch
from streamkit.gui.qt import application, bind
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server


class ChatWindow(QWidget):
    def __init__(self, driver: StreamDriver) -> None:
        super().__init__(windowTitle="streamkit")
        self.driver = driver
        self.messages: list[dict[str, str]] = []
        self.stream: CompletionStream | None = None
        self.history = QPlainTextEdit(readOnly=True)
        self.question = QLineEdit(placeholderText="Ask something, and press Enter")
        self.stop = QPushButton("Stop")
        self.stop.setEnabled(False)
        self.status = QLabel(wordWrap=True)
        row = QHBoxLayout()
        row.addWidget(self.question)
        row.addWidget(self.stop)
        column = QVBoxLayout(self)
        column.addWidget(self.history)
        column.addLayout(row)
        column.addWidget(self.status)
        self.question.returnPressed.connect(self.ask)
        self.question.setFocus()
        self.resize(560, 420)

    def ask(self) -> None:
        text = self.question.text().strip()
        if not text or self.stream is not None:
            return  # one question at a time
        self.question.clear()
        self.status.setText("…")
        self.history.appendHtml(f"<b>{escape(text)}</b>")
        self.history.appendPlainText("")
        self.messages.append({"role": "user", "content": text})
        self.stream = self.driver.stream(self.messages)
        bind(self.stream, self.history, stop=self.stop, on_batch=self.progress)
        LoopThread.shared().call_soon(self.stream.start)

    def progress(self, batch: Batch) -> None:
        """On Qt's thread, after each batch that `bind` has shown."""
        assert self.stream is not None
        completion = self.stream.completion
        self.status.setText(f"Failed: {batch.ending}" if isinstance(batch.ending, StreamError) else speed(completion))
        if batch.ending is not None:
            self.stream = None
            self.history.appendPlainText("")  # an empty line
            if completion.text:
                self.messages.append({"role": "assistant", "content": completion.text})
            else:
                self.messages.pop()  # a question that got no answer


def speed(completion: Completion) -> str:
    first, last = completion.timings.first_text, completion.timings.last_chunk
    if completion.usage is None or completion.usage.completion_tokens is None or first is None or last is None:
        return f"{len(completion.text)} characters"
    tokens = completion.usage.completion_tokens
    return f"{tokens} tokens, {tokens / max(last - first, 0.001):.0f} a second"


@contextmanager
def base_url() -> Iterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        with LoopThread.shared().enter(replay_server(demo_tape())) as server:
            yield server.base_url


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ^C: an idle Qt runs no Python that could notice it
    app = application()
    model = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
    with base_url() as url, LoopThread.shared().enter(StreamDriver(url, model=model)) as driver:
        window = ChatWindow(driver)
        window.show()
        return app.exec()


if __name__ == "__main__":
    sys.exit(main())
