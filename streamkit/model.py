"""What a stream says: chunks as they come, the completion that they add up to, and the payloads of the events.

All of it is data without behaviour: immutable, slotted, compared by value. Containers inside (`extra`, `quirks`, headers)
are plain dicts for the sake of `json` and `pickle`; they belong to the object that holds them and are not to be changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
from msgspec.structs import force_setattr

if TYPE_CHECKING:
    from .errors import StreamError

__all__ = [
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "Connected",
    "Delta",
    "EndedBy",
    "Event",
    "FunctionFragment",
    "Heartbeat",
    "Message",
    "Read",
    "Retry",
    "Stall",
    "StreamStart",
    "StreamWarning",
    "Timings",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFragment",
    "Usage",
]

EndedBy: TypeAlias = Literal["done", "eof", "error", "abort", "cancel"]
"""How a stream came to its end; None in a completion that is still running."""


def _public(value: msgspec.Struct) -> Any:  # noqa: ANN401 - a class with the attributes that msgspec gives it
    """The class that users know: right above it in the order of resolution stand Struct and object."""
    return type(value).__mro__[-3]


def _equal(self: msgspec.Struct, other: object) -> Any:  # noqa: ANN401 - a bool, or NotImplemented
    # msgspec compares objects of one class only, and the fast decoder makes subclasses of what is public.
    public = _public(self)
    if not isinstance(other, public):
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in public.__struct_fields__)


def _hash(self: msgspec.Struct) -> int:
    return hash(tuple(getattr(self, name) for name in _public(self).__struct_fields__))


# gc=False keeps a million live chunks out of the cycle collector: they hold only what came from JSON, which has no cycles.
# --- what is on the wire ----------------------------------------------------------------------------------------------


class FunctionFragment(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A piece of a function call: `name` and `arguments` as the server split them."""

    __eq__ = _equal
    __hash__ = _hash

    name: str | None = None
    arguments: str | None = None


class ToolCallFragment(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A piece of a tool call as it stands in one delta; `extra` holds what the API does not define (thought signatures)."""

    __eq__ = _equal
    __hash__ = _hash

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionFragment | None = None
    extra: dict[str, Any] | None = None


class Delta(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What one chunk adds to one choice.

    `content`, `refusal`, `reasoning` are text to append; None where the server sent nothing. `reasoning` is the text
    under whichever name the server uses for it, once.
    """

    __eq__ = _equal
    __hash__ = _hash

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    # The two names that nearly all servers use are fields, so that the fast decoder needs no second pass;
    # `reasoning` is the one to read.
    reasoning_field: str | None = msgspec.field(default=None, name="reasoning")
    tool_calls: tuple[ToolCallFragment, ...] | None = None

    @property
    def reasoning(self) -> str | None:
        """The reasoning text of this delta, None where there is none.

        >>> Delta(reasoning_content="hm").reasoning
        'hm'
        """
        return self.reasoning_content or self.reasoning_field


class ChunkChoice(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One choice in one chunk; `delta` is None where the server sent none (Azure's asynchronous filter)."""

    __eq__ = _equal
    __hash__ = _hash

    index: int = 0
    delta: Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts as the server reported them, never an estimate; `extra` holds the details beside the three totals.

    >>> print(Usage(21, 87, 108))
    21 prompt + 87 completion = 108 tokens
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    extra: dict[str, Any] = {}

    def __str__(self) -> str:
        def number(value: int | None) -> str:
            return "?" if value is None else str(value)

        return (
            f"{number(self.prompt_tokens)} prompt + {number(self.completion_tokens)} completion"
            f" = {number(self.total_tokens)} tokens"
        )


class Chunk(msgspec.Struct, frozen=True, gc=False, eq=False):
    r"""One decoded chunk of the feed; `str(chunk)` is its text.

    Attributes:
        choices: what it adds, by choice; empty in a chunk that carries only usage or a filter result.
        id, model: as sent, None where missing.
        usage: token counts, if this chunk carries them.
        error: the error object (or text) that a server put into this chunk, else None.
        raw: the event's data, byte for byte.

    >>> chunk = Chunk(
    ...     (ChunkChoice(delta=Delta(content="hi")),), raw=b'{"choices":[{"delta":{"content":"hi"}}],"p":"x"}'
    ... )
    >>> str(chunk), chunk.extra
    ('hi', {'p': 'x'})
    """

    choices: tuple[ChunkChoice, ...] = ()
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    error: Any = None
    raw: bytes = b""
    _extra: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The text that this chunk adds to choice 0; "" where it adds none."""
        return "".join(
            choice.delta.content
            for choice in self.choices
            if choice.index == 0 and choice.delta is not None and choice.delta.content
        )

    @property
    def extra(self) -> dict[str, Any]:
        """What the server sent beyond the fields above, in its own nesting; parsed when first asked for.

        Unknown fields of choices and deltas, and content parts that are neither text nor reasoning, stand under
        `extra["choices"]`, in the order of `choices`.
        """
        if self._extra is None:
            # The one field that is filled in late; it is derived from `raw`, so the value does not change.
            force_setattr(self, "_extra", _unknown_fields(self.raw))
        return self._extra or {}

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        finish = [choice.finish_reason for choice in self.choices if choice.finish_reason]
        return f"<Chunk {self.text!r}{f' finish_reason={finish[0]!r}' if finish else ''}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chunk):
            return NotImplemented
        return (self.raw, self.choices, self.usage) == (other.raw, other.choices, other.usage)

    def __hash__(self) -> int:
        return hash(self.raw)


_KNOWN_IN_CHUNK = frozenset({"choices", "id", "model", "usage", "error"})
_KNOWN_IN_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_KNOWN_IN_DELTA = frozenset(
    {"role", "content", "refusal", "reasoning_content", "reasoning", "reasoning_text", "cot_summary", "tool_calls"}
)


def _unknown_fields(raw: bytes) -> dict[str, Any]:
    try:
        chunk = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(chunk, dict):
        return {}
    unknown = {name: value for name, value in chunk.items() if name not in _KNOWN_IN_CHUNK}
    choices = chunk.get("choices")
    if isinstance(choices, list):
        rests = [_unknown_in_choice(choice) for choice in choices if isinstance(choice, dict)]
        if any(rests):
            unknown["choices"] = rests
    return unknown


def _unknown_in_choice(choice: dict[str, Any]) -> dict[str, Any]:
    unknown = {name: value for name, value in choice.items() if name not in _KNOWN_IN_CHOICE}
    delta = choice.get("delta")
    if isinstance(delta, dict):
        rest = {name: value for name, value in delta.items() if name not in _KNOWN_IN_DELTA}
        content = delta.get("content")
        if isinstance(content, list):
            parts = [part for part in content if not (isinstance(part, dict) and _is_known_part(part))]
            if parts:
                rest["content"] = parts
        if rest:
            unknown["delta"] = rest
    return unknown


def _is_known_part(part: dict[str, Any]) -> bool:
    kind = part.get("type")
    return kind in ("text", "thinking") or (kind is None and isinstance(part.get("text"), str))


# --- what it adds up to -----------------------------------------------------------------------------------------------


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call: `arguments` is the JSON text as the model wrote it, `extra` what the vendor hung on the call.

    >>> ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}').parsed
    {'city': 'Oslo'}
    """

    id: str
    name: str
    arguments: str = ""
    extra: dict[str, Any] = {}

    @property
    def parsed(self) -> Any:  # noqa: ANN401 - whatever JSON the model wrote
        """The arguments as Python values; no arguments at all are `{}`. Raises ValueError where they are no JSON."""
        if not self.arguments.strip():
            return {}
        try:
            return json.loads(self.arguments)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"the arguments of tool call {self.name!r} are not valid JSON ({error}); their text is in .arguments"
            ) from error


class Message(msgspec.Struct, frozen=True, gc=False):
    """The message of one choice; `content` is None where none was sent, as in the API."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One choice of a completion; `finish_reason` is the raw value, None until one came."""

    index: int = 0
    message: Message = Message()
    finish_reason: str | None = None
    logprobs: dict[str, Any] | None = None


class Timings(msgspec.Struct, frozen=True, gc=False):
    """When things first happened, in seconds after the request left, by the loop's clock; None: not (yet).

    All are stamped at the socket read, so that a slow listener does not distort them.
    """

    connect: float | None = None
    first_read: float | None = None
    first_chunk: float | None = None
    first_text: float | None = None
    last_chunk: float | None = None
    end: float | None = None


class Completion(msgspec.Struct, frozen=True, gc=False):
    """All that is known of a stream, whole or partial; `str(completion)` is its text.

    Attributes:
        choices: by ascending index; each keeps its own message.
        usage: the last counts that the server sent; None if it sent none.
        ended_by: "done" (`[DONE]` came), "eof", "error", "abort", "cancel"; None while the stream runs.
        complete: the answer is whole, as far as the server said.
        quirks: how often the feed left the standard and was mended, by name.

    >>> completion = Completion(choices=(Choice(message=Message(content="hi"), finish_reason="stop"),))
    >>> completion.text, completion.finish_reason, completion.usage
    ('hi', 'stop', None)
    """

    id: str | None = None
    model: str | None = None
    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    ended_by: EndedBy | None = None
    complete: bool = False
    quirks: dict[str, int] = {}
    timings: Timings = Timings()

    @property
    def _first(self) -> Choice:
        for choice in self.choices:
            if choice.index == 0:
                return choice
        return _NO_CHOICE

    @property
    def text(self) -> str:
        """The text of choice 0, "" where there is none."""
        return self._first.message.content or ""

    @property
    def reasoning(self) -> str:
        """The reasoning text of choice 0, "" where there is none."""
        return self._first.message.reasoning or ""

    @property
    def refusal(self) -> str:
        """The refusal of choice 0, "" where there is none."""
        return self._first.message.refusal or ""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls of choice 0, in the order in which they began."""
        return self._first.message.tool_calls

    @property
    def finish_reason(self) -> str | None:
        """The finish_reason of choice 0 as the server wrote it."""
        return self._first.finish_reason

    def __str__(self) -> str:
        return self.text


_NO_CHOICE = Choice()


# --- the payloads of the events ---------------------------------------------------------------------------------------


class StreamStart(msgspec.Struct, frozen=True):
    """`start`: the request is about to leave. `request` is its JSON body; it is not shown in the repr (it is the prompt)."""

    request: Mapping[str, Any]
    model: str | None
    at: float
    """The loop's monotonic clock, seconds."""

    def __repr__(self) -> str:
        return f"StreamStart(model={self.model!r}, at={self.at:.3f})"


class Connected(msgspec.Struct, frozen=True):
    """`connect`: the headers are in. `attempt` counts from 1; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    request_id: str | None = None
    attempt: int = 1

    def __repr__(self) -> str:
        return f"Connected(status={self.status}, request_id={self.request_id!r}, attempt={self.attempt})"


class Read(msgspec.Struct, frozen=True, gc=False):
    """`read`: bytes as they came from the socket, and when (loop clock, seconds)."""

    data: bytes
    at: float


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """`tool_delta`: a fragment of a call; `id` and `name` are what is known of the call so far, `arguments` is the new part.

    `position` is the place of the call in `completion.choices[...].message.tool_calls` of choice `choice`.
    """

    position: int
    id: str
    name: str
    arguments: str
    choice: int = 0


class Retry(msgspec.Struct, frozen=True):
    """`retry`: attempt number `attempt` failed with `error` before it published a chunk; the next one leaves in `delay` s."""

    attempt: int
    delay: float
    error: StreamError


class StreamWarning(msgspec.Struct, frozen=True, gc=False):
    """`warning`: something was skipped or mended; `kind` is the name under which `completion.quirks` counts it."""

    kind: str
    detail: str
    excerpt: str = ""


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """`heartbeat`: a keep-alive comment came; the server lives, but this is no content."""

    comment: str
    at: float


class Stall(msgspec.Struct, frozen=True, gc=False):
    """`stall`: `seconds` without content, of the `limit` after which the stream is given up."""

    seconds: float
    limit: float


class Event(msgspec.Struct, frozen=True):
    """`*`: any event, for loggers: its name, its payload, and when (loop clock, seconds)."""

    name: str
    payload: Any
    at: float
