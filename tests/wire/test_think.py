from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.model import Chunk, ChunkChoice, Delta
from streamkit.wire.think import ThinkSplitter


def chunk_of(text, *, index=0, finish_reason=None, **delta):
    return Chunk((ChunkChoice(index, Delta(content=text, **delta), finish_reason),))


def delta_of(chunk: Chunk) -> Delta:
    delta = chunk.choices[0].delta
    assert delta is not None
    return delta


def split(pieces, *, index=0):
    """The reasoning and the text that the pieces come to."""
    splitter = ThinkSplitter()
    chunks = [splitter.split(chunk_of(piece, index=index)) for piece in pieces]
    if (rest := splitter.close()) is not None:
        chunks.append(rest)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices if choice.delta is not None]
    return "".join(delta.reasoning or "" for delta in deltas), "".join(delta.content or "" for delta in deltas)


def by_the_rule(text):
    """What stands between the tags, and what stands outside: the same rule for a text that is whole."""
    reasoning = "".join(re.findall(r"<think>(.*?)(?:</think>|\Z)", text, re.DOTALL))
    return reasoning, re.sub(r"<think>.*?(?:</think>|\Z)", "", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("<think>hm</think>42", "hm", "42"),
        ("a<think>b</think>c<think>d</think>e", "bd", "ace"),
        ("<think>never closed", "never closed", ""),
        ("<think></think>42", "", "42"),
        ("no tags", "", "no tags"),
        ("a </think> alone", "", "a </think> alone"),
        ("<think>a <think> in a thought</think>b", "a <think> in a thought", "b"),
        ("<thin>", "", "<thin>"),
        ("<", "", "<"),
        ("<think>a</thin", "a</thin", ""),
    ],
)
def test_row_45_what_stands_between_the_tags_is_reasoning(text, reasoning, content):
    assert split([text]) == split(list(text)) == by_the_rule(text) == (reasoning, content)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "think>", "</", "x", "é\n", "<th"]), max_size=10), st.data()
)
@settings(max_examples=300, deadline=None)
def test_row_45_tags_split_at_any_place_give_the_same(words, data):
    text = "".join(words)
    pieces: list[str] = []
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces, rest = [*pieces, rest[:size]], rest[size:]
    assert split(pieces) == by_the_rule(text)


def test_nothing_is_held_back_that_cannot_be_a_tag():
    splitter = ThinkSplitter()
    assert [splitter.split(chunk_of(text)).text for text in ("a<", "b", "<thinks", "</think>", "<<think")] == [
        "a",
        "<b",
        "<thinks",
        "</think>",
        "<",
    ]


def test_the_finish_decides_what_is_held_back():
    splitter = ThinkSplitter()
    assert splitter.split(chunk_of("a <thi")).text == "a "
    finish = splitter.split(Chunk((ChunkChoice(0, None, "stop"),)))
    assert (finish.text, finish.choices[0].finish_reason) == ("<thi", "stop")
    assert splitter.close() is None


def test_the_choices_think_each_by_itself():
    splitter = ThinkSplitter()
    splitter.split(chunk_of("<think>a<"))
    other = delta_of(splitter.split(chunk_of("b", index=1)))
    assert (other.content, other.reasoning) == ("b", None)
    assert splitter.split(chunk_of("/think>c")).text == "c"


def test_what_is_held_back_at_the_end_of_a_thought_is_reasoning():
    splitter = ThinkSplitter()
    splitter.split(chunk_of("<think>a</", index=3))
    rest = splitter.close()
    assert rest is not None
    assert (rest.choices[0].index, delta_of(rest).reasoning, delta_of(rest).content) == (3, "</", "")
    assert len(rest.choices) == 1


def test_reasoning_that_has_a_field_of_its_own_comes_first():
    delta = delta_of(ThinkSplitter().split(chunk_of("<think>b</think>c", reasoning_content="a")))
    assert (delta.reasoning, delta.content) == ("ab", "c")


@pytest.mark.parametrize("chunk", [Chunk(), chunk_of(None), chunk_of(""), Chunk((ChunkChoice(0, None),))])
def test_a_chunk_without_content_is_passed_as_it_is(chunk):
    assert ThinkSplitter().split(chunk) is chunk


def test_the_rest_of_a_delta_is_kept():
    delta = delta_of(ThinkSplitter().split(chunk_of("a", role="assistant", refusal="no")))
    assert (delta.role, delta.refusal, delta.content) == ("assistant", "no", "a")


def test_a_long_text_of_tags_takes_linear_time():
    start = time.process_time()
    reasoning, content = split(["<think>a</think>b" * 120_000])  # 2 MB: quadratic work takes ten seconds
    assert time.process_time() - start < 2
    assert (len(reasoning), len(content)) == (120_000, 120_000)
