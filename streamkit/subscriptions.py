"""The listeners of one stream on a pyee emitter: ordered, guarded, each in the context of its `on`.

Each event has one relay on the emitter, registered with pyee's public API; it calls the stream's own ordered tuple of listeners,
and only while this stream emits. So two streams may share an emitter, a listener may be there twice, and prepending is possible.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from pyee import EventEmitter
from pyee.executor import ExecutorEventEmitter

from .errors import ListenerError
from .mailbox import Mailbox, Overflow, Post
from .model import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .feed import EventFeed
    from .settings import ListenerErrors

__all__ = ["ENDINGS", "EVENTS", "Subscription", "Subscriptions"]

EVENTS: tuple[str, ...] = (
    "start",
    "connect",
    "read",
    "chunk",
    "reasoning",
    "text",
    "refusal",
    "tool_delta",
    "usage",
    "tool_call",
    "text_done",
    "retry",
    "warning",
    "heartbeat",
    "stall",
    "done",
    "error",
    "abort",
    "end",
    "listener_error",
    "*",
)
"""The events of a completion stream, in the order in which they can come."""

ENDINGS = ("done", "error", "abort")
TEXTS = ("text", "reasoning", "refusal")
REPLAYABLE = (*TEXTS, "start", "connect", "usage", "text_done", "tool_call", *ENDINGS, "end")

log = logging.getLogger("streamkit.listeners")

# What listeners mostly return (file.write, set.add, …): a look at the class is far cheaper than asking for __await__.
_PLAIN = frozenset({int, str, bool, float, bytes, list, tuple, dict})
_IDLE: Any = object()


class Subscription:
    """One registration of one listener."""

    __slots__ = (
        "call",
        "context",
        "event",
        "key",
        "listener",
        "lossy",
        "mailbox",
        "once",
        "overflow",
        "prepend",
        "removed",
        "scope",
    )

    def __init__(
        self,
        event: str,
        listener: Callable[[Any], object],
        *,
        once: bool = False,
        overflow: Overflow = "block",
        scope: object = None,
    ) -> None:
        self.event = event
        self.listener = listener
        self.once = once
        self.overflow = overflow
        self.scope = scope
        """What the sink that added it shares a mailbox by; None outside of `attach`."""
        self.prepend = False
        self.key = _key_of(listener)
        self.context = copy_context()
        self.mailbox: Mailbox | None = None
        self.lossy = False
        """An event was dropped, and that was reported."""
        self.removed = False
        """Taken off: not even what waits in the mailbox is delivered."""
        self.call: Callable[[Any], object] = partial(self.context.run, listener)  # type: ignore[call-arg]  # the argument comes with the call

    @property
    def ending(self) -> bool:
        """It is called for an ending, which is never dropped."""
        return self.event in ENDINGS or self.event == "end"

    @property
    def name(self) -> str:
        """For messages."""
        return ListenerError(self.event, self.listener).listener_name

    def use(self, mailbox: Mailbox) -> None:
        """From now on its events wait in a mailbox."""
        self.mailbox = mailbox
        self.call = partial(mailbox.put, self)


class Subscriptions:
    """Who listens to one stream, and how its events reach them."""

    def __init__(
        self,
        emitter: EventEmitter | None = None,
        *,
        listener_errors: ListenerErrors = "log",
        events: Iterable[str] = EVENTS,
    ) -> None:
        if not isinstance(emitter, EventEmitter | None):
            raise TypeError(f"emitter must be a pyee EventEmitter, not {type(emitter).__name__}")
        if isinstance(emitter, ExecutorEventEmitter):
            raise TypeError(
                "emitter must not be an ExecutorEventEmitter: it calls listeners in other threads, in any order"
            )
        self._emitter = emitter
        """None as long as nobody has asked for it: then only the stream's own listeners can hear it, and they are called without
        a detour. Nobody can tell the difference, except by the time that pyee's emit would take for its lock and its copy."""
        self.events = tuple(events)
        self.wanted: dict[str, Callable[[Any], None]] = {}
        """How to publish each event that somebody wants: changed in place, brought up to date with the emitter by `refresh`."""
        self.post = Post(self._failed)
        self.first_failure: ListenerError | None = None
        self.silent = False
        """Nothing is published after `end`: who fails now is only logged."""
        self.late: list[Subscription] = []
        """Subscriptions that want first what has already happened."""
        self._policy = listener_errors
        self._table: dict[str, tuple[Subscription, ...]] = {}
        self._feeds: dict[str, tuple[EventFeed[Any], ...]] = {}
        self._on_emitter: set[str] = set()
        self._relays: dict[str, Callable[[Any], None]] = {}
        self._mailboxes: dict[object, Mailbox] = {}
        self._lock = threading.Lock()
        self._emitting: Any = _IDLE
        self._reporting = False
        self._closed = False
        self._scopes = threading.local()

    @property
    def emitter(self) -> EventEmitter:
        """The emitter; from now on everything is published through it."""
        with self._lock:
            emitter = self._emitter
            if emitter is None:
                emitter = self._emitter = EventEmitter()
                for event in self._table:
                    emitter.add_listener(event, self._make_relay(event))
                    self._rewire(event)
        return emitter

    # --- who listens ----------------------------------------------------------------------------------------------

    def add(
        self,
        event: str,
        listener: Callable[[Any], object],
        *,
        once: bool = False,
        prepend: bool = False,
        overflow: Overflow = "block",
        replay: bool = False,
        late: bool = False,
    ) -> Subscription:
        """Register a listener; `late` ones wait in `late` until the stream has told them what they missed."""
        self.check_event(event)
        if not callable(listener):
            raise TypeError(f"the listener for {event!r} must be callable, not {type(listener).__name__}")
        _check_signature(event, listener)
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}, not {overflow!r}")
        if overflow == "coalesce" and event not in TEXTS:
            raise ValueError(f"overflow='coalesce' joins text: it goes with {', '.join(TEXTS)}, not with {event!r}")
        if replay and event not in REPLAYABLE:
            raise ValueError(f"{event!r} cannot be replayed; replay=True goes with {', '.join(REPLAYABLE)}")
        scope = getattr(self._scopes, "current", None)
        subscription = Subscription(event, listener, once=once, overflow=overflow, scope=scope)
        if _is_async(listener):
            self._give_mailbox(subscription)
        subscription.prepend = prepend
        if late:
            self.late.append(subscription)
            self.post.attention = True
        else:
            self.insert(subscription)
        return subscription

    def add_feed(self, event: str, feed: EventFeed[Any]) -> None:
        """Give an iterator its events; it is no listener, and costs no emit."""
        self.check_event(event)
        with self._lock:
            self._feeds[event] = (*self._feeds.get(event, ()), feed)
            self._rewire(event)

    def discard_feed(self, event: str, feed: EventFeed[Any]) -> None:
        """The iterator was left."""
        with self._lock:
            self._feeds[event] = tuple(other for other in self._feeds.get(event, ()) if other is not feed)
            self._rewire(event)

    def insert(self, subscription: Subscription) -> None:
        """Put a subscription into its place, and a relay for its event on the emitter if there is none yet."""
        event = subscription.event
        with self._lock:
            if self._closed:
                return  # nothing is published any more
            others = self._table.get(event, ())
            self._table[event] = (subscription, *others) if subscription.prepend else (*others, subscription)
            if subscription.once:
                subscription.call = partial(self._call_once, subscription, subscription.call)
            self._rewire(event)
            emitter = self._emitter
            if emitter is None or (event in self._relays and self._relays[event] in emitter.listeners(event)):
                return  # not so where somebody has emptied the emitter
            relay = self._make_relay(event)
        emitter.add_listener(event, relay)

    def _make_relay(self, event: str) -> Callable[[Any], None]:
        relay = self._relays[event] = partial(self._relay, event)
        return relay

    def remove(self, event: str, listener: Callable[[Any], object]) -> None:
        """Remove the latest registration of the listener; silent where there is none, as Node's `off`."""
        self.check_event(event)
        with self._lock:
            for subscription in reversed((*self._table.get(event, ()), *self.late)):
                if subscription.listener == listener and subscription.event == event:
                    break
            else:
                return
        self.discard(subscription)

    def discard(self, subscription: Subscription) -> None:
        """Remove this registration, if it is still there; it hears nothing more."""
        subscription.removed = True
        self._take_out(subscription)

    def _take_out(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self.late:
                self.late.remove(subscription)
            event = subscription.event
            left = tuple(other for other in self._table.get(event, ()) if other is not subscription)
            relay = None
            if left:
                self._table[event] = left
            elif self._table.pop(event, None) is not None:
                relay = self._relays.pop(event, None)
            self._rewire(event)
        if relay is not None:
            self._unregister(event, relay)
            self.refresh()  # somebody else may be on the emitter for this event

    def count(self, event: str) -> int:
        """How many listeners of this stream an event has."""
        self.check_event(event)
        return len(self._table.get(event, ()))

    def has_observer(self, event: str) -> bool:
        """Whether somebody listens who is no sink: to a log or a meter, a failure is one of many."""
        if any(subscription.scope is None for subscription in self._table.get(event, ())):
            return True
        emitter = self._emitter
        return emitter is not None and any(each is not self._relays.get(event) for each in emitter.listeners(event))

    def names(self) -> list[str]:
        """The events that have listeners, in the order of the event table."""
        return [event for event in self.events if event in self._table]

    def check_event(self, event: str) -> None:
        """Raise ValueError for a name that no event has."""
        if event not in self.events:
            raise ValueError(f"unknown event {event!r}; the events are {', '.join(self.events)}")

    def begin_scope(self) -> object:
        """Listeners added from now on, in this thread, share one mailbox (until the returned token is given to `end_scope`)."""
        outer = getattr(self._scopes, "current", None)
        self._scopes.current = object()
        return outer

    def end_scope(self, token: object) -> None:
        """The sink has been attached."""
        self._scopes.current = token

    # --- publishing (the pump's side) -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Notice who was added to the emitter itself; once a read, not once an event."""
        if self._emitter is None:
            return
        names = self._emitter.event_names()
        if names != self._on_emitter:
            with self._lock:
                changed, self._on_emitter = names ^ self._on_emitter, names
                for event in changed:
                    self._rewire(event)

    def _rewire(self, event: str) -> None:
        """Settle how an event is published, if at all."""
        feeds = self._feeds.get(event, ())
        if event in self._table or event in self._on_emitter:
            emit = partial(self._call_all if self._emitter is None else self.emit, event)
            self.wanted[event] = partial(self._emit_and_feed, emit, feeds) if feeds else emit
        elif feeds:
            self.wanted[event] = feeds[0].put if len(feeds) == 1 else partial(self._emit_and_feed, None, feeds)
        else:
            self.wanted.pop(event, None)

    @staticmethod
    def _emit_and_feed(emit: Callable[[Any], None] | None, feeds: tuple[EventFeed[Any], ...], payload: object) -> None:
        for feed in feeds:
            feed.put(payload)
        if emit is not None:
            emit(payload)

    def emit(self, event: str, payload: object) -> None:
        """Publish an event on the emitter; what `wanted` holds. Never raises."""
        assert self._emitter is not None
        self._emitting = payload
        try:
            self._emitter.emit(event, payload)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a plain listener on the emitter may raise anything
            if error is not payload:  # pyee raises an "error" that nobody listens to
                self._report(event, None, error)
            if self._emitting is payload:
                # It raised before the relay had its turn: its neighbours are not to suffer.
                self._relay(event, payload)

    def publish(self, event: str, payload: object, at: float) -> None:
        """Publish an event to who listens to it, and to who listens to all; `at` is when it happened (loop clock)."""
        if (publish := self.wanted.get(event)) is not None:
            publish(payload)
        if (publish := self.wanted.get("*")) is not None:
            publish(Event(event, payload, at))

    def publish_beside(self, event: str, payload: object, at: float) -> None:
        """`publish`, perhaps from inside a listener: what is being published there still reaches everyone."""
        emitting = self._emitting
        try:
            self.publish(event, payload, at)
        finally:
            self._emitting = emitting

    def deliver(self, subscription: Subscription, payload: object) -> None:
        """Call one subscription, guarded."""
        try:
            result = subscription.call(payload)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - a listener may raise anything; the stream goes on
            self._failed(subscription, error)
        else:
            if result is not None and result.__class__ not in _PLAIN:
                self._settle(subscription, result)

    def close(self) -> None:
        """The stream is over: take its relays off the emitter and let go of the listeners."""
        with self._lock:
            self._closed = True
            relays, self._relays = self._relays, {}
            self._table = {}
            self._mailboxes = {}
            self._feeds = {}
            self.wanted.clear()
        # Else the text of the stream would wait for the cycle collector.
        self.post.failed = _only_log
        for event, relay in relays.items():
            self._unregister(event, relay)

    def _unregister(self, event: str, relay: Callable[[Any], None]) -> None:
        with suppress(KeyError):  # somebody has emptied the emitter (pyee before 15 raises)
            if self._emitter is not None:
                self._emitter.remove_listener(event, relay)

    def _relay(self, event: str, payload: object) -> None:
        if self._emitting is not payload:
            return  # somebody else emits: another stream on this emitter, or the user
        self._emitting = _IDLE
        self._call_all(event, payload)

    def _call_all(self, event: str, payload: object) -> None:
        """Call the stream's own listeners, each guarded."""
        for subscription in self._table.get(event, ()):
            try:
                result = subscription.call(payload)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - see deliver, which this inlines
                self._failed(subscription, error)
            else:
                if result is not None and result.__class__ not in _PLAIN:
                    self._settle(subscription, result)

    def _call_once(self, subscription: Subscription, call: Callable[[Any], object], payload: object) -> object:
        self._take_out(subscription)
        return call(payload)

    def _settle(self, subscription: Subscription, result: object) -> None:
        """A listener returned something: if that can be awaited, the listener is async from now on."""
        if not isinstance(result, Awaitable):
            return
        box = subscription.mailbox or self._give_mailbox(subscription)
        box.adopt(subscription, result)

    def _give_mailbox(self, subscription: Subscription) -> Mailbox:
        # Two bonds: what one sink adds, and what one function is registered for. Where they lead to different mailboxes, the
        # function's holds: it must never run twice at once.
        key, scope, boxes = subscription.key, subscription.scope, self._mailboxes
        with self._lock:
            box = boxes.get(key) or boxes.get(scope) or Mailbox(self.post, subscription.context)
            boxes.setdefault(key, box)
            if scope is not None:
                boxes.setdefault(scope, box)
        subscription.use(box)
        return box

    def _failed(self, subscription: Subscription, error: BaseException) -> None:
        if self._policy == "detach":
            self.discard(subscription)
        self._report(subscription.event, subscription.listener, error)

    def _report(self, event: str, listener: Callable[..., object] | None, cause: BaseException) -> None:
        failure = ListenerError(event, listener)
        failure.__cause__ = cause
        if self.first_failure is None:
            self.first_failure = failure
        publish = self.wanted.get("listener_error")
        if event == "listener_error" or self.silent or self._reporting or publish is None:
            log.error("%s", failure, exc_info=cause)
            return
        # The flag stops the recursion where the listener of listener_error is not the stream's own.
        self._reporting = True
        emitting = self._emitting
        try:
            publish(failure)
        finally:
            self._reporting = False
            self._emitting = emitting


def _only_log(subscription: Subscription, error: BaseException) -> None:
    """A listener that came after the end has failed."""
    log.error("%s", ListenerError(subscription.event, subscription.listener), exc_info=error)


def _check_signature(event: str, listener: Callable[[Any], object]) -> None:
    """One argument is what it will get; better to hear of it once, here, than with every event."""
    try:
        signature = inspect.signature(listener)
    except (TypeError, ValueError):
        return  # some builtins have none that can be asked for
    try:
        signature.bind(None)
    except TypeError:
        name = ListenerError(event, listener).listener_name
        raise TypeError(f"the listener for {event!r} must take one argument, the payload: {name}{signature}") from None


def _key_of(listener: Callable[[Any], object]) -> object:
    """All registrations of one function share a mailbox; equal bound methods are one function."""
    try:
        hash(listener)
    except TypeError:
        return id(listener)
    return listener


def _is_async(listener: Callable[[Any], object]) -> bool:
    while isinstance(listener, partial):
        listener = listener.func
    # An object's own class says so when the object itself is called, not when a function is.
    return inspect.iscoroutinefunction(listener) or inspect.iscoroutinefunction(type(listener).__call__)
