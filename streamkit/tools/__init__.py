"""Function calling and structured output: typed Python functions as tools of a model, and typed answers."""

from .calls import Approve, OnError
from .parsed import ParsedCompletion, ParsedStream, ParseFailed, stream_parsed
from .payloads import (
    FailureKind,
    Round,
    RoundStart,
    ToolAnswer,
    ToolCompletion,
    ToolFailed,
    ToolFailure,
    ToolResult,
    ToolStart,
    TooManyRounds,
)
from .run import run_tools, tool_results
from .tool import Tool, ToolArgumentsError, tool, tools_by_name
from .tool_stream import ToolStream

__all__ = [
    "Approve",
    "FailureKind",
    "OnError",
    "ParseFailed",
    "ParsedCompletion",
    "ParsedStream",
    "Round",
    "RoundStart",
    "TooManyRounds",
    "Tool",
    "ToolAnswer",
    "ToolArgumentsError",
    "ToolCompletion",
    "ToolFailed",
    "ToolFailure",
    "ToolResult",
    "ToolStart",
    "ToolStream",
    "run_tools",
    "stream_parsed",
    "tool",
    "tool_results",
    "tools_by_name",
]
