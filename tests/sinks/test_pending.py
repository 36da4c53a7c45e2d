from __future__ import annotations

import pytest

from streamkit.sinks.pending import PendingValues


def test_256_numbers_are_passed_on_at_once_and_in_order() -> None:
    taken: list[list[float]] = []
    values = PendingValues(taken.append, since=0.0)

    for number in range(600):
        values.add(float(number), at=0.5)
    assert [len(each) for each in taken] == [256, 256]

    values.flush()
    values.flush()  # with nothing waiting, nothing is passed on
    assert [number for each in taken for number in each] == list(range(600))


def test_no_number_waits_for_longer_than_a_second_and_the_next_one() -> None:
    taken: list[list[float]] = []
    values = PendingValues(taken.append, since=10.0)

    for at in (10.4, 11.0, 11.5, 11.6, 12.5, 12.6):
        values.add(at, at)

    assert taken == [[10.4, 11.0, 11.5], [11.6, 12.5, 12.6]]


def test_what_was_given_to_one_that_failed_is_not_given_again() -> None:
    given: list[int] = []

    def fail(numbers: list[float]) -> None:
        given.append(len(numbers))
        raise RuntimeError("no room")

    values = PendingValues(fail, since=0.0)
    values.add(1.0, at=0.5)
    with pytest.raises(RuntimeError, match="no room"):
        values.flush()
    values.add(2.0, at=0.5)
    with pytest.raises(RuntimeError, match="no room"):
        values.flush()

    assert given == [1, 1]
