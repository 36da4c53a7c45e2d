from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import SSEDecoder
from streamkit.web import Failure, LogGap, Record, StreamEnd
from streamkit.web.encode import OpenAIEncoder

from .reading import body_of, data_of, texts

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def records(*chunks: dict[str, Any]) -> list[Record | LogGap]:
    return [Record(seq, "chunk", json.dumps(chunk).encode()) for seq, chunk in enumerate(chunks, 1)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_any_text_comes_back_as_it_was(pieces: list[str]):
    body = body_of(OpenAIEncoder(), texts(*pieces), StreamEnd("done"))
    *chunks, done = data_of(body)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == pieces
    assert done == "[DONE]"


def test_chunks_are_passed_on_byte_for_byte():
    data = b'{ "choices":[{"delta":{"content":"\\u00e9"}}], "vendor": 1.50}'
    assert OpenAIEncoder().record(Record(1, "chunk", data)) == b"data: " + data + b"\n\n"


def test_there_is_nothing_that_an_openai_client_takes_for_an_event():
    body = body_of(OpenAIEncoder(include_usage=True), texts("a", "b"), StreamEnd("error"))
    decoder = SSEDecoder(lenient=True)
    events = decoder.feed(body)
    assert {event.event for event in events} == {"message"}
    assert all(event.id == "" and event.retry is None for event in events)
    assert all(line.startswith((b"data: ", b": hb")) for line in body.split(b"\n") if line)


CHUNK = {
    "id": "c",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
}
ONLY_USAGE = {"id": "c", "choices": [], "usage": USAGE}
FILTER: dict[str, Any] = {"id": "", "choices": [], "prompt_filter_results": [], "usage": None}


def test_the_usage_chunk_is_for_those_who_asked_and_comes_last():
    chunks = records(ONLY_USAGE, CHUNK, FILTER)
    without = data_of(body_of(OpenAIEncoder(), chunks, StreamEnd("done", usage=USAGE)))
    assert without == [CHUNK, FILTER, "[DONE]"]
    asked = data_of(body_of(OpenAIEncoder(include_usage=True), chunks, StreamEnd("done", usage=USAGE)))
    assert asked == [CHUNK, FILTER, ONLY_USAGE, "[DONE]"]


def test_usage_that_stood_elsewhere_gets_a_chunk_of_its_own():
    *_, usage, done = data_of(
        body_of(OpenAIEncoder(include_usage=True), records(CHUNK), StreamEnd("done", usage=USAGE))
    )
    assert usage == {
        "id": "c",
        "created": 1,
        "model": "m",
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": USAGE,
    }
    assert done == "[DONE]"


def test_usage_beside_choices_stays_there_and_is_not_repeated():
    both = {**CHUNK, "usage": USAGE}
    assert data_of(body_of(OpenAIEncoder(include_usage=True), records(both), StreamEnd("done", usage=USAGE))) == [
        both,
        "[DONE]",
    ]


def test_the_word_usage_in_a_text_is_no_usage():
    chunk = {"choices": [{"index": 0, "delta": {"content": '"usage"'}}]}
    assert data_of(body_of(OpenAIEncoder(), records(chunk), StreamEnd("done"))) == [chunk, "[DONE]"]


@pytest.mark.parametrize("reason", ["error", "abort", "shutdown", "producer_lost"])
def test_what_is_not_whole_is_an_error_without_done(reason: Any):
    encoder = OpenAIEncoder()
    *_, last = data_of(body_of(encoder, records(CHUNK), StreamEnd(reason)))
    assert set(last) == {"error"}
    assert set(last["error"]) == {"message", "type", "code", "param"}
    assert not encoder.clean(StreamEnd(reason))


def test_the_upstreams_error_is_passed_on():
    failure = Failure("too long", "invalid_request_error", "context_length_exceeded", param="messages")
    *_, last = data_of(body_of(OpenAIEncoder(), [], StreamEnd("error", error=failure)))
    assert last == {
        "error": {
            "message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages",
        }
    }  # fmt: skip


def test_after_a_gap_nothing_looks_whole():
    encoder = OpenAIEncoder()
    body = body_of(
        encoder, [*records(CHUNK), LogGap(2, 3), Record(4, "chunk", json.dumps(CHUNK).encode())], StreamEnd("done")
    )
    first, last = data_of(body)
    assert first == CHUNK
    assert last["error"]["code"] == "gap"
    assert not encoder.clean(StreamEnd("done"))
