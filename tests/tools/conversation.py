"""What a model says in the rounds of a conversation, and who listens."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streamkit import CompletionStream, StreamDriver
from streamkit.model import Choice, Completion, Message, ToolCall
from streamkit.testing import Send, chunk, completion_server, sse
from streamkit.testing.script import Script
from streamkit.testing.server import ScriptedServer

__all__ = ["asks", "call", "conversation", "following", "is_grammatical", "says", "whole"]

USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}}


def call(name: str, arguments: object = "", key: str = "call_1") -> ToolCall:
    """A call; `arguments` that are no text are written as JSON."""
    return ToolCall(key, name, arguments if isinstance(arguments, str) else json.dumps(arguments))


def asks(*calls: ToolCall, text: str | None = None, usage: Mapping[str, object] | None = USAGE) -> bytes:
    """The feed of a completion that calls."""
    deltas = [
        {
            "index": place,
            "id": each.id,
            "type": "function",
            "function": {"name": each.name, "arguments": each.arguments},
        }
        for place, each in enumerate(calls)
    ]
    chunks = [chunk(text, role="assistant"), chunk(tool_calls=deltas), chunk(finish_reason="tool_calls")]
    return sse(*chunks, *([] if usage is None else [chunk(usage=usage)]))


def says(text: str, usage: Mapping[str, object] | None = USAGE) -> bytes:
    """The feed of a completion that answers."""
    chunks = [chunk(text, role="assistant"), chunk(finish_reason="stop")]
    return sse(*chunks, *([] if usage is None else [chunk(usage=usage)]))


def whole(*calls: ToolCall, text: str | None = None) -> Completion:
    """A completion that has ended with these calls."""
    return Completion(choices=(Choice(message=Message(content=text, tool_calls=calls), finish_reason="tool_calls"),))


@asynccontextmanager
async def conversation(*rounds: bytes | Script, **settings: Any) -> AsyncIterator[tuple[StreamDriver, ScriptedServer]]:
    """A server that says one round after the other, and a driver on it; the last round is said again and again."""
    scripts: list[Script] = [[Send(each)] if isinstance(each, bytes) else each for each in rounds]
    async with (
        completion_server(*scripts) as server,
        StreamDriver(server.base_url, "sk-secret-key", **settings) as driver,
    ):
        yield driver, server


def following(stream: CompletionStream) -> list[str]:
    """The events that a stream publishes from now on, in order, with the call that they are of: `tool_start call_1`."""
    names: list[str] = []

    def note(event: Any) -> None:
        of = getattr(event.payload, "call", event.payload if event.name == "tool_call" else None)
        names.append(event.name if of is None else f"{event.name} {of.id}")

    stream.on("*", note)
    return names


GRAMMAR = re.compile(
    r"start"
    r"( abort|( round( (connect )?retry)*( connect)?( chunk( (reasoning|text|refusal|tool_delta|usage))*)*"
    r"(( tool_call)* text_done( tool_(start|result|error))*)?)+"
    r"( done| error| abort)) end"
)


def is_grammatical(names: Sequence[str]) -> bool:
    """Whether the events of a whole run came in an order in which they may come."""
    anywhere = {"warning", "heartbeat", "stall", "listener_error", "read"}
    said = " ".join(name.partition(" ")[0] for name in names if name not in anywhere)
    if GRAMMAR.fullmatch(said) is None:
        return False
    # Of each call of a round: one start at most, then one outcome at most.
    rounds = "\n".join(names).split("\nround\n")
    for steps in (_steps(each.split("\n")) for each in rounds):
        if any(re.fullmatch(r"call( start)?( result| error)?", " ".join(each)) is None for each in steps.values()):
            return False
    return True


def _steps(names: Sequence[str]) -> dict[str, list[str]]:
    steps: dict[str, list[str]] = {}
    for name in names:
        kind, _, of = name.partition(" ")
        if of:
            steps.setdefault(of, []).append(kind.removeprefix("tool_"))
    return steps
