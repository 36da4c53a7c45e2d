from __future__ import annotations

import json

import pytest

from streamkit.model import (
    Choice,
    Chunk,
    Completion,
    Message,
    ToolCall,
    Usage,
)


def chunk_of(body: object) -> Chunk:
    return Chunk(raw=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("arguments", "parsed"), [("", {}), (" \n", {}), ('{"a": [1, null]}', {"a": [1, None]}), ("5", 5), ('"x"', "x")]
)
def test_arguments_are_parsed_when_asked_for(arguments, parsed):
    assert ToolCall("1", "f", arguments).parsed == parsed


@pytest.mark.parametrize("arguments", ['{"a"', "nonsense", "[" * 100_000])
def test_arguments_that_are_no_json_are_refused_with_the_name_of_the_tool(arguments):
    with pytest.raises(
        ValueError, match="^the arguments of tool call 'f' are not valid JSON .*; their text is in .arguments$"
    ):
        ToolCall("1", "f", arguments).parsed  # noqa: B018 - a property that raises


def test_a_completion_speaks_for_choice_0():
    call = ToolCall("1", "f")
    completion = Completion(
        choices=(
            Choice(0, Message(content="a", refusal="b", reasoning="c", tool_calls=(call,)), "stop"),
            Choice(1, Message(content="z"), "length"),
        )
    )
    assert (completion.text, completion.refusal, completion.reasoning) == ("a", "b", "c")
    assert (completion.tool_calls, completion.finish_reason) == ((call,), "stop")
    assert str(completion) == "a"


@pytest.mark.parametrize("completion", [Completion(), Completion(choices=(Choice(1, Message(content="z"), "stop"),))])
def test_a_completion_without_choice_0_is_empty(completion):
    assert (completion.text, completion.refusal, completion.reasoning, str(completion)) == ("", "", "", "")
    assert (completion.tool_calls, completion.finish_reason) == ((), None)


def test_the_defaults_of_two_objects_are_not_shared():
    one, other = Completion(), Completion()
    one.quirks["x"] = 1
    assert other.quirks == {}
    assert Usage().extra is not Usage().extra
    assert ToolCall("", "").extra is not ToolCall("", "").extra


# --- all of it
