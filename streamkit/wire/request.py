"""What the caller wants -> the JSON body of a chat completion request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from ..model import Message

__all__ = ["Prompt", "chat_request", "encode_request"]

Prompt: TypeAlias = str | Mapping[str, Any] | Iterable[Any]
"""A prompt, a list of messages, or a whole request."""

_ROLES = "system, developer, user, assistant, tool"


def chat_request(
    prompt: Prompt,
    *,
    model: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
    **request: Any,  # noqa: ANN401 - what the API takes, as given
) -> dict[str, Any]:
    """The request body for a prompt, a list of messages, or a whole request.

    `request` and then `extra_body` go in as given; the model of a whole request wins over `model`, and with neither the field is
    left out (Azure has it in the URL, local servers have only one). `stream` is always true, and
    `stream_options.include_usage` is asked for unless `stream_options` says otherwise (None leaves it out).
    Raises TypeError or ValueError, naming the message that is wrong, never showing its content.

    >>> chat_request("hi", model="m", temperature=0)["messages"]
    [{'role': 'user', 'content': 'hi'}]
    >>> chat_request([{"content": "hi"}], model="m")
    Traceback (most recent call last):
    ...
    ValueError: messages[0] has no role: it must be one of system, developer, user, assistant, tool
    """
    body: dict[str, Any] = {}
    if isinstance(prompt, Mapping):
        if "messages" not in prompt:
            raise ValueError("a whole request needs a 'messages' key; for a single message pass it in a list")
        body.update(prompt)
    else:
        body["messages"] = prompt
    body["messages"] = _messages(body["messages"])
    if model is not None:
        body.setdefault("model", model)
    body.update(request)
    if not isinstance(extra_body, Mapping | None):
        raise TypeError(f"extra_body must be a dict, not {type(extra_body).__name__}")
    body.update(extra_body or {})
    if not isinstance(body.get("model", "-"), str):
        raise TypeError(f"model must be a text, not {type(body['model']).__name__}")
    if body.get("stream", True) is not True:
        raise ValueError("stream must be true: streamkit only streams")
    body["stream"] = True
    if body.setdefault("stream_options", {"include_usage": True}) is None:
        del body["stream_options"]
    return body


def encode_request(body: Mapping[str, Any]) -> bytes:
    """The body as JSON; raises TypeError naming the first field that JSON cannot hold.

    >>> encode_request({"stop": {1, 2}, "user": object()})
    Traceback (most recent call last):
    ...
    TypeError: 'user' cannot be sent as JSON: Encoding objects of type object is unsupported
    """
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        for name, value in body.items():
            try:
                msgspec.json.encode(value)
            except (TypeError, ValueError, RecursionError) as inner:
                raise TypeError(f"{name!r} cannot be sent as JSON: {inner}") from None
        raise TypeError(f"the request cannot be sent as JSON: {error}") from None


def _messages(prompt: object) -> list[dict[str, Any]]:
    if isinstance(prompt, str):
        if not prompt.strip():
            raise ValueError("the prompt is empty")
        return [{"role": "user", "content": prompt}]
    if isinstance(prompt, bytes | bytearray | Mapping) or not isinstance(prompt, Iterable):
        raise TypeError(f"messages must be a text or a list of messages, not {type(prompt).__name__}")
    messages = [_message(message, place) for place, message in enumerate(prompt)]
    if not messages:
        raise ValueError("the list of messages is empty")
    return messages


def _message(message: object, place: int) -> dict[str, Any]:
    if isinstance(message, Message):
        message = _from_completion(message)
    elif dump := getattr(message, "model_dump", None):  # the OpenAI SDK's messages are pydantic models
        message = dump(exclude_none=True)
    if not isinstance(message, Mapping):
        raise TypeError(f"messages[{place}] must be a dict with a role and content, not {type(message).__name__}")
    role = message.get("role")
    if not role or not isinstance(role, str):
        raise ValueError(f"messages[{place}] has no role: it must be one of {_ROLES}")
    if role == "user" and not message.get("content"):
        raise ValueError(f"messages[{place}] ({role}) has no content")
    return dict(message)


def _from_completion(message: Message) -> dict[str, Any]:
    """A message of a finished completion, ready to be sent back."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **{name: value for name, value in call.extra.items() if name != "function"},
            }
            for call in message.tool_calls
        ]
    return sent
