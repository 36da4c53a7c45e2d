"""A case: what a server says, and what has to come of it; and the pieces that feeds are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from streamkit import StreamError
from streamkit.testing import Script, Send, Step, chunk, sse

__all__ = [
    "CALLED",
    "CUT_TIMEOUT",
    "ERROR",
    "HEL",
    "HELLO",
    "LO",
    "STOP",
    "Call",
    "Case",
    "Expected",
    "Row",
    "calls",
    "case",
    "choices",
    "delta",
    "done",
    "failed",
    "tool",
]

CUT_TIMEOUT = 0.5
"""The limit, in seconds, that every system is given where a row is about silence."""

Call: TypeAlias = tuple[str, str]
"""A tool call: its name and its arguments."""


@dataclass(frozen=True)
class Expected:
    """What has to come of a case.

    Args:
        error: the class of the error that ends the stream, or several that would do; () if it ends in `done`.
        text: of choice 0; where the stream fails, what had arrived before.
        choices: text and finish_reason of every choice, where there is more than choice 0.
        message: a part of what the server said, which the error has to repeat.
        details: other attributes of the error: `status`, `code`, `type`, `phase`, `retryable`, `retry_after`, `request_id`.
        quirks: `completion.quirks`, exactly.
        events: how often an event has to come, for those that are named.
        extra: a field of the feed that has to be found in some `chunk.extra`.
    """

    error: tuple[type[StreamError], ...] = ()
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    choices: Mapping[int, tuple[str, str | None]] = field(default_factory=dict)
    tool_calls: tuple[Call, ...] = ()
    usage: tuple[int, int, int] | None = None
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    quirks: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One thing that a server says.

    Args:
        name: unique in its row.
        scripts: the answers to the requests, in order; the last one repeats.
        expected: what has to come of it.
        options: arguments of StreamDriver; `timeout` as a dict.
        timeout: the read timeout of the peers, in seconds; None: one that is longer than anybody waits.
        needs: what a system must have for the case to say anything about it: "reasoning", "think_tags", ….
        warm: a first stream has been read on the same connection, which is answered by the first script.
        pause: how long the reader is busy after the first text, in seconds.
        other: the answer of the other host, for a request that comes there without a key.
        split: whether it is also played one byte a write.
        via: how the server is reached: "ipv4", "ipv6", "unix", "proxy".
        blocked: the longest that the reader may keep its event loop from other tasks, in seconds of processor time.
    """

    name: str
    scripts: tuple[Script, ...]
    expected: Expected
    options: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    needs: frozenset[str] = frozenset()
    warm: bool = False
    pause: float = 0.0
    other: Script | None = None
    split: bool = True
    via: str = "ipv4"
    blocked: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of the table: its number, what is on the wire, what has to come of it, and the cases that show it."""

    number: str
    wire: str
    outcome: str
    cases: tuple[Case, ...]


def case(
    name: str,
    said: bytes | tuple[Step, ...],
    expected: Expected,
    *more: Script,
    needs: tuple[str, ...] = (),
    **options: Any,  # fields of Case
) -> Case:
    """A case from the first answer, and those that follow it."""
    first: Script = (Send(said),) if isinstance(said, bytes) else said
    return Case(name, (first, *more), expected, needs=frozenset(needs), **options)


def done(text: str = "Hello", finish_reason: str | None = "stop", **fields: Any) -> Expected:  # as given
    """The stream ends in `done`."""
    return Expected(text=text, finish_reason=finish_reason, **fields)


def failed(*error: type[StreamError], text: str = "", **fields: Any) -> Expected:  # as given
    """The stream ends in an error of one of these classes."""
    return Expected(error=error, text=text, **fields)


HEL = chunk("Hel", role="assistant")
LO = chunk("lo")
STOP = chunk(finish_reason="stop")
HELLO = sse(HEL, LO, STOP)
CALLED = chunk(finish_reason="tool_calls")
ERROR = {"error": {"message": "the model is gone", "code": "model_gone", "type": "server_error"}}


def choices(*choices: object, **fields: object) -> dict[str, object]:
    """A chunk with the choices as given; `id`, `object` and `model` as every server sends them, unless given."""
    head = {"id": "chatcmpl-streamkit", "object": "chat.completion.chunk", "created": 1, "model": "streamkit-test"}
    return {**head, "choices": list(choices), **fields}


def delta(finish_reason: str | None = None, **delta: object) -> dict[str, object]:
    """A chunk with one choice and this delta."""
    return choices({"index": 0, "delta": delta, "finish_reason": finish_reason})


def tool(
    index: int | None = None,
    id: str | None = None,  # noqa: A002  # the name in the API
    name: str | None = None,
    arguments: object = None,
    **more: object,
) -> dict[str, object]:
    """One fragment of a tool call; what is None is left out, and `type` comes with the name."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    kind = "function" if name else None
    fields = {"index": index, "id": id, "type": kind, "function": function or None, **more}
    return {key: value for key, value in fields.items() if value is not None}


def calls(*fragments: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
    """A chunk with fragments of tool calls."""
    return delta(finish_reason, role="assistant", tool_calls=list(fragments))
