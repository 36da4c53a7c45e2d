"""Chunk + Chunk + … -> Completion. A pure fold: no clock, no I/O, work proportional to what each chunk adds."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from .model import Choice, Completion, EndedBy, Message, Timings, ToolCall
from .tool_calls import ToolCallAssembler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .model import Chunk, Delta, Usage

__all__ = ["NOTHING", "Accumulator", "Derived", "says_something"]

Derived: TypeAlias = tuple[str, Any]
"""The name of an event and its payload: what a chunk says besides being a chunk."""

NOTHING: tuple[Derived, ...] = ()
"""What `Accumulator.add` returns (this very object) for a chunk that says nothing to anyone."""

_SILENT: list[Derived] = []  # content of a choice other than 0: no event of its own, but content


class _Text:
    """A text that grows; StringIO keeps it in one buffer, so a million deltas cost no more than their characters."""

    __slots__ = ("_buffer", "write")

    def __init__(self) -> None:
        # newline="" because the default would be allowed to translate line ends.
        self._buffer = io.StringIO(newline="")
        self.write: Callable[[str], int] = self._buffer.write

    def __str__(self) -> str:
        return self._buffer.getvalue()


class _ChoiceState:
    __slots__ = ("content", "finish_reason", "logprobs", "reasoning", "refusal", "role", "tool_calls")

    def __init__(self) -> None:
        self.role: str | None = None
        self.content: _Text | None = None
        self.reasoning: _Text | None = None
        self.refusal: _Text | None = None
        self.tool_calls: ToolCallAssembler | None = None
        self.finish_reason: str | None = None
        self.logprobs: dict[str, Any] | None = None

    def message(self) -> Message:
        return Message(
            role=self.role or "assistant",
            content=None if self.content is None else str(self.content),
            refusal=None if self.refusal is None else str(self.refusal),
            reasoning=None if self.reasoning is None else str(self.reasoning),
            tool_calls=() if self.tool_calls is None else self.tool_calls.snapshot(),
        )


class Accumulator:
    """Adds up the chunks of one stream.

    `add` returns what a chunk says, as events in the order in which they are to be published; `NOTHING` for one that carries
    no content, no finish and no new usage.

    >>> from streamkit.model import Chunk, ChunkChoice, Delta
    >>> accumulator = Accumulator()
    >>> accumulator.add(Chunk((ChunkChoice(delta=Delta(content="Hel")),)))
    (('text', 'Hel'),)
    >>> accumulator.add(Chunk((ChunkChoice(delta=Delta(content="lo"), finish_reason="stop"),)))
    (('text', 'lo'),)
    >>> print(accumulator.completion(), accumulator.finished)
    Hello True
    """

    def __init__(self) -> None:
        self.quirks: Counter[str] = Counter()
        self.usage: Usage | None = None
        self.chunks = 0
        self.has_finish = False
        """At least one choice has its finish_reason."""
        self._choices: dict[int, _ChoiceState] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._identified = False

    def add(self, chunk: Chunk) -> Sequence[Derived]:
        """Take in a chunk; return the events that follow from it."""
        if not self._identified:
            self._identify(chunk)
        choices = chunk.choices
        # The chunk that everyone sends adds text to choice 0 and nothing else: it is a third of the cost of the general way.
        if len(choices) == 1 and chunk.usage is None:
            choice = choices[0]
            delta = choice.delta
            if (
                delta is not None
                and (content := delta.content)
                and choice.index == 0
                and choice.finish_reason is None
                and delta.tool_calls is None
                and delta.role is None
                and delta.refusal is None
                and delta.reasoning_content is None
                and delta.reasoning_field is None
                and choice.logprobs is None
                and (state := self._choices.get(0)) is not None
                and (text := state.content) is not None
            ):
                text.write(content)
                # Last of all: another thread that takes a snapshot tells by it whether it has the whole chunk.
                self.chunks += 1
                return (("text", content),)
        derived = self._add(chunk)
        self.chunks += 1
        return derived

    def _add(self, chunk: Chunk) -> Sequence[Derived]:
        derived: list[Derived] = []
        silent = False
        for choice in chunk.choices:
            state = self._choices.get(choice.index)
            if state is None:
                state = self._choices[choice.index] = _ChoiceState()
            if choice.delta is not None:
                silent |= self._add_delta(state, choice.delta, choice.index, derived)
            if choice.finish_reason:
                # The last one wins: some servers send a second finish with the usage.
                state.finish_reason = choice.finish_reason
                self.has_finish = silent = True
            if choice.logprobs is not None:
                _extend_logprobs(state, choice.logprobs)
        if chunk.usage is not None and chunk.usage != self.usage:
            self.usage = chunk.usage
            derived.append(("usage", chunk.usage))
        if derived:
            return tuple(derived)
        return _SILENT if silent else NOTHING

    def _add_delta(self, state: _ChoiceState, delta: Delta, index: int, derived: list[Derived]) -> bool:
        content = False
        if delta.role and state.role is None:
            state.role = delta.role
        # In the order in which a model speaks: it thinks, then it talks.
        for event, text in (("reasoning", delta.reasoning), ("text", delta.content), ("refusal", delta.refusal)):
            if text is None:
                continue
            field = "content" if event == "text" else event
            buffer: _Text | None = getattr(state, field)
            if buffer is None:
                # "" makes a text of None only for the content: an empty answer is an answer, as in the API.
                if not text and field != "content":
                    continue
                buffer = _Text()
                setattr(state, field, buffer)
            if text:
                buffer.write(text)
                content = True
                if index == 0:
                    derived.append((event, text))
        if delta.tool_calls:
            content = True
            if state.tool_calls is None:
                state.tool_calls = ToolCallAssembler(index)
            calls = state.tool_calls
            # Several in one delta are several calls, with an index or without.
            derived.extend(
                ("tool_delta", calls.add(fragment, apart=place > 0)) for place, fragment in enumerate(delta.tool_calls)
            )
        return content

    def _identify(self, chunk: Chunk) -> None:
        # Azure's first chunk has empty ones; others change the id with each chunk: the first that says something holds.
        self._id = self._id or chunk.id or None
        self._model = self._model or chunk.model or None
        self._identified = self._id is not None and self._model is not None

    @property
    def finished(self) -> bool:
        """Every choice that was seen has its finish_reason."""
        return self.has_finish and all(state.finish_reason for state in self._choices.values())

    @property
    def failed(self) -> bool:
        """A choice finished with the reason "error", which no model gives: the server's way to say that it broke."""
        return any(state.finish_reason == "error" for state in self._choices.values())

    def finish_tool_calls(self) -> tuple[tuple[ToolCall, ...], int]:
        """No more can come: settle the calls of every choice.

        Returns them in the order of their choices, and how many had to be split off because one index held several.
        """
        assemblers = [state.tool_calls for _, state in sorted(self._choices.items()) if state.tool_calls is not None]
        split = sum(assembler.finish() for assembler in assemblers)
        return tuple(call for assembler in assemblers for call in assembler.snapshot()), split

    def text(self, field: str) -> str:
        """The text, reasoning or refusal of choice 0 so far."""
        state = self._choices.get(0)
        buffer = None if state is None else getattr(state, "content" if field == "text" else field)
        return "" if buffer is None else str(buffer)

    def completion(
        self,
        *,
        ended_by: EndedBy | None = None,
        complete: bool = False,
        timings: Timings = Timings(),  # noqa: B008 - frozen
    ) -> Completion:
        """All that is known now."""
        return Completion(
            id=self._id,
            model=self._model,
            choices=tuple(
                Choice(index, state.message(), state.finish_reason, _snapshot(state.logprobs))
                for index, state in sorted(self._choices.items())
            ),
            usage=self.usage,
            ended_by=ended_by,
            complete=complete,
            quirks=dict(self.quirks),
            timings=timings,
        )


def says_something(chunk: Chunk) -> bool:
    """Whether a chunk carries content, a finish, usage or an error, and is not just a role or a filter result.

    >>> from streamkit.model import Chunk, ChunkChoice, Delta
    >>> [says_something(Chunk((ChunkChoice(delta=Delta(role="assistant", content=text)),))) for text in ("", "hi")]
    [False, True]
    """
    return (
        chunk.usage is not None
        or chunk.error is not None
        or any(
            choice.finish_reason
            or (
                (delta := choice.delta) is not None
                and (delta.content or delta.reasoning or delta.refusal or delta.tool_calls)
            )
            for choice in chunk.choices
        )
    )


def _extend_logprobs(state: _ChoiceState, logprobs: dict[str, Any]) -> None:
    """Logprobs come as lists of tokens (`content`, `refusal`), each chunk with its own part."""
    if state.logprobs is None:
        state.logprobs = {}
    for name, tokens in logprobs.items():
        known = state.logprobs.get(name)
        if isinstance(known, list) and isinstance(tokens, list):
            known.extend(tokens)
        elif tokens is not None or name not in state.logprobs:
            state.logprobs[name] = list(tokens) if isinstance(tokens, list) else tokens


def _snapshot(logprobs: dict[str, Any] | None) -> dict[str, Any] | None:
    if logprobs is None:
        return None
    return {name: list(tokens) if isinstance(tokens, list) else tokens for name, tokens in logprobs.items()}
