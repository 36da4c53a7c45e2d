"""The one task that drives a stream: attempts, waits, late subscribers, and exactly one ending."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, cast

from msgspec.structs import replace

from ..errors import ConnectionLost, ProtocolError, StreamAborted, StreamError, StreamTimeout
from ..model import Read, Retry, Stall, StreamStart, StreamWarning, Timings
from ..wire.body import BodyKind, kind_of_body
from .intake import Intake
from .reader import EagerReader
from .watchdog import Phase, Watchdog

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from ..model import Completion, EndedBy, ToolCall
    from ..settings import Settings
    from ..subscriptions import Subscriptions
    from .source import RoundsSource, Source

__all__ = ["Pump"]

_HEAD_BYTES = 1024

_WHOLE_BODY_BYTES = 8 * 2**20
"""A whole answer is parsed in one go: larger, it would block the loop."""

log = logging.getLogger("streamkit.stream")


class _Interrupted(Exception):
    """A wait was ended on request; `Pump.stop` says by whom."""


class Pump:
    """Drives one stream over one source. `run` is its task; everything else is called on its loop unless it says otherwise."""

    def __init__(self, source: Source, subscriptions: Subscriptions, settings: Settings) -> None:
        self._source = source
        # isinstance would look at every member of the protocol, which takes as long as the rest of this constructor.
        self._chain = cast("RoundsSource", source) if hasattr(source, "more") else None
        self._subs = subscriptions
        self._settings = settings
        self._intake = Intake(subscriptions, settings, source.redact)
        self._reader: EagerReader | None = None
        self._watchdog: Watchdog | None = None
        self._task: asyncio.Task[Any] | None = None
        self._head = b""
        """The beginning of the body: as much as it took to see what it is."""

        self.stop: StreamAborted | Phase | Literal["cancel"] | None = None
        """Why the stream is to end before its feed does."""
        self._waiting = False
        self._cancelled_by_us = False
        self._hurry = False

        self._attempt = 0
        self._started_at = 0.0
        self._timings: dict[str, float] = {}
        self.sticky: dict[str, Any] = {}
        """The payloads of the events that happen once, for those who come late."""
        self.heard = False
        """Somebody listened to how it failed."""
        self._tool_calls: tuple[ToolCall, ...] = ()
        self._earlier: dict[str, str] = {}
        """The text of each kind that earlier rounds said."""
        self._final: Completion | None = None
        self._snapshot: tuple[tuple[int, int], Completion] | None = None
        self._beside = 0
        """How often something changed that is no chunk: what a source of several rounds publishes, and a new round."""
        self._over = False
        """`end` has been published."""
        self._gone = False
        """Everybody has taken it in, and the task is at its end."""
        self._late_calls: asyncio.Task[None] | None = None

    # --- what others ask of it --------------------------------------------------------------------------------------

    @property
    def read_at(self) -> float:
        """When the bytes that are being published came from the socket: loop clock, seconds."""
        return self._intake.read_at

    @property
    def request(self) -> Mapping[str, Any]:
        """The request body, as JSON values."""
        return self._source.request

    def completion(self) -> Completion:
        """What is known now; cached until the next event. Safe from any thread."""
        while self._final is None:
            beside, accumulator = self._beside, self._intake.accumulator
            state = (beside, accumulator.chunks + accumulator.quirks.total())
            cached = self._snapshot
            if cached is None or cached[0] != state:
                cached = (state, self._whole(accumulator.completion(timings=Timings(**self._timings))))
                if self._beside != beside:
                    continue  # another thread asks, and a round has begun meanwhile
                self._snapshot = cached
            return cached[1]
        return self._final

    def _completion(self, *, ended_by: EndedBy) -> Completion:
        """The running completion, at its end."""
        accumulator = self._intake.accumulator
        complete = ended_by == "done" or (ended_by == "eof" and accumulator.finished)
        return accumulator.completion(ended_by=ended_by, complete=complete, timings=Timings(**self._timings))

    def _whole(self, completion: Completion) -> Completion:
        return completion if self._chain is None else self._chain.whole(completion)

    def request_stop(self, reason: StreamAborted | Phase | Literal["cancel"]) -> None:
        """Note that the stream is to end; nothing more of the feed is published. Safe from any thread, then call `interrupt`."""
        if self.stop is None:
            self.stop = reason
            self._subs.post.attention = True

    def interrupt(self) -> None:
        """End the wait in which the pump is, if it is in one that may be ended."""
        if self._waiting and self._task is not None and not self._cancelled_by_us:
            self._cancelled_by_us = True
            self._task.cancel()

    def publish(self, event: str, payload: object) -> None:
        """Publish an event that does not come from the feed, also from inside a listener."""
        self._beside += 1
        self._subs.publish_beside(event, payload, self._now())

    def hurry(self) -> None:
        """Do not wait for listeners any more: the sync ones hear the ending, and that is all."""
        self._hurry = True
        self.request_stop("cancel")
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def tell_late(self) -> None:
        """Tell late subscribers what they missed, and let them in.

        Between two chunks only: then all that was accumulated has been published, and nothing is heard twice.
        """
        subs = self._subs
        while subs.late:
            subscription = subs.late.pop(0)
            missed = self._missed(subscription.event)
            if subscription.once:
                missed = missed[:1]
            if not (self._over or (subscription.once and missed)):
                subs.insert(subscription)
            for payload in missed:
                subs.deliver(subscription, payload)
        if self._gone and subs.post.mailboxes and self._late_calls is None:
            self._late_calls = asyncio.get_running_loop().create_task(self._finish_late_calls())

    async def _finish_late_calls(self) -> None:
        """Async listeners that came after the end: their calls are given the same patience as all others."""
        await self._subs.post.idle(self._settings.drain_timeout)
        await self._subs.post.close()
        self._late_calls = None

    def _missed(self, event: str) -> Sequence[Any]:
        if event in {"text", "reasoning", "refusal"}:
            text = self._earlier.get(event, "") + self._intake.accumulator.text(event)
            return (text,) if text else ()
        if event == "usage":
            usage = self._intake.accumulator.usage
            return () if usage is None else (usage,)
        if event == "tool_call":
            return self._tool_calls
        return (self.sticky[event],) if event in self.sticky else ()

    # --- the whole of it --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Drive the stream from `start` to `end`."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        try:
            # Listeners that are added in the turn of start() miss nothing, with an eager task factory too.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.hurry()
        self._started_at = self._intake.read_at = loop.time()
        self._watchdog = Watchdog(loop, self._settings.timeout, expired=self._expired, stalled=self._stalled)
        self._subs.refresh()
        request = self._source.request
        server = getattr(self._source, "server", None)  # a source need not say
        self._publish_once("start", StreamStart(request, request.get("model"), self._started_at, server))
        ending: EndedBy
        payload: StreamError | StreamAborted | None = None
        try:
            ending = await self._rounds()
        except _Interrupted:
            ending, payload = self._stopped()
        except StreamError as error:
            ending, payload = "error", error
        except asyncio.CancelledError:
            # Not ours: the loop is being shut down, or somebody is in a hurry.
            self.stop, self._hurry = "cancel", True
            ending, payload = self._stopped()
        except (KeyboardInterrupt, SystemExit):
            self._source.close(whole=False)  # a listener ends the program: nobody hears more
            raise
        except Exception as bug:
            log.exception("streamkit failed; please report this")
            ending, payload = "error", StreamError(f"streamkit failed: {type(bug).__name__}: {bug}; please report this")
            payload.__cause__ = bug
        self._watchdog.stop()
        self._source.close(whole=payload is None)
        if ending == "error":
            self._intake.flush()
        await self._end(ending, payload)

    async def _rounds(self) -> EndedBy:
        while True:
            if self._chain is not None:
                if self.stop is not None:
                    raise _Interrupted  # nothing is asked for: no round begins
                self._chain.begin(self.publish)
            ending = await self._attempts()
            self._settle()
            if self._chain is None:
                return ending
            self._source.close(whole=True)
            self._dog.pause()  # what happens between two rounds is limited by who does it, and by Timeout.total
            completion = self._completion(ended_by=ending)
            if not await self._wait(self._chain.more(completion, self.publish)):
                return ending
            self._begin_round()

    def _begin_round(self) -> None:
        """Another completion follows on this stream: what was said stays said."""
        said = self._intake.accumulator
        for kind in ("text", "reasoning", "refusal"):
            self._earlier[kind] = self._earlier.get(kind, "") + said.text(kind)
        self._intake = Intake(self._subs, self._settings, self._source.redact)
        self._intake.read_at = self._now()
        self._attempt = 0
        self._timings = {}
        self._beside += 1

    async def _attempts(self) -> EndedBy:
        intake = self._intake
        while True:
            self._attempt += 1
            try:
                return await self._one_attempt()
            except StreamError as error:
                if not intake.holding:
                    raise
                delay = self._settings.retry.delay(self._attempt, error)
                if delay is None:
                    raise
                self._source.close(whole=False)
                error.completion = self.completion()
                self._subs.publish("retry", Retry(self._attempt, delay, error), self._now())
            intake.start_anew()
            self._dog.pause()
            await self._wait(asyncio.sleep(delay))

    async def _one_attempt(self) -> EndedBy:
        dog, intake = self._dog, self._intake
        dog.enter("first")
        dog.wait()
        connected, warnings = await self._wait(self._source.connect())
        dog.woke()
        intake.request_id = connected.request_id
        self._timings["connect"] = self._now() - self._started_at
        self._snapshot = None
        self._reader = EagerReader(self._source)
        for warning in warnings:
            intake.warn(warning)
        self._publish_once("connect", replace(connected, attempt=self._attempt))
        content_type = connected.headers.get("content-type", "")
        if await self._look_at_body() is not BodyKind.FEED:
            return await self._read_whole_body(content_type)
        try:
            return await self._read_feed(content_type)
        except ConnectionLost:
            if not intake.accumulator.finished:
                raise
            intake.warn(StreamWarning("cut_after_finish", "the connection was cut after every choice had finished"))
            return "eof"

    async def _look_at_body(self) -> BodyKind:
        """Read until it is clear what the body is."""
        self._head = b""
        while (kind := kind_of_body(self._head)) is None:
            data = await self._read()
            if not data or len(self._head) > _HEAD_BYTES:
                return BodyKind.FEED  # nothing, or nothing but white space: an empty feed
            # Empty lines at the beginning mean nothing to anyone, and there may be megabytes of them.
            self._head = (self._head + data).lstrip(b"\r\n")
        return kind

    async def _read_feed(self, content_type: str) -> EndedBy:
        intake, post = self._intake, self._subs.post
        data = self._head
        intake.begin_slice()
        while True:
            intake.load(data)
            while intake.step():
                if post.attention:
                    await self._attend()
                else:
                    await self._breathe()
            if intake.progress:
                self._progressed()
            if intake.done:
                break
            data = await self._read()
            if not data:
                break
            if not intake.accumulator.chunks and len(self._head) < _HEAD_BYTES:
                self._head += data  # it may yet turn out to be no feed
        intake.progress = False
        try:
            return intake.finish(self._head[:_HEAD_BYTES], content_type)
        finally:
            if intake.progress:
                self._progressed()

    async def _read_whole_body(self, content_type: str) -> EndedBy:
        parts, size, limit = [self._head], len(self._head), self._settings.max_event_bytes
        if limit is not None:
            limit = min(limit, _WHOLE_BODY_BYTES)
        while data := await self._read():
            parts.append(data)
            size += len(data)
            if limit is not None and size > limit:
                raise ProtocolError(f"the answer is no event stream, and larger than {limit} bytes")
        ending = self._intake.finish_whole(b"".join(parts), content_type)
        self._progressed()
        return ending

    def _progressed(self) -> None:
        """Content came with the latest read."""
        timings, at, accumulator = self._timings, self.read_at - self._started_at, self._intake.accumulator
        if "first_text" not in timings:
            timings.setdefault("first_chunk", at)
            if accumulator.text("text"):
                timings["first_text"] = at
        timings["last_chunk"] = at
        self._snapshot = None
        self._dog.content()
        self._dog.enter("after_finish" if accumulator.finished else "idle")

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def _read(self) -> bytes:
        """The next bytes, b"" at the end; also finds out, once a read, who listens on the emitter itself."""
        reader = self._reader
        assert reader is not None
        if reader.has_backlog:
            data = await reader.read()
        else:
            data = await self._read_from_socket(reader)
        if self.stop is not None:
            raise _Interrupted  # what came in the same turn of the loop comes too late
        intake, subs = self._intake, self._subs
        intake.read_at = reader.at
        if "first_read" not in self._timings:
            self._timings["first_read"] = reader.at - self._started_at
        subs.refresh()
        if data and (publish := subs.wanted.get("read")) is not None:
            publish(Read(data, reader.at))
        return data

    async def _read_from_socket(self, reader: EagerReader) -> bytes:
        if self.stop is not None:
            raise _Interrupted
        dog = self._dog
        dog.wait()
        # _wait, without the cost of one more coroutine for every read.
        self._waiting = True
        try:
            data = await reader.read()
        except asyncio.CancelledError:
            if not self._is_ours():
                raise
            if self.stop != "after_finish":
                raise _Interrupted from None
            self.stop = None
            self._intake.warn(StreamWarning("silent_after_finish", "no [DONE] came after every choice had finished"))
            return b""
        else:
            self._intake.begin_slice()  # aiohttp holds no more than it gives, so that this was a wait
            return data
        finally:
            self._waiting = False
            dog.woke()

    async def _attend(self) -> None:
        """Something needs a look after a chunk: a stop, an error beside the chunk, a full mailbox, a drop, a late subscriber."""
        post = self._subs.post
        post.attention = False
        self._intake.raise_fatal()
        self.tell_late()
        for subscription in post.dropped:
            self._intake.warn(
                StreamWarning("events_dropped", f"listener {subscription.name} of {subscription.event!r} is too slow")
            )
        post.dropped.clear()
        if post.full and self._reader is not None and self.stop is None:
            await self._wait(self._reader.beside(post.room(self._settings.drain_timeout)))
        if self.stop is not None:
            raise _Interrupted

    async def _breathe(self) -> None:
        assert self._reader is not None
        await self._wait(self._reader.breathe())
        self._intake.begin_slice()

    async def _wait(self, waiting: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever is waited for
        """Wait for something that an abort, a limit or a cancellation may end."""
        if self.stop is not None:
            waiting.close()
            raise _Interrupted
        self._waiting = True
        try:
            return await waiting
        except asyncio.CancelledError:
            if not self._is_ours():
                raise
            raise _Interrupted from None
        finally:
            self._waiting = False

    def _is_ours(self) -> bool:
        """Whether a CancelledError is ours, which only ends a wait, and not somebody else's as well."""
        if not self._cancelled_by_us or self._task is None:
            return False
        self._cancelled_by_us = False
        return self._task.uncancel() == 0

    # --- the ending -------------------------------------------------------------------------------------------------

    async def _end(self, ended_by: EndedBy, payload: StreamError | StreamAborted | None) -> None:
        """Deliver exactly one ending, after everything before it has been taken in; then `end`."""
        subs = self._subs
        self._timings["end"] = self._now() - self._started_at
        subs.refresh()
        self.tell_late()
        await self._drained()
        self._final = self._whole(self._completion(ended_by=ended_by))
        if payload is None:
            self._publish_once("done", self._final)
        else:
            payload.completion = self._final
            self.heard = any(map(subs.has_observer, ("error", "abort", "end", "*")))
            self._publish_once("error" if isinstance(payload, StreamError) else "abort", payload)
        await self._drained()
        subs.silent = True
        self._publish_once("end", self._final)
        self._over = True
        self.tell_late()
        await self._drained()
        await self._unhurried(subs.post.close())
        if self._hurry:
            with suppress(asyncio.CancelledError):
                await subs.post.abandon()
        subs.close()
        self._watchdog = self._reader = None
        self._gone = True
        self.tell_late()

    def _settle(self) -> None:
        """No more can come: the calls and the text are whole."""
        self._subs.refresh()
        self.tell_late()
        calls, split = self._intake.accumulator.finish_tool_calls()
        self._tool_calls += calls
        self._snapshot = None  # calls without an id have one now
        if split:
            self._intake.warn(
                StreamWarning("tool_call_split", "one index held several calls: each became one of its own")
            )
        for call in calls:
            self._intake.publish("tool_call", call)
        self._publish_once("text_done", self._intake.accumulator.text("text"))

    def _stopped(self) -> tuple[EndedBy, StreamError | StreamAborted]:
        """What `stop` makes of the stream."""
        limits = self._settings.timeout
        if isinstance(self.stop, StreamAborted):
            return "abort", self.stop
        if self.stop == "first":
            message = f"no content came within {limits.first:g} s of the request"
        elif self.stop == "idle":
            message = f"no content came for {limits.idle:g} s"
        elif self.stop == "total":
            message = f"the stream took longer than {limits.total:g} s"
        else:
            return "cancel", StreamAborted("cancelled")
        phase = self.stop
        request_id = self._intake.request_id
        return "error", StreamTimeout(f"{message} (Timeout.{phase})", phase=phase, request_id=request_id)

    async def _drained(self) -> None:
        await self._unhurried(self._subs.post.idle(self._settings.drain_timeout))

    async def _unhurried(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for listeners, unless somebody is in a hurry."""
        if self._hurry:
            waiting.close()
            return
        try:
            await waiting
        except asyncio.CancelledError:
            self._hurry = True

    def _publish_once(self, event: str, payload: object) -> None:
        """Publish an event that stays true: late subscribers are told of it."""
        self.tell_late()
        self.sticky[event] = payload
        self._subs.publish(event, payload, self._now())

    @property
    def _dog(self) -> Watchdog:
        assert self._watchdog is not None
        return self._watchdog

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _expired(self, phase: Phase) -> None:
        self.request_stop(phase)
        self.interrupt()

    def _stalled(self, seconds: float, limit: float) -> None:
        self._subs.publish("stall", Stall(seconds, limit), self._now())
