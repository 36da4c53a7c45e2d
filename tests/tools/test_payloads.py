from __future__ import annotations

import pytest

from streamkit import Completion, StreamError
from streamkit.tools import Round, RoundStart, ToolCompletion, ToolFailed, ToolFailure, ToolResult

from .conversation import call


def test_the_repr_of_a_round_start_does_not_show_the_prompt():
    assert repr(RoundStart(2, {"messages": ["a secret"]})) == "RoundStart(number=2)"


def test_the_repr_of_a_completion_does_not_show_the_conversation():
    completion = ToolCompletion(model="m", messages=({"role": "user", "content": "a secret"},))
    assert "a secret" not in repr(completion)
    assert "model='m'" in repr(completion)
    assert "rounds=()" in repr(completion)


def test_a_failed_tool_says_which_and_how_but_not_what_the_exception_said():
    cause = ValueError("a secret")
    error = ToolFailed(ToolFailure(call("weather"), "raised", "Error: ValueError: a secret", cause))
    assert isinstance(error, StreamError)
    assert str(error) == "the call of tool 'weather' failed (raised: ValueError)"
    assert error.__cause__ is cause
    assert str(ToolFailed(ToolFailure(call("sum"), "unknown_tool", ""))) == "the call of a tool failed (unknown_tool)"


def test_payloads_do_not_change():
    result = ToolResult(call("weather"), 1, "1", 0.5)
    for payload in (result, ToolFailure(call("a"), "denied", ""), Round(1, Completion()), ToolCompletion()):
        with pytest.raises(AttributeError):
            setattr(payload, type(payload).__struct_fields__[0], None)


def test_a_tool_completion_is_a_completion():
    assert isinstance(ToolCompletion(), Completion)
    assert (ToolCompletion().text, ToolCompletion().rounds, ToolCompletion().messages) == ("", (), ())
