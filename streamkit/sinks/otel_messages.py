"""Messages and tools of the chat API in the shape that the conventions for generative AI give them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from opentelemetry.util.genai.types import (
    BlobPart,
    FilePart,
    FunctionToolDefinition,
    GenericToolDefinition,
    InputMessage,
    OutputMessage,
    ReasoningPart,
    TextPart,
    ToolCallRequestPart,
    ToolCallResponsePart,
)
from opentelemetry.util.genai.utils import decode_base64, image_from_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.genai.types import MessagePart, ToolDefinition

    from ..model import Completion

__all__ = ["input_messages", "output_messages", "tool_definitions"]


def input_messages(request: Mapping[str, Any]) -> list[InputMessage]:
    """The messages of a request, system messages in their places among them; parts of an unknown kind are left out.

    >>> input_messages({"messages": [{"role": "user", "content": "hi"}]})
    [InputMessage(role='user', parts=[TextPart(content='hi', type='text')], name=None)]
    """
    return [
        InputMessage(role=str(message.get("role")), parts=_parts(message), name=_text(message.get("name")))
        for message in _dicts(request.get("messages"))
    ]


def output_messages(completion: Completion) -> list[OutputMessage]:
    """The messages of a completion, one a choice, as far as they came."""
    messages = []
    for choice in completion.choices:
        message = choice.message
        parts: list[MessagePart] = []
        if message.reasoning:
            parts.append(ReasoningPart(content=message.reasoning))
        parts += [TextPart(content=text) for text in (message.content, message.refusal) if text]
        parts += [
            ToolCallRequestPart(arguments=_parsed(call.arguments), name=call.name, id=call.id or None)
            for call in message.tool_calls
        ]
        # The schema of the messages wants it: "error" for a message that did not get to its end.
        messages.append(OutputMessage(message.role, parts, finish_reason=choice.finish_reason or "error"))
    return messages


def tool_definitions(request: Mapping[str, Any]) -> list[ToolDefinition]:
    """The tools that a request offers."""
    definitions: list[ToolDefinition] = []
    for tool in _dicts(request.get("tools")):
        kind, function = str(tool.get("type", "function")), tool.get("function")
        if isinstance(function, dict):
            name, description = str(function.get("name")), _text(function.get("description"))
            definitions.append(FunctionToolDefinition(name, description, function.get("parameters")))
        else:
            definitions.append(GenericToolDefinition(str(tool.get("name", kind)), kind))
    return definitions


def _parts(message: Mapping[str, Any]) -> list[MessagePart]:
    content = message.get("content")
    if message.get("role") == "tool":
        return [ToolCallResponsePart(response=content, id=_text(message.get("tool_call_id")))]
    parts: list[MessagePart] = []
    if isinstance(content, str):
        parts.append(TextPart(content=content))
    parts += [part for item in _dicts(content) if (part := _part(item)) is not None]
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            arguments = _parsed(function.get("arguments"))
            parts.append(ToolCallRequestPart(arguments, str(function.get("name")), _text(call.get("id"))))
    return parts


def _part(item: Mapping[str, Any]) -> MessagePart | None:
    kind = item.get("type")
    value = item.get(str(kind))
    if kind in {"text", "refusal"} and isinstance(value, str):
        return TextPart(content=value)
    if not isinstance(value, dict):
        return None
    if kind == "image_url" and isinstance(url := value.get("url"), str):
        return image_from_url(url)
    if kind == "input_audio" and isinstance(data := value.get("data"), str):
        sound = decode_base64(data)
        return None if sound is None else BlobPart(f"audio/{value.get('format')}", "audio", sound)
    if kind == "file" and isinstance(file_id := value.get("file_id"), str):
        return FilePart(mime_type=None, modality="document", file_id=file_id)
    return None


def _parsed(arguments: object) -> Any:  # noqa: ANN401 - whatever JSON the model wrote, or what is no JSON
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        return arguments


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list | tuple) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
