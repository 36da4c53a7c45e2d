from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web.limits import Admission, Limits
from streamkit.web.refusals import Refused


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
@pytest.mark.parametrize("value", [-1, "5", True, float("nan"), 0])
def test_wrong_limit_is_named(name: str, value: Any) -> None:
    if (name, value) == ("max_detached", 0):
        assert Limits(max_detached=0).max_detached == 0
        return
    with pytest.raises(ValueError, match=f"^Limits.{name} must be"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_but_that_of_the_body_can_be_lifted(name: str) -> None:
    if name == "max_body":
        with pytest.raises(ValueError, match="max_body"):
            Limits(max_body=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # the error is what is tested
        return
    none: Any = None
    assert getattr(Limits(**{name: none}), name) is None


def refusal(admission: Admission, principal: str = "ann") -> Refused:
    with pytest.raises(Refused) as raised:
        admission.enter(principal)
    return raised.value


def test_streams_of_one_principal_are_bounded_and_those_of_others_are_not_touched() -> None:
    admission = Admission(Limits(max_streams_per_principal=2), clock=Clock())
    admission.enter("ann")
    admission.enter("ann")

    refused = refusal(admission)
    admission.enter("bob")
    admission.leave("ann")
    admission.enter("ann")

    assert (refused.status, refused.code, refused.type) == (429, "too_many_streams", "rate_limit_error")
    assert refused.retry_after is not None
    assert "2 streams" in refused.message
    assert admission.running == 3


def test_streams_of_all_are_bounded() -> None:
    admission = Admission(Limits(max_streams=2), clock=Clock())
    admission.enter("ann")
    admission.enter("bob")

    refused = refusal(admission, "cid")

    assert (refused.status, refused.code) == (503, "busy")
    assert refused.retry_after is not None


def test_starts_come_in_a_burst_and_then_evenly() -> None:
    clock = Clock()
    admission = Admission(Limits(starts_per_minute=6), clock=clock)
    for _ in range(6):
        admission.enter("ann")

    refused = refusal(admission)
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.retry_after == pytest.approx(10.0)
    admission.enter("bob")

    clock.now += 9.9
    refusal(admission)
    clock.now += 0.2
    admission.enter("ann")
    refusal(admission)
    clock.now += 3600
    for _ in range(6):
        admission.enter("ann")
    refusal(admission)


def test_refused_start_counts_for_nothing() -> None:
    clock = Clock()
    admission = Admission(Limits(starts_per_minute=1), clock=clock)
    admission.enter("ann")
    for _ in range(100):
        refusal(admission)

    clock.now += 60.001
    admission.enter("ann")

    assert admission.running == 2


def test_those_who_started_long_ago_are_forgotten() -> None:
    clock = Clock()
    admission = Admission(Limits(starts_per_minute=60, max_streams=None), clock=clock)
    for number in range(1000):
        clock.now += 1.0
        admission.enter(f"p{number}")
        admission.leave(f"p{number}")

    assert admission.running == 0
    assert len(admission._due) < 5
    assert not admission._running


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30, allow_nan=False)), max_size=60))
def test_no_minute_has_more_starts_than_twice_the_limit(limit: int, steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    admission = Admission(Limits(starts_per_minute=limit, max_streams_per_principal=None), clock=clock)
    started: dict[str, list[float]] = {"a": [], "b": []}
    for who, pause in steps:
        clock.now += pause
        try:
            admission.enter(who)
        except Refused as refused:
            assert refused.retry_after is not None
            assert 0 < refused.retry_after <= 60.0 / limit + 1e-6
        else:
            started[who].append(clock.now)

    for times in started.values():
        for first in times:
            # A whole burst, and what is earned within that minute.
            assert sum(first <= at < first + 60 for at in times) <= 2 * limit
