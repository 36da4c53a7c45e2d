"""What every dispatcher has to keep, whatever its toolkit; each test runs in every toolkit that is installed."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from streamkit import StreamAborted, demo_tape
from streamkit.gui import Batch, DispatcherClosed, FrameSink
from streamkit.loop_thread import LoopThread
from streamkit.testing import Hang, Send, chunk, completion_server, replay_server, sse
from tests.conftest import REPO, require_or_skip

from .contract import SECONDS, TOOLKITS, beside, on_ui, open_window, streaming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamkit.testing import ScriptedServer
    from streamkit.testing.script import Script

    from .contract import Window

UI = threading.main_thread()
WORDS = ("one ", "two ", "three ")
ANSWER = sse(*map(chunk, WORDS), chunk(finish_reason="stop"))
BEGINNING: Script = [Send(sse(*map(chunk, WORDS), done=False)), Hang()]

where = contextvars.ContextVar("where", default="nowhere")


@pytest.fixture(name="toolkit", params=TOOLKITS)
def _toolkit(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(name="window")
def _window(toolkit: str) -> Iterator[Window]:
    token = where.set("the window")
    try:
        with open_window(toolkit) as window:
            yield window
    finally:
        where.reset(token)


@contextmanager
def serving(server: ScriptedServer) -> Iterator[tuple[LoopThread, ScriptedServer]]:
    with LoopThread("server") as thread, thread.enter(server) as entered:
        yield thread, entered


# --- post and later ---------------------------------------------------------------------------------------------------


def test_posts_are_called_in_order_on_the_ui_thread(window: Window) -> None:
    called: list[tuple[int, threading.Thread]] = []

    def call(number: int) -> None:
        called.append((number, threading.current_thread()))

    def work() -> None:
        for number in range(500):
            window.dispatcher.post(partial(call, number))
        on_ui(window, lambda: None)

    beside(window, work)

    assert called == [(number, UI) for number in range(500)]


def test_post_on_the_ui_thread_waits_for_its_turn(window: Window) -> None:
    steps: list[str] = []

    def call() -> None:
        window.dispatcher.post(lambda: steps.append("posted"))
        steps.append("returned")

    def work() -> None:
        on_ui(window, call)
        on_ui(window, lambda: None)

    beside(window, work)

    assert steps == ["returned", "posted"]


def test_post_returns_while_the_ui_is_blocked(window: Window) -> None:
    blocked, posted = threading.Event(), threading.Event()
    released: list[bool] = []

    def block() -> None:
        blocked.set()
        released.append(posted.wait(1))

    def work() -> None:
        window.dispatcher.post(block)
        assert blocked.wait(SECONDS)
        for _ in range(100):
            window.dispatcher.post(lambda: None)
        posted.set()
        on_ui(window, lambda: None)

    beside(window, work)

    assert released == [True], "a post waited until the UI was free again"


def test_post_before_the_loop_runs_is_called_when_it_does(toolkit: str, window: Window) -> None:
    if not window.early:
        assert toolkit == "textual"  # its widgets live in a running app only
        with pytest.raises(RuntimeError):
            window.dispatcher.post(print)
        return
    called: list[str] = []
    early = threading.Thread(target=window.dispatcher.post, args=[lambda: called.append("early")])
    early.start()
    early.join(SECONDS)
    assert not early.is_alive()
    assert called == []

    beside(window, lambda: on_ui(window, lambda: called.append("later")))

    assert called == ["early", "later"]


def test_later_calls_once_each_when_due_on_the_ui_thread(window: Window) -> None:
    called: list[tuple[str, threading.Thread]] = []
    last = threading.Event()

    def note(name: str) -> None:
        called.append((name, threading.current_thread()))
        if len(called) >= 3:
            last.set()

    def ask() -> None:
        window.dispatcher.later(0.06, partial(note, "third"))
        window.dispatcher.later(0.03, partial(note, "second"))
        window.dispatcher.later(0, partial(note, "first"))

    def work() -> None:
        begun = time.monotonic()
        on_ui(window, ask)
        assert last.wait(SECONDS)
        assert time.monotonic() - begun > 0.05
        on_ui(window, lambda: None)

    beside(window, work)

    assert called == [("first", UI), ("second", UI), ("third", UI)]


def test_calls_have_the_context_in_which_the_dispatcher_was_made(window: Window) -> None:
    seen: list[tuple[str, str]] = []
    last = threading.Event()

    def see(name: str) -> None:
        seen.append((name, where.get()))

    def see_last() -> None:
        see("later")
        last.set()

    def ask() -> None:
        window.dispatcher.later(0, see_last)

    def work() -> None:
        assert where.get() == "nowhere"
        window.dispatcher.on_close(lambda: see("on_close"))
        on_ui(window, lambda: see("post"))
        window.dispatcher.post(ask)
        assert last.wait(SECONDS)
        destroy(window)

    beside(window, work)

    assert seen == [(name, "the window") for name in ("post", "later", "on_close")]


# --- the end ----------------------------------------------------------------------------------------------------------


def test_closed_dispatcher_says_so_and_calls_nothing_more(toolkit: str, window: Window) -> None:
    called: list[object] = []
    closed = threading.Event()

    def close() -> None:
        dispatcher = window.dispatcher
        dispatcher.later(0, lambda: called.append("later"))
        dispatcher.post(lambda: called.append("post"))
        dispatcher.on_close(lambda: called.append(("closed", threading.current_thread())))
        dispatcher.on_close(lambda: called.append("taken back"))()
        window.destroy()

    def work() -> None:
        window.dispatcher.on_close(closed.set)
        window.dispatcher.post(close)
        assert closed.wait(SECONDS)
        time.sleep(0.05)  # for what must not come
        for use in (
            lambda: window.dispatcher.post(print),
            lambda: window.dispatcher.later(0, print),
            lambda: window.dispatcher.on_close(print),
        ):
            with pytest.raises(DispatcherClosed, match=r"^the .* is closed: nothing can be shown there any more$"):
                use()

    beside(window, work)

    if toolkit == "textual" and called[0] == "post":
        del called[0]  # there a widget is removed a little later, and what was posted before may still be in time
    assert called == [("closed", UI)]


def test_sink_on_a_closed_dispatcher_is_refused(window: Window) -> None:
    def work() -> None:
        sink = FrameSink(window.dispatcher, print)
        destroy(window)
        with streaming("http://127.0.0.1:9/v1") as start, pytest.raises(DispatcherClosed):
            start(sink)

    beside(window, work)


def destroy(window: Window) -> None:
    """Destroy the window's owner and wait until the dispatcher has noticed; from another thread."""
    closed = threading.Event()
    window.dispatcher.on_close(closed.set)
    window.dispatcher.post(window.destroy)
    assert closed.wait(SECONDS)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_stream_arrives_whole_and_in_order_with_its_ending_last(window: Window) -> None:
    batches: list[tuple[Batch, threading.Thread]] = []
    ended = threading.Event()

    def show(batch: Batch) -> None:
        batches.append((batch, threading.current_thread()))
        if batch.ending is not None:
            ended.set()

    def work() -> str:
        with serving(replay_server(demo_tape(), speed=4)) as (_, server), streaming(server.base_url) as start:
            stream = start(FrameSink(window.dispatcher, show))
            assert ended.wait(SECONDS)
            on_ui(window, lambda: None)
            return stream.completion.text

    text = beside(window, work)

    assert len(batches) > 10
    assert {thread for _, thread in batches} == {UI}
    assert "".join(batch.text for batch, _ in batches) == text
    assert [batch.ending is not None for batch, _ in batches] == [False] * (len(batches) - 1) + [True]


def test_abort_is_the_last_that_is_heard(window: Window) -> None:
    batches: list[Batch] = []
    shown, ended = threading.Event(), threading.Event()

    def show(batch: Batch) -> None:
        batches.append(batch)
        if "".join(batch.text for batch in batches).endswith("three "):
            shown.set()
        if batch.ending is not None:
            ended.set()

    def work() -> None:
        with serving(completion_server(BEGINNING)) as (_, server), streaming(server.base_url) as start:
            stream = start(FrameSink(window.dispatcher, show))
            assert shown.wait(SECONDS)
            on_ui(window, lambda: stream.abort("enough"))
            assert ended.wait(SECONDS)
            stream.abort("again")
            on_ui(window, lambda: None)

    beside(window, work)

    assert "".join(batch.text for batch in batches) == "one two three "
    assert [type(batch.ending) for batch in batches if batch.ending is not None] == [StreamAborted]
    assert str(batches[-1].ending) == "aborted: enough"


def test_owner_destroyed_in_the_middle_hears_no_more_and_the_stream_runs_on(
    window: Window, caplog: pytest.LogCaptureFixture
) -> None:
    batches: list[Batch] = []
    destroyed, ended = threading.Event(), threading.Event()

    def show(batch: Batch) -> None:
        batches.append(batch)
        window.destroy()

    def work() -> tuple[str | None, FrameSink]:
        sink = FrameSink(window.dispatcher, show)
        window.dispatcher.on_close(destroyed.set)
        with serving(replay_server(demo_tape(), speed=10)) as (_, server), streaming(server.base_url) as start:
            stream = start(sink, lambda stream: stream.on("end", lambda _: ended.set()))
            assert destroyed.wait(SECONDS)
            assert ended.wait(SECONDS)
            return stream.completion.ended_by, sink

    ended_by, sink = beside(window, work)

    assert len(batches) == 1
    assert ended_by == "done"
    assert sink._frames == set()  # and with it goes what waited
    assert caplog.records == []


CLOSING = "import sys; from tests.gui.contract import close_in_the_middle; close_in_the_middle(*sys.argv[1:])"


def test_program_that_is_closed_in_the_middle_lets_go_of_the_server_and_ends_in_silence(
    toolkit: str, window: Window
) -> None:
    """`window` only skips the test where the toolkit is not installed."""
    with serving(completion_server(BEGINNING)) as (thread, server):
        program = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CLOSING, toolkit, server.base_url],
            cwd=REPO,
            # Without coverage: its tracer lets a CancelledError past the handlers for it in Python 3.11.
            env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with program:
            assert program.stdout is not None
            assert program.stderr is not None
            output = ""
            while "closed" not in output:
                line = program.stdout.readline()
                assert line, program.stderr.read()
                output += line
            closed_at = time.monotonic()
            assert program.wait(SECONDS) == 0
            took = time.monotonic() - closed_at
            errors = program.stderr.read()
        [request] = server.requests
        thread.submit(asyncio.wait_for(request.closed.wait(), SECONDS)).result()

    assert errors == ""
    assert took < 2
    assert not request.answered


@pytest.mark.skipif(os.environ.get("QT_API") == "pyqt6", reason="this is the run that the test starts")
def test_contract_holds_for_pyqt6_too() -> None:
    """In a process of its own, because one process can load one Qt only. The example names PySide6."""
    if find_spec("PyQt6") is None:
        require_or_skip("PyQt6 is not installed: pip install PyQt6")
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/gui",
            "-k",
            "(qt or qasync) and not examples and not benchmark",
        ],
        cwd=REPO,
        env={**os.environ, "QT_API": "pyqt6"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stdout
