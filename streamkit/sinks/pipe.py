"""`pipe`: the events of a stream on another emitter."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyee import EventEmitter

    from ..model import Event
    from ..stream import CompletionStream

__all__ = ["pipe"]

# Where it is asked who listens over there: once a read, and with what may come without one.
_LANDMARKS: Final = ("start", "connect", "retry", "stall", "text_done", "done", "error", "abort", "end")
# What `*` does not hear either; and the landmarks, which are forwarded as they come.
_NOT_BY_NAME: Final = frozenset({"read", "listener_error", *_LANDMARKS})
# These do nothing where nobody listens; an `emit` of another kind may.
_PLAIN_EMITS: Final = frozenset({"pyee.base", "pyee.asyncio"})


def pipe(emitter: EventEmitter, *, prefix: str = "") -> Callable[[CompletionStream], None]:
    """A sink that forwards the events of a stream to a pyee emitter of yours, in order, each with its one payload.

    Args:
        emitter: where to; also a pyee emitter of another kind.
        prefix: put before the names of the events, as in "chat:" for "chat:text".

    All that `*` hears is forwarded, and `*` itself. An `error` goes only to an emitter that listens to it, since pyee raises
    one that nobody hears. Who listens there is in pyee's hands: listeners are not guarded, and of several streams on one
    emitter, only the payloads tell.

    What nobody over there listens to is not emitted, and costs nothing. That is looked up once a read of the socket, as on a
    stream's own emitter: who begins to listen while a stream runs hears its chunks from the next read on. (An emitter with
    an `emit` of its own, which may do more than call listeners, gets everything.)

    Raises:
        TypeError: no emitter. ValueError (when attached): the stream's own.

    >>> import asyncio
    >>> from pyee import EventEmitter
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     bus = EventEmitter()
    ...     bus.on("chat:usage", print)
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url) as driver:
    ...         await driver.stream("Write a poem", model="m").attach(pipe(bus, prefix="chat:"))
    >>> asyncio.run(main())
    17 prompt + 127 completion = 144 tokens
    """
    for method in ("emit", "listeners", "event_names"):
        if not callable(getattr(emitter, method, None)):
            raise TypeError(f"emitter must be a pyee EventEmitter, not {type(emitter).__name__}")

    def sink(stream: CompletionStream) -> None:
        if _publishes_on(stream, emitter):
            raise ValueError("a stream cannot be piped to its own emitter: it publishes there already")
        one = _Pipe(stream, emitter, prefix)
        if emitter.emit.__module__ in _PLAIN_EMITS:
            one.open()
        else:
            stream.on("*", one.everything)

    return sink


class _Pipe:
    """One stream, and one emitter that listens to some of its events."""

    def __init__(self, stream: CompletionStream, emitter: EventEmitter, prefix: str) -> None:
        self._stream = stream
        self._emitter = emitter
        self._prefix = prefix
        self._listened: set[str] = set()
        self._by_name: dict[str, Callable[[Any], object]] = {}
        """What is subscribed because somebody over there listens to it."""

    def open(self) -> None:
        """Forward what is listened to over there, from now on and as that changes."""
        on: Any = self._stream.on  # typed by literal names
        on("read", self._look)
        for name in _LANDMARKS:
            on(name, partial(self._landmark, name))
        self._look(None)

    def everything(self, event: Event) -> None:
        """Forward an event, whoever listens."""
        self._forward(self._prefix + event.name, event.payload)
        self._forward(f"{self._prefix}*", event)

    def _forward(self, name: str, payload: object) -> None:
        if name != "error" or self._emitter.listeners(name):
            self._emitter.emit(name, payload)

    def _landmark(self, name: str, payload: object) -> None:
        self._look(payload)
        if (name := self._prefix + name) in self._listened:
            self._forward(name, payload)

    def _look(self, _: object) -> None:
        names = self._emitter.event_names()
        if names != self._listened:
            self._listened = names
            self._stream.attach(self._subscribe)  # listeners of a sink, though they come later

    def _subscribe(self, stream: CompletionStream) -> None:
        on: Any = stream.on
        prefix, by_name = self._prefix, self._by_name
        wanted = {name.removeprefix(prefix) for name in self._listened if name.startswith(prefix)} - _NOT_BY_NAME
        for name in by_name.keys() - wanted:
            stream.off(name, by_name.pop(name))
        for name in wanted - by_name.keys():
            forward = partial(self._emitter.emit, prefix + name)
            with suppress(ValueError):  # the name of something else, which no event of this stream has
                by_name[name] = on(name, forward)


def _publishes_on(stream: CompletionStream, emitter: EventEmitter) -> bool:
    """Whether that is the stream's own emitter: `stream.emitter` would make one where there is none, for an emit an event."""
    # What a stream registers on its emitter is one relay for each event that is listened to, for as long as it is.
    name = next((name for name in _LANDMARKS if not stream.listener_count(name)), None)
    if name is None:
        return stream.emitter is emitter
    on: Any = stream.on
    before = emitter.listeners(name)
    on(name, _nothing)
    added = [each for each in emitter.listeners(name) if each not in before]
    stream.off(name, _nothing)
    after = emitter.listeners(name)
    return any(each not in after for each in added)


def _nothing(_: object) -> None:
    pass
