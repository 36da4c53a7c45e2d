"""streamkit: one completion stream, many subscribers.

A driver reads a completion feed (server-sent events) over aiohttp and publishes what it says as events on a pyee emitter.
"""

import logging

from .accumulate import Accumulator
from .driver import StreamDriver
from .errors import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ListenerError,
    ProtocolError,
    ServerError,
    StatusError,
    StreamAborted,
    StreamError,
    StreamkitError,
    StreamTimeout,
    TapeError,
    TruncatedStream,
)
from .logs import UnconfiguredHandler as _UnconfiguredHandler
from .model import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Connected,
    Delta,
    Event,
    FunctionFragment,
    Heartbeat,
    Message,
    Read,
    Retry,
    Stall,
    StreamStart,
    StreamWarning,
    Timings,
    ToolCall,
    ToolCallDelta,
    ToolCallFragment,
    Usage,
)
from .settings import RetryPolicy, Timeout
from .sse import EventTooLarge, ServerSentEvent, SSEDecoder, encode_comment, encode_event
from .stream import CompletionStream, EventIterator, RoundsSource, Source
from .tape import Tape, TapeWriter, demo_tape, load_tape
from .version import __version__

__all__ = [
    "Accumulator",
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "CompletionStream",
    "Connected",
    "ConnectionFailed",
    "ConnectionLost",
    "Delta",
    "EmptyStream",
    "Event",
    "EventIterator",
    "EventTooLarge",
    "FunctionFragment",
    "Heartbeat",
    "ListenerError",
    "Message",
    "ProtocolError",
    "Read",
    "Retry",
    "RetryPolicy",
    "RoundsSource",
    "SSEDecoder",
    "ServerError",
    "ServerSentEvent",
    "Source",
    "Stall",
    "StatusError",
    "StreamAborted",
    "StreamDriver",
    "StreamError",
    "StreamStart",
    "StreamTimeout",
    "StreamWarning",
    "StreamkitError",
    "Tape",
    "TapeError",
    "TapeWriter",
    "Timeout",
    "Timings",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFragment",
    "TruncatedStream",
    "Usage",
    "__version__",
    "demo_tape",
    "encode_comment",
    "encode_event",
    "load_tape",
]

logging.getLogger("streamkit").addHandler(_UnconfiguredHandler())
