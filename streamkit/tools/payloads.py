"""What the events of a run carry, and the completion that it ends in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from ..errors import StreamError
from ..model import Completion, ToolCall

__all__ = [
    "TOOL_EVENTS",
    "FailureKind",
    "Round",
    "RoundStart",
    "TooManyRounds",
    "ToolAnswer",
    "ToolCompletion",
    "ToolFailed",
    "ToolFailure",
    "ToolResult",
    "ToolStart",
]

TOOL_EVENTS = ("round", "tool_start", "tool_result", "tool_error")
"""The events that a run adds to those of a completion stream."""

FailureKind: TypeAlias = Literal[
    "unknown_tool", "invalid_arguments", "denied", "approve", "raised", "timeout", "unserializable"
]
"""Why a call has no result: there is no such tool, its arguments do not fit, `approve` said no or failed itself, the function
raised, took too long, or returned what JSON cannot hold."""


class RoundStart(msgspec.Struct, frozen=True):
    """`round`: a completion is about to be asked for. `number` counts from 1; the repr leaves out `request`."""

    number: int
    request: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"RoundStart(number={self.number})"


class ToolStart(msgspec.Struct, frozen=True):
    """`tool_start`: a function is about to be called with `arguments`, which are of the types that it asks for."""

    call: ToolCall
    arguments: Mapping[str, Any]


class ToolResult(msgspec.Struct, frozen=True):
    """`tool_result`: a function returned `value`, after `seconds`; `content` is the text of it that the model gets."""

    call: ToolCall
    value: Any
    content: str
    seconds: float


class ToolFailure(msgspec.Struct, frozen=True):
    """`tool_error`: a call has no result; `content` is what the model is told of it, `error` the exception, if there was one."""

    call: ToolCall
    kind: FailureKind
    content: str
    error: Exception | None = None
    seconds: float = 0.0


ToolAnswer: TypeAlias = ToolResult | ToolFailure
"""What came of one call."""


class Round(msgspec.Struct, frozen=True):
    """One completion of a run, and what came of its calls, in the order of the calls.

    The timings of its completion count from the start of the stream. While its functions run, `answers` has those that ended.
    """

    number: int
    completion: Completion
    answers: tuple[ToolAnswer, ...] = ()


class ToolCompletion(Completion, frozen=True, gc=True):  # exceptions in its answers may lead back to it
    """What a run came to. Its choices, and so its text, finish and calls, are those of the last round.

    Attributes:
        rounds: every completion that was asked for, with what came of its calls.
        messages: the conversation, ready to be sent again: what was sent, and the rounds that are whole. A call without an
            answer (the run was aborted, or the rounds were used up) has a message that says so.
        usage: the sum over the rounds, with the details that are numbers; None if no round had any.
        quirks: the sum over the rounds.
        timings: the beginnings of the first round, the ends of the last.
    """

    rounds: tuple[Round, ...] = ()
    messages: tuple[dict[str, Any], ...] = ()

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name != "messages")  # they hold the prompt
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


class ToolFailed(StreamError):
    """A call failed, and `on_error="raise"` was asked for, or the `approve` hook itself failed.

    `failure` is the payload of its `tool_error`; the exception, if there was one, is the `__cause__`.
    """

    def __init__(self, failure: ToolFailure) -> None:
        error = failure.error
        # Not the exception's own words, and not the name of a tool that only the model knows: they may hold anything.
        what = "a tool" if failure.kind == "unknown_tool" else f"tool {failure.call.name!r}"
        reason = failure.kind if error is None else f"{failure.kind}: {type(error).__name__}"
        super().__init__(f"the call of {what} failed ({reason})")
        self.failure = failure
        self.__cause__ = error


class TooManyRounds(StreamError):
    """The model still called tools in the last round that it had; those calls were not made."""
