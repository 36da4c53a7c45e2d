"""What listeners, iterators and waits may be typed as, and what the checkers must refuse. Checked, never run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any, assert_type

from streamkit import (
    Chunk,
    Completion,
    CompletionStream,
    Connected,
    Event,
    EventIterator,
    Heartbeat,
    ListenerError,
    Read,
    Retry,
    Stall,
    StreamAborted,
    StreamError,
    StreamStart,
    StreamWarning,
    ToolCall,
    ToolCallDelta,
    Usage,
)


def of_start(payload: StreamStart) -> None: ...
def of_connect(payload: Connected) -> None: ...
def of_read(payload: Read) -> None: ...
def of_chunk(payload: Chunk) -> None: ...
def of_text(payload: str) -> None: ...
def of_tool_delta(payload: ToolCallDelta) -> None: ...
def of_usage(payload: Usage) -> None: ...
def of_tool_call(payload: ToolCall) -> None: ...
def of_retry(payload: Retry) -> None: ...
def of_warning(payload: StreamWarning) -> None: ...
def of_heartbeat(payload: Heartbeat) -> None: ...
def of_stall(payload: Stall) -> None: ...
def of_completion(payload: Completion) -> None: ...
def of_error(payload: StreamError) -> None: ...
def of_abort(payload: StreamAborted) -> None: ...
def of_listener_error(payload: ListenerError) -> None: ...
def of_event(payload: Event) -> None: ...
def of_anything(payload: object) -> None: ...
def of_any_ending(payload: StreamError | StreamAborted | Completion) -> None: ...


async def async_of_chunk(payload: Chunk) -> None: ...
async def async_of_text(payload: str) -> int:
    return len(payload)


def every_event_takes_its_payload(stream: CompletionStream) -> None:
    stream.on("start", of_start)
    stream.on("connect", of_connect)
    stream.on("read", of_read)
    stream.on("chunk", of_chunk)
    stream.on("reasoning", of_text)
    stream.on("text", of_text)
    stream.on("refusal", of_text)
    stream.on("tool_delta", of_tool_delta)
    stream.on("usage", of_usage)
    stream.on("tool_call", of_tool_call)
    stream.on("text_done", of_text)
    stream.on("retry", of_retry)
    stream.on("warning", of_warning)
    stream.on("heartbeat", of_heartbeat)
    stream.on("stall", of_stall)
    stream.on("done", of_completion)
    stream.on("error", of_error)
    stream.on("abort", of_abort)
    stream.on("end", of_completion)
    stream.on("listener_error", of_listener_error)
    stream.on("*", of_event)


def any_callable_that_fits_is_a_listener(stream: CompletionStream) -> None:
    texts: list[str] = []
    seen: set[Chunk] = set()
    stream.on("text", texts.append)
    stream.on("text", sys.stdout.write)
    stream.on("text", lambda text: texts.append(text.upper()))
    stream.on("text", partial(print, end=""))
    stream.on("text", print)
    stream.on("chunk", seen.add)
    stream.on("chunk", lambda chunk: print(chunk.text, chunk.usage))
    stream.on("done", lambda completion: completion.finish_reason)
    stream.on("error", lambda error: error.completion.text)
    stream.on("chunk", async_of_chunk)
    stream.on("text", async_of_text)
    stream.on("usage", of_anything)
    for_all: Callable[[Any], object] = of_any_ending
    stream.on("done", for_all)
    stream.on("done", of_any_ending)
    stream.on("error", of_any_ending)
    stream.on("abort", of_any_ending)


def options_and_relatives_of_on_have_the_same_types(stream: CompletionStream) -> None:
    stream.on("text", of_text, replay=True, overflow="coalesce")
    stream.once("chunk", of_chunk, overflow="drop_oldest")
    stream.prepend_listener("usage", of_usage, replay=True, overflow="block")
    stream.off("chunk", of_chunk)
    assert_type(stream.listener_count("chunk"), int)
    assert_type(stream.event_names(), list[str])


def decorators_leave_the_listener_as_it_is(stream: CompletionStream) -> None:
    @stream.on("chunk")
    def show(chunk: Chunk) -> int:
        return len(chunk.text)

    @stream.once("done", replay=True)
    async def save(completion: Completion) -> str:
        return completion.text

    @stream.prepend_listener("error")
    def failed(error: StreamError) -> bool:
        return error.retryable

    chunk = Chunk()
    assert_type(show(chunk), int)
    assert_type(failed(StreamError("boom")), bool)


async def waits_and_iterators_give_the_payload(stream: CompletionStream) -> None:
    assert_type(await stream, Completion)
    assert_type(await stream.wait_for("connect"), Connected)
    assert_type(await stream.wait_for("text"), str)
    assert_type(await stream.wait_for("done"), Completion)
    assert_type(await stream.wait_for("abort"), StreamAborted)
    assert_type(stream.events("tool_call", maxsize=8), EventIterator[ToolCall])
    async for chunk in stream:
        assert_type(chunk, Chunk)
    async for text in stream.events("text"):
        assert_type(text, str)
    async for event in stream.events("*"):
        assert_type(event, Event)


def wrong_listeners_are_errors(stream: CompletionStream) -> None:
    stream.on("done", of_chunk)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("chunk", of_text)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("text", of_chunk)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.once("error", of_abort)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.prepend_listener("usage", of_completion)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("chunk", async_of_text)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("chunk", lambda: None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("chunk", 7)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("chunk", lambda chunk: chunk.tokens)  # type: ignore[call-overload]  # pyright: ignore[reportAttributeAccessIssue]

    @stream.on("done")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
    def finished(chunk: Chunk) -> None: ...


async def unknown_events_are_errors(stream: CompletionStream) -> None:
    stream.on("chunks", of_chunk)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.once("content", of_text)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.events("finish")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await stream.wait_for("finish")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def wrong_payloads_are_errors(stream: CompletionStream) -> None:
    text: str = await stream.wait_for("chunk")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    usage: Usage = await stream.wait_for("done")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, usage)
    async for chunk in stream.events("text"):
        of_chunk(chunk)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_options_are_errors(stream: CompletionStream) -> None:
    stream.on("text", of_text, overflow="grow")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("text", of_text, replay="yes")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.events("text", maxsize="many")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
