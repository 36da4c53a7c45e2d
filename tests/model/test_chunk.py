from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.model import (
    Chunk,
    ChunkChoice,
    Delta,
    Usage,
)
from streamkit.wire.chat import ChatDecoder


def chunk_of(body: object) -> Chunk:
    return Chunk(raw=json.dumps(body).encode())


# --- a chunk


def test_the_text_of_a_chunk_is_that_of_choice_0():
    chunk = Chunk(
        (
            ChunkChoice(1, Delta(content="other")),
            ChunkChoice(0, Delta(content="a")),
            ChunkChoice(0, None),
            ChunkChoice(0, Delta()),
            ChunkChoice(0, Delta(content="b")),
        )
    )
    assert chunk.text == str(chunk) == "ab"
    assert Chunk().text == ""


def test_the_repr_of_a_chunk_is_short():
    chunk = Chunk((ChunkChoice(0, Delta(content="hi"), "stop"),), raw=b"x" * 10_000)
    assert repr(chunk) == "<Chunk 'hi' finish_reason='stop'>"
    assert repr(Chunk()) == "<Chunk ''>"


def test_chunks_are_compared_by_what_they_say():
    one, same, other = (
        ChatDecoder().decode(b'{"choices":[{"delta":{"content":"%s"}}]}' % text) for text in (b"a", b"a", b"b")
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert (one == "a") is False


def test_what_the_fast_decoder_makes_equals_what_a_user_writes():
    delta = ChatDecoder().decode(b'{"choices":[{"delta":{"content":"hi"}}]}').choices[0].delta
    assert delta == Delta(content="hi")
    assert hash(delta) == hash(Delta(content="hi"))
    assert delta != Delta(content="ho")
    assert delta != object()


def test_the_extra_of_a_chunk_is_what_has_no_field_of_its_own():
    chunk = chunk_of(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "usage": None,
            "service_tier": "default",
            "choices": [
                {
                    "index": 0,
                    "delta": {
                        "role": "assistant",
                        "content": "hi",
                        "refusal": None,
                        "annotations": [1],
                        "audio": {"id": "a"},
                    },
                    "finish_reason": None,
                    "logprobs": None,
                    "content_filter_results": {"hate": {"filtered": False}},
                },
                {"index": 1, "delta": {}},
            ],
        }
    )
    assert chunk.extra == {
        "object": "chat.completion.chunk",
        "created": 1,
        "service_tier": "default",
        "choices": [
            {
                "content_filter_results": {"hate": {"filtered": False}},
                "delta": {"annotations": [1], "audio": {"id": "a"}},
            },
            {},
        ],
    }
    assert chunk.extra is chunk.extra


def test_content_parts_that_are_neither_text_nor_reasoning_are_extra():
    reference = {"type": "reference", "reference_ids": [1]}
    parts = [{"type": "text", "text": "a"}, reference, {"type": "thinking", "thinking": []}, "loose"]
    chunk = chunk_of({"choices": [{"delta": {"content": parts}}]})
    assert chunk.extra["choices"][0]["delta"]["content"] == [reference, "loose"]


def test_a_content_part_that_was_taken_as_text_is_not_extra():
    data = b'{"choices":[{"delta":{"content":[{"text":"a"}]}}]}'
    chunk = ChatDecoder().decode(data)
    assert chunk.text == "a"
    assert chunk.extra == {}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        b"[" * 100_000,
        b'{"choices": {}}',
        b'{"choices": [1, null]}',
        b'{"choices":[{"delta":[]}]}',
    ],
)
def test_a_chunk_whose_bytes_say_nothing_has_no_extra(raw):
    assert Chunk(raw=raw).extra == {}


@pytest.mark.parametrize("kind", [[], {}, None, 1, True])
def test_a_content_part_of_an_odd_type_is_extra(kind):
    part = {"type": kind, "value": 1}
    assert chunk_of({"choices": [{"delta": {"content": [part]}}]}).extra == {
        "choices": [{"delta": {"content": [part]}}]
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choices", "delta", "content", "type", "text", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=200, deadline=None)
def test_the_extra_of_any_json_is_a_dict(value):
    assert isinstance(chunk_of(value).extra, dict)


def test_reasoning_is_one_text_under_whichever_name():
    assert Delta(reasoning_content="a").reasoning == "a"
    assert Delta(reasoning_field="b").reasoning == "b"
    assert Delta(reasoning_content="a", reasoning_field="a").reasoning == "a"
    assert Delta(reasoning_content="", reasoning_field="b").reasoning == "b"
    assert Delta().reasoning is None


# --- what it adds up to


def test_unknown_token_counts_are_shown_as_unknown():
    assert str(Usage(1, None, 3)) == "1 prompt + ? completion = 3 tokens"
