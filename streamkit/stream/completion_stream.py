"""`CompletionStream`: one completion, many subscribers."""

from __future__ import annotations

import asyncio
import inspect
import logging
import warnings
from typing import TYPE_CHECKING, Any

from ..errors import ProtocolError, ServerError, StatusError, StreamAborted, StreamError
from ..feed import EventFeed
from ..mailbox import MAILBOX_EVENTS
from ..settings import Settings
from ..subscriptions import ENDINGS, EVENTS, Subscriptions
from .iteration import EventIterator
from .pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from pyee import EventEmitter

    from ..mailbox import Overflow
    from ..model import Chunk, Completion
    from .source import Source
    from .typed import Events, Subscribe, WaitFor

__all__ = ["CompletionStream"]

log = logging.getLogger("streamkit.stream")

_MISSING: Any = object()
"""No listener was given: `on` decorates. Not None, which is what a forgotten pair of parentheses makes of a listener."""


class CompletionStream:
    """A completion that arrives in pieces, published as events on a pyee emitter.

    `StreamDriver.stream` makes it. It has not started then: `await stream`, `async for chunk in stream`, `events`, `wait_for`
    and `start()` all start it, and listeners added before that miss nothing. `async with stream:` starts nothing; its exit aborts
    what still runs and waits for `end`.

    >>> import asyncio
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url, "key") as driver:
    ...         stream = driver.stream("Write a poem", model="m")
    ...         texts = []
    ...         stream.on("text", texts.append)
    ...         completion = await stream
    ...     return "".join(texts) == completion.text, completion.finish_reason
    >>> asyncio.run(main())
    (True, 'stop')
    """

    def __init__(
        self,
        source: Source,
        *,
        settings: Settings | None = None,
        emitter: EventEmitter | None = None,
        events: Iterable[str] = EVENTS,
    ) -> None:
        self._settings = settings or Settings()
        self._subs = Subscriptions(emitter, listener_errors=self._settings.listener_errors, events=events)
        self._pump = Pump(source, self._subs, self._settings)
        self._on_start: Callable[[CompletionStream], None] | None = None
        self._secrets: tuple[str, ...] = tuple(getattr(source, "secrets", ()))  # a source need not have any
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._finished = asyncio.Event()
        self._noticed = False
        """Somebody listened to the ending, or got it by awaiting."""
        self._finish_callbacks: list[Callable[[CompletionStream], object]] = []
        self._iterated = False

    # --- subscribing ------------------------------------------------------------------------------------------------

    @property
    def emitter(self) -> EventEmitter:
        """The pyee emitter on which the events are published: the stream's own, or the one that the caller brought."""
        return self._subs.emitter

    if TYPE_CHECKING:
        on: Subscribe
        once: Subscribe
        prepend_listener: Subscribe
        wait_for: WaitFor
        events: Events
    else:

        def on(
            self,
            event: str,
            listener: Callable[[Any], object] = _MISSING,
            /,
            *,
            replay: bool = False,
            overflow: Overflow = "block",
        ) -> Any:  # noqa: ANN401 - typed above
            """Subscribe a listener to an event; returns the listener, so that it decorates.

            Args:
                event: a name of the event table; ValueError for any other.
                listener: any callable of one argument, the payload. One that returns something awaitable is async: it gets its
                    events one at a time, in order, from a mailbox.
                replay: tell it first what it has missed (text joined, the ending as it was).
                overflow: what a full mailbox does: "block" (the pump waits), "drop_oldest", "coalesce" (joins text).

            Safe from any thread; listeners are always called on the stream's loop, in the context of this call.
            """
            return self._subscribe(event, listener, replay=replay, overflow=overflow)

        def once(
            self,
            event: str,
            listener: Callable[[Any], object] = _MISSING,
            /,
            *,
            replay: bool = False,
            overflow: Overflow = "block",
        ) -> Any:  # noqa: ANN401 - typed above
            """Like `on`, for the next event only."""
            return self._subscribe(event, listener, replay=replay, overflow=overflow, once=True)

        def prepend_listener(
            self,
            event: str,
            listener: Callable[[Any], object] = _MISSING,
            /,
            *,
            replay: bool = False,
            overflow: Overflow = "block",
        ) -> Any:  # noqa: ANN401 - typed above
            """Like `on`, before the listeners that are there already."""
            return self._subscribe(event, listener, replay=replay, overflow=overflow, prepend=True)

        async def wait_for(self, event: str, /) -> Any:  # noqa: ANN401 - typed above
            """The payload of the next event of this name; starts the stream.

            An event that stays true (`start`, `connect`, `text_done`, an ending) is returned at once if it has happened.
            Raises the error or the abort if the stream ends with one first, LookupError if it ends without the event.
            """
            return await self._wait_for(event)

        def events(self, event: str, /, *, maxsize: int = MAILBOX_EVENTS) -> EventIterator[Any]:
            """Iterate over the payloads of the events of this name, from now on; starts the stream.

            At most `maxsize` wait; then the pump waits. Leaving the loop unsubscribes. At the end it raises the error or
            the abort, if the stream ended with one.
            """
            return self._events(event, maxsize)

    def off(self, event: str, listener: Callable[..., object]) -> None:
        """Remove the latest registration of a listener; silent if there is none. Safe from any thread."""
        self._subs.remove(event, listener)

    def has_event(self, event: str) -> bool:
        """Whether the stream has an event of that name: those of `tools` have more than others."""
        return event in self._subs.events

    def listener_count(self, event: str) -> int:
        """How many listeners are subscribed to an event through the stream."""
        return self._subs.count(event)

    def event_names(self) -> list[str]:
        """The events that have listeners subscribed through the stream."""
        return self._subs.names()

    def attach(self, *sinks: Callable[[CompletionStream], object]) -> Self:
        """Give the stream to each sink, a function of a stream that subscribes what it needs; returns the stream.

        The async listeners of one sink share one mailbox, so that what writes to one thing stays in order across events.
        """
        for sink in sinks:
            if not callable(sink):
                raise TypeError(f"a sink must be a function of a stream, not {type(sink).__name__}")
            scope = self._subs.begin_scope()
            try:
                result = sink(self)
            finally:
                self._subs.end_scope(scope)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("a sink must be a plain function of a stream; the listeners that it adds may be async")
        return self

    # --- running ----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the stream beside what runs on this loop; returns the stream. Starting it again does nothing."""
        if self._task is not None:
            return self
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "a stream needs a running event loop: start it inside async code, or use streamkit.blocking"
            ) from None
        if self._on_start is not None:
            self._on_start(self)
        self._loop = loop
        self._task = loop.create_task(self._run(), name="streamkit.stream")
        return self

    def abort(self, reason: str | None = None) -> None:
        """End the stream: what was published is still delivered, then `abort` and `end`. From any thread, any number of times.

        A stream that has not started stays so; whoever starts it hears `start`, `abort`, `end`, and no request is made.
        """
        self._pump.request_stop(StreamAborted(reason))
        if self._loop is not None:
            self._call_soon(self._pump.interrupt)

    def __await__(self) -> Generator[Any, None, Completion]:
        return self._result().__await__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._task is None:
            self._pump.request_stop(StreamAborted("the stream was left"))  # nobody can start it any more
            return
        if not self._finished.is_set():
            self.abort("the stream was left")
            self.refuse_inside_listener()
            self._noticed = True
            await self._finished.wait()

    def __aiter__(self) -> EventIterator[Chunk]:
        if self._iterated:
            raise RuntimeError('a stream can be iterated once; for a second loop use stream.events("chunk")')
        self._iterated = True
        return self._iterate("chunk", MAILBOX_EVENTS, abort_when_left=True)

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def completion(self) -> Completion:
        """What is known of the stream now: inside a sync listener, this event and nothing later. Safe from any thread."""
        return self._pump.completion()

    @property
    def request(self) -> Mapping[str, Any]:
        """The body of the request that is running, or was the last: of a stream of several rounds, that of this round."""
        return self._pump.request

    @property
    def read_at(self) -> float:
        """When the bytes that are being published came from the socket: the loop's clock, in seconds, once a read."""
        return self._pump.read_at

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be written down, for sinks that keep what comes: the keys that the source sends."""
        return self._secrets

    @property
    def running(self) -> bool:
        """It has started, and `end` has not been delivered yet."""
        return self._task is not None and not self._finished.is_set()

    @property
    def ending(self) -> bool:
        """It has ended, or is to end as soon as it can: aborted, say, or its `async with` left before it had begun."""
        return self._pump.stop is not None or self._finished.is_set()

    async def finished(self) -> None:
        """Wait until `end` has been delivered, whatever the ending was; starts nothing."""
        self.refuse_inside_listener()
        await self._finished.wait()

    def when_started(self, callback: Callable[[CompletionStream], None]) -> None:
        """Call back when the stream is about to start (for who owns what it uses); what that raises, whoever starts it gets."""
        assert self._task is None
        self._on_start = callback

    def publish(self, event: str, payload: object) -> None:
        """Publish an event that `events` of the constructor has added to the table; on the stream's loop, while it runs.

        Raises ValueError for the events of every stream: those say what the feed says, in an order that is kept.
        """
        self._subs.check_event(event)
        if event in EVENTS:
            raise ValueError(f"{event!r} comes from the feed: only added events can be published")
        if self.running:
            self._pump.publish(event, payload)

    def when_finished(self, callback: Callable[[CompletionStream], object]) -> None:
        """Call back when `end` has been delivered (for who owns what the stream uses); on the stream's loop."""
        assert self._task is None
        self._finish_callbacks.append(callback)

    def __repr__(self) -> str:
        state = "not started" if self._task is None else self.completion.ended_by or "running"
        return f"<CompletionStream {state}, {len(self.completion.text)} characters>"

    def __del__(self) -> None:
        if not hasattr(self, "_iterated"):
            return  # the constructor raised
        if self._task is None:
            if self._pump.stop is None and self._subs.names():
                warnings.warn(
                    "a stream with listeners was never started: `await` it, or call its start()",
                    RuntimeWarning,
                    source=self,
                    stacklevel=2,
                )
            return
        error = self._pump.sticky.get("error")
        if error is not None and not (self._noticed or self._pump.heard):
            log.error("a stream failed, and nobody awaited it or listened: %s", _without_server_text(error))

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            await self._pump.run()
        finally:
            self._finished.set()
            for callback in self._finish_callbacks:
                callback(self)
            self._finish_callbacks.clear()
            for feed in list(self._subs.post.feeds):
                feed.close()

    def _subscribe(
        self,
        event: str,
        listener: Callable[[Any], object],
        *,
        replay: bool,
        overflow: Overflow,
        once: bool = False,
        prepend: bool = False,
    ) -> Any:  # noqa: ANN401 - typed by Subscribe
        if listener is _MISSING:
            self._subs.check_event(event)

            def decorate(listener: Callable[[Any], object]) -> Callable[[Any], object]:
                self._subscribe(event, listener, replay=replay, overflow=overflow, once=once, prepend=prepend)
                return listener

            return decorate
        late = replay and self._loop is not None
        subscription = self._subs.add(
            event, listener, once=once, prepend=prepend, overflow=overflow, replay=replay, late=late
        )
        if late:
            self._noticed |= event in {"error", "end"} and subscription.scope is None
            self._call_soon(self._pump.tell_late)
        return listener

    def _call_soon(self, callback: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop is closed, and the stream over with it

    async def _result(self) -> Completion:
        self.refuse_inside_listener()
        await self._until_finished()
        self._raise_ending()
        failure = self._subs.first_failure
        if self._settings.listener_errors == "raise" and failure is not None:
            raise failure
        return self.completion

    async def _until_finished(self) -> None:
        self._check_loop()
        starter = self._task is None
        self.start()
        try:
            await self._finished.wait()
        except asyncio.CancelledError:
            if starter:
                await self._cancel()
            raise

    async def _cancel(self) -> None:
        """Who started the stream was cancelled: the stream ends, and who listens hears it. Cancelled again, it hurries."""
        self._noticed = True
        self._pump.request_stop("cancel")
        self._pump.interrupt()
        while not self._finished.is_set():
            try:
                await self._finished.wait()
            except asyncio.CancelledError:
                self._pump.hurry()

    def _raise_ending(self) -> None:
        self._noticed = True
        for event in ("error", "abort"):
            if (ending := self._pump.sticky.get(event)) is not None:
                raise ending.with_traceback(None)  # it would grow with every waiter
        if self._finished.is_set() and "end" not in self._pump.sticky:
            ended = StreamAborted("a listener ended the program")
            ended.completion = self.completion
            raise ended

    def _check_loop(self) -> None:
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise RuntimeError("this stream runs on another event loop: await it there, or subscribe with on()")

    def refuse_inside_listener(self, what: str = "await its own stream") -> None:
        """Raise RuntimeError inside an async listener of this stream: it would wait for itself."""
        try:
            task = asyncio.current_task()
        except RuntimeError:
            return
        if task is not None and any(box.task is task for box in self._subs.post.mailboxes):
            raise RuntimeError(f"a listener cannot {what}: the stream waits for its listeners before it ends")

    async def _wait_for(self, event: str) -> Any:  # noqa: ANN401 - typed by WaitFor
        self._subs.check_event(event)
        if event in {*ENDINGS, "end", "text_done"}:
            self.refuse_inside_listener()
        self._check_loop()
        if event in self._pump.sticky:
            self._noticed |= event in {*ENDINGS, "end"}
            return self._pump.sticky[event]
        starter = self._task is None
        self.start()
        feed: EventFeed[Any] = EventFeed(self._subs.post, MAILBOX_EVENTS, event)
        self._subs.add_feed(event, feed)
        try:
            while not feed.queue and not self._finished.is_set():
                await feed.wait()
        except asyncio.CancelledError:
            if starter:
                await self._cancel()
            raise
        finally:
            self._subs.discard_feed(event, feed)
            payloads = list(feed.queue)
            feed.abandon()
        if not payloads:
            self._raise_ending()
            raise LookupError(f"the stream ended without the event {event!r}")
        self._noticed |= event in {*ENDINGS, "end"}
        return payloads[0]

    def _events(self, event: str, maxsize: int) -> EventIterator[Any]:
        self._subs.check_event(event)
        if type(maxsize) is not int or maxsize < 1:
            raise ValueError(f"maxsize must be a whole number, 1 or more, not {maxsize!r}")
        return self._iterate(event, maxsize, abort_when_left=False)

    def _iterate(self, event: str, maxsize: int, *, abort_when_left: bool) -> EventIterator[Any]:
        self.refuse_inside_listener()
        self._check_loop()
        starter = self._task is None
        self.start()
        feed: EventFeed[Any] = EventFeed(self._subs.post, maxsize, event)
        self._subs.add_feed(event, feed)
        if self._finished.is_set():
            feed.close()

        def left() -> None:
            # Also from the garbage collector, in whatever thread: nothing is touched before the loop's next turn.
            self._call_soon(leave)

        def leave() -> None:
            self._subs.discard_feed(event, feed)
            feed.abandon()
            if abort_when_left and not self._finished.is_set():
                self._noticed = True
                self.abort("the iteration was left")

        def finish() -> None:
            leave()
            if event not in {"error", "abort", "end"} or event not in self._pump.sticky:
                self._raise_ending()

        return EventIterator(feed, finish=finish, left=left, cancelled=self._cancel if starter else None)


def _without_server_text(error: StreamError) -> str:
    """What a log may hold of an error: a server may quote the prompt in what it says."""
    kind = type(error).__name__
    if isinstance(error, StatusError | ServerError | ProtocolError):
        return f"{kind}, status {error.status}, request id {error.request_id}; what the server said is in str(error)"
    return f"{kind}: {error}"
