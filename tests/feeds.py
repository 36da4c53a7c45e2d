"""The recorded feeds that lie beside the checkout: what each says, and whether a completion says the same."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from streamkit.accumulate import Accumulator
from streamkit.errors import StreamError
from streamkit.sse import ServerSentEvent, SSEDecoder
from streamkit.wire.chat import ChatDecoder, MalformedChunk
from streamkit.wire.failure import error_in_event, server_error

from .conftest import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamkit.model import Completion

__all__ = [
    "Feed",
    "Folded",
    "assert_as_expected",
    "expected_error",
    "feed_id",
    "fold",
    "openai_chat_feeds",
    "recorded",
]

FOLDER = SHARED / "feeds"


class Feed(NamedTuple):
    """One recorded body and its sidecar; `expected` is what it must decode to."""

    path: Path
    body: bytes
    expected: dict[str, Any]
    sidecar: dict[str, Any]


class Folded(NamedTuple):
    """What a feed comes to, read without a stream around it."""

    completion: Completion
    error: StreamError | None
    done: bool
    malformed: list[MalformedChunk]


def feed_id(feed: Feed) -> str:
    """The name of a feed, for `parametrize(ids=...)`."""
    return feed.path.stem


@cache
def recorded(dialect: str) -> list[Feed]:
    """The feeds of one dialect, a folder of `../shared/feeds`; none where that is absent."""
    found = []
    for path in sorted((FOLDER / dialect).glob("*.json")):
        sidecar = json.loads(path.read_bytes())
        body = path.with_name(sidecar["file"])
        found.append(Feed(body, body.read_bytes(), sidecar["expected"], sidecar))
    return found


def openai_chat_feeds() -> list[Feed]:
    """Every recorded feed of the dialect that streamkit speaks; none where `../shared/feeds` is absent."""
    return recorded("openai-chat")


def fold(reads: Iterable[bytes], *, think_tags: bool = False) -> Folded:
    """Decode and accumulate a feed given in reads, by the rules of the stream: without I/O, timers or events."""
    sse, accumulator = SSEDecoder(lenient=True), Accumulator()
    chat = ChatDecoder(think_tags=think_tags, quirks=accumulator.quirks)
    malformed: list[MalformedChunk] = []
    error, done = None, False
    for payload in _payloads(sse, reads):
        if isinstance(payload, ServerSentEvent):
            if payload.comment is not None:
                continue
            if payload.event == "error":
                error = error_in_event(payload.data)
                break
            payload = payload.data.encode()
        if not payload.strip():
            continue
        if payload.strip() == b"[DONE]":
            done = True
            break
        try:
            chunk = chat.decode(payload)
        except MalformedChunk as problem:
            malformed.append(problem)
            continue
        accumulator.add(chunk)
        if chunk.error is not None:
            error = server_error(chunk.error)
            break
    if (rest := chat.close()) is not None:
        accumulator.add(rest)
    for warning in chat.warnings:
        accumulator.quirks[warning.kind] += 1
    accumulator.finish_tool_calls()
    return Folded(accumulator.completion(), error, done, malformed)


def _payloads(sse: SSEDecoder, reads: Iterable[bytes]) -> Iterator[bytes | ServerSentEvent]:
    for data in reads:
        yield from sse.feed_payloads(data)
    yield from sse.close_payloads()


def expected_error(feed: Feed) -> str | None:
    """The message of the error that the feed ends in, None where it ends in none."""
    error = feed.expected.get("error")
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    return None if error is None else error["message"]


def assert_as_expected(completion: Completion, feed: Feed) -> None:
    """Compare all that the sidecar knows: text, reasoning, refusal, calls, usage, and every choice."""
    expected = feed.expected
    assert completion.text == expected["text"]
    # Text that only `reasoning_details` holds is set down by itself, because SDKs drop it.
    assert completion.reasoning == (expected["reasoning"] or expected.get("reasoning_details_text") or "")
    assert completion.refusal == (expected["refusal"] or "")
    assert {str(choice.index): choice.finish_reason for choice in completion.choices} == expected["finish_reasons"]
    for index, choice in expected.get("choices", {}).items():
        message = next(found.message for found in completion.choices if found.index == int(index))
        assert (message.content or "") == choice["text"]
    calls = [(call.name, call.arguments) for call in completion.tool_calls]
    if "function_call" in expected:
        assert calls == [(expected["function_call"]["name"], expected["function_call"]["arguments"])]
    else:
        assert calls == [(call["name"], call["arguments"]) for call in expected["tool_calls"]]
        for call, sent in zip(completion.tool_calls, expected["tool_calls"], strict=True):
            assert call.id == sent["id"] or (not sent["id"] and call.id)
    assert _as_sent(completion) == expected["usage"]


def _as_sent(completion: Completion) -> dict[str, Any] | None:
    usage = completion.usage
    if usage is None:
        return None
    totals = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    return {**totals, "total_tokens": usage.total_tokens, **usage.extra}
