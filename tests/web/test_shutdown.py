from __future__ import annotations

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streamkit.web import shutdown
from streamkit.web.shutdown import hear_shutdown

from ..conftest import REPO


@pytest.fixture
def server() -> Iterator[list[str]]:
    """What is heard, by the handler of a server among others."""
    heard: list[str] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: heard.append("server"))
    yield heard
    assert not shutdown._listeners
    assert not shutdown._replaced
    assert not shutdown._looks
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_hear_it_and_the_server_last(server: list[str], number: signal.Signals) -> None:
    own = signal.getsignal(number)
    stops = [hear_shutdown(lambda: server.append("first")), hear_shutdown(lambda: server.append("second"))]
    signal.raise_signal(number)
    assert server == ["first", "second", "server"]

    stops[0]()
    signal.raise_signal(number)
    assert server[3:] == ["second", "server"]
    stops[1]()
    stops[1]()
    assert signal.getsignal(number) == own
    signal.raise_signal(number)
    assert server[5:] == ["server"]


def test_who_puts_a_handler_over_ours_keeps_it(server: list[str]) -> None:
    own = signal.getsignal(signal.SIGTERM)
    stop = hear_shutdown(lambda: server.append("listener"))
    ours = signal.signal(signal.SIGTERM, lambda *_: server.append("later"))
    stop()
    signal.raise_signal(signal.SIGTERM)
    assert server == ["later"]

    signal.signal(signal.SIGTERM, ours)  # as servers do at their end
    stop = hear_shutdown(lambda: server.append("listener"))
    signal.raise_signal(signal.SIGTERM)
    assert server[1:] == ["listener", "server"]
    stop()
    assert signal.getsignal(signal.SIGTERM) == own


def test_second_server_of_a_process_is_heard_too(server: list[str]) -> None:
    """Whose handler stands over ours, while a listener of the first one's is still there."""
    first = hear_shutdown(lambda: server.append("first"))

    def later(*_: object) -> None:
        server.append("later")

    signal.signal(signal.SIGTERM, later)
    second = hear_shutdown(lambda: server.append("second"))
    signal.raise_signal(signal.SIGTERM)
    assert server == ["first", "second", "later"]
    first()
    second()
    assert signal.getsignal(signal.SIGTERM) == later


def test_handler_over_ours_that_calls_ours_may_have_ours_over_it(server: list[str]) -> None:
    first = hear_shutdown(lambda: server.append("first"))
    ours: Any = signal.getsignal(signal.SIGTERM)

    def chaining(*arguments: object) -> None:
        server.append("chaining")
        ours(*arguments)

    signal.signal(signal.SIGTERM, chaining)
    second = hear_shutdown(lambda: None)
    signal.raise_signal(signal.SIGTERM)
    assert server == ["first", "chaining"]
    first()
    second()


def test_who_comes_after_uvicorn_was_told_is_told_at_once(server: list[str]) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    one = uvicorn.Server(uvicorn.Config("nothing"))
    before = {number: signal.signal(number, one.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
    hear_shutdown(lambda: server.append("early"))()
    assert not server

    signal.raise_signal(signal.SIGTERM)
    hear_shutdown(lambda: server.append("late"))()
    assert server == ["late"]
    for number, handler in before.items():
        signal.signal(number, handler)


def test_ignored_signal_stays_ignored(server: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stop = hear_shutdown(lambda: server.append("listener"))
    signal.raise_signal(signal.SIGTERM)
    stop()

    assert not server
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


def test_outside_the_main_thread_nothing_happens(server: list[str]) -> None:
    own = signal.getsignal(signal.SIGTERM)
    stops = []
    thread = threading.Thread(target=lambda: stops.append(hear_shutdown(lambda: server.append("listener"))))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == own
    stops[0]()

    stop = hear_shutdown(lambda: server.append("listener"))
    thread = threading.Thread(target=stop)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert server == ["server"]  # ours is still there, and passes on
    hear_shutdown(lambda: None)()


async def test_worker_whose_parent_sets_an_event_is_told_by_its_loop(
    server: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = multiprocessing.get_context("spawn").Event()
    monkeypatch.setattr(multiprocessing.current_process(), "_kwargs", {"shutdown_event": event}, raising=False)
    told = asyncio.Event()
    stops = [hear_shutdown(told.set), hear_shutdown(lambda: server.append("second"))]
    hear_shutdown(lambda: server.append("gone"))()
    looks = list(shutdown._looks)
    while shutdown._looks == looks:
        await asyncio.sleep(0.01)
    assert not told.is_set()

    event.set()
    async with asyncio.timeout(5):
        await told.wait()
    assert server == ["second"]
    for stop in stops:
        stop()


async def test_nobody_looks_at_the_event_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    event = multiprocessing.get_context("spawn").Event()
    monkeypatch.setattr(multiprocessing.current_process(), "_kwargs", {"shutdown_event": event}, raising=False)
    hear_shutdown(lambda: None)()
    async with asyncio.timeout(5):
        while shutdown._looks:
            await asyncio.sleep(0.01)


def test_process_without_a_handler_dies_of_it_as_before() -> None:
    code = (
        "import signal; from streamkit.web.shutdown import hear_shutdown;"
        "hear_shutdown(lambda: print('told', flush=True)); signal.raise_signal(signal.SIGTERM); print('alive')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=50, check=False
    )

    assert (result.returncode, result.stdout) == (-signal.SIGTERM, "told\n")
