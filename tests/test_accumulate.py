from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.accumulate import NOTHING, Accumulator, Derived, says_something
from streamkit.model import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Delta,
    FunctionFragment,
    Message,
    Timings,
    ToolCall,
    ToolCallDelta,
    ToolCallFragment,
    Usage,
)
from streamkit.testing import chunk as wire_chunk, sse
from streamkit.wire.chat import ChatDecoder

from .feeds import fold


def chunk_of(content=None, *, index=0, finish_reason=None, usage=None, logprobs=None, **delta):
    return Chunk((ChunkChoice(index, Delta(content=content, **delta), finish_reason, logprobs),), usage=usage)


def call_of(arguments, *, index=0, choice=0, call_id=None, name=None):
    return Chunk(
        (
            ChunkChoice(
                choice, Delta(tool_calls=(ToolCallFragment(index, call_id, None, FunctionFragment(name, arguments)),))
            ),
        )
    )


def added(*chunks):
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator


# --- the events that follow


def test_each_delta_is_an_event_in_the_order_in_which_a_model_speaks():
    accumulator = Accumulator()
    delta = Delta(
        content="b",
        reasoning_content="a",
        refusal="c",
        tool_calls=(ToolCallFragment(0, "1", None, FunctionFragment("f", "{}")),),
    )
    usage = Usage(1, 2, 3)
    assert accumulator.add(Chunk((ChunkChoice(0, delta),), usage=usage)) == (
        ("reasoning", "a"),
        ("text", "b"),
        ("refusal", "c"),
        ("tool_delta", ToolCallDelta(0, "1", "f", "{}")),
        ("usage", usage),
    )


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(),
        Chunk((ChunkChoice(0, None),)),
        chunk_of(),
        chunk_of("", role="assistant"),
        chunk_of(refusal="", reasoning_content="", reasoning_field=""),
        chunk_of(finish_reason=""),
        chunk_of(logprobs={"content": []}),
    ],
)
def test_a_chunk_without_content_says_nothing(chunk):
    accumulator = Accumulator()
    assert accumulator.add(chunk) is NOTHING
    assert accumulator.add(chunk_of("a")) == (("text", "a"),)
    assert accumulator.add(chunk) is NOTHING
    assert accumulator.chunks == 3


def test_row_65_an_empty_list_of_calls_says_nothing():
    # vLLM sends one in each chunk: as a sign of life it would hide a stall.
    accumulator = added(chunk_of("a"))
    assert accumulator.add(chunk_of("", tool_calls=())) is NOTHING
    assert not says_something(chunk_of("", tool_calls=()))


@pytest.mark.parametrize(
    "chunk", [chunk_of("b", index=1), chunk_of(finish_reason="stop"), chunk_of(reasoning_field="b", index=1)]
)
def test_content_without_an_event_of_its_own_is_content_all_the_same(chunk):
    accumulator = added(chunk_of("a"))
    events = accumulator.add(chunk)
    assert not events
    assert events is not NOTHING


def test_only_choice_0_has_events_for_its_text():
    accumulator = Accumulator()
    both = Chunk((ChunkChoice(1, Delta(content="B")), ChunkChoice(0, Delta(content="a"))))
    assert accumulator.add(both) == (("text", "a"),)
    assert accumulator.add(call_of("{}", choice=1, call_id="x", name="f")) == (
        ("tool_delta", ToolCallDelta(0, "x", "f", "{}", 1)),
    )


def test_a_repeated_usage_is_no_event():
    accumulator = Accumulator()
    assert accumulator.add(chunk_of("a", usage=Usage(1))) == (("text", "a"), ("usage", Usage(1)))
    assert accumulator.add(chunk_of("b", usage=Usage(1))) == (("text", "b"),)
    assert accumulator.add(Chunk(usage=Usage(1))) is NOTHING
    assert accumulator.add(Chunk(usage=Usage(2))) == (("usage", Usage(2)),)


# --- the completion


def test_nothing_adds_up_to_an_empty_completion():
    assert Accumulator().completion() == Completion()
    assert not Accumulator().finished
    assert not Accumulator().failed
    assert Accumulator().text("text") == ""


def test_a_snapshot_does_not_change_with_what_comes_later():
    accumulator = added(chunk_of("a", logprobs={"content": [1]}), call_of("{", call_id="c", name="f"))
    accumulator.quirks["x"] += 1
    before = accumulator.completion()
    accumulator.add(chunk_of("b", logprobs={"content": [2]}, finish_reason="stop", usage=Usage(1)))
    accumulator.add(call_of("}"))
    accumulator.quirks["x"] += 1
    assert before == Completion(
        choices=(Choice(0, Message(content="a", tool_calls=(ToolCall("c", "f", "{"),)), None, {"content": [1]}),),
        quirks={"x": 1},
    )


def test_how_a_stream_ended_is_told_by_the_stream():
    completion = added(chunk_of("a")).completion(ended_by="eof", complete=True, timings=Timings(end=1.0))
    assert (completion.ended_by, completion.complete, completion.timings) == ("eof", True, Timings(end=1.0))


def test_the_texts_of_choice_0_so_far():
    accumulator = added(
        chunk_of("a", reasoning_field="r", refusal="n"), chunk_of("b", index=1), chunk_of("c", reasoning_content="s")
    )
    assert [accumulator.text(field) for field in ("text", "reasoning", "refusal")] == ["ac", "rs", "n"]
    assert added(chunk_of("a")).text("reasoning") == ""


def test_no_content_is_none_and_an_empty_one_is_empty():
    assert added(chunk_of(role="assistant")).completion().choices[0].message.content is None
    message = added(chunk_of("", refusal="", reasoning_content="")).completion().choices[0].message
    assert (message.content, message.refusal, message.reasoning) == ("", None, None)


def test_line_ends_and_all_characters_are_kept():
    text = "a\r\nb\rc\nd\u2028e\x85f\x00😀"
    assert added(*map(chunk_of, text)).completion().text == text


def test_row_39_the_first_id_and_model_that_say_something_hold():
    chunks = [Chunk(id=name, model=model) for name, model in (("", None), (None, "m"), ("a", "n"), ("b", "o"))]
    completion = added(*chunks).completion()
    assert (completion.id, completion.model) == ("a", "m")


def test_row_40_one_role():
    for roles in (["assistant", "assistant"], ["", "assistant"], [None, "assistant", "", None], []):
        assert (
            added(*(chunk_of("a", role=role) for role in roles), chunk_of("b")).completion().choices[0].message.role
            == "assistant"
        )
    assert added(chunk_of(role="tool"), chunk_of(role="assistant")).completion().choices[0].message.role == "tool"


def test_row_42_content_after_the_finish_is_kept_and_the_last_reason_wins():
    accumulator = added(
        chunk_of("a", finish_reason="tool_calls"),
        chunk_of("b"),
        chunk_of("c", finish_reason="stop"),
        chunk_of(finish_reason=""),
    )
    assert accumulator.add(chunk_of("d")) == (("text", "d"),)
    completion = accumulator.completion()
    assert (completion.text, completion.finish_reason) == ("abcd", "stop")


def test_row_46_choices_are_sorted_and_each_has_its_own():
    accumulator = added(
        chunk_of("B", index=1),
        call_of("{}", choice=1, call_id="1", name="g"),
        chunk_of("a", reasoning_content="r", logprobs={"content": [1]}),
        call_of("{}", choice=0, call_id="0", name="f"),
        chunk_of("C", index=1, finish_reason="stop"),
    )
    assert accumulator.completion().choices == (
        Choice(0, Message(content="a", reasoning="r", tool_calls=(ToolCall("0", "f", "{}"),)), None, {"content": [1]}),
        Choice(1, Message(content="BC", tool_calls=(ToolCall("1", "g", "{}"),)), "stop"),
    )
    assert accumulator.finish_tool_calls() == ((ToolCall("0", "f", "{}"), ToolCall("1", "g", "{}")), 0)


def test_row_3_finished_means_that_every_choice_is():
    accumulator = added(chunk_of("a"), chunk_of("b", index=1, finish_reason="stop"))
    assert (accumulator.has_finish, accumulator.finished) == (True, False)
    accumulator.add(chunk_of(finish_reason="length"))
    assert accumulator.finished


@pytest.mark.parametrize(("reason", "failed"), [("error", True), ("stop", False), ("eos", False), (None, False)])
def test_row_13_the_finish_reason_error_is_a_failure(reason, failed):
    assert added(chunk_of("a"), chunk_of(index=1, finish_reason=reason)).failed is failed


@pytest.mark.parametrize(
    "reason", ["length", "content_filter", "eos", "abort", "sensitive", "insufficient_system_resource"]
)
def test_row_12_and_14_any_other_finish_reason_is_kept_as_it_is(reason):
    accumulator = added(chunk_of("a", finish_reason=reason))
    assert accumulator.completion().finish_reason == reason
    assert accumulator.finished


def test_row_49_logprobs_are_joined_field_by_field():
    accumulator = added(
        chunk_of("a", logprobs={"content": [1], "refusal": None}),
        chunk_of("b", logprobs={"content": [2, 3], "refusal": [4]}),
        chunk_of("c", logprobs={"content": None, "tokens": "x"}),
        chunk_of("d"),
    )
    assert accumulator.completion().choices[0].logprobs == {"content": [1, 2, 3], "refusal": [4], "tokens": "x"}


def test_logprobs_of_a_chunk_are_not_changed():
    first = chunk_of("a", logprobs={"content": [1]})
    added(first, chunk_of("b", logprobs={"content": [2]}))
    assert first.choices[0].logprobs == {"content": [1]}


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


@pytest.mark.parametrize(
    "chunks",
    [
        [wire_chunk("a", finish_reason="stop"), wire_chunk(usage=USAGE)],
        [wire_chunk("a", finish_reason="stop", usage=USAGE)],
        [wire_chunk("a", usage={**USAGE, "completion_tokens": 1}), wire_chunk(finish_reason="stop", usage=USAGE)],
        [wire_chunk("a", finish_reason="stop", usage=USAGE), {**wire_chunk(""), "usage": None}],
        [wire_chunk("a", finish_reason="stop", usage=USAGE), wire_chunk("")],
        [wire_chunk("a", finish_reason="stop"), {"choices": [{"index": 0, "delta": {}, "usage": USAGE}]}],
        [wire_chunk("a"), {**wire_chunk(finish_reason="stop"), "x_groq": {"id": "r", "usage": USAGE}}],
        [wire_chunk("a", finish_reason="stop", usage=USAGE), {"choices": [], "usage": {"prompt_tokens": None}}],
    ],
)
def test_row_50_and_51_the_last_usage_wins(chunks):
    completion = fold([sse(*chunks)]).completion
    assert completion.usage == Usage(1, 2, 3)
    assert (completion.text, completion.finish_reason) == ("a", "stop")


def test_row_51_no_usage_is_none():
    assert fold([sse(wire_chunk("a", finish_reason="stop"))]).completion.usage is None


# --- what says something


@pytest.mark.parametrize(
    "chunk",
    [
        chunk_of("a"),
        chunk_of("a", index=3),
        chunk_of(reasoning_field="a"),
        chunk_of(reasoning_content="a"),
        chunk_of(refusal="a"),
        call_of(""),
        chunk_of(finish_reason="stop"),
        Chunk(usage=Usage()),
        Chunk(error="x"),
        Chunk((ChunkChoice(0, None), ChunkChoice(1, None, "stop"))),
    ],
)
def test_content_a_finish_usage_and_an_error_say_something(chunk):
    assert says_something(chunk)


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(),
        Chunk(id="a"),
        chunk_of(),
        chunk_of("", role="assistant"),
        Chunk((ChunkChoice(0, None),)),
        chunk_of(finish_reason=""),
    ],
)
def test_a_role_and_a_filter_result_say_nothing(chunk):
    assert not says_something(chunk)


# --- properties

texts = st.none() | st.text(max_size=3)
any_chunks = st.builds(
    Chunk,
    st.lists(
        st.builds(
            ChunkChoice,
            st.integers(-1, 2),
            st.none()
            | st.builds(
                Delta,
                st.sampled_from([None, "", "assistant"]),
                texts,
                texts,
                texts,
                texts,
                st.none()
                | st.lists(
                    st.builds(
                        ToolCallFragment,
                        st.none() | st.integers(0, 1),
                        texts,
                        texts,
                        st.none() | st.builds(FunctionFragment, texts, texts),
                    ),
                    max_size=2,
                ).map(tuple),
            ),
            st.sampled_from([None, "", "stop", "error"]),
            st.none()
            | st.dictionaries(st.sampled_from(["content", "refusal"]), st.none() | st.lists(st.integers(), max_size=2)),
        ),
        max_size=3,
    ).map(tuple),
    id=texts,
    model=texts,
    usage=st.none() | st.builds(Usage, st.none() | st.integers(0, 9)),
)


@given(st.lists(any_chunks, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_events_add_up_to_the_completion(chunks):
    accumulator = Accumulator()
    events: list[Derived] = []
    for chunk in chunks:
        derived = accumulator.add(chunk)
        assert (derived is not NOTHING) or not says_something(chunk) or (chunk.usage is not None)
        events.extend(derived)
    completion = accumulator.completion()
    for name, whole in (
        ("text", completion.text),
        ("reasoning", completion.reasoning),
        ("refusal", completion.refusal),
    ):
        assert "".join(value for event, value in events if event == name) == whole == accumulator.text(name)
    deltas = [value for event, value in events if event == "tool_delta"]
    for choice in completion.choices:
        for place, call in enumerate(choice.message.tool_calls):
            parts = [delta.arguments for delta in deltas if (delta.choice, delta.position) == (choice.index, place)]
            assert "".join(parts) == call.arguments
    assert completion.usage == next((value for event, value in reversed(events) if event == "usage"), None)
    assert [choice.index for choice in completion.choices] == sorted(
        {choice.index for chunk in chunks for choice in chunk.choices}
    )


@given(st.text(max_size=30), st.data())
@settings(max_examples=100, deadline=None)
def test_a_text_split_anywhere_is_the_same_text(text, data):
    accumulator, rest = Accumulator(), text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        accumulator.add(chunk_of(rest[:size]))
        rest = rest[size:]
    assert accumulator.completion().text == text


# --- cost


def test_a_million_deltas_hold_little_more_than_their_text():
    deltas = 50_000
    chunks = [chunk_of("abcd"), chunk_of("efgh")]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        accumulator = Accumulator()
        for place in range(deltas):
            accumulator.add(chunks[place & 1])
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    text = 4 * deltas
    # StringIO keeps four bytes a character; a list of the deltas would keep sixty.
    assert held < 6 * text
    assert len(accumulator.completion().text) == text


@pytest.mark.parametrize("delta", [Delta(content="abcd"), Delta(reasoning_content="abcd"), Delta(refusal="abcd")])
def test_a_text_in_small_deltas_takes_linear_time(delta):
    accumulator, chunk = Accumulator(), Chunk((ChunkChoice(0, delta),))
    start = time.process_time()
    for _ in range(100_000):
        accumulator.add(chunk)
    assert time.process_time() - start < 4


def test_a_megabyte_of_arguments_takes_linear_time_from_the_wire():
    decoder, accumulator = ChatDecoder(), Accumulator()
    text = json.dumps({"code": "0123456789" * 100_000})
    begin = b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":'
    pieces = [begin + json.dumps(text[place : place + 4]).encode() + b"}}]}}]}" for place in range(0, len(text), 4)]
    start = time.process_time()
    for piece in pieces:
        accumulator.add(decoder.decode(piece))
    accumulator.finish_tool_calls()
    assert time.process_time() - start < 8  # it takes half a second; coverage makes that five
    assert accumulator.completion().tool_calls[0].arguments == text
