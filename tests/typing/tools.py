"""What a tool and a parsed stream are typed as. Checked, never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from streamkit import Chunk, Completion, StreamDriver, StreamError
from streamkit.tools import ParsedCompletion, ParsedStream, Tool, stream_parsed, tool, tools_by_name


@dataclass
class City:
    name: str


@tool
def add(a: int, b: int = 1) -> int:
    return a + b


@tool(name="later", timeout=3)
async def wait(seconds: float) -> str:
    return str(seconds)


async def a_tool_is_called_like_its_function() -> None:
    assert_type(add(1, b=2), int)
    assert_type(await wait(1), str)
    assert_type(add.definition, dict[str, Any])
    assert_type(add.decode("{}"), dict[str, Any])
    assert_type(tools_by_name([add, wait, print]), dict[str, Tool[..., Any]])
    add("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add(1, c=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def partial_listener(partial: dict[str, Any]) -> None: ...
def done_listener(completion: ParsedCompletion[City]) -> None: ...
def chunk_listener(chunk: Chunk) -> None: ...
def completion_listener(completion: Completion) -> None: ...
def error_listener(error: StreamError) -> None: ...


async def an_answer_is_of_its_type(driver: StreamDriver) -> None:
    stream = stream_parsed(driver, "Where?", City, temperature=0)
    assert_type(stream, ParsedStream[City])
    assert_type((await stream).parsed, City)
    assert_type((await stream.wait_for("done")).parsed, City)
    assert_type((await stream_parsed(driver, "Where?", list[City])).parsed, list[City])
    stream.on("partial", partial_listener)
    stream.on("done", done_listener)
    stream.on("done", completion_listener)
    stream.on("chunk", chunk_listener)
    stream.once("error", error_listener)

    @stream.on("done")
    def done(completion: ParsedCompletion[City]) -> None: ...

    stream.on("done", chunk_listener)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream.on("partly", print)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
