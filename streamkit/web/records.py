"""What is kept of a relayed stream: numbered records, of which the last one says how it ended.

A record holds one chunk of the OpenAI API as JSON, not the bytes of any protocol: encoders make those, so that one log serves
every kind of reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from .chunks import usage_json

if TYPE_CHECKING:
    from ..model import Completion

__all__ = ["EndReason", "Failure", "LogGap", "Record", "StreamEnd", "end_of"]

EndReason: TypeAlias = Literal["done", "error", "abort", "shutdown", "producer_lost"]
"""Why there are no more records. Only after "done" is the answer whole."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One entry of a stream's log.

    Attributes:
        seq: its place: 1, 2, 3 … without a hole.
        kind: "chunk", or "end" for the last one.
        data: "chunk": one `chat.completion.chunk`; "end": a `StreamEnd`. JSON on one line.

    >>> Record(1, "chunk", b'{"choices":[]}').kind
    'chunk'
    """

    seq: int
    kind: Literal["chunk", "end"]
    data: bytes


class LogGap(msgspec.Struct, frozen=True, gc=False):
    """Records `first` to `last` are gone from the log: trimmed, or lost with the store."""

    first: int
    last: int


class Failure(msgspec.Struct, frozen=True, gc=False):
    """What a client is told of a failure: the error object of the OpenAI API, and what HTTP would have said.

    `retry_after` is in seconds.
    """

    message: str
    type: str = "upstream_error"
    code: str | None = None
    param: str | None = None
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


class StreamEnd(msgspec.Struct, frozen=True, gc=False):
    """The terminal record's data: why a stream ended, and what was known of it then.

    >>> StreamEnd.decode(StreamEnd("done", "stop").encode())
    StreamEnd(reason='done', finish_reason='stop', usage=None, error=None)
    >>> StreamEnd("abort").failure.code
    'stopped'
    """

    reason: EndReason
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    error: Failure | None = None

    def encode(self) -> bytes:
        """As JSON on one line."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> StreamEnd:
        """From JSON; raises msgspec.DecodeError for what is none."""
        return _decode_end(data)

    @property
    def failure(self) -> Failure | None:
        """What a protocol that knows only success and error is to say: None after "done" alone."""
        if self.reason == "done":
            return None
        return self.error or _FAILURES.get(self.reason, _FAILURES["error"])


_decode_end = msgspec.json.Decoder(StreamEnd).decode

_FAILURES: Final = {
    "error": Failure("the stream failed", "server_error", "internal", status=500),
    "abort": Failure("the stream was stopped", "stream_stopped", "stopped"),
    "shutdown": Failure("the server is shutting down; try again", "server_error", "shutdown", status=503),
    "producer_lost": Failure("the process that made this stream is gone", "server_error", "producer_lost", status=500),
}


def end_of(completion: Completion, reason: EndReason, error: Failure | None = None) -> StreamEnd:
    """The end of a stream whose completion is known.

    >>> from streamkit import Completion
    >>> end_of(Completion(), "done")
    StreamEnd(reason='done', finish_reason=None, usage=None, error=None)
    """
    usage = None if completion.usage is None else usage_json(completion.usage)
    return StreamEnd(reason, completion.finish_reason, usage, error)
