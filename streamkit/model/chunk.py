"""What is on the wire: chunks, and what they are made of."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec.structs import force_setattr

__all__ = ["Chunk", "ChunkChoice", "Delta", "FunctionFragment", "ToolCallFragment", "Usage"]

# gc=False keeps a million live chunks out of the cycle collector: they hold only what came from JSON, which has no cycles.


def _public(value: msgspec.Struct) -> Any:  # noqa: ANN401 - a class with the attributes that msgspec gives it
    """The class that users know: right above it in the order of resolution stand Struct and object."""
    return type(value).__mro__[-3]


def _equal(self: msgspec.Struct, other: object) -> Any:  # noqa: ANN401 - a bool, or NotImplemented
    # msgspec compares objects of one class only, and the fast decoder makes subclasses of what is public.
    public = _public(self)
    if not isinstance(other, public):
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in public.__struct_fields__)


def _repr(self: msgspec.Struct) -> str:
    public = _public(self)
    values = ((name, getattr(self, name)) for name in public.__struct_fields__)
    return f"{public.__name__}({', '.join(f'{name}={value!r}' for name, value in values if value is not None)})"


def _hash(self: msgspec.Struct) -> int:
    return hash(tuple(getattr(self, name) for name in _public(self).__struct_fields__))


class FunctionFragment(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A piece of a function call: `name` and `arguments` as the server split them."""

    __eq__ = _equal
    __hash__ = _hash
    __repr__ = _repr

    name: str | None = None
    arguments: str | None = None


class ToolCallFragment(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A piece of a tool call as it stands in one delta; `extra` holds what the API does not define (thought signatures)."""

    __eq__ = _equal
    __hash__ = _hash
    __repr__ = _repr

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
    __repr__ = _repr

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
    __repr__ = _repr

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
