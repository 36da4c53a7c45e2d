"""What a text widget shows of a stream: spans of text, each in one of four styles. Pure; `bind` of each toolkit stands on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ..errors import StreamAborted, StreamError
from ..model import Completion, ToolCall
from .backlog import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Event
    from .backlog import StreamEnding

__all__ = ["Span", "Spans", "Style", "shown_by"]

Style: TypeAlias = Literal["text", "reasoning", "note", "error"]
"""The answer; what the model thought before it; what happened, in a line of its own; how it failed, likewise."""

ARGUMENT_CHARACTERS = 200
"""How much of a tool call's arguments a note shows."""

_FINISHED = {"length": "cut off at the limit of tokens", "content_filter": "cut off by the content filter"}


class Span(NamedTuple):
    """Text in one style, line breaks included: spans are shown one right behind the other."""

    style: Style
    text: str


class Spans:
    r"""The spans of one stream, batch by batch.

    Reasoning and answer are set apart by an empty line; a note and an error have a line of their own.

    >>> from streamkit.gui import Batch
    >>> from streamkit.model import Event
    >>> spans = Spans()
    >>> for span in spans.of(Batch((Event("reasoning", "Well.", 0.0), Event("text", "Yes", 0.0)))):
    ...     print(span)
    Span(style='reasoning', text='Well.')
    Span(style='text', text='\n\nYes')
    >>> spans.of(Batch(ending=StreamAborted()))
    [Span(style='note', text='\n[stopped]')]
    """

    def __init__(self) -> None:
        self._style: Style | None = None
        self._tail = "\n\n"
        """The last two characters: how many line breaks there are already."""

    def of(self, batch: Batch) -> list[Span]:
        """What a batch adds."""
        spans: list[Span] = []
        for event in batch.events:
            self._add(spans, *_said(event))
        if batch.ending is not None:
            self._add(spans, *_ended(batch.ending))
        return spans

    def _add(self, spans: list[Span], style: Style, text: str) -> None:
        if not text:
            return
        if style != self._style or style in {"note", "error"}:
            breaks = 2 if {style, self._style} == {"text", "reasoning"} else 1
            text = "\n" * (breaks - (len(self._tail) - len(self._tail.rstrip("\n")))) + text
        self._style = style
        self._tail = (self._tail + text)[-2:]
        spans.append(Span(style, text))


def shown_by(
    append: Callable[[list[Span]], object], append_reasoning: Callable[[list[Span]], object] | None = None
) -> Callable[[Batch], None]:
    """A function that shows the batches of one stream: by one function that appends spans, or reasoning apart by another.

    >>> from streamkit.gui import Batch
    >>> from streamkit.model import Event
    >>> show = shown_by(print, lambda spans: print("apart:", spans))
    >>> show(Batch((Event("reasoning", "Well.", 0.0), Event("text", "Yes", 0.0))))
    apart: [Span(style='reasoning', text='Well.')]
    [Span(style='text', text='Yes')]
    """
    answer, thoughts = Spans(), Spans()

    def show(batch: Batch) -> None:
        if append_reasoning is None:
            append(answer.of(batch))
            return
        apart = tuple(event for event in batch.events if event.name == "reasoning")
        append_reasoning(thoughts.of(Batch(apart)))
        rest = tuple(event for event in batch.events if event.name != "reasoning")
        append(answer.of(Batch(rest, batch.ending)))

    return show


def _said(event: Event) -> Span:
    match event.name, event.payload:
        case "text" | "refusal", str(text):
            return Span("text", text)
        case "reasoning", str(text):
            return Span("reasoning", text)
        case "tool_call", ToolCall(name=name, arguments=arguments):
            if len(arguments) > ARGUMENT_CHARACTERS:
                arguments = arguments[:ARGUMENT_CHARACTERS] + "…"
            return Span("note", f"[calls {name}({' '.join(arguments.split())})]")
        case _:
            return Span("note", "")


def _ended(ending: StreamEnding) -> Span:
    if isinstance(ending, StreamError):
        return Span("error", f"[failed: {ending}]")
    if isinstance(ending, StreamAborted):
        return Span("note", "[stopped]")
    assert isinstance(ending, Completion)
    finished = _FINISHED.get(ending.finish_reason or "")
    return Span("note", f"[{finished}]" if finished else "")
