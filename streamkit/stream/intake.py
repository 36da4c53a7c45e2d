"""The bytes of one feed in, published events out. Synchronous: the pump decides when, and waits in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import force_setattr

from ..accumulate import NOTHING, Accumulator, says_something
from ..errors import EmptyStream, ProtocolError, ServerError, StreamError, TruncatedStream
from ..model import Event, Heartbeat, StreamWarning
from ..sse import EventTooLarge, ServerSentEvent, SSEDecoder
from ..wire.body import completion_in_body, is_feed_text
from ..wire.chat import FAST_REFUSALS, ChatDecoder, MalformedChunk, excerpt_of
from ..wire.failure import error_in_event, printable, server_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..model import Chunk, EndedBy
    from ..settings import Settings
    from ..subscriptions import Subscriptions

__all__ = ["SLICE_SECONDS", "Intake"]

SLICE_SECONDS: Final = 0.01
"""How long `step` works before it lets the pump look around."""

_MOST_HELD: Final = 1000
"""How many chunks without content are held back for the first one with content."""

_NO_PAYLOADS: Final[Iterator[Any]] = iter(())


class Intake:
    """Decodes, accumulates and publishes what the reads of one stream say. Raises StreamError for what ends it.

    Chunks without content that come first (a role, a filter result) are held back until one with content comes: as long as
    `holding` is true nothing has been published, and the attempt may be made again.
    """

    def __init__(self, subscriptions: Subscriptions, settings: Settings, redact: Callable[[str], str]) -> None:
        self._subs = subscriptions
        self._settings = settings
        self._redact = redact
        self.accumulator = Accumulator()
        self.holding = True
        self.progress = False
        """The latest read brought content."""
        self.read_at = 0.0
        self._until = float("inf")
        self.request_id: str | None = None
        self.start_anew()

    def start_anew(self) -> None:
        """Forget a failed attempt; it has published nothing."""
        self._chat = ChatDecoder(
            think_tags=self._settings.think_tags, quirks=self.accumulator.quirks, redact=self._redact
        )
        self._sse = SSEDecoder(lenient=True, max_event_bytes=self._settings.max_event_bytes)
        self.done = False
        """`[DONE]` came: what follows it is not looked at."""
        self._payloads = _NO_PAYLOADS
        self._held: list[Chunk] = []
        self._malformed = 0
        self._fatal: StreamError | None = None

    def begin_slice(self) -> None:
        """Others have had their turn: `step` may work for a while."""
        self._until = time.perf_counter() + SLICE_SECONDS

    # --- a read -----------------------------------------------------------------------------------------------------

    def load(self, data: bytes) -> None:
        """Take in a read; `step` publishes what it says."""
        self.progress = False
        try:
            self._payloads = iter(self._sse.feed_payloads(data))
        except EventTooLarge as error:
            raise ProtocolError(str(error), request_id=self.request_id) from None

    def step(self) -> bool:
        """Publish what was loaded. True: there may be more, but something needs the pump's attention, or the time is up.

        The hot loop of the whole library: what is done here is paid for by every chunk.
        """
        post, publisher, add = self._subs.post, self._subs.wanted.get, self.accumulator.add
        fast, clock, until = self._chat.fast, time.perf_counter, self._until
        chunk: Chunk | None
        for payload in self._payloads:
            if isinstance(payload, bytes):
                try:
                    chunk = fast(payload)
                    choices = chunk.choices
                    if choices and choices[0].delta is not None:
                        force_setattr(chunk, "raw", payload)
                    else:
                        chunk = self._slow(payload)
                except FAST_REFUSALS:
                    chunk = self._slow(payload)
                    fast = self._chat.fast
            else:
                chunk = self._special(payload)
                fast = self._chat.fast
            if chunk is None:
                if self.done:
                    return False
            elif self.holding and len(self._held) < _MOST_HELD and not says_something(chunk):
                self._held.append(chunk)
            else:
                if self.holding:
                    self.release_held()
                derived = add(chunk)
                if derived is not NOTHING:
                    self.progress = True
                if (publish := publisher("chunk")) is not None:
                    publish(chunk)
                if (star := publisher("*")) is not None:
                    star(Event("chunk", chunk, self.read_at))
                for name, value in derived:
                    if (publish := publisher(name)) is not None:
                        publish(value)
                    if star is not None:
                        star(Event(name, value, self.read_at))
            if post.attention or clock() > until:
                return True
        return False

    def raise_fatal(self) -> None:
        """Raise the error that stood beside a chunk, now that the chunk has been published."""
        if self._fatal is not None:
            raise self._fatal

    def _slow(self, data: bytes) -> Chunk | None:
        """A payload that the fast decoder refused; None if it is no chunk."""
        stripped = data.strip()
        if not stripped:
            return None  # a keep-alive in the shape of an event
        if stripped == b"[DONE]":
            self.done = True
            return None
        try:
            chunk = self._chat.slow(data)
        except MalformedChunk as malformed:
            self._skip(malformed)
            return None
        self._pass_on_warnings()
        if chunk.error is not None:
            error = server_error(chunk.error, request_id=self.request_id, redact=self._redact)
            if not chunk.choices and chunk.usage is None:
                raise error
            self._fatal = error
            self._subs.post.attention = True
        return chunk

    def _special(self, event: ServerSentEvent) -> Chunk | None:
        """An event that is not just a line of data."""
        if event.comment is not None:
            self.publish("heartbeat", Heartbeat(event.comment, self.read_at))
            return None
        if event.event == "error":
            raise error_in_event(event.data, request_id=self.request_id, redact=self._redact)
        return self._slow(event.data.encode("utf-8", "surrogatepass"))

    def _skip(self, malformed: MalformedChunk) -> None:
        self._malformed += 1
        self.warn(StreamWarning("malformed_chunk", malformed.detail, malformed.excerpt))
        limit = self._settings.max_malformed
        if self._malformed > limit:
            raise ProtocolError(
                f"{self._malformed} malformed chunks, more than max_malformed={limit}; the last: {malformed.detail}",
                request_id=self.request_id,
            )

    # --- the end of the feed ----------------------------------------------------------------------------------------

    def finish(self, head: bytes, content_type: str = "") -> EndedBy:
        """The feed has ended in peace: publish what was held back; raise what such an end may still hide.

        `head` is the beginning of the body: it shows whether it was a feed at all.
        """
        if not self.done:
            self._close()
        if not self._held or self.done:
            self.flush()
        self._check_content(head, content_type)
        if self.done:
            if not self.accumulator.has_finish:
                self.warn(StreamWarning("done_without_finish", "[DONE] came, but no finish_reason"))
            return "done"
        if not self.accumulator.finished:
            what = "the feed ended without a finish_reason and without [DONE]"
            if self._settings.on_truncation == "error":
                # What is held back stays so: the attempt may be made again.
                raise TruncatedStream(f"{what}: the answer is cut short", retryable=True, request_id=self.request_id)
            self.warn(StreamWarning("truncated", what))
        self.flush()
        return "eof"

    def flush(self) -> None:
        """Publish what was held back in the hope of more: it is all that there is."""
        if self._held:
            self.release_held()
        if (rest := self._chat.close()) is not None:
            self._take(rest)
        self._pass_on_warnings()

    def finish_whole(self, body: bytes, content_type: str) -> EndedBy:
        """The body is no feed; publish the whole completion that it may hold, or raise what it is instead."""
        found = completion_in_body(body, self.accumulator.quirks)
        if found is None:
            raise self._no_feed(body, content_type)
        if found.error is not None:
            raise server_error(found.error, request_id=self.request_id, redact=self._redact)
        self.warn(StreamWarning("json_body", "the server ignored stream=true and sent the answer whole"))
        self._take(found)
        self._check_content(b"", "")
        return "eof"

    def _close(self) -> None:
        """Real feeds leave out the last blank line: the event that it would have ended counts."""
        try:
            payloads = self._sse.close_payloads()
        except EventTooLarge as error:
            raise ProtocolError(str(error), request_id=self.request_id) from None
        for payload in payloads:
            chunk = self._slow(payload) if isinstance(payload, bytes) else self._special(payload)
            if chunk is not None:
                self._take(chunk)
                self.raise_fatal()

    def _no_feed(self, body: bytes, content_type: str) -> ProtocolError:
        kind = f"content type {printable(self._redact(content_type))}" if content_type else "no content type"
        text = excerpt_of(body, self._redact)
        return ProtocolError(f"the answer is no event stream ({kind}): {text!r}", request_id=self.request_id)

    def _check_content(self, head: bytes, content_type: str) -> None:
        if self.accumulator.failed:
            raise ServerError("the server gave up: finish_reason 'error'", request_id=self.request_id)
        if self.accumulator.chunks or self._held:
            return
        if not is_feed_text(head):
            raise self._no_feed(head, content_type)
        raise EmptyStream("the server sent no chunk at all", retryable=True, request_id=self.request_id)

    # --- publishing -------------------------------------------------------------------------------------------------

    def release_held(self) -> None:
        """Publish the chunks that were held back."""
        self.holding = False
        held, self._held = self._held, []
        for chunk in held:
            self._take(chunk)

    def publish(self, event: str, payload: object) -> None:
        """Publish an event that came with the latest read."""
        self._subs.publish(event, payload, self.read_at)

    def warn(self, warning: StreamWarning) -> None:
        """Count a quirk, and tell of it."""
        self.accumulator.quirks[warning.kind] += 1
        self.publish("warning", warning)

    def _take(self, chunk: Chunk) -> None:
        """What `step` does with a chunk, for the places where it need not be fast."""
        if self.holding:
            self.release_held()
        derived = self.accumulator.add(chunk)
        if derived is not NOTHING:
            self.progress = True
        self.publish("chunk", chunk)
        for name, value in derived:
            self.publish(name, value)

    def _pass_on_warnings(self) -> None:
        for warning in self._chat.warnings:
            self.warn(warning)
        self._chat.warnings.clear()
