from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import EmptyStream, ProtocolError, ServerError, TruncatedStream
from streamkit.settings import Settings
from streamkit.stream.intake import Intake
from streamkit.subscriptions import Subscriptions
from streamkit.testing import chunk, sse

from .scripted import feed_of


class Bench:
    """An intake without a pump: bytes in, events out."""

    def __init__(self, **options: Any) -> None:
        self.subs = Subscriptions()
        self.events: list[tuple[str, Any]] = []
        self.subs.add("*", lambda event: self.events.append((event.name, event.payload)))
        self.intake = Intake(self.subs, Settings(**options), lambda text: text.replace("sk-secret", "[redacted]"))

    def feed(self, *reads: bytes) -> None:
        for data in reads:
            if self.intake.done:
                break  # as the pump does
            self.intake.load(data)
            while self.intake.step():
                self.subs.post.attention = False
                self.intake.raise_fatal()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


FULL = sse(
    chunk("", role="assistant"),
    b": beat\n\n",
    chunk("one", reasoning_content="r"),
    "{broken",
    chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a'}}]),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}]),
    chunk("zwei \u00fc\U0001f600", index=1),
    chunk(refusal="n"),
    chunk(finish_reason="stop"),
    chunk(finish_reason="stop", index=1),
    chunk(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
)


def whole() -> Bench:
    bench = Bench()
    bench.feed(FULL)
    assert bench.intake.finish(FULL, "text/event-stream") == "done"
    return bench


def test_a_chunk_comes_before_what_is_derived_from_it():
    assert whole().names == [
        "heartbeat",
        "chunk",
        "chunk", "reasoning", "text",
        "warning",
        "chunk", "tool_delta",
        "chunk", "tool_delta",
        "chunk",
        "chunk", "refusal",
        "chunk",
        "chunk",
        "chunk", "usage",
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, len(FULL)), max_size=30))
def test_the_events_do_not_depend_on_how_the_bytes_are_split(cuts):
    bench = Bench()
    places = sorted(cuts)
    bench.feed(*[FULL[start:end] for start, end in zip([0, *places], [*places, len(FULL)], strict=True) if start < end])
    bench.intake.finish(FULL, "text/event-stream")
    expected = whole()

    def shown(events: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        return [(name, payload) for name, payload in events if name != "heartbeat"]

    assert shown(bench.events) == shown(expected.events)
    assert bench.names.count("heartbeat") == 1
    assert bench.intake.accumulator.completion() == expected.intake.accumulator.completion()


def test_chunks_without_content_are_held_back_and_come_once_in_order():
    bench = Bench()
    bench.feed(sse({"choices": []}, chunk("", role="assistant"), done=False))
    assert bench.names == []
    assert bench.intake.holding
    bench.feed(sse(chunk("a"), done=False))
    assert not bench.intake.holding
    assert [payload.choices[0].delta.role if payload.choices else None for name, payload in bench.events if name == "chunk"] == [
        None, "assistant", None,
    ]  # fmt: skip
    bench.feed(sse(chunk("", role="assistant"), done=False))
    assert bench.names == ["chunk", "chunk", "chunk", "text", "chunk"]


def test_an_attempt_that_starts_anew_has_forgotten_the_one_before():
    bench = Bench()
    bench.feed(sse({**chunk("", role="tool"), "id": "old"}, "{broken", done=False), b"data: {half")
    bench.intake.start_anew()
    bench.feed(feed_of("a"))
    bench.intake.finish(b"", "text/event-stream")
    completion = bench.intake.accumulator.completion()
    assert completion.id == "chatcmpl-streamkit"
    assert completion.choices[0].message.role == "assistant"
    assert completion.text == "a"


def test_what_follows_done_is_not_looked_at():
    bench = Bench()
    bench.feed(feed_of("a") + sse(chunk("b")))
    assert bench.intake.done
    assert bench.intake.accumulator.text("text") == "a"


@pytest.mark.parametrize("terminator", ["[DONE]", " [DONE] ", "[DONE]\n"])
def test_done_is_recognised_with_white_space_around(terminator):
    bench = Bench()
    bench.feed(sse(chunk("a", finish_reason="stop"), terminator, done=False))
    assert bench.intake.finish(b"", "text/event-stream") == "done"


def test_the_last_event_counts_without_its_blank_line():
    feed = sse(chunk("a"), chunk("b", finish_reason="stop"), done=False)
    for cut in (1, 2):
        bench = Bench()
        bench.feed(feed[:-cut])
        assert bench.intake.finish(feed, "text/event-stream") == "eof"
        assert bench.intake.accumulator.text("text") == "ab"


def test_malformed_chunks_are_skipped_up_to_a_limit_with_the_key_out_of_sight():
    bench = Bench(max_malformed=2)
    bench.feed(sse("{sk-secret", "nonsense", chunk("a"), done=False))
    warnings = [payload for name, payload in bench.events if name == "warning"]
    assert [warning.kind for warning in warnings] == ["malformed_chunk"] * 2
    assert "sk-secret" not in repr(warnings)
    with pytest.raises(ProtocolError, match="max_malformed=2"):
        bench.feed(b"data: more\n\n")
    assert bench.intake.accumulator.quirks["malformed_chunk"] == 3


def test_an_event_that_is_too_large_is_a_protocol_error():
    with pytest.raises(ProtocolError, match="max_event_bytes"):
        Bench(max_event_bytes=100).feed(b"data: " + b"x" * 200)


@pytest.mark.parametrize(
    "feed",
    [
        sse({"error": {"message": "overloaded", "code": 529}}),
        b'event: error\ndata: {"message": "overloaded"}\n\n',
        b'error: {"message": "overloaded"}\n\n',
        sse({"object": "error", "message": "overloaded"}),
    ],
)
def test_an_error_in_the_feed_is_raised_after_what_came_before(feed):
    bench = Bench()
    with pytest.raises(ServerError, match="overloaded"):
        bench.feed(sse(chunk("a"), done=False) + feed)
    assert bench.names == ["chunk", "text"]


def test_an_error_beside_text_is_raised_after_the_text():
    bench = Bench()
    with pytest.raises(ServerError, match="overloaded"):
        bench.feed(sse({**chunk("a"), "error": {"message": "overloaded"}}, chunk("b")))
    assert bench.names == ["chunk", "text"]


@pytest.mark.parametrize(
    ("feed", "error"),
    [
        (b"", EmptyStream),
        (b": beat\n\n", EmptyStream),
        (b"data: [DONE]\n\n", EmptyStream),
        (b"Bad gateway", ProtocolError),
        (sse(chunk("a"), done=False), TruncatedStream),
        (sse(chunk("a", finish_reason="stop"), chunk("b", index=1), done=False), TruncatedStream),
        (feed_of("a", finish="error"), ServerError),
    ],
)
def test_an_end_in_peace_may_hide_an_error(feed, error):
    bench = Bench()
    bench.feed(feed)
    with pytest.raises(error) as caught:
        bench.intake.finish(feed, "text/event-stream")
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("feed", "ended_by", "kind"),
    [(sse(chunk("a"), done=False), "eof", "truncated"), (sse(chunk("a")), "done", "done_without_finish")],
)
def test_an_answer_without_a_finish_may_be_accepted_with_a_warning(feed, ended_by, kind):
    bench = Bench(on_truncation="accept")
    bench.feed(feed)
    assert bench.intake.finish(feed, "text/event-stream") == ended_by
    assert [payload.kind for name, payload in bench.events if name == "warning"] == [kind]
    assert bench.intake.accumulator.quirks == {kind: 1}


def test_a_whole_completion_is_published_as_one_chunk():
    bench = Bench()
    body = {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 1},
    }
    assert bench.intake.finish_whole(json.dumps(body).encode(), "application/json") == "eof"
    assert bench.names == ["warning", "chunk", "text", "usage"]


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b"<html>sk-secret</html>", ProtocolError, "text/html"),
        (b"[]", ProtocolError, "text/html"),
        (b'{"error": {"message": "overloaded sk-secret"}}', ServerError, "overloaded"),
    ],
)
def test_a_body_that_is_neither_is_an_error_that_shows_its_beginning(body, error, said):
    with pytest.raises(error, match=said) as caught:
        Bench().intake.finish_whole(body, "text/html")
    assert "sk-secret" not in str(caught.value)


def test_step_returns_when_something_needs_attention():
    bench = Bench()
    bench.subs.add("text", lambda text: setattr(bench.subs.post, "attention", text == "a"))
    bench.intake.load(feed_of("a", "b"))
    assert bench.intake.step()
    assert bench.intake.accumulator.text("text") == "a"
    bench.subs.post.attention = False
    assert not bench.intake.step()
    assert bench.intake.accumulator.text("text") == "ab"
    assert bench.intake.done
