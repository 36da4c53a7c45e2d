"""The chat windows of examples/: a question and its answer, Stop, a server that is not there, a window closed in the middle."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from streamkit import StreamDriver
from streamkit.loop_thread import LoopThread
from streamkit.testing import Hang, ReceivedRequest, Send, chunk, completion_server, sse
from tests.conftest import REPO

from . import window_qt, window_tk
from .contract import SECONDS
from .fed import until
from .textual.app import need_textual, until as until_in_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from streamkit.testing.script import Script

WORDS = ("one ", "two ", "three")
ANSWER = sse(*map(chunk, WORDS), chunk(finish_reason="stop", usage={"completion_tokens": 3}))
BEGINNING: Script = [Send(sse(*map(chunk, WORDS), done=False)), Hang()]
NOBODY = "http://127.0.0.1:9/v1"


def example(name: str) -> ModuleType:
    path = REPO / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Served:
    """What a window needs, and what the server saw."""

    def __init__(self, thread: LoopThread, requests: list[ReceivedRequest], driver: StreamDriver, nobody: StreamDriver):
        self.thread = thread
        self.requests = requests
        self.driver = driver
        self.nobody = nobody
        """A driver whose server is not there."""

    def saw_the_close(self) -> bool:
        self.thread.submit(asyncio.wait_for(self.requests[-1].closed.wait(), SECONDS)).result()
        return not self.requests[-1].answered

    def asked(self) -> list[dict[str, str]]:
        """The messages of the last request."""
        messages: list[dict[str, str]] = self.requests[-1].json["messages"]
        return messages


@contextmanager
def served(*scripts: Script) -> Iterator[Served]:
    shared = LoopThread.shared()
    try:
        with (
            LoopThread("server") as thread,
            thread.enter(completion_server(*scripts)) as server,
            shared.enter(StreamDriver(server.base_url, model="m")) as driver,
            shared.enter(StreamDriver(NOBODY, model="m", retries=0)) as nobody,
        ):
            yield Served(thread, server.requests, driver, nobody)
    finally:
        shared.close()


CONVERSATION = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "one two three"},
    {"role": "user", "content": "Again"},
]


# --- Qt ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(name="qt")
def _qt() -> Any:
    widgets = window_qt.qt()
    if not widgets.__name__.startswith("PySide6"):
        pytest.fail("the example is written for PySide6")
    return example("window_qt")


def test_qt_window(qt: Any) -> None:
    with served(ANSWER, BEGINNING) as server:
        window = qt.ChatWindow(server.driver)
        window.show()
        wait = partial(until, qt.application().processEvents)

        window.ask()
        assert window.stream is None  # nothing was typed
        window.question.setText("Hello")
        window.question.returnPressed.emit()
        wait(lambda: window.stream is None)
        assert window.status.text().startswith("3 tokens, ")
        assert not window.stop.isEnabled()

        window.question.setText("Again")
        window.ask()
        window.question.setText("At the same time")
        window.ask()
        wait(lambda: window.history.toPlainText().count("three") == 2)
        window.stop.click()
        wait(lambda: window.stream is None)

        assert server.saw_the_close()
        assert server.asked() == CONVERSATION
        assert window.history.toPlainText() == "Hello\none two three\n\nAgain\none two three\n[stopped]\n"
        assert window.question.text() == "At the same time"

        window.driver = server.nobody
        window.ask()
        wait(lambda: window.stream is None)
        assert window.status.text().startswith("Failed: no connection to")
        assert window.messages[-1]["role"] == "assistant"  # a question without an answer is not asked again
        window.deleteLater()


def test_qt_window_closed_in_the_middle(qt: Any) -> None:
    with served(BEGINNING) as server:
        app, window = qt.application(), qt.ChatWindow(server.driver)
        app.setQuitOnLastWindowClosed(True)
        window.show()
        window.history.textChanged.connect(lambda: "three" in window.history.toPlainText() and window.close())
        window.question.setText("Hello")
        window.ask()

        app.exec()

        assert server.saw_the_close()
        window.deleteLater()


# --- tkinter ----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="tk")
def _tk() -> Any:
    window_tk.root().destroy()
    return example("window_tk")


def test_tk_window(tk: Any) -> None:
    with served(ANSWER, BEGINNING) as server:
        window = tk.ChatWindow(server.driver)
        wait = partial(until, window.update)

        def text() -> str:
            return str(window.text.get("1.0", "end-1c"))

        def is_free() -> bool:
            return str(window.send_button.cget("state")) == "normal"

        window.send_button.invoke()
        assert is_free()  # nothing was typed
        window.entry.insert(0, "Hello")
        window.send_button.invoke()
        wait(is_free)
        assert window.status.cget("text").startswith("3 tokens")
        assert str(window.stop_button.cget("state")) == "disabled"

        window.entry.insert(0, "Again")
        window.send_button.invoke()
        wait(lambda: text().count("three") == 2)
        window.stop_button.invoke()
        wait(is_free)

        assert server.saw_the_close()
        assert server.asked() == CONVERSATION
        assert text() == "Hello\none two three\nAgain\none two three\n[stopped]"

        window.driver = server.nobody
        window.entry.insert(0, "Hello?")
        window.send_button.invoke()
        wait(is_free)
        assert "[failed: no connection to" in text()
        assert window.messages[-1]["role"] == "assistant"  # a question without an answer is not asked again
        window.destroy()
        gc.collect()


def test_tk_window_closed_in_the_middle(tk: Any) -> None:
    with served(BEGINNING) as server:
        window = tk.ChatWindow(server.driver)
        window.entry.insert(0, "Hello")
        window.send_button.invoke()
        until(window.update, lambda: "three" in window.text.get("1.0", "end"))
        window.destroy()

        assert server.saw_the_close()


# --- Textual ----------------------------------------------------------------------------------------------------------


@pytest.fixture(name="textual")
def _textual() -> Any:
    need_textual()
    return example("window_textual")


async def test_textual_window(textual: Any) -> None:
    async with (
        completion_server(ANSWER, BEGINNING) as server,
        StreamDriver(server.base_url, model="m") as driver,
        StreamDriver(NOBODY, model="m", retries=0) as nobody,
    ):
        window = textual.ChatWindow(driver)
        async with window.run_test() as pilot:
            status = window.query_one("#status")

            def answers() -> list[str]:
                return [answer.source for answer in window.query("Markdown")]

            await pilot.press("enter")
            assert answers() == []  # nothing was typed
            await pilot.press(*"Hello", "enter")
            await until_in_app(lambda: str(status.content).startswith("3 tokens"))
            await pilot.pause()

            await pilot.press(*"Again", "enter")
            await until_in_app(lambda: len(answers()) == 2 and "three" in answers()[1])
            await pilot.press("enter", "escape")
            await until_in_app(lambda: window.stop.disabled)
            await asyncio.wait_for(server.requests[-1].closed.wait(), SECONDS)
            await until_in_app(lambda: "stopped" in answers()[1])

            assert [each["content"] for each in server.requests[-1].json["messages"]] == [
                "Hello",
                "one two three",
                "Again",
            ]
            assert answers()[0].rstrip() == "one two three"

            window.driver = nobody
            await pilot.press(*"Hello", "enter")
            await until_in_app(lambda: len(answers()) == 3 and "no connection to" in answers()[2].replace("\\", ""))
            await until_in_app(lambda: window.stop.disabled)
            assert window.messages[-1]["role"] == "assistant"  # a question without an answer is not asked again


async def test_textual_window_closed_in_the_middle(textual: Any) -> None:
    async with completion_server(BEGINNING) as server, StreamDriver(server.base_url, model="m") as driver:
        window = textual.ChatWindow(driver)
        async with window.run_test() as pilot:
            await pilot.press(*"Hello", "enter")
            await until_in_app(lambda: any("three" in each.source for each in window.query("Markdown")))
        await asyncio.wait_for(server.requests[-1].closed.wait(), SECONDS)

        assert not server.requests[-1].answered


# --- all --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["window_qt", "window_tk", "window_textual"])
def test_they_are_short(name: str) -> None:
    assert len((REPO / "examples" / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 110
