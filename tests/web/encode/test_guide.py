from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web import LogGap, Record, StreamEnd
from streamkit.web.encode import GuideEncoder

from .reading import body_of, data_of, texts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=1), max_size=5))
def test_any_text_comes_back_as_it_was(pieces: list[str]):
    assert data_of(body_of(GuideEncoder(), texts(*pieces), StreamEnd("done"))) == [
        *[{"content": piece} for piece in pieces],
        "[DONE]",
    ]


def test_chunks_without_text_are_no_events():
    chunks: list[dict[str, Any]] = [
        {"choices": []},
        {"choices": [{"delta": {"reasoning": "hm"}, "finish_reason": "stop"}]},
    ]
    for chunk in chunks:
        assert GuideEncoder().record(Record(1, "chunk", json.dumps(chunk).encode())) == b""


@pytest.mark.parametrize("reason", ["error", "abort", "shutdown", "producer_lost"])
def test_what_is_not_whole_is_an_error_without_done(reason: Any):
    encoder = GuideEncoder()
    *_, last = data_of(body_of(encoder, texts("a"), StreamEnd(reason)))
    assert last["error"]["message"]
    assert not encoder.clean(StreamEnd(reason))


def test_after_a_gap_nothing_looks_whole():
    encoder = GuideEncoder()
    (last,) = data_of(body_of(encoder, [LogGap(1, 3), *texts("a")], StreamEnd("done")))
    assert last["error"]["code"] == "gap"
    assert not encoder.clean(StreamEnd("done"))
