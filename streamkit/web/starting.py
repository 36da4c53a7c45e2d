"""How a stream comes to be relayed: let in, opened in the log, attached, launched; or nothing of it is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..stream import CompletionStream
from .log import StreamMeta
from .publish import Publication
from .refusals import Refused
from .relayed import Relayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..driver import StreamDriver
    from .hub import Hub
    from .limits import Limits
    from .log import StreamLog
    from .running import OnDisconnect, RunningStreams

__all__ = ["Starter", "check_is_stream", "check_whole"]

_adopted: WeakSet[CompletionStream] = WeakSet()
"""Streams that came from outside and are relayed, by whichever relay."""


class Starter:
    """Starts the streams of one relay.

    Args:
        driver: makes the streams; None: they are all brought by the caller.
        stream_log: gets their records.
        hub: has the readers.
        streams: those that run, and who may start more.
        limits: how long an answer, and how long a stream may be.
        sinks: attached to every stream.
        early_commit: as the relay's.
        retention: how many seconds an ended stream can be found under its idempotency key.
        clock: seconds since the epoch.
        check_open: raises Refused when the relay takes no more.
    """

    def __init__(
        self,
        driver: StreamDriver | None,
        stream_log: StreamLog,
        hub: Hub,
        streams: RunningStreams,
        *,
        limits: Limits,
        sinks: Iterable[Callable[[CompletionStream], object]],
        early_commit: float,
        retention: float,
        clock: Callable[[], float],
        check_open: Callable[[], None],
    ) -> None:
        self._driver = driver
        self._log = stream_log
        self._hub = hub
        self._streams = streams
        self._limits = limits
        self._sinks = tuple(sinks)
        self._early_commit = early_commit
        self._retention = retention
        self._clock = clock
        self._check_open = check_open
        self._keyed = asyncio.Lock()

    async def start(
        self, request: Mapping[str, Any], owner: str, idempotency_key: str | None, on_disconnect: OnDisconnect
    ) -> Relayed:
        """As `Relay.start`."""
        if self._driver is None:
            raise RuntimeError("this relay has no driver: it takes streams of yours, with adopt()")
        if idempotency_key is None:
            return await self._start(self._driver, request, owner, None, on_disconnect)
        # One after the other: the second must find the stream of the first running.
        async with self._keyed:
            return await self._start(self._driver, request, owner, idempotency_key, on_disconnect)

    async def _start(
        self,
        driver: StreamDriver,
        request: Mapping[str, Any],
        owner: str,
        key: str | None,
        on_disconnect: OnDisconnect,
    ) -> Relayed:
        stream_id = secrets.token_urlsafe(16)
        fingerprint = None if key is None else _hash(json.dumps(request, sort_keys=True, default=str))
        model = request.get("model")
        meta = StreamMeta(owner, self._clock(), model if isinstance(model, str) else None, fingerprint)
        admitted = opened = False
        stream: CompletionStream | None = None
        publication: Publication | None = None
        try:
            if key is None:
                self._streams.admission.enter(owner)
                admitted = True
            await self._log.open(stream_id, meta)
            opened = True
            if key is not None:
                winner = await self._claim(_hash(f"{owner}\0{key}"), stream_id, meta)
                if winner != stream_id:
                    await self._log.delete(stream_id)
                    return self._relayed(winner, created=False)
                # Not before: a repetition starts nothing, so that no limit stands in its way.
                self._streams.admission.enter(owner)
                admitted = True
            self._check_open()
            stream = driver.stream(dict(request))
            publication = self._publication(stream_id)
            stream.attach(publication, *self._sinks)
            self._streams.launch(stream_id, stream, publication, owner, on_disconnect)
            return self._relayed(stream_id, created=True)
        except BaseException:
            if stream is not None:
                stream.abort("the relay did not start it")  # or it would complain that nobody did
            if publication is not None:
                self._hub.release(publication.channel)
            if admitted:
                self._streams.admission.leave(owner)
            if opened:
                await self._log.delete(stream_id)
            raise

    async def adopt(self, stream: CompletionStream, owner: str, on_disconnect: OnDisconnect) -> Relayed:
        """As `Relay.adopt`."""
        check_whole(stream)
        self._streams.admission.enter(owner)
        opened, stream_id = False, secrets.token_urlsafe(16)
        publication = self._publication(stream_id)
        _adopted.add(stream)
        try:
            # First of all: what comes while the log is opened waits in the publication.
            stream.attach(publication, *self._sinks)
            if stream.running:
                await stream.wait_for("start")  # raises RuntimeError where its loop is another
            await self._log.open(stream_id, StreamMeta(owner, self._clock()))
            opened = True
            self._check_open()
            self._streams.launch(stream_id, stream, publication, owner, on_disconnect)
            return self._relayed(stream_id, created=True)
        except BaseException:
            _adopted.discard(stream)
            if not stream.running:
                stream.abort("the relay did not start it")  # or it would complain that nobody did
            publication.give_up()
            self._hub.release(publication.channel)
            self._streams.admission.leave(owner)
            if opened:
                await self._log.delete(stream_id)
            raise

    async def _claim(self, claim: str, stream_id: str, meta: StreamMeta) -> str:
        """The stream that an idempotency key stands for; that is the new one, unless the old one is of use."""
        seconds = self._retention + (self._limits.max_seconds or 3600.0)
        winner = await self._log.claim(claim, stream_id, seconds)
        if winner == stream_id:
            return winner
        state = await self._log.state(winner)
        if state is None or (state.reason == "error" and state.seq == 1):
            # It failed before it had anything to say: who asks again means it.
            await self._log.delete(winner)
            return await self._log.claim(claim, stream_id, seconds)
        if state.meta.fingerprint != meta.fingerprint or state.meta.owner != meta.owner:
            raise Refused(
                "this Idempotency-Key was used for another request: make a new one for each",
                status=422,
                code="idempotency_key_reused",
            )
        return winner

    def _publication(self, stream_id: str) -> Publication:
        return Publication(self._log, stream_id, self._hub.open(stream_id), max_bytes=self._limits.max_output_bytes)

    def _relayed(self, stream_id: str, *, created: bool) -> Relayed:
        return Relayed(stream_id, self._streams.get(stream_id), created=created, early_commit=self._early_commit)


def check_whole(stream: CompletionStream) -> None:
    """Raise RuntimeError for a stream that cannot be relayed from its beginning, TypeError for what is none."""
    check_is_stream(stream)
    if stream in _adopted:
        raise RuntimeError("this stream is relayed already: let clients subscribe to it by its id")
    if stream.completion.ended_by is not None:
        raise RuntimeError("this stream has ended: there is nothing left to relay")
    if stream.ending:
        raise RuntimeError("this stream was aborted, or its `async with` was left: relay it without either")
    if stream.completion.timings.first_chunk is not None:
        raise RuntimeError("this stream has begun without a relay: relay it before its first chunk")


def check_is_stream(stream: CompletionStream) -> None:
    """Raise TypeError for what is no stream: it would fail later, where nothing says why."""
    if not isinstance(stream, CompletionStream):
        raise TypeError(f"a relay takes what driver.stream(…) returns, not this {type(stream).__name__}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
