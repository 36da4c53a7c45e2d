"""The chunks of a stream, added up to the one `chat.completion` object of a request that is not to be streamed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ..accumulate import Accumulator
from ..wire.chat import ChatDecoder
from .chunks import usage_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..model import Choice, ToolCall

__all__ = ["completion_object"]

_OURS: Final = frozenset({"choices", "id", "model", "object", "usage", "error"})
_OF_CHOICE: Final = frozenset({"delta", "finish_reason", "index", "logprobs", "message"})
_OF_DELTA: Final = frozenset(
    {"content", "function_call", "reasoning", "reasoning_content", "refusal", "role", "tool_calls"}
)
_PER_CHUNK: Final = frozenset({"obfuscation", "p"})  # padding of a single event


def completion_object(chunks: Iterable[bytes]) -> dict[str, Any]:
    r"""The `chat.completion` that the chunks (JSON of `chat.completion.chunk`) add up to.

    All choices, their tool calls, refusals, reasoning and logprobs, and the usage. What a vendor added beside them is kept:
    lists are joined, of anything else the last value counts.

    >>> whole = completion_object(
    ...     [
    ...         b'{"id":"c1","created":7,"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}',
    ...         b'{"id":"c1","created":7,"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}',
    ...     ]
    ... )
    >>> (
    ...     whole["object"],
    ...     whole["created"],
    ...     whole["choices"][0]["message"]["content"],
    ...     whole["choices"][0]["finish_reason"],
    ... )
    ('chat.completion', 7, 'Hello', 'stop')
    """
    accumulator, decoder = Accumulator(), ChatDecoder()
    top: dict[str, Any] = {}
    beside: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
    for data in chunks:
        accumulator.add(decoder.decode(data))
        chunk = json.loads(data)
        _merge(top, chunk, _OURS)
        for place, choice in enumerate(chunk.get("choices") or ()):
            index = choice.get("index", place)
            of_choice, of_delta = beside.setdefault(index, ({}, {}))
            _merge(of_choice, choice, _OF_CHOICE)
            _merge(of_delta, choice.get("delta") or {}, _OF_DELTA)
    completion = accumulator.completion()
    whole: dict[str, Any] = {
        "id": completion.id,
        "object": "chat.completion",
        "created": 0,
        "model": completion.model,
        **top,
    }
    whole["choices"] = [_choice(choice, *beside.get(choice.index, ({}, {}))) for choice in completion.choices]
    if completion.usage is not None:
        whole["usage"] = usage_json(completion.usage)
    return whole


def _choice(choice: Choice, of_choice: dict[str, Any], of_delta: dict[str, Any]) -> dict[str, Any]:
    message = choice.message
    # content and refusal are there even where they are null: clients look them up.
    body: dict[str, Any] = {"role": message.role, "content": message.content, "refusal": message.refusal}
    if message.reasoning is not None:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [_call(call) for call in message.tool_calls]
    return {
        **of_choice,
        "index": choice.index,
        "message": {**of_delta, **body},
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason,
    }


def _call(call: ToolCall) -> dict[str, Any]:
    extra = {name: value for name, value in call.extra.items() if name not in {"function", "index"}}
    return {**extra, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _merge(into: dict[str, Any], values: dict[str, Any], known: frozenset[str]) -> None:
    for name, value in values.items():
        if name in known or name in _PER_CHUNK or value is None:
            continue
        if isinstance(value, list) and isinstance(there := into.get(name), list):
            into[name] = there + value
        else:
            into[name] = value
