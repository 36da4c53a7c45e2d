"""What a run of tools is typed as, and what the checkers must refuse. Checked, never run."""

from __future__ import annotations

from typing import Any, assert_type

from streamkit import Chunk, Completion, CompletionStream, EventIterator, StreamDriver, ToolCall
from streamkit.tools import (
    Round,
    RoundStart,
    Tool,
    ToolCompletion,
    ToolFailure,
    ToolResult,
    ToolStart,
    ToolStream,
    run_tools,
    tool,
    tool_results,
)


def weather(city: str) -> str:
    return city


async def later(city: str, days: int = 1) -> str:
    return city * days


def of_round(payload: RoundStart) -> None: ...
def of_start(payload: ToolStart) -> None: ...
def of_result(payload: ToolResult) -> None: ...
def of_failure(payload: ToolFailure) -> None: ...
def of_completion(payload: Completion) -> None: ...
def of_tool_completion(payload: ToolCompletion) -> None: ...
def of_chunk(payload: Chunk) -> None: ...
def of_text(payload: str) -> None: ...
def sink(stream: CompletionStream) -> None: ...
async def allow(call: ToolCall) -> bool:
    return bool(call.name)


async def every_event_takes_its_payload(driver: StreamDriver) -> None:
    stream = run_tools(
        driver, "hi", [weather, later, tool(weather, name="other")], approve=allow, model="m", temperature=0
    )
    assert_type(stream, ToolStream)
    stream.on("round", of_round)
    stream.on("tool_start", of_start)
    stream.on("tool_result", of_result, overflow="drop_oldest")
    stream.on("tool_error", of_failure)
    stream.on("chunk", of_chunk)
    stream.once("text", of_text, replay=True)
    stream.prepend_listener("done", of_completion)
    stream.on("end", of_tool_completion)
    stream.on("tool_result", lambda result: print(result.seconds + 1, result.call.name))

    @stream.on("tool_error")
    def failed(failure: ToolFailure) -> str:
        return failure.content

    assert_type(failed(ToolFailure(ToolCall("", ""), "raised", "")), str)
    assert_type(stream.attach(sink), ToolStream)
    assert_type(stream.start(), ToolStream)
    assert_type(await stream.wait_for("tool_result"), ToolResult)
    assert_type(await stream.wait_for("done"), ToolCompletion)
    assert_type(stream.events("tool_error"), EventIterator[ToolFailure])
    assert_type(stream.events("text"), EventIterator[str])
    completion = await stream
    assert_type(completion, ToolCompletion)
    assert_type(stream.completion, ToolCompletion)
    assert_type(completion.rounds, tuple[Round, ...])
    assert_type(completion.rounds[0].completion, Completion)
    assert_type(completion.rounds[0].answers, tuple[ToolResult | ToolFailure, ...])
    assert_type(await tool_results(completion, [weather]), list[dict[str, Any]])
    plain: CompletionStream = stream
    plain.on("done", of_completion)


def tools_keep_their_signature() -> None:
    made = tool(later)
    assert_type(made.definition, dict[str, Any])
    other: Tool[[str], str] = tool(weather)
    assert_type(other("Oslo"), str)
    _ = made("Oslo", days="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wrong_ones_are_errors(driver: StreamDriver, stream: ToolStream, plain: CompletionStream) -> None:
    stream.on("tool_result", of_failure)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("tool_start", of_text)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("done", of_chunk)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("tool_results", of_result)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    plain.on("tool_result", of_result)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    run_tools(driver, "hi", [weather], on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run_tools(driver, "hi", weather)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run_tools(driver, "hi", [weather], approve=weather)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
