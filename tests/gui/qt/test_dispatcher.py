"""What only Qt's dispatcher does; what all do is in test_contract.py."""

from __future__ import annotations

import threading
from importlib import import_module

import pytest

from streamkit.gui import DispatcherClosed
from streamkit.gui.qt import QtDispatcher, application

from ..contract import SECONDS
from ..fed import until
from ..window_qt import qt


def test_owner_of_another_kind_is_refused() -> None:
    qt()

    with pytest.raises(TypeError, match="owner must be a QObject, not a str"):
        QtDispatcher("window")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - what is tested


def test_another_thread_than_the_owners_is_refused() -> None:
    widget, errors = qt().QWidget(), list[BaseException]()

    def make() -> None:
        try:
            QtDispatcher(widget)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join(SECONDS)

    assert "must be made on its owner's thread, which for widgets is Qt's main thread" in str(errors[0])


def test_end_of_the_application_closes_it() -> None:
    qt()
    app = application()
    dispatcher, told = QtDispatcher(), list[str]()
    dispatcher.on_close(lambda: told.append("closed"))
    dispatcher.post(app.quit)

    app.exec()

    assert told == ["closed"]
    with pytest.raises(DispatcherClosed, match="the window is closed"):
        dispatcher.post(print)


def test_close_drops_what_waits_and_can_be_repeated() -> None:
    qt()
    app, called = application(), list[str]()
    dispatcher = QtDispatcher()
    dispatcher.post(lambda: called.append("posted"))
    dispatcher.later(0, lambda: called.append("later"))
    dispatcher.on_close(lambda: called.append("closed"))

    dispatcher.close()
    dispatcher.close()
    for _ in range(5):
        app.processEvents()

    assert called == ["closed"]


def test_calls_go_on_while_a_call_runs_a_loop_of_its_own() -> None:
    """A modal dialog does."""
    widgets = qt()
    app, steps, dispatcher = application(), list[str](), QtDispatcher()
    core = import_module(widgets.__name__.replace("QtWidgets", "QtCore"))

    def ask() -> None:
        inner = core.QEventLoop()
        dispatcher.post(lambda: steps.append("inside"))
        dispatcher.post(inner.quit)
        inner.exec()
        steps.append("answered")

    dispatcher.post(ask)
    until(app.processEvents, lambda: len(steps) == 2)
    dispatcher.close()

    assert steps == ["inside", "answered"]
