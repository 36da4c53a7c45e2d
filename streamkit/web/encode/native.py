"""streamkit's own protocol: events with ids, which a browser's EventSource resumes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ...tool_calls import ToolCallAssembler
from ...wire.chat import ChatDecoder
from ..chunks import usage_json
from ..records import LogGap
from .sse import CONTENT_TYPE, HEADERS, HEARTBEAT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...model import Chunk, Delta, ToolCallFragment
    from ..records import Record, StreamEnd

__all__ = ["NativeEncoder"]

_encode = msgspec.json.Encoder().encode


class NativeEncoder:
    r"""Events of type `message` with what a chunk adds to choice 0, under the id `STREAM:SEQ`; then one of type `end`.

    The data are JSON objects: `text`, `reasoning`, `refusal` (to append), `tool_calls` (fragments: `index`, `id`, `name`,
    `arguments` to append), `usage`, `finish_reason`; together where one chunk has several. `gap` says that records `from` to
    `to` are gone, and that the snapshot has them. `stream-error` (not `error`: EventSource has an event of its own by that
    name) comes before the `end` of a stream that failed.

    >>> from streamkit.web.records import StreamEnd, Record
    >>> encoder = NativeEncoder("s1")
    >>> print(encoder.record(Record(1, "chunk", b'{"choices":[{"delta":{"content":"hi"}}]}')).decode(), end="")
    id: s1:1
    data: {"text":"hi"}
    <BLANKLINE>
    >>> print(encoder.end(StreamEnd("done", "stop"), 2).decode(), end="")
    id: s1:end
    event: end
    data: {"reason":"done","finish_reason":"stop","usage":null,"seq":2}
    <BLANKLINE>
    """

    content_type = CONTENT_TYPE + "; charset=utf-8"
    headers = HEADERS
    heartbeat = HEARTBEAT
    resumable = True

    def __init__(self, stream_id: str) -> None:
        self._id = b"id: %b:" % stream_id.encode("ascii")
        self._decoder = ChatDecoder()
        self._calls = ToolCallAssembler()

    def record(self, record: Record | LogGap) -> bytes:
        """The event of a chunk or a gap."""
        if isinstance(record, LogGap):
            data = _encode({"from": record.first, "to": record.last})
            return b"%b%d\nevent: gap\ndata: %b\n\n" % (self._id, record.last, data)
        said = self._said(self._decoder.decode(record.data))
        return b"%b%d\ndata: %b\n\n" % (self._id, record.seq, _encode(said)) if said else b""

    def _said(self, chunk: Chunk) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for choice in chunk.choices:
            if choice.index == 0:
                if choice.delta is not None:
                    _add_delta(said, choice.delta)
                    if choice.delta.tool_calls:
                        said["tool_calls"] = self._calls_of(choice.delta.tool_calls)
                if choice.finish_reason:
                    said["finish_reason"] = choice.finish_reason
        if chunk.usage is not None:
            said["usage"] = usage_json(chunk.usage)
        return said

    def _calls_of(self, fragments: Sequence[ToolCallFragment]) -> list[dict[str, Any]]:
        """Each under the index of its call, which servers leave out or use twice: to tell calls apart is done here, once."""
        said = []
        for place, fragment in enumerate(fragments):
            call, function = self._calls.add(fragment, apart=place > 0), fragment.function
            name = None if function is None else function.name
            said.append({"index": call.position, "id": fragment.id, "name": name, "arguments": call.arguments})
        return said

    def end(self, end: StreamEnd, seq: int) -> bytes:
        """The events of the ending."""
        told = b""
        if end.reason != "abort" and (failure := end.failure) is not None:
            error = {
                "message": failure.message,
                "type": failure.type,
                "code": failure.code,
                "status": failure.status,
                "request_id": failure.request_id,
                "retry_after": failure.retry_after,
            }
            told = b"event: stream-error\ndata: %b\n\n" % _encode(error)
        data = {"reason": end.reason, "finish_reason": end.finish_reason, "usage": end.usage, "seq": seq}
        return told + b"%bend\nevent: end\ndata: %b\n\n" % (self._id, _encode(data))

    def clean(self, end: StreamEnd) -> bool:
        """A stream that a user stopped has ended as it should."""
        return end.reason in {"done", "abort"}


def _add_delta(said: dict[str, Any], delta: Delta) -> None:
    if delta.content:
        said["text"] = delta.content
    if reasoning := delta.reasoning:
        said["reasoning"] = reasoning
    if delta.refusal:
        said["refusal"] = delta.refusal
