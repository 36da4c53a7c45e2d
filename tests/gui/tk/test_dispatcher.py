"""What only tkinter's dispatcher does; what all do is in test_contract.py."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from streamkit.gui import DispatcherClosed

from ..fed import until
from ..window_tk import root

if TYPE_CHECKING:
    import tkinter as tk
    from collections.abc import Iterator


@pytest.fixture(name="window")
def _window() -> Iterator[tk.Tk]:
    window = root()
    yield window
    window.destroy()
    gc.collect()


@pytest.mark.parametrize("poll", [None, 0.001])
def test_calls_go_on_while_a_call_runs_a_loop_of_its_own(window: tk.Tk, poll: float | None) -> None:
    """A modal dialog does."""
    from streamkit.gui.tk import TkDispatcher

    steps, dispatcher = list[str](), TkDispatcher(window, poll=poll)

    def ask() -> None:
        dispatcher.post(lambda: steps.append("inside"))
        until(window.update, lambda: "inside" in steps)
        steps.append("answered")

    dispatcher.post(ask)
    dispatcher.post(lambda: steps.append("waited"))
    until(window.update, lambda: len(steps) == 3)

    assert steps == ["waited", "inside", "answered"]


@pytest.mark.parametrize("poll", [None, 0.001])
def test_what_a_call_raises_is_the_windows_to_report(window: tk.Tk, poll: float | None) -> None:
    from streamkit.gui.tk import TkDispatcher

    reported: list[object] = []
    window.report_callback_exception = lambda kind, *_: reported.append(kind)
    dispatcher = TkDispatcher(window, poll=poll)
    dispatcher.post(lambda: 1 / 0)
    dispatcher.post(lambda: reported.append("next"))
    until(window.update, lambda: len(reported) == 2)

    assert reported == [ZeroDivisionError, "next"]


def test_posts_beyond_what_the_socket_holds_wake_it_all_the_same(window: tk.Tk) -> None:
    from streamkit.gui.tk import TkDispatcher

    called, dispatcher = list[int](), TkDispatcher(window)
    for number in range(20_000):
        dispatcher.post(lambda number=number: called.append(number))  # type: ignore[misc]  # mypy infers no such lambda
    until(window.update, lambda: len(called) == 20_000)

    assert called == sorted(called)


def test_end_of_a_widget_inside_is_not_its_own(window: tk.Tk) -> None:
    import tkinter as tk

    from streamkit.gui.tk import TkDispatcher

    called, dispatcher = list[str](), TkDispatcher(window)
    tk.Frame(window).destroy()
    dispatcher.post(lambda: called.append("called"))
    until(window.update, lambda: called)

    assert called == ["called"]


def test_close_drops_what_waits_and_can_be_repeated(window: tk.Tk) -> None:
    from streamkit.gui.tk import TkDispatcher

    called, dispatcher = list[str](), TkDispatcher(window)
    dispatcher.post(lambda: called.append("posted"))
    dispatcher.later(0, lambda: called.append("later"))
    dispatcher.on_close(lambda: called.append("closed"))

    dispatcher.close()
    dispatcher.close()
    for _ in range(5):
        window.update()

    assert called == ["closed"]


def test_close_by_a_call_keeps_the_rest_from_being_called(window: tk.Tk) -> None:
    from streamkit.gui.tk import TkDispatcher

    called, dispatcher = list[str](), TkDispatcher(window)
    dispatcher.post(dispatcher.close)
    dispatcher.post(lambda: called.append("called"))
    for _ in range(5):
        window.update()

    assert called == []


def test_arguments_that_make_no_sense_are_named(window: tk.Tk) -> None:
    from streamkit.gui.tk import TkDispatcher

    with pytest.raises(TypeError, match="widget must be a tkinter widget or window, not a str"):
        TkDispatcher("window")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - what is tested
    for poll in (0, -1, float("inf")):
        with pytest.raises(ValueError, match="poll must be a number of seconds, more than 0, not"):
            TkDispatcher(window, poll=poll)


@pytest.mark.parametrize("whole", [True, False])
def test_destroyed_widget_is_refused(whole: bool) -> None:
    import tkinter as tk

    from streamkit.gui.tk import TkDispatcher

    window = root()
    frame = tk.Frame(window)
    (window if whole else frame).destroy()
    with pytest.raises(DispatcherClosed, match="is closed: nothing can be shown there any more"):
        TkDispatcher(frame)
    if not whole:
        window.destroy()
