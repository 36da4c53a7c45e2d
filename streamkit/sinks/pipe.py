"""`pipe`: the events of a stream on another emitter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyee import EventEmitter

    from ..model import Event
    from ..stream import CompletionStream

__all__ = ["pipe"]


def pipe(emitter: EventEmitter, *, prefix: str = "") -> Callable[[CompletionStream], None]:
    """A sink that forwards the events of a stream to a pyee emitter of yours, in order, each with its one payload.

    Args:
        emitter: where to; also a pyee emitter of another kind.
        prefix: put before the names of the events, as in "chat:" for "chat:text".

    All that `*` hears is forwarded, and `*` itself. An `error` goes only to an emitter that listens to it, since pyee raises
    one that nobody hears. Who listens there is in pyee's hands: listeners are not guarded, and of several streams on one
    emitter, only the payloads tell.

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
    for method in ("emit", "listeners"):
        if not callable(getattr(emitter, method, None)):
            raise TypeError(f"emitter must be a pyee EventEmitter, not {type(emitter).__name__}")

    def sink(stream: CompletionStream) -> None:
        if stream.emitter is emitter:
            raise ValueError("a stream cannot be piped to its own emitter: it publishes there already")

        def forward(event: Event) -> None:
            name = prefix + event.name
            if name != "error" or emitter.listeners(name):
                emitter.emit(name, event.payload)
            emitter.emit(f"{prefix}*", event)

        stream.on("*", forward)

    return sink
