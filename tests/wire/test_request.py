from __future__ import annotations

import json
from typing import Any

import pytest

from streamkit.model import Message, ToolCall
from streamkit.wire.request import chat_request, encode_request

USER = {"role": "user", "content": "hi"}


def test_a_prompt_is_one_message_of_the_user():
    assert chat_request("hi", model="m") == {
        "messages": [USER],
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("messages", [[USER], (USER,), iter([USER])])
def test_messages_may_be_any_iterable(messages):
    assert chat_request(messages)["messages"] == [USER]


def test_a_whole_request_is_taken_as_it_is():
    whole = {"messages": [USER], "model": "mine", "temperature": 0, "seed": 1}
    body = chat_request(whole, model="default", seed=2, extra_body={"top_k": 3})
    assert body == {**whole, "seed": 2, "top_k": 3, "stream": True, "stream_options": {"include_usage": True}}
    assert whole == {"messages": [USER], "model": "mine", "temperature": 0, "seed": 1}


def test_the_model_may_be_left_out():
    assert "model" not in chat_request("hi")


def test_extra_body_wins_over_the_request():
    assert chat_request("hi", user="a", extra_body={"user": "b"})["user"] == "b"


def test_row_52_the_usage_is_asked_for_unless_told_otherwise():
    assert chat_request("hi", stream_options={"include_usage": False})["stream_options"] == {"include_usage": False}
    assert "stream_options" not in chat_request("hi", stream_options=None)
    assert "stream_options" not in chat_request({"messages": [USER], "stream_options": None})


@pytest.mark.parametrize(
    "content",
    [
        [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
        ]
    ],
)
def test_content_may_be_parts(content):
    assert chat_request([{"role": "user", "content": content}])["messages"][0]["content"] == content


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "system", "content": ""},
        {"role": "critic", "content": "a role that only this server knows"},
    ],
)
def test_messages_of_other_roles_are_taken_as_they_are(message):
    assert chat_request([USER, message])["messages"][1] == message


def test_a_message_is_copied_so_that_the_request_does_not_change_with_it():
    message = dict(USER)
    body = chat_request([message])
    message["content"] = "changed"
    assert body["messages"] == [USER]


def test_the_message_of_a_completion_can_be_sent_back():
    message = Message(
        content="calling",
        reasoning="hm",
        tool_calls=(ToolCall("c", "f", '{"a": 1}', {"extra_content": {"s": 1}, "function": {"p": 1}}),),
    )
    assert chat_request([USER, message])["messages"][1] == {
        "role": "assistant",
        "content": "calling",
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "f", "arguments": '{"a": 1}'},
                "extra_content": {"s": 1},
            }
        ],
    }
    assert chat_request([Message(content="x")])["messages"] == [{"role": "assistant", "content": "x"}]


class Modelled:
    """What the OpenAI SDK's messages have of pydantic."""

    def model_dump(self, *, exclude_none):
        return (
            {"role": "assistant", "content": "x"}
            if exclude_none
            else {"role": "assistant", "content": "x", "audio": None}
        )


def test_the_messages_of_the_openai_sdk_can_be_sent_back():
    assert chat_request([Modelled()])["messages"] == [{"role": "assistant", "content": "x"}]


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        ("", ValueError, "the prompt is empty"),
        (" \n", ValueError, "the prompt is empty"),
        ([], ValueError, "the list of messages is empty"),
        ({}, ValueError, "a whole request needs a 'messages' key; for a single message pass it in a list"),
        (USER, ValueError, "a whole request needs a 'messages' key; for a single message pass it in a list"),
        ({"messages": USER}, TypeError, "messages must be a text or a list of messages, not dict"),
        ({"messages": None}, TypeError, "messages must be a text or a list of messages, not NoneType"),
        (5, TypeError, "messages must be a text or a list of messages, not int"),
        (b"hi", TypeError, "messages must be a text or a list of messages, not bytes"),
        (["hi"], TypeError, "messages[0] must be a dict with a role and content, not str"),
        ([USER, None], TypeError, "messages[1] must be a dict with a role and content, not NoneType"),
        (
            [{"role": ["user"]}],
            ValueError,
            "messages[0] has no role: it must be one of system, developer, user, assistant, tool",
        ),
        (
            [USER, {"content": "x"}],
            ValueError,
            "messages[1] has no role: it must be one of system, developer, user, assistant, tool",
        ),
        ([{"role": "user", "content": ""}], ValueError, "messages[0] (user) has no content"),
        ([{"role": "user"}], ValueError, "messages[0] (user) has no content"),
    ],
)
def test_a_wrong_prompt_is_refused_by_name(prompt, error, message):
    with pytest.raises(error) as caught:
        chat_request(prompt)
    assert str(caught.value) == message


def test_an_error_never_shows_a_message():
    for wrong in ([{"content": "secret"}], [("user", "secret")], {"role": "user", "content": "secret"}, b"secret"):
        with pytest.raises((TypeError, ValueError)) as caught:
            chat_request(wrong)
        assert "secret" not in str(caught.value)


def test_wrong_options_are_refused_by_name():
    number: Any = 5
    with pytest.raises(TypeError, match="^model must be a text, not int$"):
        chat_request("hi", model=number)
    with pytest.raises(ValueError, match="^stream must be true: streamkit only streams$"):
        chat_request("hi", stream=False)
    assert chat_request("hi", stream=True)["stream"] is True


def test_a_request_is_sent_as_json():
    body = chat_request("é 流 😀", model="m")
    assert json.loads(encode_request(body)) == body


@pytest.mark.parametrize("value", [object(), {1j: 2}, "\ud83d", [b"x", object()]])
def test_a_request_that_json_cannot_hold_is_refused_by_the_name_of_the_field(value):
    with pytest.raises(TypeError, match="^'metadata' cannot be sent as JSON: "):
        encode_request({**chat_request("hi"), "metadata": value})


def test_a_field_whose_name_json_cannot_hold_is_refused():
    body: dict[Any, Any] = {"messages": [], 1j: 1}
    with pytest.raises(TypeError, match="cannot be sent as JSON: "):
        encode_request(body)


def test_a_request_that_holds_itself_is_refused():
    metadata: dict[str, object] = {}
    metadata["metadata"] = metadata
    with pytest.raises(TypeError, match="^'metadata' cannot be sent as JSON: "):
        encode_request({**chat_request("hi"), "metadata": metadata})
