from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.model import FunctionFragment, ToolCall, ToolCallDelta, ToolCallFragment
from streamkit.testing import chunk, sse
from streamkit.tool_calls import ToolCallAssembler

from .feeds import fold


def fragment(
    index: int | None = 0,
    call_id: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
    extra: Any = None,
) -> ToolCallFragment:
    return ToolCallFragment(index, call_id, "function", FunctionFragment(name, arguments), extra)


def assembled(*fragments: ToolCallFragment) -> list[tuple[str, str, str]]:
    assembler = ToolCallAssembler()
    for one in fragments:
        assembler.add(one)
    assembler.finish()
    return [(call.id, call.name, call.arguments) for call in assembler.snapshot()]


def from_wire(
    *deltas: Any, finish_reason: str | None = "tool_calls", at_last: bool = False
) -> list[tuple[str, str, str]]:
    """What the calls of a feed come to; each delta is the `tool_calls` of one chunk."""
    chunks = [chunk(tool_calls=delta) for delta in deltas]
    if at_last:
        chunks[-1] = chunk(tool_calls=deltas[-1], finish_reason=finish_reason)
    elif finish_reason is not None:
        chunks.append(chunk(finish_reason=finish_reason))
    folded = fold([sse(*chunks)])
    assert folded.completion.finish_reason == finish_reason
    return [(call.id, call.name, call.arguments) for call in folded.completion.tool_calls]


def test_a_fragment_says_which_call_it_belongs_to():
    assembler = ToolCallAssembler(choice=2)
    deltas = [
        assembler.add(fragment(0, "a", "f")),
        assembler.add(fragment(1, "b", "g", "{")),
        assembler.add(fragment(0, None, None, "{}")),
        assembler.add(ToolCallFragment(1, function=None)),
    ]
    assert deltas == [
        ToolCallDelta(0, "a", "f", "", 2),
        ToolCallDelta(1, "b", "g", "{", 2),
        ToolCallDelta(0, "a", "f", "{}", 2),
        ToolCallDelta(1, "b", "g", "", 2),
    ]


def test_a_snapshot_shows_the_calls_as_far_as_they_have_come():
    assembler = ToolCallAssembler()
    assert assembler.snapshot() == ()
    assembler.add(fragment(0, None, "f", '{"a'))
    first = assembler.snapshot()
    assembler.add(fragment(0, "c", None, '": 1}'))
    assert first == (ToolCall("", "f", '{"a'),)
    assert assembler.snapshot() == (ToolCall("c", "f", '{"a": 1}'),)


# --- which call


def test_row_53_the_index_starts_at_1_and_has_gaps():
    assert assembled(
        fragment(1, "a", "f", "{"),
        fragment(5, "b", "g", "{"),
        fragment(1, None, None, "}"),
        fragment(5, None, None, "}"),
    ) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_row_53_whole_calls_without_an_index():
    calls = [{"id": name, "function": {"name": "f", "arguments": "{}"}} for name in ("a", "b")]
    assert from_wire(calls) == from_wire(calls[:1], calls[1:]) == [("a", "f", "{}"), ("b", "f", "{}")]


def test_row_53_fragments_without_an_index():
    assert assembled(
        fragment(None, "a", "f", "{"),
        fragment(None, None, None, "}"),
        fragment(None, "b", "g", ""),
        fragment(None, None, None, "{}"),
    ) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_row_53_two_calls_with_neither_index_nor_id():
    found = assembled(
        fragment(None, None, "f", '{"a": 1}'), fragment(None, None, "f", '{"a": 2}'), fragment(None, None, "g", "{}")
    )
    assert [call[1:] for call in found] == [("f", '{"a": 1}'), ("f", '{"a": 2}'), ("g", "{}")]


def test_row_53_two_calls_without_arguments_with_neither_index_nor_id():
    found = from_wire([{"function": {"name": "f", "arguments": ""}}, {"function": {"name": "g", "arguments": ""}}])
    assert [call[1:] for call in found] == [("f", ""), ("g", "")]


def test_row_53_a_name_repeated_without_index_and_id_while_the_arguments_are_open():
    found = assembled(*(fragment(None, None, "f", text) for text in ('{"a": {}', ', "b": {"c": 1}', "}")))
    assert [call[1:] for call in found] == [("f", '{"a": {}, "b": {"c": 1}}')]


def test_row_53_a_name_repeated_without_index_and_id_while_a_text_has_braces():
    pieces = ['{"a": "}', "}\\", '"}', '{", "b": {}', "}"]
    found = assembled(*(fragment(None, None, "f", text) for text in [*pieces, *pieces]))
    assert [call[1:] for call in found] == [("f", "".join(pieces)), ("f", "".join(pieces))]


def test_row_54_two_calls_at_index_0_with_different_ids():
    found = from_wire(
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x": 1}'}}],
        [{"index": 0, "id": "b", "function": {"name": "f", "arguments": ""}}],
        [{"index": 0, "function": {"arguments": '{"x": 2}'}}],
    )
    assert found == [("a", "f", '{"x": 1}'), ("b", "f", '{"x": 2}')]


def test_row_54_the_id_says_which_call_is_meant_whatever_the_index():
    assert assembled(
        fragment(0, "a", "f", "{"),
        fragment(0, "b", "g", "{"),
        fragment(0, "a", None, "1}"),
        fragment(7, "b", None, "2}"),
    ) == [("a", "f", "{1}"), ("b", "g", "{2}")]


def test_another_name_after_arguments_is_another_call():
    found = assembled(fragment(0, None, "f", "{}"), fragment(0, None, "g", "{}"))
    assert [call[1:] for call in found] == [("f", "{}"), ("g", "{}")]


# --- id and name


@pytest.mark.parametrize("index", [0, None])
def test_row_55_id_and_name_repeated_in_every_delta(index):
    assert assembled(*(fragment(index, "a", "f", text) for text in ("", '{"x"', ": 1}"))) == [("a", "f", '{"x": 1}')]


def test_row_55_a_name_repeated_in_every_delta_without_an_id():
    found = assembled(*(fragment(0, None, "f", text) for text in ("", '{"x"', ": {}", "}")))
    assert [call[1:] for call in found] == [("f", '{"x": {}}')]


def test_row_55_a_late_name_and_a_late_id():
    assert assembled(fragment(0), fragment(0, "a"), fragment(0, None, "f"), fragment(0, None, None, "{}")) == [
        ("a", "f", "{}")
    ]


def test_row_55_a_name_after_the_arguments_have_begun():
    assert assembled(fragment(0, "a", None, "{"), fragment(0, None, "f", "}")) == [("a", "f", "{}")]


def test_row_55_a_name_split_over_two_deltas():
    assert assembled(fragment(0, "a", "get_"), fragment(0, None, "weather"), fragment(0, None, None, "{}")) == [
        ("a", "get_weather", "{}")
    ]


@pytest.mark.parametrize("none", ["", None])
def test_row_55_an_empty_id_or_name_in_a_continuation(none):
    assert assembled(fragment(0, "a", "f", "{"), fragment(0, none, none, "}")) == [("a", "f", "{}")]


@pytest.mark.parametrize("none", ["", None])
def test_row_55_an_id_is_made_up_only_where_none_ever_came(none):
    found = from_wire(
        [{"index": 0, "id": none, "function": {"name": "f", "arguments": "{}"}}],
        [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 2, "id": none, "function": {"name": "h", "arguments": "{}"}}],
    )
    first, second, third = (call[0] for call in found)
    assert second == "b"
    assert first.startswith("call_")
    assert third.startswith("call_")
    assert first != third


# --- arguments


@pytest.mark.parametrize("none", [None, ""])
def test_row_56_a_call_without_type_and_with_null_arguments(none):
    assert from_wire(
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": none}}],
        [{"index": 0, "function": {"arguments": "{}"}}],
    ) == [("a", "f", "{}")]


def test_row_56_arguments_as_an_object_are_serialised():
    ((_, _, arguments),) = from_wire(
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": {"city": "Århus", "n": [1]}}}]
    )
    assert json.loads(arguments) == {"city": "Århus", "n": [1]}


@pytest.mark.parametrize("at_last", [True, False])
def test_row_57_and_58_a_whole_call_in_one_chunk(at_last):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    assert from_wire([call], at_last=at_last) == [("a", "f", '{"x": 1}')]


@pytest.mark.parametrize("finish_reason", ["stop", None])
def test_row_59_another_finish_reason_hides_no_call(finish_reason):
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    assert from_wire([call], finish_reason=finish_reason) == [("a", "f", "{}")]


def test_row_60_two_objects_under_one_index_are_two_calls():
    assembler = ToolCallAssembler()
    for text in ('{"a": 1}', ' {"b"', ": {}}\n"):
        assembler.add(fragment(0, "a", "f", text))
    assert assembler.finish() == 1
    first, second = assembler.snapshot()
    assert (first.id, first.name, first.parsed) == ("a", "f", {"a": 1})
    assert (second.name, second.parsed) == ("f", {"b": {}})
    assert second.id.startswith("call_")


def test_row_60_two_objects_after_white_space_are_two_calls():
    assert [call[2] for call in assembled(fragment(0, "a", "f", '\n{"a": 1}\n{"b": 2}'))] == ['{"a": 1}', '{"b": 2}']


@pytest.mark.parametrize(
    "text", ['{"a": 1}{"b"', '{"a": 1}}', '{"a": 1} x', "5{}", "[1][2]", '"a""b"', "", "}", "{}}", "{" * 2000]
)
def test_row_60_what_is_not_several_whole_objects_is_left_alone(text):
    assembler = ToolCallAssembler()
    assembler.add(fragment(0, "a", "f", text))
    assert assembler.finish() == 0
    assert assembler.snapshot() == (ToolCall("a", "f", text),)


def test_row_60_a_brace_in_a_text_splits_nothing():
    assert assembled(fragment(0, "a", "f", '{"code": "}{"}')) == [("a", "f", '{"code": "}{"}')]


def test_row_61_what_a_vendor_hangs_on_a_call_is_kept():
    extra = {"google": {"thought_signature": "s"}}
    folded = fold(
        [
            sse(
                chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]),
                chunk(tool_calls=[{"index": 0, "extra_content": extra}]),
                chunk(finish_reason="tool_calls"),
            )
        ]
    )
    assert folded.completion.tool_calls == (ToolCall("a", "f", "{}", {"extra_content": extra}),)


@pytest.mark.parametrize("pieces", [["1", "2"], ["{}", " "], ['{"a": 1', "}"], ["{", "}"], ["null"], ["tru", "e"]])
@pytest.mark.parametrize("index", [0, None])
def test_row_62_arguments_that_parse_early_are_not_taken_for_whole(pieces, index):
    assert assembled(fragment(index, "a", "f"), *(fragment(index, None, None, piece) for piece in pieces)) == [
        ("a", "f", "".join(pieces))
    ]


def test_row_63_legacy_function_call_deltas_are_one_call():
    folded = fold(
        [
            sse(
                chunk(function_call={"name": "f", "arguments": ""}),
                chunk(function_call={"arguments": '{"a"'}),
                chunk(function_call={"arguments": ": 1}"}),
                chunk(finish_reason="function_call"),
            )
        ]
    )
    (call,) = folded.completion.tool_calls
    assert (call.name, call.parsed, folded.completion.finish_reason) == ("f", {"a": 1}, "function_call")


# --- any split

calls_sent = st.lists(
    st.tuples(
        st.sampled_from(["f", "get_weather"]), st.dictionaries(st.text(max_size=4), st.text(max_size=6), max_size=3)
    ),
    min_size=1,
    max_size=3,
)


@given(calls_sent, st.data())
@settings(max_examples=200, deadline=None)
def test_arguments_split_anywhere_give_the_same_calls(calls, data):
    with_index, with_id, parallel = (data.draw(st.booleans()) for _ in range(3))
    streams = []
    for place, (name, arguments) in enumerate(calls):
        index, rest = place if with_index else None, json.dumps(arguments)
        pieces = [fragment(index, f"call_{place}", name, data.draw(st.sampled_from(["", None])))]
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            pieces.append(fragment(index, f"call_{place}" if with_id else None, None, rest[:size]))
            rest = rest[size:]
        streams.append(pieces)
    order = [place for place, pieces in enumerate(streams) for _ in pieces]
    if parallel and (with_index or with_id):
        order = data.draw(st.permutations(order))
    assembler = ToolCallAssembler()
    for place in order:
        assembler.add(streams[place].pop(0))
    assert assembler.finish() == 0
    # In the order in which they began.
    began = list(dict.fromkeys(order))
    assert [(call.id, call.name, call.parsed) for call in assembler.snapshot()] == [
        (f"call_{place}", *calls[place]) for place in began
    ]


fragments = st.builds(
    ToolCallFragment,
    st.none() | st.integers(-1, 2),
    st.sampled_from([None, "", "a", "b"]),
    st.none(),
    st.none()
    | st.builds(
        FunctionFragment, st.sampled_from([None, "", "f", "g"]), st.sampled_from([None, "", "{", "}", "{}", "x", " "])
    ),
    st.none() | st.just({"extra": 1}),
)


@given(st.lists(fragments, max_size=12))
@settings(max_examples=300, deadline=None)
def test_whatever_fragments_come_no_argument_is_lost(sent):
    assembler = ToolCallAssembler()
    deltas = [assembler.add(one) for one in sent]
    assert "".join(delta.arguments for delta in deltas) == "".join(
        (one.function.arguments if one.function else None) or "" for one in sent
    )
    # A delta names the call that it went into.
    before = assembler.snapshot()
    for place, call in enumerate(before):
        assert "".join(delta.arguments for delta in deltas if delta.position == place) == call.arguments
    split = assembler.finish()
    calls = assembler.snapshot()
    assert len(calls) == len(before) + split
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id for call in calls)


# --- cost


def test_a_megabyte_of_arguments_in_small_deltas_takes_linear_time():
    assembler = ToolCallAssembler()
    assembler.add(fragment(0, "a", "f"))
    text = json.dumps({"code": "0123456789" * 100_000})
    start = time.process_time()
    for place in range(0, len(text), 4):
        assembler.add(fragment(0, None, None, text[place : place + 4]))
    assembler.finish()
    assert time.process_time() - start < 2
    assert assembler.snapshot()[0].arguments == text


@pytest.mark.parametrize("piece", ['{"a": {}}', '{"a":{}}{"b"', "}"])
def test_a_megabyte_of_braces_with_a_repeated_name_takes_linear_time(piece):
    assembler = ToolCallAssembler()
    start = time.process_time()
    for _ in range(20_000):
        assembler.add(fragment(0, "a", "f", piece))
    assembler.finish()
    assert time.process_time() - start < 2


def test_open_arguments_with_a_repeated_name_and_no_index_take_linear_time():
    # Each piece ends with a brace, as if the arguments might be whole.
    assembler = ToolCallAssembler()
    assembler.add(fragment(None, None, "f", '{"a": [{}'))
    start = time.process_time()
    for _ in range(8_000):
        assembler.add(fragment(None, None, "f", ', {"b": "0123456789"}'))
    assert time.process_time() - start < 2
    assert len(assembler.snapshot()) == 1


def test_very_many_objects_under_one_index_take_linear_time():
    assembler = ToolCallAssembler()
    assembler.add(fragment(0, "a", "f", json.dumps({"a": "x" * 100}) * 20_000))
    start = time.process_time()
    assert assembler.finish() == 19_999
    assert time.process_time() - start < 2
