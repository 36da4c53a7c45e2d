from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.errors import ConnectionLost, ServerError, StatusError
from streamkit.settings import RetryPolicy, Settings, Timeout

LIMITS = ["connect", "first", "idle", "total", "after_finish"]
NO_NUMBERS = ["5", True, math.nan, math.inf, -math.inf, [1], b"1", 1j]


def lost(*, retryable=True):
    return ConnectionLost("cut", retryable=retryable)


def asked(seconds):
    error = StatusError("429", retryable=True)
    error.retry_after = seconds
    return error


# --- Timeout


def test_the_limits_are_those_of_the_documentation():
    assert Timeout() == Timeout(connect=10.0, first=300.0, idle=120.0, total=None, after_finish=5.0)


@pytest.mark.parametrize("name", LIMITS)
def test_every_limit_can_be_lifted_or_set(name):
    assert getattr(Timeout(**{name: None}), name) is None
    assert getattr(Timeout(**{name: 0.001}), name) == 0.001


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [0, -1, -0.5, *NO_NUMBERS])
def test_a_limit_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(
        ValueError, match=f"^Timeout.{name} must be a number of seconds above 0, or None for no limit, not "
    ):
        Timeout(**{name: value})


def test_a_limit_too_large_for_a_float_is_refused_by_name():
    with pytest.raises(ValueError, match="Timeout.idle"):
        Timeout(idle=10**400)


# --- RetryPolicy


def test_the_pause_doubles_up_to_the_maximum():
    policy = RetryPolicy(retries=10, initial=0.5, maximum=8.0, jitter=0.0)
    assert [policy.delay(attempt, lost()) for attempt in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_the_jitter_takes_away_a_share_of_the_pause():
    policy = RetryPolicy(initial=1.0, jitter=0.25)
    assert policy.delay(1, lost(), random=lambda: 0.0) == 1.0
    assert policy.delay(1, lost(), random=lambda: 1.0) == 0.75
    assert RetryPolicy(initial=1.0, jitter=1.0).delay(1, lost(), random=lambda: 1.0) == 0.0


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_the_pause_stays_within_its_bounds(attempt, jitter, drawn):
    pause = RetryPolicy(retries=10**9, jitter=jitter).delay(attempt, lost(), random=lambda: drawn)
    assert pause is not None
    assert 0.0 <= pause <= 8.0


def test_the_default_jitter_is_random():
    policy = RetryPolicy(initial=1.0)
    pauses = {policy.delay(1, lost()) for _ in range(20)}
    assert len(pauses) > 1
    assert all(pause is not None and 0.75 <= pause <= 1.0 for pause in pauses)


def test_the_attempts_come_to_an_end():
    policy = RetryPolicy(retries=2)
    assert [policy.delay(attempt, lost()) is None for attempt in (1, 2, 3, 4)] == [False, False, True, True]
    assert RetryPolicy(retries=0).delay(1, lost()) is None


def test_an_error_that_a_retry_cannot_mend_is_final():
    assert RetryPolicy().delay(1, lost(retryable=False)) is None
    assert RetryPolicy().delay(1, ServerError("bad request")) is None


def test_the_server_may_name_the_pause():
    policy = RetryPolicy(longest=60.0)
    assert policy.delay(1, asked(0.0)) == 0.0
    assert policy.delay(1, asked(60.0)) == 60.0
    assert policy.delay(1, asked(60.5)) is None
    assert policy.delay(1, asked(None), random=lambda: 0.0) == policy.initial


def test_a_named_pause_makes_no_further_attempt_and_mends_no_final_error():
    final = asked(1.0)
    final.retryable = False
    assert RetryPolicy(retries=1).delay(2, asked(1.0)) is None
    assert RetryPolicy().delay(1, final) is None


@pytest.mark.parametrize("retries", [-1, 1.0, True, "2", None])
def test_retries_must_be_a_whole_number(retries):
    with pytest.raises(ValueError, match="^retries must be a whole number, 0 or more, not "):
        RetryPolicy(retries=retries)


@pytest.mark.parametrize("name", ["initial", "maximum", "longest"])
@pytest.mark.parametrize("value", [-0.1, None, *NO_NUMBERS])
def test_a_pause_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^RetryPolicy.{name} must be a number of seconds, 0 or more, not "):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.1, None, *NO_NUMBERS])
def test_the_jitter_is_a_share(value):
    with pytest.raises(ValueError, match=r"^RetryPolicy.jitter must be between 0 and 1, not "):
        RetryPolicy(jitter=value)


# --- Settings


def test_the_settings_are_those_of_the_documentation():
    assert dataclasses.asdict(Settings()) == {
        "timeout": dataclasses.asdict(Timeout()),
        "retry": dataclasses.asdict(RetryPolicy(retries=2)),
        "on_truncation": "error",
        "max_malformed": 20,
        "max_event_bytes": 64 * 2**20,
        "think_tags": False,
        "listener_errors": "log",
        "drain_timeout": 5.0,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("on_truncation", "accept"),
        ("listener_errors", "raise"),
        ("listener_errors", "detach"),
        ("max_malformed", 0),
        ("max_event_bytes", None),
        ("max_event_bytes", 1),
        ("think_tags", True),
        ("drain_timeout", 0.1),
    ],
)
def test_what_is_allowed_is_taken(name, value):
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("timeout", 30, TypeError, "timeout must be a streamkit.Timeout, not int"),
        ("retry", "3", TypeError, "retries must be a number or a streamkit.RetryPolicy, not str"),
        ("on_truncation", "ignore", ValueError, "on_truncation must be one of 'error', 'accept', not 'ignore'"),
        ("listener_errors", None, ValueError, "listener_errors must be one of 'log', 'raise', 'detach', not None"),
        ("max_malformed", -1, ValueError, "max_malformed must be a whole number, 0 or more, not -1"),
        ("max_malformed", True, ValueError, "max_malformed must be a whole number, 0 or more, not True"),
        ("max_event_bytes", 0, ValueError, "max_event_bytes must be a whole number of bytes, or None, not 0"),
        ("max_event_bytes", 1e6, ValueError, "max_event_bytes must be a whole number of bytes, or None, not 1000000.0"),
        ("think_tags", 1, TypeError, "think_tags must be True or False, not 1"),
        ("drain_timeout", 0, ValueError, "drain_timeout must be a number of seconds above 0, not 0"),
        ("drain_timeout", None, ValueError, "drain_timeout must be a number of seconds above 0, not None"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(name, value, error, message):
    with pytest.raises(error) as caught:
        Settings(**{name: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("values", [Timeout(), RetryPolicy(), Settings()])
def test_settings_do_not_change(values):
    name = dataclasses.fields(values)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(values, name, None)
