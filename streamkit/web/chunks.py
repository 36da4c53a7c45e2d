"""Chunks as the JSON that records hold."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from ..model import Chunk
from ..wire.mend import LEGACY_FUNCTION_CALL, mend_chunk

if TYPE_CHECKING:
    from ..model import ChunkChoice, Delta, FunctionFragment, ToolCallFragment, Usage

__all__ = ["chunk_json", "usage_json"]

_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_TOLD_TWICE = frozenset({"legacy_function_call", "reasoning_repeated"})
"""Quirks that say how streamkit reads a chunk, not that there is anything to mend for other clients."""

_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "cot_summary")


def chunk_json(chunk: Chunk) -> bytes:
    """A chunk as JSON on one line: the upstream's bytes where they say what was decoded, else those with what was decoded in it.

    So vendor fields pass through untouched, and what the driver mended (content in parts, `<think>` tags, a tool call without
    an index, invalid UTF-8) reaches clients mended.

    >>> from streamkit import Chunk, ChunkChoice, Delta
    >>> chunk_json(
    ...     Chunk((ChunkChoice(delta=Delta(content="hi")),), raw=b'{"choices":[{"delta":{"content":"hi"}}],"x":1}')
    ... )
    b'{"choices":[{"delta":{"content":"hi"}}],"x":1}'
    >>> chunk_json(Chunk((ChunkChoice(delta=Delta(content="hi")),), id="c1"))
    b'{"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}'
    """
    raw = chunk.raw
    # The fast decoder makes a class of its own, and takes nothing that would have to be mended; but it does not look into
    # the texts of fields that nobody asked for.
    faithful = type(chunk) is not Chunk and _is_utf8(raw)
    if raw and (faithful or (chunk.error is None and _says_the_same(raw, chunk))):
        if 10 in raw or 13 in raw:
            raw = msgspec.json.format(raw, indent=-1)  # between values only: in a text, JSON has neither LF nor CR
        return raw
    return _encode(_rebuilt(chunk))


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _says_the_same(raw: bytes, chunk: Chunk) -> bool:
    try:
        body = _decode_any(raw)
        if not isinstance(body, dict):
            return False
        quirks: Counter[str] = Counter()
        said = mend_chunk(body, raw, quirks)
        return quirks.keys() <= _TOLD_TWICE and _plain(said) == _plain(chunk)
    except (ValueError, RecursionError):  # msgspec's DecodeError and UnicodeDecodeError are ValueErrors
        return False


def _plain(chunk: Chunk) -> Any:  # noqa: ANN401 - JSON
    return msgspec.to_builtins((chunk.choices, chunk.usage))


def _rebuilt(chunk: Chunk) -> dict[str, Any]:
    # An error is the ending's to tell, which takes keys out of it; it may stand in several places, so nothing beside it is kept.
    sent = _sent(chunk.raw) if chunk.error is None else {}
    body: dict[str, Any] = {**sent}
    if chunk.id is not None:
        body["id"] = chunk.id
    body["object"] = "chat.completion.chunk"
    for name in ("created", "service_tier", "system_fingerprint"):
        if isinstance(value := chunk.extra.get(name), str | int) and not isinstance(value, bool):
            body.setdefault(name, _clean(value))
    if chunk.model is not None:
        body["model"] = chunk.model
    choices = _objects(sent.get("choices"), len(chunk.choices))
    body["choices"] = [_choice_json(choice, choices[place]) for place, choice in enumerate(chunk.choices)]
    if chunk.usage is not None:
        body["usage"] = usage_json(chunk.usage)
    return body


def _sent(raw: bytes) -> dict[str, Any]:
    """The object that was sent, as far as it is one."""
    try:
        body = json.loads(raw.decode("utf-8", "replace"))
        return _finite(body) if isinstance(body, dict) else {}
    except (ValueError, RecursionError):
        return {}


def _objects(values: object, count: int) -> list[dict[str, Any]]:
    """The objects that were sent, if there are so many; else as many empty ones."""
    if isinstance(values, list):
        found = [value for value in values if isinstance(value, dict)]
        if len(found) == count:
            return found
    return [{}] * count


def _choice_json(choice: ChunkChoice, sent: dict[str, Any]) -> dict[str, Any]:
    delta = sent.get("delta")
    body: dict[str, Any] = {
        **sent,
        "index": choice.index,
        "delta": {} if choice.delta is None else _delta_json(choice.delta, delta if isinstance(delta, dict) else {}),
        "finish_reason": choice.finish_reason,
    }
    if choice.logprobs is not None:
        body["logprobs"] = _finite(choice.logprobs)
    return body


def _delta_json(delta: Delta, sent: dict[str, Any]) -> dict[str, Any]:
    body = {**sent}
    for name, value in (("role", delta.role), ("content", delta.content), ("refusal", delta.refusal)):
        if value is not None:
            body[name] = value
        elif sent.get(name) is not None:
            del body[name]
    if all(sent.get(name) != delta.reasoning for name in _REASONING_FIELDS):
        for name in _REASONING_FIELDS:
            body.pop(name, None)
        if delta.reasoning is not None:
            body["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        if (first := delta.tool_calls[0]).index == LEGACY_FUNCTION_CALL:
            body["function_call"] = _function_json(first.function, sent.get("function_call"))
        else:
            calls = _objects(sent.get("tool_calls"), len(delta.tool_calls))
            body["tool_calls"] = [_call_json(call, place, calls[place]) for place, call in enumerate(delta.tool_calls)]
    return body


def _call_json(call: ToolCallFragment, place: int, sent: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {
        **sent,
        "index": place if call.index is None else call.index,  # clients need one
        "id": call.id,
        "type": call.type,
        "function": _function_json(call.function, sent.get("function")),
    }
    return {name: value for name, value in body.items() if value is not None}


def _function_json(function: FunctionFragment | None, sent: object) -> dict[str, Any]:
    body: dict[str, Any] = {**sent} if isinstance(sent, dict) else {}
    if function is not None:
        body |= {"name": function.name, "arguments": function.arguments}
    return {name: value for name, value in body.items() if value is not None}


def usage_json(usage: Usage) -> dict[str, Any]:
    """Token counts as the API writes them.

    >>> from streamkit import Usage
    >>> usage_json(Usage(1, 2, 3, extra={"prompt_tokens_details": {"cached_tokens": 0}}))["total_tokens"]
    3
    """
    counts = {name: getattr(usage, name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    body: dict[str, Any] = _finite({**counts, **usage.extra})
    return body


def _clean(value: str | int) -> str | int:
    return (
        value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if isinstance(value, str) else value
    )


def _finite(value: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """What came from Python's lenient JSON, as JSON that every client can read: no NaN, no half of a surrogate pair."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.loads(text, parse_constant=lambda _: None)
