from __future__ import annotations

import json
from typing import Any

from streamkit.web import Failure, LogGap, Record, StreamEnd
from streamkit.web.snapshot import Snapshot

from .scripted import chunk_record


def record(seq: int, chunk: dict[str, Any]) -> Record:
    return Record(seq, "chunk", json.dumps(chunk).encode())


def test_a_stream_of_which_nothing_is_known():
    snapshot = Snapshot("s", "asked-for").as_json()
    assert snapshot == {
        "stream": "s", "status": "running", "seq": 0, "model": "asked-for", "text": "", "reasoning": "", "refusal": "",
        "tool_calls": [], "usage": None, "finish_reason": None, "reason": None, "error": None, "whole": True,
    }  # fmt: skip


def test_all_that_was_said_is_added_up():
    snapshot = Snapshot("s", "asked-for")
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a":'}}
    snapshot.add([
        record(1, {"model": "m", "choices": [{"delta": {"content": "a", "reasoning": "hm"}}]}),
        record(2, {"choices": [{"delta": {"tool_calls": [call]}}]}),
    ])  # fmt: skip
    snapshot.add([
        record(3, {"choices": [{"delta": {"content": "b", "tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}}]}),
        record(4, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": {"total_tokens": 7}}),
        Record(5, "end", StreamEnd("done", "tool_calls").encode()),
    ])  # fmt: skip
    known = snapshot.as_json()
    assert (known["text"], known["reasoning"], known["model"], known["seq"]) == ("ab", "hm", "m", 5)
    assert known["tool_calls"] == [{"id": "c1", "name": "f", "arguments": '{"a":1}'}]
    assert (known["status"], known["reason"], known["finish_reason"]) == ("ended", "done", "tool_calls")
    assert known["usage"]["total_tokens"] == 7
    json.dumps(known)


def test_a_failure_is_told_with_what_had_come():
    snapshot = Snapshot("s")
    snapshot.add([chunk_record(1, "a"), Record(2, "end", StreamEnd("error", error=Failure("boom", code="c")).encode())])
    known = snapshot.as_json()
    assert (known["text"], known["reason"], known["error"]["code"]) == ("a", "error", "c")


def test_what_is_missing_is_not_passed_over():
    snapshot = Snapshot("s")
    snapshot.add([LogGap(1, 4)])
    assert snapshot.seq == 4
    snapshot.add([chunk_record(5, "e")])
    assert snapshot.as_json()["whole"] is False
