"""What the chunks add up to: a completion, its choices, messages and tool calls."""

from __future__ import annotations

import json
from typing import Any, Literal, TypeAlias

import msgspec

from .chunk import Usage

__all__ = ["Choice", "Completion", "EndedBy", "Message", "Timings", "ToolCall"]

EndedBy: TypeAlias = Literal["done", "eof", "error", "abort", "cancel"]
"""How a stream came to its end; None in a completion that is still running."""


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
