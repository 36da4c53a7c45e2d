from __future__ import annotations

import pytest

from streamkit.gui import DispatcherClosed, PumpDispatcher


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_is_posted_by_a_call_has_to_wait_for_the_next_frame() -> None:
    """Else a call that posts itself would never let the frame end."""
    dispatcher, called = PumpDispatcher(), list[str]()

    def again() -> None:
        called.append("again")
        dispatcher.post(again)

    dispatcher.post(again)
    dispatcher.pump()
    assert called == ["again"]
    dispatcher.pump()
    assert called == ["again", "again"]


def test_timers_fire_when_due_in_their_order_and_not_those_that_they_set() -> None:
    clock, called = Clock(), list[str]()
    dispatcher = PumpDispatcher(clock=clock)

    def again() -> None:
        called.append("again")
        dispatcher.later(0, again)

    dispatcher.later(2, lambda: called.append("late"))
    dispatcher.later(1, lambda: called.append("one"))
    dispatcher.later(1, lambda: called.append("two"))
    dispatcher.pump()
    assert called == []
    clock.now = 1.0
    dispatcher.later(0, again)
    dispatcher.pump()
    assert called == ["one", "two", "again"]
    clock.now = 2.0
    dispatcher.pump()
    assert called[3:] == ["again", "late"]


def test_call_that_raises_comes_out_and_the_rest_waits() -> None:
    dispatcher, called = PumpDispatcher(), list[str]()
    dispatcher.post(lambda: 1 / 0)
    dispatcher.post(lambda: called.append("next"))

    with pytest.raises(ZeroDivisionError):
        dispatcher.pump()
    assert called == []
    dispatcher.pump()

    assert called == ["next"]


def test_call_that_closes_is_the_last() -> None:
    with PumpDispatcher() as dispatcher:
        dispatcher.post(dispatcher.close)
        dispatcher.post(pytest.fail)
        dispatcher.pump()
        dispatcher.pump()

    with pytest.raises(DispatcherClosed, match="^the render loop is closed"):
        dispatcher.post(print)
