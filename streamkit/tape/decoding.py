"""From a tape to what it says: the events that a stream of it would publish, each with the time of its read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..accumulate import NOTHING, Accumulator
from ..errors import StreamError
from ..model import Chunk, Completion, EndedBy, Timings
from ..sse import ServerSentEvent, SSEDecoder
from ..wire.body import BodyKind, completion_in_body, kind_of_body
from ..wire.chat import ChatDecoder, MalformedChunk
from ..wire.failure import error_in_event, server_error, status_error
from .recording import Tape

__all__ = ["DecodedTape", "TapeEvent", "decode_tape"]


class TapeEvent(NamedTuple):
    """An event of a stream: chunk, text, reasoning, refusal, tool_delta, usage, tool_call, heartbeat, warning."""

    seconds: float
    name: str
    payload: Any
    """As the stream's; of a heartbeat its comment, of a warning its kind."""


@dataclass(frozen=True, slots=True)
class DecodedTape:
    """What a tape says.

    Attributes:
        events: in order.
        completion: what they add up to; its `timings` are the tape's, its `ended_by` says "done" (`[DONE]` came), "eof",
            "error" or "cancel", None if the tape has no end.
        error: the failure that the answer holds, a status or an error in the feed; None if it holds none.
    """

    events: tuple[TapeEvent, ...]
    completion: Completion
    error: StreamError | None = None


def decode_tape(tape: Tape) -> DecodedTape:
    """Decode a tape as a stream decodes its feed, mending what is to be mended.

    >>> from streamkit.tape import demo_tape
    >>> decoded = decode_tape(demo_tape())
    >>> decoded.events[2].name, decoded.completion.finish_reason, decoded.completion.ended_by
    ('text', 'stop', 'done')
    """
    return _Decoding(tape).result()


class _Decoding:
    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._accumulator = Accumulator()
        self._chat = ChatDecoder(quirks=self._accumulator.quirks)
        self._events: list[TapeEvent] = []
        self._now = 0.0
        self._done = False
        self._error: StreamError | None = None
        self._first_chunk: float | None = None
        self._first_text: float | None = None
        self._last_chunk: float | None = None

    def result(self) -> DecodedTape:
        tape = self._tape
        if tape.status is not None and not 200 <= tape.status < 300:
            headers = {name.lower(): value for name, value in tape.headers}
            self._error = status_error(tape.status, headers, tape.body)
        elif kind_of_body(tape.body) in {BodyKind.JSON, BodyKind.MARKUP}:
            self._whole_body()
        else:
            self._feed()
        calls, split = self._accumulator.finish_tool_calls()
        if split:
            self._warn("tool_call_split")
        if self._error is None:
            self._events += [TapeEvent(self._now, "tool_call", call) for call in calls]
        return DecodedTape(tuple(self._events), self._completion(), self._error)

    def _completion(self) -> Completion:
        tape = self._tape
        return self._accumulator.completion(
            ended_by=self._ended_by(),
            complete=self._error is None and (self._done or self._accumulator.finished),
            timings=Timings(
                connect=None if tape.status is None else tape.headers_at,
                first_read=tape.reads[0].seconds if tape.reads else None,
                first_chunk=self._first_chunk,
                first_text=self._first_text,
                last_chunk=self._last_chunk,
                end=tape.ended_at,
            ),
        )

    def _ended_by(self) -> EndedBy | None:
        if self._error is not None:
            return "error"
        if self._done:
            return "done"
        match self._tape.ending:
            case "eof" | None as ending:
                return ending
            case "cancelled":
                return "cancel"
            case _:
                return "error"

    def _feed(self) -> None:
        sse = SSEDecoder(lenient=True)
        for read in self._tape.reads:
            self._now = read.seconds
            self._payloads(sse.feed_payloads(read.data))
            if self._is_over():
                break
        else:
            if self._tape.ending == "eof":  # the last event of a cut feed may be half of one
                self._payloads(sse.close_payloads())
        if (rest := self._chat.close()) is not None:
            self._add(rest)
        self._pass_on_warnings()
        if self._done and not self._accumulator.has_finish:
            self._warn("done_without_finish")

    def _is_over(self) -> bool:
        return self._done or self._error is not None

    def _whole_body(self) -> None:
        self._now = self._tape.duration
        found = completion_in_body(self._tape.body, self._accumulator.quirks)
        if found is None:
            return
        if found.error is not None:
            self._error = server_error(found.error)
            return
        self._warn("json_body")
        self._add(found)

    def _payloads(self, payloads: Iterable[bytes | ServerSentEvent]) -> None:
        for payload in payloads:
            data = payload if isinstance(payload, bytes) else self._data_of(payload)
            if data is not None:
                self._chunk(data)
            if self._is_over():
                return

    def _data_of(self, event: ServerSentEvent) -> bytes | None:
        if event.comment is not None:
            self._say("heartbeat", event.comment)
            return None
        if event.event == "error":
            self._error = error_in_event(event.data)
            return None
        return event.data.encode("utf-8", "surrogatepass")

    def _chunk(self, data: bytes) -> None:
        stripped = data.strip()
        if not stripped:
            return
        if stripped == b"[DONE]":
            self._done = True
            return
        try:
            chunk = self._chat.decode(data)
        except MalformedChunk:
            self._warn("malformed_chunk")
            return
        self._pass_on_warnings()
        if chunk.error is not None:
            self._error = server_error(chunk.error)
            if not chunk.choices and chunk.usage is None:
                return
        self._add(chunk)

    def _add(self, chunk: Chunk) -> None:
        derived = self._accumulator.add(chunk)
        if derived is not NOTHING:
            self._last_chunk = self._now
            if self._first_chunk is None:
                self._first_chunk = self._now
        self._say("chunk", chunk)
        for name, payload in derived:
            if name == "text" and self._first_text is None:
                self._first_text = self._now
            self._say(name, payload)

    def _pass_on_warnings(self) -> None:
        for warning in self._chat.warnings:
            self._warn(warning.kind)
        self._chat.warnings.clear()

    def _warn(self, kind: str) -> None:
        self._accumulator.quirks[kind] += 1
        self._say("warning", kind)

    def _say(self, name: str, payload: object) -> None:
        self._events.append(TapeEvent(self._now, name, payload))
