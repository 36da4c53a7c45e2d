"""All of a stream in one JSON object: what a late reader needs instead of every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..accumulate import Accumulator
from ..wire.chat import ChatDecoder
from .chunks import usage_json
from .encode.sse import error_object
from .records import LogGap, StreamEnd

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .records import Record

__all__ = ["Snapshot"]


class Snapshot:
    """Adds up the records of a stream.

    >>> from streamkit.web import Record
    >>> snapshot = Snapshot("s1")
    >>> snapshot.add([Record(1, "chunk", b'{"choices":[{"delta":{"content":"hi"}}]}')])
    >>> known = snapshot.as_json()
    >>> known["text"], known["status"], known["seq"]
    ('hi', 'running', 1)
    """

    def __init__(self, stream_id: str, model: str | None = None) -> None:
        self._stream_id = stream_id
        self._model = model
        self._accumulator = Accumulator()
        self._decoder = ChatDecoder()
        self._end: StreamEnd | None = None
        self._whole = True
        self.seq = 0
        """Of the latest record: reading on after it misses nothing and repeats nothing."""

    def add(self, records: Iterable[Record | LogGap]) -> None:
        """Take in records, in their order."""
        for record in records:
            if isinstance(record, LogGap):
                self.seq, self._whole = record.last, False
                continue
            self.seq = record.seq
            if record.kind == "end":
                self._end = StreamEnd.decode(record.data)
                self._accumulator.finish_tool_calls()
            else:
                self._accumulator.add(self._decoder.decode(record.data))

    def as_json(self) -> dict[str, Any]:
        """What is known, as JSON values.

        `status` is "running" or "ended"; `reason` and `error` are those of the terminal record; `whole` is false where
        records are gone from the log.
        """
        completion, end = self._accumulator.completion(), self._end
        return {
            "stream": self._stream_id,
            "status": "running" if end is None else "ended",
            "seq": self.seq,
            "model": completion.model or self._model,
            "text": completion.text,
            "reasoning": completion.reasoning,
            "refusal": completion.refusal,
            "tool_calls": [
                {"id": call.id, "name": call.name, "arguments": call.arguments} for call in completion.tool_calls
            ],
            "usage": None if completion.usage is None else usage_json(completion.usage),
            "finish_reason": completion.finish_reason,
            "reason": None if end is None else end.reason,
            "error": None if end is None or end.error is None else error_object(end.error),
            "whole": self._whole,
        }
