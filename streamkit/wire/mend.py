"""The lenient half of the chat dialect: any JSON object that some server sends as a chunk -> Chunk.

Every deviation that is mended here was met in a real feed. What changes the meaning is counted in `quirks`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..model import Chunk, ChunkChoice, Delta, FunctionFragment, ToolCallFragment, Usage
from .failure import error_in_object

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["LEGACY_FUNCTION_CALL", "mend_chunk", "usage_from"]

LEGACY_FUNCTION_CALL = -1
"""The index of the one call that the legacy `function_call` field streams; no server uses a negative index."""

# Precedence where a server sends several at once, mostly with the same text.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "cot_summary")

_KNOWN_IN_TOOL_CALL = frozenset({"index", "id", "type", "function"})
_KNOWN_IN_FUNCTION = frozenset({"name", "arguments"})


def mend_chunk(body: dict[str, Any], raw: bytes, quirks: Counter[str]) -> Chunk:
    """Make a Chunk of a parsed JSON object; never raises, an object without meaning is an empty chunk."""
    groq = _object(body.get("x_groq"))
    error = error_in_object(body) or groq.get("error")
    choices = body.get("choices")
    if not isinstance(choices, list):
        if error is None and body.get("usage") is None:
            quirks["choices_missing"] += 1
        choices = []
    usage = usage_from(body.get("usage")) or usage_from(groq.get("usage"))
    if usage is None:
        for choice in choices:
            if usage := usage_from(_object(choice).get("usage")):
                quirks["usage_in_choice"] += 1
                break
    return Chunk(
        choices=tuple(_choice(choice, quirks) for choice in choices if isinstance(choice, dict)),
        id=_label(body.get("id")),
        model=_label(body.get("model")),
        usage=usage,
        error=error or None,
        raw=raw,
    )


def usage_from(value: object) -> Usage | None:
    """Token counts from a usage object; None where it has none (null totals are no usage, and never 0).

    >>> usage_from({"prompt_tokens": 1, "completion_tokens": None, "details": {"cached": 0}})
    Usage(prompt_tokens=1, completion_tokens=None, total_tokens=None, extra={'details': {'cached': 0}})
    >>> usage_from({"prompt_tokens": None})
    """
    if not isinstance(value, dict):
        return None
    counts = {name: _count(value.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    if all(count is None for count in counts.values()):
        return None
    return Usage(**counts, extra={name: rest for name, rest in value.items() if name not in counts})


def _choice(choice: dict[str, Any], quirks: Counter[str]) -> ChunkChoice:
    delta = choice.get("delta")
    if delta is None and isinstance(choice.get("message"), dict):
        delta = choice["message"]
        quirks["message_for_delta"] += 1
    if delta is None and isinstance(choice.get("text"), str):
        delta = {"content": choice["text"]}
        quirks["legacy_text"] += 1
    index = choice.get("index")
    if type(index) is not int:
        index = _count(index) or 0
    logprobs = choice.get("logprobs")
    return ChunkChoice(
        index=index,
        delta=_delta(delta, quirks) if isinstance(delta, dict) else None,
        finish_reason=_label(choice.get("finish_reason")),
        logprobs=logprobs if isinstance(logprobs, dict) else None,
    )


def _delta(delta: dict[str, Any], quirks: Counter[str]) -> Delta:
    content, thinking = _content(delta.get("content"), quirks)
    found = [text for name in _REASONING_FIELDS if (text := _text(delta.get(name)))]
    if details := _reasoning_details(delta.get("reasoning_details")):
        found.append(details)
    if thinking:
        found.append(thinking)
    if len(found) > 1:
        quirks["reasoning_repeated"] += 1
    tool_calls = delta.get("tool_calls")
    if isinstance(tool_calls, list):
        calls = tuple(_tool_call(call, quirks) for call in tool_calls if isinstance(call, dict))
    elif isinstance(function := delta.get("function_call"), dict):
        quirks["legacy_function_call"] += 1
        calls = (ToolCallFragment(index=LEGACY_FUNCTION_CALL, function=_function(function, quirks)),)
    else:
        calls = ()
    return Delta(
        role=_label(delta.get("role")),
        content=content,
        refusal=_text(delta.get("refusal")),
        reasoning_field=found[0] if found else None,
        tool_calls=calls or None,
    )


def _content(content: object, quirks: Counter[str]) -> tuple[str | None, str]:
    """Text and reasoning of a `content`; a list of parts is Mistral's way (text, thinking, references)."""
    if content is None or isinstance(content, str):
        return content, ""
    quirks["content_parts"] += 1
    if not isinstance(content, list):
        return _text(content) or _text(_object(content).get("text")), ""
    text: list[str] = []
    thinking: list[str] = []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thoughts = part.get("thinking")
            thinking += [
                thought if isinstance(thought, str) else _text(_object(thought).get("text")) or ""
                for thought in (thoughts if isinstance(thoughts, list) else [thoughts])
            ]
        elif isinstance(part, dict) and (part.get("type") is None or part.get("type") == "text"):
            text.append(_text(part.get("text")) or "")
    return "".join(text), "".join(thinking)


def _reasoning_details(details: object) -> str:
    if not isinstance(details, list):
        return ""
    return "".join(_text(_object(item).get("text")) or _text(_object(item).get("summary")) or "" for item in details)


def _tool_call(call: dict[str, Any], quirks: Counter[str]) -> ToolCallFragment:
    index = call.get("index")
    if type(index) is not int:
        index = None
        quirks["tool_index_missing"] += 1
    function = call.get("function")
    extra = {name: value for name, value in call.items() if name not in _KNOWN_IN_TOOL_CALL and value is not None}
    if rest := {name: value for name, value in _object(function).items() if name not in _KNOWN_IN_FUNCTION}:
        extra["function"] = rest
    return ToolCallFragment(
        index=index,
        id=_label(call.get("id")),
        type=_text(call.get("type")),
        function=_function(function, quirks) if isinstance(function, dict) else None,
        extra=extra or None,
    )


def _function(function: dict[str, Any], quirks: Counter[str]) -> FunctionFragment:
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):
        quirks["arguments_not_text"] += 1
        arguments = json.dumps(arguments, ensure_ascii=False)
    return FunctionFragment(name=_text(function.get("name")), arguments=arguments)


def _text(value: object) -> str | None:
    """A text, or None for what is none; "" is none too: servers send it for "nothing here"."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return None


def _label(value: object) -> str | None:
    """A text that is shown as it is and never joined to another: half of a surrogate pair in it becomes U+FFFD."""
    text = _text(value)
    return text and text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:  # int() takes "²" and "1_0"
        return int(value)
    return None
