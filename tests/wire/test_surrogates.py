from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.model import Chunk, ChunkChoice, Delta, FunctionFragment, ToolCallFragment
from streamkit.wire.surrogates import SurrogateJoiner

FIELDS = ["content", "refusal", "reasoning_content", "reasoning_field"]


def chunk_of(field, text, *, index=0, finish_reason=None):
    return Chunk((ChunkChoice(index, Delta(**{field: text}), finish_reason),))


def call_of(field, text, *, index=0):
    return Chunk(
        (ChunkChoice(0, Delta(tool_calls=(ToolCallFragment(index, function=FunctionFragment(**{field: text})),))),)
    )


def function_of(chunk: Chunk) -> FunctionFragment:
    """What stands in the first tool call of a chunk."""
    delta = chunk.choices[0].delta
    assert delta is not None
    assert delta.tool_calls is not None
    function = delta.tool_calls[0].function
    assert function is not None
    return function


def text_of(chunk, field="content", index=0):
    return "".join(
        getattr(choice.delta, field) or ""
        for choice in chunk.choices
        if choice.index == index and choice.delta is not None
    )


def units(text):
    """The UTF-16 code units of a text, each a str by itself."""
    data = text.encode("utf-16-le", "surrogatepass")
    return [chr(int.from_bytes(data[place : place + 2], "little")) for place in range(0, len(data), 2)]


def test_a_chunk_of_whole_characters_is_passed_as_it_is():
    chunk = chunk_of("content", "😀 é")
    assert SurrogateJoiner().join(chunk) is chunk
    empty = Chunk(
        (ChunkChoice(0, None), ChunkChoice(1, Delta()), ChunkChoice(2, Delta(tool_calls=(ToolCallFragment(0),))))
    )
    assert SurrogateJoiner().join(empty) is empty


@pytest.mark.parametrize("field", FIELDS)
def test_row_48_the_first_half_is_held_back_until_the_other_comes(field):
    joiner = SurrogateJoiner()
    assert text_of(joiner.join(chunk_of(field, "a\ud83d")), field) == "a"
    assert joiner.pending
    assert text_of(joiner.join(chunk_of(field, "\ude00b")), field) == "😀b"
    assert not joiner.pending
    assert not joiner.replaced


@pytest.mark.parametrize("field", ["name", "arguments"])
def test_row_48_the_halves_in_a_tool_call_are_joined(field):
    joiner = SurrogateJoiner()
    pieces = [function_of(joiner.join(call_of(field, text))) for text in ("a\ud83d", "\ude00b")]
    assert [getattr(piece, field) for piece in pieces] == ["a", "😀b"]


def test_the_halves_of_two_choices_two_fields_and_two_calls_are_kept_apart():
    joiner = SurrogateJoiner()
    halves = [
        chunk_of("content", "\ud83d"),
        chunk_of("content", "\ud83c", index=1),
        chunk_of("refusal", "\ud83e"),
        call_of("arguments", "\ud83d"),
        call_of("arguments", "\ud83c", index=1),
    ]
    others = [
        chunk_of("content", "\ude00"),
        chunk_of("content", "\udf89", index=1),
        chunk_of("refusal", "\udd73"),
        call_of("arguments", "\ude01"),
        call_of("arguments", "\udf88", index=1),
    ]
    for chunk in halves:
        joiner.join(chunk)
    assert len(joiner.pending) == 5
    joined = [joiner.join(chunk) for chunk in others]
    assert [text_of(joined[0]), text_of(joined[1], index=1), text_of(joined[2], "refusal")] == ["😀", "🎉", "🥳"]
    calls = [function_of(chunk).arguments for chunk in joined[3:]]
    assert calls == ["😁", "🎈"]
    assert not joiner.pending


def test_a_half_waits_over_chunks_that_say_nothing():
    joiner = SurrogateJoiner()
    for text in ("\ud83d", "", None):
        joiner.join(chunk_of("content", text))
    joiner.join(Chunk())
    joiner.join(chunk_of("content", "x", index=1))
    assert text_of(joiner.join(chunk_of("content", "\ude00"))) == "😀"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (["\ud83dx"], "\ufffdx"),
        (["\ude00x"], "\ufffdx"),
        (["\ud83d", "x"], "\ufffdx"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["\ude00\ud83d", "\ude00"], "\ufffd😀"),
    ],
)
def test_a_half_alone_is_replaced(sent, shown):
    joiner = SurrogateJoiner()
    assert "".join(text_of(joiner.join(chunk_of("content", text))) for text in sent) == shown
    assert joiner.replaced


def test_a_replacement_character_of_the_server_is_no_half():
    joiner = SurrogateJoiner()
    assert text_of(joiner.join(chunk_of("content", "\ufffd\ud83d\ude00"))) == "\ufffd😀"
    assert not joiner.replaced


def test_a_half_that_waits_at_the_finish_comes_with_it():
    joiner = SurrogateJoiner()
    joiner.join(chunk_of("content", "a\ud83d"))
    finish = joiner.join(chunk_of("content", None, finish_reason="stop"))
    assert text_of(finish) == "\ufffd"
    assert finish.choices[0].finish_reason == "stop"
    assert joiner.replaced
    assert not joiner.pending


@pytest.mark.parametrize("field", FIELDS)
def test_a_half_that_waits_at_the_end_of_the_feed_is_replaced(field):
    joiner = SurrogateJoiner()
    joiner.join(chunk_of(field, "\ud83d", index=2))
    assert text_of(joiner.close(None), field, index=2) == "\ufffd"
    assert not joiner.pending


def test_what_waits_is_added_to_the_chunk_that_closes_the_feed():
    joiner = SurrogateJoiner()
    joiner.join(chunk_of("content", "\ud83d"))
    closing = joiner.close(chunk_of("content", "x", index=1))
    assert [text_of(closing, index=index) for index in (0, 1)] == ["\ufffd", "x"]


@given(st.text(alphabet=st.sampled_from("aé流😀🎉\ufffd\n"), max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_row_48_split_at_any_place_the_text_is_the_same(text, data):
    joiner, joined, rest = SurrogateJoiner(), "", units(text)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        piece, rest = "".join(rest[:size]), rest[size:]
        # JSON joins the halves that stand side by side.
        piece = piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        joined += text_of(joiner.join(chunk_of("content", piece)))
        joined.encode()
    assert joined == text
    assert not joiner.replaced
    assert not joiner.pending


@given(st.lists(st.text(alphabet="a\ud83d\ude00\udbff\udc00é", max_size=4), max_size=5))
@settings(max_examples=200, deadline=None)
def test_whatever_halves_come_what_is_said_can_be_encoded(pieces):
    joiner = SurrogateJoiner()
    said = [text_of(joiner.join(chunk_of("content", piece))) for piece in pieces]
    if joiner.pending:
        said.append(text_of(joiner.close(None)))
    whole = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert "".join(said) == whole
    "".join(said).encode()
