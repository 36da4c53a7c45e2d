"""What the model is told of its calls: contents and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..model import Choice
from ..wire.request import chat_request
from .values import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..model import Completion
    from .payloads import ToolAnswer

__all__ = ["content_of", "error_content", "message_of", "round_messages"]

_LONGEST_ERROR = 2000
"""Characters of an error that go to the model: exceptions may quote whole documents."""

_UNANSWERED = "Error: this call has no result: the run ended before it had one"


def content_of(value: object) -> str:
    """A result as the text that goes to the model: a text as it is, anything else as JSON.

    Raises TypeError or ValueError for what JSON cannot hold.

    >>> content_of("sunny"), content_of({"celsius": [21, 23.5]}), content_of(None)
    ('sunny', '{"celsius":[21,23.5]}', 'null')
    """
    if isinstance(value, str):
        value.encode()  # half a surrogate pair (a file name of os.listdir) cannot be sent
        return str.__str__(value)  # of an enum its value: str() gives its name
    return to_json(value).decode()


def error_content(what: str) -> str:
    """An error as the text that goes to the model, of a length that does not matter.

    >>> error_content("there is no tool 'sum'")
    "Error: there is no tool 'sum'"
    """
    text = what.encode("utf-8", "replace").decode()
    return f"Error: {text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + '…'}"


def message_of(completion: Completion, *, reasoning_field: str | None = None) -> dict[str, Any]:
    """The message of choice 0, ready to be sent back; with its reasoning, if there is a field for it."""
    message = next((choice.message for choice in completion.choices if choice.index == 0), Choice().message)
    sent: dict[str, Any] = chat_request([message])["messages"][0]
    if message.content is None and not message.tool_calls:
        sent["content"] = ""
    if message.refusal:
        sent["refusal"] = message.refusal
    if reasoning_field is not None and message.reasoning:
        sent[reasoning_field] = message.reasoning
    return sent


def round_messages(
    completion: Completion, answers: Mapping[str, ToolAnswer], *, reasoning_field: str | None = None
) -> list[dict[str, Any]]:
    """What a round adds to a conversation: the model's message, and one for each of its calls, in their order.

    `answers` are by the id of their call; a call without one is told so.
    """
    messages = [message_of(completion, reasoning_field=reasoning_field)]
    for call in completion.tool_calls:
        answer = answers.get(call.id)
        content = _UNANSWERED if answer is None else answer.content
        messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
    return messages
