"""The typed names are those of the event table; what the checkers make of them is in tests/typing."""

from typing import get_args, get_overloads, get_type_hints

import pytest

from streamkit.stream import typed
from streamkit.subscriptions import EVENTS


def names_of(protocol):
    overloads = get_overloads(protocol.__call__)
    return [name for each in overloads for name in get_args(get_type_hints(each, vars(typed))["event"])]


@pytest.mark.parametrize("protocol", [typed.Subscribe, typed.WaitFor, typed.Events])
def test_every_event_has_its_types_and_no_other_name_does(protocol):
    assert set(names_of(protocol)) == set(EVENTS)


def test_each_event_can_be_subscribed_by_call_and_as_a_decorator():
    assert sorted(names_of(typed.Subscribe)) == sorted([*EVENTS, *EVENTS])
