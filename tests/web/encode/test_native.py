from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web import Failure, LogGap, Record, StreamEnd, encoding
from streamkit.web.encode import NativeEncoder

from .reading import body_of, data_of, events_of, texts


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(min_size=1), max_size=5))
def test_any_text_comes_back_as_it_was(pieces: list[str]):
    clean = [piece.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for piece in pieces]
    body = body_of(NativeEncoder("s"), texts(*clean), StreamEnd("done"))
    assert [data["text"] for data in data_of(body)] == clean
    assert len(events_of(body)) == len(clean) + 1


@pytest.mark.parametrize(
    "text", ["a\r\nb", "\u2028\u2029", "\0", "😀", "\n\nevent: end\ndata: {}\n\n", "\ufeff", " ", "data: x"]
)
def test_awkward_texts_come_back_as_they_were(text: str):
    assert data_of(body_of(NativeEncoder("s"), texts(text))) == [{"text": text}]


def test_every_event_has_the_id_under_which_to_resume():
    events = events_of(body_of(NativeEncoder("s_-9"), texts("a", "b"), StreamEnd("done", "stop")))
    assert [event.id for event in events] == ["s_-9:1", "s_-9:2", "s_-9:end"]


@pytest.mark.parametrize("stream_id", ["", "a\nb", "a\rb", "a\0b", "a b", "a:b", "é", "a" * 129, "a\n\ndata: x\n\n"])
def test_an_id_that_could_end_its_line_is_refused(stream_id: str):
    with pytest.raises(ValueError, match="a stream id is"):
        encoding("native", stream_id)


CHUNKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"choices": [{"delta": {"content": "a", "refusal": "no", "reasoning": "hm"}}]}, {"text": "a", "reasoning": "hm", "refusal": "no"}),
    ({"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}]}, {"text": "a", "finish_reason": "stop"}),
    ({"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"total_tokens": 1}},
     {"finish_reason": "length", "usage": {"prompt_tokens": None, "completion_tokens": None, "total_tokens": 1}}),
    ({"choices": [{"delta": {"tool_calls": [
        {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}},
        {"index": 1, "function": {"arguments": "{}"}}]}}]},
     {"tool_calls": [{"index": 0, "id": "c1", "name": "f", "arguments": ""}, {"index": 1, "id": None, "name": None, "arguments": "{}"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("chunk", "data"), CHUNKS)
def test_all_that_a_chunk_says_is_in_one_event(chunk: dict[str, Any], data: dict[str, Any]):
    assert data_of(body_of(NativeEncoder("s"), [Record(1, "chunk", json.dumps(chunk).encode())])) == [data]


def test_a_call_that_begins_under_an_index_in_use_has_a_place_of_its_own():
    calls: list[list[dict[str, Any]]] = [
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}],
        [{"index": 0, "function": {"arguments": "}"}}],
        [{"index": 0, "id": "b", "function": {"name": "f", "arguments": "{}"}}, {"id": "c", "function": {"name": "g"}}],
        [{"index": 0, "id": "a", "function": {"arguments": " "}}],
    ]
    chunks = [{"choices": [{"delta": {"tool_calls": fragments}}]} for fragments in calls]
    records = [Record(seq, "chunk", json.dumps(chunk).encode()) for seq, chunk in enumerate(chunks, 1)]
    told = [call for data in data_of(body_of(NativeEncoder("s"), records)) for call in data["tool_calls"]]
    assert [(call["index"], call["arguments"]) for call in told] == [(0, "{"), (0, "}"), (1, "{}"), (2, ""), (0, " ")]


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": []},
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": None}]},
    ],
)
def test_a_chunk_that_says_nothing_of_choice_0_is_no_event(chunk: dict[str, Any]):
    assert NativeEncoder("s").record(Record(1, "chunk", json.dumps(chunk).encode())) == b""


def test_a_gap_says_what_is_missing_and_goes_on_after_it():
    (event,) = events_of(NativeEncoder("s").record(LogGap(3, 7)))
    assert (event.event, event.id, json.loads(event.data)) == ("gap", "s:7", {"from": 3, "to": 7})


def test_a_failure_is_told_before_the_end_and_not_under_the_name_of_an_event_of_eventsource():
    failure = Failure("slow\ndown", "rate_limit_error", "rate_limited", status=429, request_id="r", retry_after=2.0)
    encoder = NativeEncoder("s")
    told, end = events_of(encoder.end(StreamEnd("error", error=failure), 4))
    assert told.event == "stream-error"
    assert told.id == ""  # who reconnects after it gets it again
    assert json.loads(told.data) == {
        "message": "slow\ndown", "type": "rate_limit_error", "code": "rate_limited", "status": 429,
        "request_id": "r", "retry_after": 2.0,
    }  # fmt: skip
    assert (end.event, json.loads(end.data)["reason"], end.id) == ("end", "error", "s:end")
    assert not encoder.clean(StreamEnd("error"))


@pytest.mark.parametrize(("reason", "events", "clean"), [
    ("done", ["end"], True), ("abort", ["end"], True), ("shutdown", ["stream-error", "end"], False),
    ("producer_lost", ["stream-error", "end"], False), ("error", ["stream-error", "end"], False),
])  # fmt: skip
def test_how_each_ending_is_told(reason: Any, events: list[str], clean: bool):
    encoder = NativeEncoder("s")
    assert [event.event for event in events_of(encoder.end(StreamEnd(reason), 1))] == events
    assert encoder.clean(StreamEnd(reason)) is clean


def test_the_end_has_all_that_a_reader_needs_to_close():
    (event,) = events_of(NativeEncoder("s").end(StreamEnd("done", "stop", {"total_tokens": 3}), 9))
    assert json.loads(event.data) == {"reason": "done", "finish_reason": "stop", "usage": {"total_tokens": 3}, "seq": 9}
