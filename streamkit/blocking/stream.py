"""`BlockingStream`: a stream that runs on the background loop, iterated over in another thread."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import deque
from concurrent import futures
from typing import TYPE_CHECKING, Generic, TypeVar

from ..errors import StreamAborted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self

    from ..loop_thread import LoopThread
    from ..model import Completion
    from ..stream import CompletionStream, EventIterator

__all__ = ["BlockingStream"]

_T = TypeVar("_T")

QUEUE_ITEMS = 1024
"""How many items may wait for the thread that iterates before the stream waits for it."""

# On Windows, ^C does not interrupt a wait without a limit.
_WAIT_SECONDS = 0.1 if sys.platform == "win32" else None


class BlockingStream(Generic[_T]):
    """What `stream_text` and `stream_chunks` return: an iterator, for one thread at a time.

    A `for` loop that is left early aborts the stream, and so does `close()`, the end of a `with` block, or dropping it.
    What it raises while iterating:

    - StreamError: the stream failed; `error.completion` is what had arrived.
    - StreamAborted: somebody else aborted it, or the background loop was closed.
    - KeyboardInterrupt: ^C came while it waited. The stream is aborted, and has ended when this is raised;
      `completion` is what had arrived.
    - RuntimeError: it was used on the background loop's own thread (in a listener), which would wait for itself.

    At most 1,024 items wait for a slow thread; then the stream waits for it, and in the end the server.
    """

    def __init__(
        self, stream: CompletionStream, items: Callable[[CompletionStream], EventIterator[_T]], thread: LoopThread
    ) -> None:
        self._stream = stream
        self._items = items
        self._thread = thread
        self._pid = os.getpid()
        self._handover: _Handover[_T] = _Handover()
        self._future: futures.Future[object] | None = None
        self._over = False
        self._starting = False

    @property
    def stream(self) -> CompletionStream:
        """The stream itself: listeners that are added before the first item is asked for miss nothing."""
        return self._stream

    @property
    def completion(self) -> Completion:
        """What is known of the completion now, whole or partial; it may be ahead of what was iterated over."""
        return self._stream.completion

    def __iter__(self) -> Generator[_T, None, None]:
        # A generator, which only the `for` loop holds: it goes when the loop is left. And nothing iterates faster.
        queue = self._handover.queue
        try:
            while self._wait():
                while queue:
                    yield queue.popleft()
        finally:
            self._abort("the iteration was left")

    def __next__(self) -> _T:
        if not self._wait():
            raise StopIteration
        return self._handover.queue.popleft()

    def close(self) -> None:
        """Abort the stream if it still runs, and wait for its `end`. Closing again does nothing."""
        self._abort("the stream was closed")
        if os.getpid() != self._pid or self._thread.is_current:
            return  # to wait would be to wait for ever
        if self._future is None and self._thread.running:
            self._future = self._thread.submit(_leave(self._stream))
        if self._future is not None:
            # Again: an iteration that a listener left may have aborted while the stream was still being started here.
            self._call_soon(self._stream.abort, "the stream was closed")
            self._call_soon(self._handover.leave)
            futures.wait([self._future])
        self._handover.queue.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._abort("the stream was dropped")

    def __repr__(self) -> str:
        return f"<BlockingStream over {self._stream!r}>"

    def _wait(self) -> bool:
        """Whether there is another item; waits until that is known."""
        handover = self._handover
        if self._over:
            return False
        if handover.queue:
            return True
        # A listener may be here while the thread that starts the stream has not been told of its future yet.
        if self._starting and self._thread.is_current:
            raise RuntimeError("a stream cannot be waited for on the loop that drives it: use `async for` there")
        future = self._start() if self._future is None else self._future
        if os.getpid() != self._pid:
            raise RuntimeError("this stream runs in the process that was forked: open another one here")
        if handover.paused is not None:
            self._call_soon(handover.resume)
        try:
            while not handover.queue:
                if future.done():
                    break
                handover.ready.wait(_WAIT_SECONDS)
                handover.ready.clear()
        except BaseException:
            # ^C, or what else a signal handler raises.
            self._abort("interrupted")
            futures.wait([future])
            raise
        if handover.queue:
            return True
        self._over = True
        self._raise_ending(future)
        return False

    def _start(self) -> futures.Future[object]:
        handover = self._handover
        self._starting = not self._thread.is_current  # there, submit refuses
        future = self._future = self._thread.submit(_drive(self._stream, self._items, handover))
        future.add_done_callback(lambda _: handover.ready.set())
        return future

    def _raise_ending(self, future: futures.Future[object]) -> None:
        try:
            error = future.exception()
        except futures.CancelledError:
            error = StreamAborted("the background loop was closed")
            error.completion = self._stream.completion
        if error is not None:
            # The frames of the other thread say nothing to who reads the traceback; the cause keeps its own.
            raise error.with_traceback(None)

    def _abort(self, reason: str) -> None:
        """Neither waits nor locks: finalisers come here, in whatever thread."""
        if self._over:
            return
        self._over = True
        if self._future is not None:
            self._call_soon(self._stream.abort, reason)
            self._call_soon(self._handover.leave)

    def _call_soon(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._thread.call_soon(function, *args)
        except RuntimeError:
            pass  # the loop is closed, and the stream over with it


class _Handover(Generic[_T]):
    """A bounded queue from a task to a thread, without a lock while both have something to do."""

    def __init__(self) -> None:
        self.queue: deque[_T] = deque()
        self.ready = threading.Event()
        self.paused: asyncio.Future[None] | None = None
        """What the task waits for while the queue is full."""
        self._left = False

    async def room(self) -> None:
        """Wait until the thread has taken everything, so that it is woken, and wakes the task, once a batch."""
        self.paused = asyncio.get_running_loop().create_future()
        # The thread may have emptied the queue before `paused` was there to be seen.
        if self.queue and not self._left:
            await self.paused
        self.paused = None

    def resume(self) -> None:
        """The thread has taken everything; called on the loop."""
        if self.paused is not None and not self.paused.done():
            self.paused.set_result(None)

    def leave(self) -> None:
        """Nobody takes anything any more; called on the loop."""
        self._left = True
        self.resume()


async def _drive(
    stream: CompletionStream, items: Callable[[CompletionStream], EventIterator[_T]], handover: _Handover[_T]
) -> None:
    queue, ready = handover.queue, handover.ready
    async with stream:
        async for item in items(stream):
            queue.append(item)
            if not ready.is_set():
                ready.set()
            if len(queue) >= QUEUE_ITEMS:
                await handover.room()
        await stream


async def _leave(stream: CompletionStream) -> None:
    """So that a stream that nobody asked anything of does not complain that it was never started."""
    async with stream:
        pass
