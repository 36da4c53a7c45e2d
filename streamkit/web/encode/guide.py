"""The stream of the streaming guides: `data: {"content": …}`, then `data: [DONE]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...wire.chat import ChatDecoder
from ..records import Failure, LogGap
from .sse import CONTENT_TYPE, DONE, HEADERS, HEARTBEAT, data_event, error_object

if TYPE_CHECKING:
    from ..records import Record, StreamEnd

__all__ = ["GuideEncoder"]


class GuideEncoder:
    r"""The text, an event a chunk; a stream that failed ends with `{"error": {…}}` and without `[DONE]`.

    >>> from streamkit.web.records import StreamEnd, Record
    >>> encoder = GuideEncoder()
    >>> encoder.record(Record(1, "chunk", b'{"choices":[{"delta":{"content":"hi"}}]}'))
    b'data: {"content":"hi"}\n\n'
    >>> encoder.end(StreamEnd("done"), 2)
    b'data: [DONE]\n\n'
    """

    content_type = CONTENT_TYPE
    headers = HEADERS
    heartbeat = HEARTBEAT
    resumable = False

    def __init__(self) -> None:
        self._decoder = ChatDecoder()
        self._lost = False

    def record(self, record: Record | LogGap) -> bytes:
        """The event of a chunk that has text. A gap cannot be told: nothing follows it but the error at the end."""
        if self._lost or isinstance(record, LogGap):
            self._lost = True
            return b""
        text = self._decoder.decode(record.data).text
        return data_event({"content": text}) if text else b""

    def end(self, end: StreamEnd, seq: int) -> bytes:
        """`[DONE]`, or an error."""
        failure = _GAP if self._lost else end.failure
        return DONE if failure is None else data_event({"error": error_object(failure)})

    def clean(self, end: StreamEnd) -> bool:
        """Only a whole answer ends cleanly."""
        return end.reason == "done" and not self._lost


_GAP: Final = Failure("part of the stream is not stored any more", "server_error", "gap", status=410)
