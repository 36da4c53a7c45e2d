"""How a driver is made and what a stream and its completion are typed as. Checked, never run."""

from __future__ import annotations

import ssl
from typing import assert_type

import aiohttp
from pyee import EventEmitter

from streamkit import Completion, CompletionStream, RetryPolicy, StreamDriver, Timeout, ToolCall, Usage


def sink(stream: CompletionStream) -> None:
    stream.on("text", print)


class Sink:
    def __call__(self, stream: CompletionStream) -> None:
        stream.on("text", print)


def settings_are_typed(session: aiohttp.ClientSession) -> None:
    StreamDriver()
    StreamDriver("http://localhost:8000/v1", "key", model="m", session=session, ssl=ssl.create_default_context())
    StreamDriver(ssl=False, headers={"x-tenant": "a"}, timeout=Timeout(idle=None), retries=0, on_truncation="accept")
    StreamDriver(retries=RetryPolicy(retries=5), max_malformed=0, max_event_bytes=None, think_tags=True)
    StreamDriver(listener_errors="detach", drain_timeout=1, sinks=[sink, Sink()])


async def streams_and_completions_are_typed(driver: StreamDriver) -> None:
    async with driver as entered:
        assert_type(entered, StreamDriver)
    stream = driver.stream("hi", model="m", temperature=0.5, tools=[], extra_body={"top_k": 4})
    driver.stream([{"role": "user", "content": "hi"}], timeout=Timeout(total=9), retries=1, emitter=EventEmitter())
    driver.stream({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert_type(stream, CompletionStream)
    assert_type(stream.attach(sink, Sink()), CompletionStream)
    assert_type(stream.start(), CompletionStream)
    assert_type(stream.emitter, EventEmitter)
    async with stream as entered_stream:
        assert_type(entered_stream, CompletionStream)
    completion = await stream
    assert_type(completion, Completion)
    assert_type(completion.text, str)
    assert_type(completion.finish_reason, str | None)
    assert_type(completion.usage, Usage | None)
    assert_type(completion.tool_calls, tuple[ToolCall, ...])
    assert_type(completion.quirks, dict[str, int])


def wrong_settings_are_errors(driver: StreamDriver, completion: Completion) -> None:
    StreamDriver(timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamDriver(retries="two")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamDriver(on_truncation="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamDriver(listener_errors="swallow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamDriver(sinks=[print, 7])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    StreamDriver(sinks=sink)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    StreamDriver("http://localhost", "key", "m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    StreamDriver(time_out=Timeout())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Timeout(idle="2 s")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    driver.stream(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    driver.stream()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    driver.stream("hi", timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    completion.finish_reason = "stop"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(completion.usage.total_tokens)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
