"""The text, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...wire.chat import ChatDecoder
from ..records import LogGap
from .sse import HEADERS

if TYPE_CHECKING:
    from ..records import Record, StreamEnd

__all__ = ["PlainEncoder"]

_HEADERS: Final = {**HEADERS, "X-Content-Type-Options": "nosniff"}


class PlainEncoder:
    """UTF-8 text as it comes. It has no place for an error or a heartbeat: a stream that failed is a body that breaks off.

    >>> from streamkit.web.records import Record
    >>> PlainEncoder().record(Record(1, "chunk", b'{"choices":[{"delta":{"content":"hi"}}]}'))
    b'hi'
    """

    content_type = "text/plain; charset=utf-8"
    headers = _HEADERS
    heartbeat = b""
    resumable = False

    def __init__(self) -> None:
        self._decoder = ChatDecoder()
        self._lost = False

    def record(self, record: Record | LogGap) -> bytes:
        """The text of a chunk; nothing after a gap."""
        if self._lost or isinstance(record, LogGap):
            self._lost = True
            return b""
        return self._decoder.decode(record.data).text.encode()

    def end(self, end: StreamEnd, seq: int) -> bytes:
        """Nothing: the body just ends, or breaks off."""
        return b""

    def clean(self, end: StreamEnd) -> bool:
        """Only a whole answer ends cleanly."""
        return end.reason == "done" and not self._lost
