"""`Relay`: starts streams for clients, and lets any number of them read along."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from .encode import STREAM_ID
from .hub import SLICE, Hub
from .limits import Limits
from .memory_log import MemoryLog
from .refusals import Ended, Refused
from .running import OnDisconnect, RunningStreams
from .snapshot import Snapshot
from .starting import Starter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Protocol, Self

    from aiohttp.web import RouteDef

    from ..driver import StreamDriver
    from ..stream import CompletionStream
    from .access import CORS, Authorize
    from .asgi import ASGIApp
    from .encode import EncodingName
    from .log import StreamLog, StreamState
    from .relayed import Relayed
    from .subscription import RelaySubscription

    class Named(Protocol):
        """Whoever starts streams."""

        @property
        def name(self) -> str: ...


__all__ = ["Relay"]


class Relay:
    """Starts completions on behalf of clients, keeps their records in a log, and lets clients read, leave and come back.

    A stream belongs to the relay, not to the request that asked for it. It runs on the driver, with all the driver's sinks and
    those of the relay; its records go to the log, and from there to every reader, in the encoding that each asks for.

    Args:
        driver: makes the streams; it stays the caller's to close, after the relay.
        log: where records are kept; in memory by default.
        on_disconnect: "abort" a stream when its last reader has left, or "continue" it.
        grace: seconds in which a reader of a resumable encoding may come back first: more than a browser waits before it
            reconnects (`retry_ms`). Others cannot come back: without them the stream ends at once.
        limits: how much clients may ask for.
        heartbeat: seconds of silence after which a reader is sent a sign of life.
        early_commit: seconds that a client waits for the upstream's first word before it gets its headers.
        send_timeout: seconds that a client may take nothing before it is given up.
        max_lag_bytes: how far a reader of streamkit's own protocol may fall behind; then it is cut, and may resume.
        retention: seconds that ended streams can still be read, for the default log.
        retry_ms: range of the reconnection times that browsers are told.
        sinks: attached to every stream, as the driver's are.
        authorize: who makes a request; None: everybody is the same. See `streamkit.web.access`.
        cors: which pages of other origins may use it; None: none.
        models: those that clients may ask for, the first where they name none; None: any, and the driver's.
        page: serve the chat page, too.
        clock: seconds since the epoch.

    >>> import asyncio
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     async with replay_server(demo_tape(), speed=0) as upstream, StreamDriver(upstream.base_url) as driver:
    ...         async with Relay(driver) as relay:
    ...             relayed = await relay.start(
    ...                 {"model": "m", "messages": [{"role": "user", "content": "Write a poem"}]}
    ...             )
    ...             reader = await relay.subscribe(relayed.id, encoding="plain")
    ...             return b"".join([data async for data in reader])[:22], reader.outcome
    >>> asyncio.run(main())
    (b'A stream is a letter t', 'end')
    """

    def __init__(
        self,
        driver: StreamDriver | None,
        *,
        log: StreamLog | None = None,
        on_disconnect: OnDisconnect = "abort",
        grace: float = 5.0,
        limits: Limits | None = None,
        heartbeat: float = 15.0,
        early_commit: float = 10.0,
        send_timeout: float = 20.0,
        max_lag_bytes: int | None = 256 * 1024,
        retention: float = 300.0,
        retry_ms: tuple[int, int] = (1500, 4000),
        sinks: Iterable[Callable[[CompletionStream], object]] = (),
        authorize: Authorize | None = None,
        cors: CORS | None = None,
        models: Iterable[str] | None = None,
        page: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if on_disconnect not in ("abort", "continue"):
            raise ValueError(f"on_disconnect must be 'abort' or 'continue', not {on_disconnect!r}")
        for name, seconds in (("heartbeat", heartbeat), ("send_timeout", send_timeout)):
            if not seconds > 0:
                raise ValueError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        for name, seconds in (("grace", grace), ("early_commit", early_commit)):
            if not seconds >= 0:
                raise ValueError(f"{name} must be a number of seconds, 0 or more, not {seconds!r}")
        self.driver = driver
        self.log: StreamLog = MemoryLog(retention=retention) if log is None else log
        self.limits = Limits() if limits is None else limits
        self.send_timeout = send_timeout
        self.heartbeat = heartbeat
        self.authorize = authorize
        self.cors = cors
        self.models = None if models is None else tuple(models)
        self.page = page
        self._on_disconnect: OnDisconnect = on_disconnect
        self._streams = RunningStreams(
            self.limits,
            grace=grace,
            clock=time.monotonic,
            released=lambda channel: self._hub.release(channel),  # noqa: PLW0108 - there is no hub yet
        )
        self._hub = Hub(
            self.log,
            heartbeat=heartbeat,
            max_lag_bytes=max_lag_bytes,
            retry_ms=retry_ms,
            joined=self._streams.joined,
            left=self._streams.left,
        )
        self._starter = Starter(
            driver,
            self.log,
            self._hub,
            self._streams,
            limits=self.limits,
            sinks=sinks,
            early_commit=early_commit,
            retention=retention,
            clock=clock,
            check_open=self._check_open,
        )
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self.entered = False
        """Somebody has written `async with relay:`, which closes it."""

    # --- starting -----------------------------------------------------------------------------------------------------

    async def start(
        self,
        request: Mapping[str, Any],
        *,
        principal: Named | None = None,
        idempotency_key: str | None = None,
        on_disconnect: OnDisconnect | None = None,
    ) -> Relayed:
        """Start a stream for a request, which is what `StreamDriver.stream` takes as a dict.

        With an idempotency key that the principal has used before, that stream is returned and nothing is started. Raises
        Refused when the relay is closing (503), a limit is reached (429, 503), or the key stands for another request (422);
        TypeError, ValueError for a request that cannot be sent.
        """
        self._check_open()
        return await self._starter.start(
            request, _name(principal), idempotency_key, on_disconnect or self._on_disconnect
        )

    async def adopt(
        self, stream: CompletionStream, *, principal: Named | None = None, on_disconnect: OnDisconnect | None = None
    ) -> Relayed:
        """Relay a stream of your own; it is started, if it was not.

        Raises RuntimeError for one that has ended, has begun, is relayed already, or runs on another event loop; Refused as
        `start` does.
        """
        self._check_open()
        return await self._starter.adopt(stream, _name(principal), on_disconnect or self._on_disconnect)

    # --- serving ------------------------------------------------------------------------------------------------------

    def routes(self, prefix: str = "") -> list[RouteDef]:
        """Its routes for aiohttp's server; see `streamkit.web.routes`."""
        from .routes import relay_routes

        return relay_routes(self, prefix)

    def asgi(self) -> ASGIApp:
        """Itself as an ASGI application; see `streamkit.web.asgi`."""
        from .asgi import relay_asgi

        return relay_asgi(self)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def subscribe(
        self,
        stream_id: str,
        after: int = 0,
        encoding: EncodingName = "native",
        *,
        principal: Named | None = None,
        include_usage: bool = False,
    ) -> RelaySubscription:
        """Read a stream from after its record `after` on, where the encoding can be resumed, else from its beginning.

        Raises Refused (404: unknown, or another's; 429: too many readers; 503: closing), and Ended where there is nothing left
        to read.
        """
        self._check_open()
        state = await self._own(stream_id, principal)
        if state.status == "ended" and encoding == "native" and after >= state.seq:
            raise Ended("the stream is over, and all of it was read")
        channel = self._hub.channel(stream_id)
        most = self.limits.max_subscribers
        if channel is not None and most is not None and channel.readers >= most:
            raise Refused(
                f"the stream has {most} readers, and may have no more",
                status=429,
                code="too_many_readers",
                type="rate_limit_error",
                retry_after=5,
            )
        return await self._hub.subscribe(stream_id, after, encoding, include_usage=include_usage)

    async def state(self, stream_id: str, principal: Named | None = None) -> StreamState:
        """How far a stream has come. Raises Refused (404)."""
        return await self._own(stream_id, principal)

    async def snapshot(self, stream_id: str, principal: Named | None = None) -> dict[str, Any]:
        """All that is known of a stream, as one JSON object: `text`, `reasoning`, `tool_calls`, … Raises Refused (404)."""
        state = await self._own(stream_id, principal)
        snapshot = Snapshot(stream_id, state.meta.model)
        channel = self._hub.channel(stream_id)
        if channel is not None and channel.local:
            while (known := len(channel.records)) > (done := snapshot.seq):
                snapshot.add(channel.records[done : min(known, done + SLICE)])
                await asyncio.sleep(0)
            return snapshot.as_json()
        async with aclosing(self.log.read(stream_id)) as reading:
            while snapshot.seq < state.seq:
                records = await anext(reading)
                for start in range(0, len(records), SLICE):
                    snapshot.add(records[start : start + SLICE])
                    await asyncio.sleep(0)
        return snapshot.as_json()

    async def stop(self, stream_id: str, principal: Named | None = None) -> bool:
        """End a stream, wherever it runs; False: it was over. Raises Refused (404)."""
        await self._own(stream_id, principal)
        running = self._streams.get(stream_id)
        if running is not None:
            return running.end("abort")
        return await self.log.stop(stream_id, "stopped")

    async def delete(self, stream_id: str, principal: Named | None = None) -> None:
        """End a stream and forget all of it. Raises Refused (404)."""
        await self._own(stream_id, principal)
        running = self._streams.get(stream_id)
        if running is not None:
            running.end("abort")
            if running.task is not None:
                await asyncio.wait([running.task])
        self._hub.forget(stream_id)
        await self.log.delete(stream_id)

    async def _own(self, stream_id: str, principal: Named | None) -> StreamState:
        if not STREAM_ID.fullmatch(stream_id):
            raise _unknown()
        state = await self.log.state(stream_id)
        # One answer for both: whoever guesses ids learns nothing.
        if state is None or state.meta.owner != _name(principal):
            raise _unknown()
        return state

    # --- the end of it ------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """It refuses new streams."""
        return self._closed

    @property
    def running(self) -> int:
        """How many streams run here."""
        return len(self._streams)

    async def close(self, timeout: float = 1.0) -> None:
        """End all streams, tell every reader so in-band, then close those that did not listen in time. Closing again waits.

        It takes `timeout` seconds at most, and as much as the driver's listeners need to drain, if they do it within that time.
        """
        self._closed = True
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(timeout), name="streamkit.web.close")
        await asyncio.shield(self._closing)

    async def _close(self, seconds: float) -> None:
        tasks = self._streams.end_all()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._hub.until_unread()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._hub.close()
        await self.log.close()

    def _check_open(self) -> None:
        if self._closed:
            raise Refused(
                "the relay is shutting down: try again in a moment",
                status=503,
                code="shutting_down",
                type="server_error",
                retry_after=2,
            )

    async def __aenter__(self) -> Self:
        self.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _name(principal: Named | None) -> str:
    return "" if principal is None else principal.name


def _unknown() -> Refused:
    return Refused("there is no such stream, or it is over", status=404, code="not_found", type="not_found_error")
