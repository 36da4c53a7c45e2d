from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.accumulate import Accumulator
from streamkit.wire.body import BodyKind, completion_in_body, is_feed_text, kind_of_body

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", None),
        (b" \r\n\t", None),
        (BOM[:1], None),
        (BOM[:2], None),
        (BOM, None),
        (BOM + b"\n", None),
        (b"data: x", BodyKind.FEED),
        (b": ping", BodyKind.FEED),
        (BOM + b"data: x", BodyKind.FEED),
        (b"Internal Server Error", BodyKind.FEED),
        (b"\xef\xbb", None),
        (b"\xef\xbbx", BodyKind.FEED),
        (b"{", BodyKind.JSON),
        (b'\n [{"error"', BodyKind.JSON),
        (BOM + b"{", BodyKind.JSON),
        (b"<!doctype html>", BodyKind.MARKUP),
        (b"\n<?xml", BodyKind.MARKUP),
    ],
)
def test_what_a_body_is_by_its_first_bytes(head, kind):
    assert kind_of_body(head) is kind


@given(st.binary(max_size=12), st.binary(max_size=4))
@settings(max_examples=200, deadline=None)
def test_what_a_body_is_does_not_change_with_more_of_it(head, more):
    kind = kind_of_body(head)
    assert kind is None or kind_of_body(head + more) is kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n\n",
        b": ping",
        b":",
        b"data: x",
        b"data:x",
        b"data",
        b"event: ping\n",
        b"id: 1",
        b"retry: 5",
        b"error: x",
        BOM + b"data: x",
        b"nonsense\r\ndata: x\r\n",
        b"\rdata: x",
    ],
)
def test_what_may_be_a_feed(head):
    assert is_feed_text(head)


@pytest.mark.parametrize(
    "head",
    [b"Internal Server Error", b"<html>", b"database is down", b"error", b"datum: 5", b"identity: x\n", b"\xff\xfe"],
)
def test_row_10_text_that_is_no_feed(head):
    assert not is_feed_text(head)


def test_row_8_a_json_body_with_an_error():
    chunk = completion_in_body(b'{"error": {"message": "boom", "code": 500, "type": "server_error"}}', Counter())
    assert chunk is not None
    assert chunk.error == {"message": "boom", "code": 500, "type": "server_error"}


@pytest.mark.parametrize(
    "body", [b'{"detail": "Not Found"}', b'{"object": "error", "message": "boom"}', b'{"message": "boom"}']
)
def test_row_8_a_json_body_with_a_flat_error(body):
    chunk = completion_in_body(body, Counter())
    assert chunk is not None
    assert chunk.error == json.loads(body)


def test_row_8_a_json_list_with_an_error():
    # The OpenAI-compatible endpoint of Gemini sends its errors so.
    chunk = completion_in_body(b'[{"error": {"code": 400, "message": "boom"}}]', Counter())
    assert chunk is not None
    assert chunk.error == {"code": 400, "message": "boom"}


WHOLE = {
    "id": "c",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi",
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                    {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ],
            },
            "finish_reason": "tool_calls",
        },
        {"index": 1, "message": {"role": "assistant", "content": "ho"}, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@pytest.mark.parametrize("lead", [b"", b"\n\n", BOM])
def test_row_9_a_whole_completion_is_one_chunk(lead):
    quirks: Counter[str] = Counter()
    chunk = completion_in_body(lead + json.dumps(WHOLE).encode(), quirks)
    assert chunk is not None
    accumulator = Accumulator()
    accumulator.add(chunk)
    completion = accumulator.completion()
    assert (completion.text, completion.reasoning, completion.id, completion.model) == ("hi", "hm", "c", "m")
    assert [(call.id, call.name, call.arguments) for call in completion.tool_calls] == [
        ("1", "f", '{"a": 1}'),
        ("2", "f", "{}"),
    ]
    assert [(choice.message.content, choice.finish_reason) for choice in completion.choices] == [
        ("hi", "tool_calls"),
        ("ho", "stop"),
    ]
    assert completion.usage is not None
    assert completion.usage.total_tokens == 3
    assert accumulator.finished
    assert quirks["message_for_delta"] == 2


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"5", b'{"id": "c"}', b'{"choices": []}', b"\xff", b"[" * 100_000]
)
def test_row_10_json_that_is_neither(body):
    assert completion_in_body(body, Counter()) is None
