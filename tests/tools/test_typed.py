"""The typed names are those of the event table of a run; what the checkers make of them is in tests/typing."""

import inspect
import re
from typing import get_args

import pytest

from streamkit.subscriptions import EVENTS
from streamkit.tools import typed
from streamkit.tools.payloads import TOOL_EVENTS


def names_of(protocol: type) -> list[str]:
    annotations = re.findall(r"event: ([^,\s]+)", inspect.getsource(protocol))
    return [name for annotation in annotations for name in get_args(eval(annotation, dict(vars(typed))))]


@pytest.mark.parametrize("protocol", [typed.ToolWaitFor, typed.ToolEvents])
def test_every_event_has_its_types_and_no_other_name_does(protocol):
    assert sorted(names_of(protocol)) == sorted([*EVENTS, *TOOL_EVENTS])


def test_each_event_can_be_subscribed_by_call_and_as_a_decorator():
    assert sorted(names_of(typed.ToolSubscribe)) == sorted([*EVENTS, *TOOL_EVENTS] * 2)
