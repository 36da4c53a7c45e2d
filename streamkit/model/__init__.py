"""What a stream says: chunks as they come, the completion that they add up to, and the payloads of the events.

All of it is data without behaviour: immutable, slotted, compared by value. Containers inside (`extra`, `quirks`, headers)
are plain dicts for the sake of `json` and `pickle`; they belong to the object that holds them and are not to be changed.
"""

from .chunk import Chunk, ChunkChoice, Delta, FunctionFragment, ToolCallFragment, Usage
from .completion import Choice, Completion, EndedBy, Message, Timings, ToolCall
from .payloads import Connected, Event, Heartbeat, Read, Retry, Stall, StreamStart, StreamWarning, ToolCallDelta

__all__ = [
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Completion",
    "Connected",
    "Delta",
    "EndedBy",
    "Event",
    "FunctionFragment",
    "Heartbeat",
    "Message",
    "Read",
    "Retry",
    "Stall",
    "StreamStart",
    "StreamWarning",
    "Timings",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallFragment",
    "Usage",
]
