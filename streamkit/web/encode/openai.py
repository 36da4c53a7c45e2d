"""The OpenAI API's own stream of `chat.completion.chunk` objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..records import Failure, LogGap
from .sse import CONTENT_TYPE, DONE, HEADERS, HEARTBEAT, data_event, error_object

if TYPE_CHECKING:
    from ..records import Record, StreamEnd

__all__ = ["OpenAIEncoder"]

_decode = msgspec.json.Decoder().decode


class OpenAIEncoder:
    r"""The records as the upstream sent them, one event each; the usage last, if it was asked for; then `[DONE]`.

    There are no ids, no event types and no `retry`, because clients of this API take each of them for an event. A stream that
    failed ends with an error object, and without `[DONE]`.

    Args:
        include_usage: the client sent `stream_options.include_usage`: the chunk that has only usage is passed on, at the end.

    >>> from streamkit.web.records import StreamEnd, Record
    >>> encoder = OpenAIEncoder()
    >>> encoder.record(Record(1, "chunk", b'{"choices":[{"delta":{"content":"hi"}}],"x":1}'))
    b'data: {"choices":[{"delta":{"content":"hi"}}],"x":1}\n\n'
    >>> encoder.record(Record(2, "chunk", b'{"choices":[],"usage":{"total_tokens":2}}'))
    b''
    >>> encoder.end(StreamEnd("done"), 3)
    b'data: [DONE]\n\n'
    """

    content_type = CONTENT_TYPE
    headers = HEADERS
    heartbeat = HEARTBEAT
    resumable = False

    def __init__(self, *, include_usage: bool = False) -> None:
        self._include_usage = include_usage
        self._usage = b""
        """The event with the usage: it waits for the end."""
        self._usage_sent = False
        self._head: dict[str, Any] | None = None
        """id, created and model of the first chunk, for a usage chunk that has to be made."""
        self._lost = False

    def record(self, record: Record | LogGap) -> bytes:
        """The event of a chunk. A gap cannot be told: all that follows is left out, and the end is an error."""
        if self._lost or isinstance(record, LogGap):
            self._lost = True
            return b""
        data = record.data
        if self._head is None:
            chunk = _decode(data)
            self._head = {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        if b'"usage"' in data and self._takes(data):
            return b""
        return b"data: %b\n\n" % data

    def _takes(self, data: bytes) -> bool:
        """Whether the chunk has nothing but usage: it goes to the end, or nowhere."""
        chunk = _decode(data)
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return False
        if chunk.get("choices"):
            self._usage_sent = True
            return False
        if self._include_usage:
            self._usage = b"data: %b\n\n" % data
        return True

    def end(self, end: StreamEnd, seq: int) -> bytes:
        """The usage, and `[DONE]` or an error."""
        usage = self._usage
        if self._include_usage and not usage and not self._usage_sent and end.usage is not None:
            usage = data_event(
                {**(self._head or {}), "object": "chat.completion.chunk", "choices": [], "usage": end.usage}
            )
        failure = _GAP if self._lost else end.failure
        if failure is None:
            return usage + DONE
        return usage + data_event({"error": error_object(failure)})

    def clean(self, end: StreamEnd) -> bool:
        """Only a whole answer ends cleanly: to these clients the end of the body means success."""
        return end.reason == "done" and not self._lost


_GAP: Final = Failure("part of the stream is not stored any more", "server_error", "gap", status=410)
