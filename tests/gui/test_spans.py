from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import Choice, Completion, Message, StreamAborted, StreamError
from streamkit.gui import Batch
from streamkit.gui.spans import Span, Spans
from streamkit.model import Event, ToolCall


def said(*pairs: tuple[str, object]) -> Batch:
    return Batch(tuple(Event(name, payload, 0.0) for name, payload in pairs))


def shown(*batches: Batch) -> str:
    spans = Spans()
    return "".join(span.text for batch in batches for span in spans.of(batch))


def ended(finish_reason: str | None) -> Completion:
    return Completion(choices=(Choice(message=Message(content="x"), finish_reason=finish_reason),))


def test_text_is_shown_as_it_came() -> None:
    assert Spans().of(said(("text", "one\n"), ("text", " two"))) == [Span("text", "one\n"), Span("text", " two")]


def test_refusal_is_shown_as_the_answer_that_it_is() -> None:
    assert Spans().of(said(("refusal", "I cannot."))) == [Span("text", "I cannot.")]


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_reasoning_and_answer_are_an_empty_line_apart_over_batches_too(end: str) -> None:
    assert shown(said(("reasoning", "Well." + end)), said(("text", "Yes"))) == "Well." + max(end, "\n\n") + "Yes"
    assert shown(said(("reasoning", "Well." + end), ("text", "Yes"))) == "Well." + max(end, "\n\n") + "Yes"


def test_tool_call_is_a_line_of_its_own() -> None:
    calls = [("tool_call", ToolCall(id=str(n), name="weather", arguments='{"city":\n "Oslo"}')) for n in (1, 2)]

    assert shown(said(("text", "Let me see."), *calls, ("text", "Cold."))) == (
        'Let me see.\n[calls weather({"city": "Oslo"})]\n[calls weather({"city": "Oslo"})]\nCold.'
    )


def test_long_arguments_are_cut() -> None:
    [span] = Spans().of(said(("tool_call", ToolCall(id="1", name="write", arguments="x" * 10_000))))

    assert len(span.text) < 300
    assert span.text.endswith("…)]")


@pytest.mark.parametrize(
    ("ending", "style", "text"),
    [
        (StreamError("broken"), "error", "\n[failed: broken]"),
        (StreamAborted("the user pressed Stop"), "note", "\n[stopped]"),
        (ended("length"), "note", "\n[cut off at the limit of tokens]"),
        (ended("content_filter"), "note", "\n[cut off by the content filter]"),
        (ended("stop"), None, ""),
        (ended(None), None, ""),
    ],
)
def test_ending_that_is_not_as_it_should_be_is_said(
    ending: Completion | StreamError | StreamAborted, style: str | None, text: str
) -> None:
    spans = Spans()
    spans.of(said(("text", "x")))

    assert spans.of(Batch(ending=ending)) == ([] if style is None else [(style, text)])


def test_failure_before_any_text_begins_no_new_line() -> None:
    assert shown(Batch(ending=StreamError("broken"))) == "[failed: broken]"


def test_events_that_have_no_text_are_passed_over() -> None:
    assert Spans().of(said(("usage", None), ("retry", object()))) == []


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["text", "reasoning"]), st.text("ab\n", min_size=1, max_size=4)), max_size=12)
)
def test_no_character_is_lost_and_only_line_breaks_are_added(pairs: list[tuple[str, str]]) -> None:
    whole = shown(*[said(pair) for pair in pairs])

    assert whole.replace("\n", "") == "".join(text for _, text in pairs).replace("\n", "")
    assert whole.count("\n") >= sum(text.count("\n") for _, text in pairs)
    assert whole == shown(said(*pairs))
