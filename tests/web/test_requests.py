from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web.limits import Limits
from streamkit.web.refusals import Refused
from streamkit.web.requests import ROLES, chat_call, guide_call, json_object

CANARY = "canary-prompt-5d41402a"
HELLO = [{"role": "user", "content": "hi"}]


def user(content: object = CANARY) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("body", "limits", "status", "code"),
    [
        (b"", Limits(), 400, "invalid_json"),
        (b"{", Limits(), 400, "invalid_json"),
        (b"\xff\xfe", Limits(), 400, "invalid_json"),
        (b'{"a": "\xff"}', Limits(), 400, "invalid_json"),
        (b'{"a": NaN}', Limits(), 400, "invalid_json"),
        (b'{"a": 1} x', Limits(), 400, "invalid_json"),
        (b"[]", Limits(), 400, "invalid_json"),
        (b'"text"', Limits(), 400, "invalid_json"),
        (b"null", Limits(), 400, "invalid_json"),
        (b"[" * 100_000, Limits(), 400, "too_deep"),
        (b'{"a":' * 100_000, Limits(max_depth=None), 400, "invalid_json"),
        (b'{"a": [[[1]]]}', Limits(max_depth=3), 400, "too_deep"),
        (b'{"a": "' + b"x" * 100 + b'"}', Limits(max_body=50), 413, "request_too_large"),
    ],
)
def test_body_that_is_no_json_object_is_refused(body: bytes, limits: Limits, status: int, code: str) -> None:
    with pytest.raises(Refused) as raised:
        json_object(body, limits)

    assert (raised.value.status, raised.value.code) == (status, code)


def test_brackets_in_texts_are_no_depth() -> None:
    body = {"a": '[[[[{{{{"[[[\\"[[[['}

    assert json_object(json.dumps(body).encode(), Limits(max_depth=1)) == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4), st.integers(1, 6), st.booleans())
def test_depth_is_counted_as_a_parser_would(body: dict[str, object], limit: int, escape: bool) -> None:
    encoded = json.dumps(body, ensure_ascii=escape).encode("utf-8", "surrogatepass")
    try:
        encoded.decode()
    except UnicodeDecodeError:
        return
    if depth_of(body) > limit:
        with pytest.raises(Refused, match="nests deeper"):
            json_object(encoded, Limits(max_depth=limit))
    else:
        assert json_object(encoded, Limits(max_depth=limit)) == body


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_body_gets_further_than_a_refusal(body: bytes) -> None:
    try:
        value = json_object(body, Limits())
        chat_call(value, Limits())
    except Refused as refused:
        assert refused.status == 400


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "messages": json_values,
            "message": json_values,
            "model": json_values,
            "n": json_values,
            "max_tokens": json_values,
            "stream": json_values,
            "stream_options": json_values,
        },
    )
)
def test_no_json_gets_further_than_a_refusal(body: dict[str, object]) -> None:
    for call in (chat_call, guide_call):
        try:
            accepted = call(body, Limits(max_tokens=10), ["m"])
        except Refused as refused:
            assert refused.status in {400, 404}
        else:
            assert accepted.request["messages"]
            assert accepted.request["model"] == "m"
            assert "stream" not in accepted.request


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_field", "messages"),
        ({"messages": None}, "missing_field", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": CANARY}, "invalid_value", "messages"),
        ({"messages": {"role": "user"}}, "invalid_value", "messages"),
        ({"messages": [CANARY]}, "invalid_value", "messages[0]"),
        ({"messages": [user(), None]}, "invalid_value", "messages[1]"),
        ({"messages": [{"content": CANARY}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": CANARY, "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "invalid_value", "messages[0].role"),
        ({"messages": [user(5)]}, "invalid_value", "messages[0].content"),
        ({"messages": [user([CANARY])]}, "invalid_value", "messages[0].content"),
        ({"messages": [user("")]}, "invalid_value", "messages[0].content"),
        ({"messages": [user(None)]}, "invalid_value", "messages[0].content"),
        ({"messages": [user()] * 4}, "too_many_messages", "messages"),
        ({"messages": [user()], "model": 5}, "invalid_value", "model"),
        ({"messages": [user()], "model": ""}, "invalid_value", "model"),
        ({"messages": [user()], "model": "a\nb"}, "invalid_value", "model"),
        ({"messages": [user()], "model": "x" * 300}, "invalid_value", "model"),
        ({"messages": [user()], "n": 0}, "invalid_value", "n"),
        ({"messages": [user()], "n": "2"}, "invalid_value", "n"),
        ({"messages": [user()], "n": True}, "invalid_value", "n"),
        ({"messages": [user()], "n": 9}, "too_many_choices", "n"),
        ({"messages": [user()], "max_tokens": 0}, "invalid_value", "max_tokens"),
        ({"messages": [user()], "max_completion_tokens": "9"}, "invalid_value", "max_completion_tokens"),
        ({"messages": [user()], "stream": "yes"}, "invalid_value", "stream"),
        ({"messages": [user()], "stream": 1}, "invalid_value", "stream"),
        ({"messages": [user()], "stream_options": True}, "invalid_value", "stream_options"),
    ],
)
def test_malformed_request_is_refused_by_the_name_of_its_field(body: dict[str, object], code: str, param: str) -> None:
    with pytest.raises(Refused) as raised:
        chat_call(body, Limits(max_messages=3))

    refused = raised.value
    assert (refused.status, refused.code, refused.param, refused.type) == (400, code, param, "invalid_request_error")
    assert CANARY not in repr(refused)


@pytest.mark.parametrize(
    "name",
    [
        "base_url",
        "api_base",
        "API_BASE",
        "api-base",
        "api_key",
        "headers",
        "extra_headers",
        "extra_body",
        "extra_query",
        "default_headers",
        "organization",
        "host",
        "url",
        "upstream",
        "custom_llm_provider",
        "litellm_params",
        "model_list",
        "fallbacks",
        "user_config",
        "timeout",
    ],
)
def test_request_cannot_choose_host_headers_or_key(name: str) -> None:
    with pytest.raises(Refused) as raised:
        chat_call({"messages": HELLO, name: "http://169.254.169.254/sk-canary"}, Limits())

    assert (raised.value.status, raised.value.code, raised.value.param) == (400, "forbidden_field", name)
    assert "canary" not in str(raised.value)


def test_field_with_a_strange_name_is_not_quoted() -> None:
    with pytest.raises(Refused) as raised:
        chat_call({"messages": HELLO, "litellm_\r\nx: y": 1}, Limits())

    assert raised.value.param is None
    assert "\r" not in raised.value.message
    assert "\n" not in raised.value.message


def test_unknown_fields_go_through() -> None:
    body = {"messages": HELLO, "temperature": 0.2, "tools": [{"type": "function"}], "vendor": {"x": [1]}, "seed": None}

    assert chat_call(body, Limits()).request == body


@pytest.mark.parametrize("role", ROLES)
def test_every_role_of_the_api_is_taken(role: str) -> None:
    message = {"role": role, "content": [{"type": "text", "text": "hi"}]}

    assert chat_call({"messages": [message]}, Limits()).request["messages"] == [message]


def test_assistant_without_content_is_what_tool_calls_look_like() -> None:
    messages = [*HELLO, {"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": ""}]

    assert chat_call({"messages": messages}, Limits()).request["messages"] == messages


def test_usage_is_asked_for_upstream_and_told_to_whom_it_was_promised() -> None:
    plain = chat_call({"messages": HELLO, "stream": True}, Limits())
    asked = chat_call({"messages": HELLO, "stream": True, "stream_options": {"include_usage": True, "x": 1}}, Limits())
    declined = chat_call({"messages": HELLO, "stream": True, "stream_options": {"include_usage": False}}, Limits())

    assert (plain.usage, asked.usage, declined.usage) == (False, True, False)
    assert "stream_options" not in plain.request  # the driver asks
    assert asked.request["stream_options"] == {"include_usage": True, "x": 1}
    assert declined.request["stream_options"] == {"include_usage": True}


def test_stream_is_the_relays_to_ask_for() -> None:
    assert [chat_call({"messages": HELLO, "stream": value}, Limits()).stream for value in (True, False, None)] == [
        True,
        False,
        False,
    ]
    assert "stream" not in chat_call({"messages": HELLO, "stream": True}, Limits()).request


def test_model_is_one_of_those_that_are_offered() -> None:
    assert chat_call({"messages": HELLO, "model": "b"}, Limits(), ["a", "b"]).request["model"] == "b"
    assert chat_call({"messages": HELLO, "model": None}, Limits(), ["a", "b"]).request["model"] == "a"
    assert "model" not in chat_call({"messages": HELLO, "model": None}, Limits()).request
    with pytest.raises(Refused) as raised:
        chat_call({"messages": HELLO, "model": "c"}, Limits(), ["a", "b"])
    assert (raised.value.status, raised.value.code, raised.value.param) == (404, "model_not_found", "model")


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_tokens": 100}),
        ({"max_tokens": 50}, {"max_tokens": 50}),
        ({"max_tokens": 500}, {"max_tokens": 100}),
        ({"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
        (
            {"max_tokens": 500, "max_completion_tokens": 5},
            {"max_tokens": 100, "max_completion_tokens": 5},
        ),
    ],
)
def test_tokens_are_cut_down_to_the_limit(asked: dict[str, int], sent: dict[str, int]) -> None:
    request = chat_call({"messages": HELLO, **asked}, Limits(max_tokens=100)).request

    assert {name: value for name, value in request.items() if name != "messages"} == sent


def test_guides_send_a_message_or_messages() -> None:
    assert guide_call({"message": "hi", "model": "m"}, Limits()).request == {"messages": HELLO, "model": "m"}
    assert guide_call({"messages": HELLO}, Limits()).request == {"messages": HELLO}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": "  "}, "message"),
        ({"message": 5}, "message"),
        ({"message": None}, "message"),
        ({"message": CANARY, "messages": HELLO}, "message"),
        ({"messages": []}, "messages"),
        ({"message": "hi", "api_key": "sk-canary"}, "api_key"),
    ],
)
def test_malformed_guide_request_is_refused(body: dict[str, object], param: str) -> None:
    with pytest.raises(Refused) as raised:
        guide_call(body, Limits())

    assert (raised.value.status, raised.value.param) == (400, param)
    assert "canary" not in str(raised.value)


def test_what_was_asked_is_not_changed() -> None:
    body = {"messages": HELLO, "max_tokens": 500, "stream": True, "stream_options": {"include_usage": False}}
    before = json.dumps(body)

    chat_call(body, Limits(max_tokens=1))

    assert json.dumps(body) == before
