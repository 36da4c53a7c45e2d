"""The payloads of the events that are neither a chunk nor a completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from ..errors import StreamError

__all__ = [
    "Connected",
    "Event",
    "Heartbeat",
    "Read",
    "Retry",
    "Stall",
    "StreamStart",
    "StreamWarning",
    "ToolCallDelta",
]


class StreamStart(msgspec.Struct, frozen=True):
    """`start`: the request is about to leave. `request` is its JSON body; it is not shown in the repr (it is the prompt)."""

    request: Mapping[str, Any]
    model: str | None
    at: float
    """The loop's monotonic clock, seconds."""
    server: str | None = None
    """Where it goes, as "host:port", without path, query or credentials; None if the source does not say."""

    def __repr__(self) -> str:
        return f"StreamStart(model={self.model!r}, at={self.at:.3f})"


class Connected(msgspec.Struct, frozen=True):
    """`connect`: the headers are in. `attempt` counts from 1; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    request_id: str | None = None
    attempt: int = 1

    def __repr__(self) -> str:
        return f"Connected(status={self.status}, request_id={self.request_id!r}, attempt={self.attempt})"


class Read(msgspec.Struct, frozen=True, gc=False):
    """`read`: bytes as they came from the socket, and when (loop clock, seconds)."""

    data: bytes
    at: float


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False):
    """`tool_delta`: a fragment of a call; `id` and `name` are what is known of the call so far, `arguments` is the new part.

    `position` is the place of the call in `completion.choices[...].message.tool_calls` of choice `choice`.
    """

    position: int
    id: str
    name: str
    arguments: str
    choice: int = 0


class Retry(msgspec.Struct, frozen=True):
    """`retry`: attempt number `attempt` failed with `error` before it published a chunk; the next one leaves in `delay` s."""

    attempt: int
    delay: float
    error: StreamError


class StreamWarning(msgspec.Struct, frozen=True, gc=False):
    """`warning`: something was skipped or mended; `kind` is the name under which `completion.quirks` counts it."""

    kind: str
    detail: str
    excerpt: str = ""


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """`heartbeat`: a keep-alive comment came; the server lives, but this is no content."""

    comment: str
    at: float


class Stall(msgspec.Struct, frozen=True, gc=False):
    """`stall`: `seconds` without content, of the `limit` after which the stream is given up."""

    seconds: float
    limit: float


class Event(msgspec.Struct, frozen=True):
    """`*`: any event, for loggers: its name, its payload, and when (loop clock, seconds)."""

    name: str
    payload: Any
    at: float
