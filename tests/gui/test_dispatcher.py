from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading

import pytest

from streamkit import StreamkitError
from streamkit.gui import AsyncioDispatcher, Dispatcher, DispatcherClosed, PumpDispatcher
from streamkit.gui.dispatcher import Owner
from streamkit.gui.qt import QtDispatcher
from tests.conftest import COVERAGE, REPO

name = contextvars.ContextVar("name", default="nobody")


@pytest.mark.parametrize("adapter", [AsyncioDispatcher, PumpDispatcher, QtDispatcher])
def test_adapters_are_dispatchers(adapter: type) -> None:
    assert issubclass(adapter, Dispatcher)


def test_owner_calls_in_its_context_from_any_thread_and_inside_a_call() -> None:
    """A context can be entered once only, and a modal dialog calls from inside a call."""
    name.set("the window")
    owner, seen = Owner("the window"), list[str]()

    def outer() -> None:
        seen.append(name.get())
        owner.call(lambda: seen.append(name.get()))

    thread = threading.Thread(target=owner.call, args=[outer])
    thread.start()
    thread.join()

    assert seen == ["the window", "the window"]


def test_owner_tells_each_once_that_it_closed_in_the_order_in_which_they_asked() -> None:
    owner, told = Owner("the window"), list[str]()
    for each in ("first", "second"):
        owner.on_close(lambda each=each: told.append(each))  # type: ignore[misc]  # mypy infers no lambda with a default
    owner.on_close(lambda: told.append("taken back"))()

    owner.close()
    owner.close()

    assert told == ["first", "second"]


def test_one_who_raises_when_it_closes_keeps_it_from_nobody(caplog: pytest.LogCaptureFixture) -> None:
    owner, told = Owner("the window"), list[str]()
    owner.on_close(lambda: 1 / 0)
    owner.on_close(lambda: told.append("closed"))

    owner.close()

    assert told == ["closed"]
    assert "what was to be called when the window closed raised" in caplog.text


def test_closed_owner_refuses_and_calls_nothing() -> None:
    owner = Owner("the window")
    owner.close()
    owner.call(pytest.fail)

    for use in (owner.check, lambda: owner.on_close(print)):
        with pytest.raises(DispatcherClosed, match=r"^the window is closed: nothing can be shown there any more$"):
            use()
    assert issubclass(DispatcherClosed, StreamkitError)
    assert issubclass(DispatcherClosed, RuntimeError)


@pytest.mark.parametrize(
    ("module", "missing", "advice"),
    [
        ("tk", "tkinter", "streamkit.gui.tk needs tkinter, which this Python was installed without: on Debian"),
        ("textual", "textual", "streamkit.gui.textual needs an extra: pip install 'streamkit-asyncio[textual]'"),
    ],
)
def test_toolkit_that_is_not_installed_is_named_with_what_brings_it(module: str, missing: str, advice: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import streamkit.gui.{module}"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPO,
        env={**os.environ, **COVERAGE},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode == 1
    assert f"ImportError: {advice}" in result.stderr
