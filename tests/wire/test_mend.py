from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.model import Chunk, Delta, FunctionFragment, ToolCallFragment, Usage
from streamkit.wire.mend import LEGACY_FUNCTION_CALL, mend_chunk, usage_from


def mend(body: dict[str, Any]) -> Chunk:
    return mend_chunk(body, b"", Counter())


def delta_of(chunk: Chunk) -> Delta:
    delta = chunk.choices[0].delta
    assert delta is not None
    return delta


def call_of(call: dict[str, Any], quirks: Counter[str] | None = None) -> ToolCallFragment:
    chunk = mend_chunk({"choices": [{"delta": {"tool_calls": [call]}}]}, b"", Counter() if quirks is None else quirks)
    fragments = delta_of(chunk).tool_calls
    assert fragments is not None
    assert len(fragments) == 1
    return fragments[0]


# --- errors


@pytest.mark.parametrize("error", [{"message": "m"}, "m", True, ["m"], {"code": 1}])
def test_row_29_and_30_an_error_is_kept_as_it_is(error):
    assert mend({"error": error}).error == error


@pytest.mark.parametrize("none", [None, "", {}, [], False])
def test_an_empty_error_is_none(none):
    assert mend({"error": none, "choices": []}).error is None


def test_row_32_a_flat_error_object():
    body = {"object": "error", "message": "boom", "code": 50001}
    assert mend(body).error == body


def test_an_error_inside_x_groq():
    assert mend({"choices": [], "x_groq": {"error": "over capacity"}}).error == "over capacity"


def test_row_34_an_error_beside_choices_keeps_both():
    chunk = mend({"error": {"message": "m"}, "choices": [{"delta": {"content": "x"}, "finish_reason": "error"}]})
    assert (chunk.text, chunk.error, chunk.choices[0].finish_reason) == ("x", {"message": "m"}, "error")


# --- usage


def test_row_50_usage_beside_empty_choices():
    chunk = mend({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    assert chunk.usage == Usage(1, 2, 3)


def test_row_51_usage_wherever_it_stands():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    for body in ({"x_groq": {"usage": usage}}, {"choices": [{"usage": usage}]}, {"choices": [None, {"usage": usage}]}):
        assert mend(body).usage == Usage(1, 2, 3)


def test_row_51_the_usage_of_the_chunk_comes_before_that_of_a_choice():
    body = {
        "usage": {"total_tokens": 1},
        "x_groq": {"usage": {"total_tokens": 2}},
        "choices": [{"usage": {"total_tokens": 3}}],
    }
    assert mend(body).usage == Usage(total_tokens=1)


@pytest.mark.parametrize("empty", [None, {}, [], "x", 5, {"prompt_tokens": None, "total_tokens": None}, {"cost": 0.1}])
def test_row_51_usage_without_a_count_is_none_and_never_0(empty):
    assert usage_from(empty) is None


def test_usage_keeps_what_it_has_beside_the_totals():
    assert usage_from({"total_tokens": 0, "cost": 0.1, "prompt_tokens_details": {"cached_tokens": 0}}) == Usage(
        total_tokens=0, extra={"cost": 0.1, "prompt_tokens_details": {"cached_tokens": 0}}
    )


@pytest.mark.parametrize(
    ("sent", "count"),
    [
        (5, 5),
        (5.0, 5),
        ("5", 5),
        (10**30, 10**30),
        (True, None),
        (5.5, None),
        ("²", None),
        ("1_0", None),
        ("-1", None),
        ("9" * 16, None),
        ([], None),
        (float("nan"), None),
        (float("inf"), None),
    ],
)
def test_a_count_is_a_whole_number(sent, count):
    assert usage_from({"prompt_tokens": sent, "total_tokens": 1}) == Usage(prompt_tokens=count, total_tokens=1)


# --- choices


@pytest.mark.parametrize("choice", [None, 5, "x", [], True])
def test_a_choice_that_is_no_object_is_none(choice):
    assert mend({"choices": [choice, {"delta": {"content": "x"}}]}).text == "x"
    assert len(mend({"choices": [choice, {}]}).choices) == 1


@pytest.mark.parametrize("odd", [5, "x", [], True])
def test_a_delta_that_is_no_object_is_none(odd):
    assert mend({"choices": [{"delta": odd}]}).choices[0].delta is None


def test_the_message_of_a_whole_answer_is_its_delta():
    quirks: Counter[str] = Counter()
    chunk = mend_chunk({"choices": [{"message": {"content": "x"}, "delta": None}]}, b"", quirks)
    assert (chunk.text, quirks) == ("x", {"message_for_delta": 1})


def test_a_delta_comes_before_a_message_and_a_text():
    assert mend({"choices": [{"delta": {"content": "d"}, "message": {"content": "m"}, "text": "t"}]}).text == "d"
    assert mend({"choices": [{"message": {"content": "m"}, "text": "t"}]}).text == "m"


@pytest.mark.parametrize("odd", [5, [], None, ""])
def test_what_is_no_text_is_none(odd):
    delta = delta_of(mend({"choices": [{"delta": {"refusal": [odd], "role": {"x": odd}, "reasoning": [odd]}}]}))
    assert (delta.refusal, delta.role, delta.reasoning) == (None, None, None)


# --- tool calls


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "0"}, {"index": True}])
def test_row_53_a_call_without_an_index(index):
    quirks: Counter[str] = Counter()
    assert call_of({"id": "c", **index}, quirks).index is None
    assert quirks == {"tool_index_missing": 1}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(None, None), ("", ""), ({"a": "é"}, '{"a": "é"}'), ([], "[]"), (5, "5"), (True, "true"), ({}, "{}")],
)
def test_row_56_arguments_that_are_no_text_are_serialised(arguments, text):
    assert call_of({"index": 0, "function": {"arguments": arguments}}).function == FunctionFragment(arguments=text)


def test_row_56_a_call_needs_no_type_and_no_function():
    assert call_of({"index": 0}).type is None
    assert call_of({"index": 0, "function": "f"}).function is None


def test_row_61_what_a_vendor_hangs_on_a_call_is_kept():
    call = {
        "index": 0,
        "extra_content": {"google": {"thought_signature": "s"}},
        "none": None,
        "function": {"name": "f", "p": 1},
    }
    assert call_of(call).extra == {"extra_content": {"google": {"thought_signature": "s"}}, "function": {"p": 1}}
    assert call_of({"index": 0, "function": {}}).extra is None


def test_row_63_a_legacy_function_call_is_a_call():
    quirks: Counter[str] = Counter()
    chunk = mend_chunk({"choices": [{"delta": {"function_call": {"name": "f", "arguments": "{"}}}]}, b"", quirks)
    assert delta_of(chunk).tool_calls == (ToolCallFragment(LEGACY_FUNCTION_CALL, function=FunctionFragment("f", "{")),)
    assert quirks == {"legacy_function_call": 1}


@pytest.mark.parametrize("calls", [[], [None], "x", {}, None])
def test_no_calls_are_none(calls):
    assert delta_of(mend({"choices": [{"delta": {"tool_calls": calls}}]})).tool_calls is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "index"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_field_nothing_is_raised(data):
    def some(*names):
        return {name: data.draw(values) for name in names if data.draw(st.booleans())}

    call = {**some("index", "id", "type", "extra"), "function": data.draw(values) or some("name", "arguments", "p")}
    delta = {
        **some("role", "content", "refusal", "reasoning", "reasoning_details", "function_call"),
        "tool_calls": data.draw(st.sampled_from([None, [call], [call, call]])),
    }
    choice = {**some("index", "message", "text", "finish_reason", "logprobs", "usage"), "delta": delta}
    chunk = mend({**some("id", "model", "object", "usage", "error", "x_groq"), "choices": [choice]})
    assert isinstance(chunk.text, str)
    assert chunk.choices[0].delta is not None
