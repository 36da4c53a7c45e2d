"""The typed names are those of the event table and `partial`; what the checkers make of them is in tests/typing."""

from __future__ import annotations

import inspect
import re
from typing import get_args

import pytest

from streamkit import Completion
from streamkit.subscriptions import EVENTS
from streamkit.tools import typed_parsed
from streamkit.tools.typed_parsed import ParsedCompletion


def names_of(protocol: type) -> list[str]:
    """The event names of its overloads; a protocol has no implementation to which the runtime could attach them."""
    annotations = re.findall(r"event: ([^,\s]+)", inspect.getsource(protocol))
    return [name for annotation in annotations for name in get_args(eval(annotation, dict(vars(typed_parsed))))]


@pytest.mark.parametrize("protocol", [typed_parsed.ParsedWaitFor, typed_parsed.ParsedEvents])
def test_every_event_has_its_types_and_no_other_name_does(protocol: type) -> None:
    assert sorted(names_of(protocol)) == sorted([*EVENTS, "partial"])


def test_each_event_can_be_subscribed_by_call_and_as_a_decorator() -> None:
    assert sorted(names_of(typed_parsed.ParsedSubscribe)) == sorted([*EVENTS, "partial"] * 2)


def test_a_completion_has_no_value_until_it_is_given_one() -> None:
    completion = ParsedCompletion[int | None](id="1")
    assert isinstance(completion, Completion)
    assert completion.parsed is None
    assert ParsedCompletion(parsed=7).parsed == 7
