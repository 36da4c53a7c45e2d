"""`FrameSink`: a stream in a user interface, a batch a frame."""

from __future__ import annotations

import inspect
import logging
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .backlog import DEFAULT_EVENTS, Batch, Inbox
from .dispatcher import Dispatcher, DispatcherClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..stream import CompletionStream
    from .dispatcher import Call

__all__ = ["Batch", "FrameSink"]

log = logging.getLogger("streamkit.gui")


class FrameSink:
    """Hands streams to a user interface: at most one batch a frame, on the UI's thread, in order, the ending last and once.

    A sink as all others: `stream.attach(FrameSink(dispatcher, show))`, from any thread; one serves any number of streams, also
    at the same time, each with its own frames. Attached to one that runs, it hears first what has come so far.

    Args:
        dispatcher: the way to the UI's thread.
        on_batch: called there with each `Batch`. It is not called again before it has returned, even if it opens a modal
            dialog. What it raises is logged (logger `streamkit.gui`), and the next batch comes all the same.
        fps: frames a second, at most. What comes first is handed over at once.
        max_chars: how many characters a batch has at most, so that a flood does not freeze the UI; the rest comes in
            the next frames.
        events: which events besides the ending, by name.

    At most one call is posted at a time. While the UI is blocked, what comes waits, joined. Once the dispatcher's owner is gone,
    it is dropped; the stream runs on, for its other subscribers: abort it in `on_close` if there are none. An error of the
    dispatcher's own is the stream's `listener_error`, and nothing more is handed over.

    Raises:
        TypeError, ValueError: an argument that makes no sense; when it is attached, an event that the stream does not have.
        DispatcherClosed: when it is attached, the owner is gone already.

    >>> import asyncio
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.gui import AsyncioDispatcher
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     batches = []
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url) as driver:
    ...         window = FrameSink(AsyncioDispatcher(), batches.append)
    ...         completion = await driver.stream("Write a poem", model="m").attach(window)
    ...         while not batches[-1:] or batches[-1].ending is None:
    ...             await asyncio.sleep(0.01)
    ...     return batches[-1].ending is completion, "".join(batch.text for batch in batches) == completion.text
    >>> asyncio.run(main())
    (True, True)
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        on_batch: Callable[[Batch], object],
        fps: float = 60,
        max_chars: int = 4096,
        *,
        events: Iterable[str] = DEFAULT_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_arguments(dispatcher, on_batch, fps, max_chars, events)
        self._dispatcher = dispatcher
        self._on_batch = on_batch
        self._frame = 1 / fps
        self._max_chars = max_chars
        self._events = tuple(events)
        self._clock = clock
        self._frames: set[_Frames] = set()
        """Of the streams that have not ended: also what keeps them out of a closed window."""

    def __call__(self, stream: CompletionStream) -> None:
        """Hand a stream over."""
        frames = _Frames(
            self._dispatcher, self._on_batch, self._frame, self._max_chars, self._clock, self._frames.discard
        )
        self._frames.add(frames)
        try:
            frames.forget = self._dispatcher.on_close(frames.close)
            frames.inbox.subscribe(stream, self._events)
        except BaseException:
            frames.close()
            raise

    def close(self) -> None:
        """Nothing of the streams that are attached now is handed over any more, once this returns; on the UI's thread.

        The streams run on. Others can be attached.
        """
        for frames in tuple(self._frames):
            frames.close()


class _Frames:
    """The frames of one stream. At any time one call of it is on its way to the UI's thread, or none."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        on_batch: Callable[[Batch], object],
        frame: float,
        max_chars: int,
        clock: Callable[[], float],
        over: Callable[[_Frames], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._on_batch: Callable[[Batch], object] | None = on_batch
        self._frame = frame
        self._max_chars = max_chars
        self._clock = clock
        self._over = over
        self._next = -math.inf
        """When the next frame may be shown."""
        self.inbox = Inbox(self._post)
        self.forget: Call = _nothing

    def close(self) -> None:
        """Nothing is shown any more."""
        self.inbox.close()
        self._over(self)
        self.forget()
        # It mostly knows a window, and the stream's listeners, which know this, go in another thread.
        self._on_batch = None

    def _post(self) -> None:
        with self._closing():
            self._dispatcher.post(self._turn)

    # --- on the UI's thread from here on ------------------------------------------------------------------------------

    def _turn(self) -> None:
        wait = self._next - self._clock()
        if wait > 0:
            self._later(wait)
        else:
            self._show()

    def _show(self) -> None:
        on_batch = self._on_batch
        if self.inbox.closed or on_batch is None:
            return
        batch = self.inbox.take(self._max_chars)
        self._next = self._clock() + self._frame
        try:
            result = on_batch(batch)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("on_batch must be a plain function of one Batch, not an async one")
        except Exception:
            name = getattr(on_batch, "__qualname__", type(on_batch).__qualname__)
            log.exception("%s, which shows a stream, raised", name)
        finally:
            # Not before: a modal dialog in on_batch runs the toolkit's loop, which would call it again.
            if batch.ending is not None:
                self.close()
            elif not self.inbox.rest():
                self._later(max(self._next - self._clock(), 0.0))

    def _later(self, seconds: float) -> None:
        with self._closing():
            self._dispatcher.later(seconds, self._show)

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Close when the dispatcher is closed, and also when it is broken, which is said once and not for every token."""
        try:
            yield
        except DispatcherClosed:
            self.close()
        except BaseException:
            self.close()
            raise


def check_fps(fps: object) -> float:
    """Frames a second; ValueError for what is none."""
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < math.inf:
        raise ValueError(f"fps must be a number of frames a second, more than 0, not {fps!r}")
    return fps


def _nothing() -> None:
    pass


def _check_arguments(dispatcher: object, on_batch: object, fps: object, max_chars: object, events: object) -> None:
    if not isinstance(dispatcher, Dispatcher):
        raise TypeError(
            f"dispatcher must have post, later and on_close, as QtDispatcher has; a {type(dispatcher).__name__} does not"
        )
    if not callable(on_batch) or inspect.iscoroutinefunction(on_batch):
        what = "an async function" if callable(on_batch) else type(on_batch).__name__
        raise TypeError(f"on_batch must be a plain function of one Batch, not {what}")
    check_fps(fps)
    if type(max_chars) is not int or max_chars < 1:
        raise ValueError(f"max_chars must be a whole number, 1 or more, not {max_chars!r}")
    if isinstance(events, str):
        raise TypeError(f"events must be several names, as ({events!r},), not one string")
