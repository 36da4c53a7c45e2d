from __future__ import annotations

import dataclasses
import datetime as dt
import enum

import msgspec
import pytest

from streamkit.model import Choice, Completion, Message, ToolCall
from streamkit.tools.payloads import ToolResult
from streamkit.tools.results import content_of, error_content, message_of, round_messages

from .conversation import call, whole


@dataclasses.dataclass
class Place:
    name: str
    at: tuple[float, float]


class Sky(enum.Enum):
    CLEAR = "clear"


class Named(str, enum.Enum):  # noqa: UP042 - of a StrEnum str() would be the value
    COLD = "cold"


class Report(msgspec.Struct):
    sky: Sky
    day: dt.date


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ("ein Text, größer 🙂", "ein Text, größer 🙂"),
        ("", ""),
        (Named.COLD, "cold"),
        (None, "null"),
        (7, "7"),
        (True, "true"),
        ([1, {"a": None}], '[1,{"a":null}]'),
        (Place("Oslo", (59.9, 10.7)), '{"name":"Oslo","at":[59.9,10.7]}'),
        (Report(Sky.CLEAR, dt.date(2026, 1, 2)), '{"sky":"clear","day":"2026-01-02"}'),
    ],
)
def test_a_text_goes_as_it_is_and_anything_else_as_json(value, content):
    assert content_of(value) == content


def holding_itself() -> list[object]:
    it: list[object] = []
    it.append(it)
    return it


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, holding_itself(), "half \ud83d", {"a": "\udcff"}, lambda: 1])
def test_what_json_cannot_hold_is_an_error(value):
    with pytest.raises((TypeError, ValueError)):
        content_of(value)


def test_an_error_is_told_in_bounds_and_can_be_sent():
    assert error_content("x" * 10_000).startswith("Error: xxx")
    assert len(error_content("x" * 10_000)) < 2100
    error_content("bad \udcff").encode()


def test_the_message_of_a_completion_can_be_sent_back():
    signed = ToolCall("call_1", "weather", "{}", {"extra_content": {"google": {"thought_signature": "s"}}})
    assert message_of(whole(signed, text="Let me see.")) == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "weather", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ],
    }
    assert message_of(Completion()) == {"role": "assistant", "content": ""}
    refused = Completion(choices=(Choice(message=Message(refusal="No.")),))
    assert message_of(refused) == {"role": "assistant", "content": "", "refusal": "No."}


def test_the_reasoning_goes_back_only_where_there_is_a_field_for_it():
    thought = Completion(choices=(Choice(message=Message(content="Hi", reasoning="hm")),))
    assert message_of(thought) == {"role": "assistant", "content": "Hi"}
    assert message_of(thought, reasoning_field="reasoning_content")["reasoning_content"] == "hm"


def test_a_round_has_a_message_for_each_call_in_their_order_and_says_which_were_not_answered():
    one, two = call("a", key="call_1"), call("b", key="call_2")
    messages = round_messages(whole(one, two), {"call_2": ToolResult(two, 2, "2", 0.1)})
    assert [(message["role"], message.get("tool_call_id")) for message in messages] == [
        ("assistant", None),
        ("tool", "call_1"),
        ("tool", "call_2"),
    ]
    assert messages[1]["content"].startswith("Error: this call has no result")
    assert messages[2]["content"] == "2"
