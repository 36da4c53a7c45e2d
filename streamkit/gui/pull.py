"""Pull forms of a stream, for user interfaces that ask for what is next: Gradio, NiceGUI, Streamlit."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING

from ..errors import StreamAborted, StreamError
from ..loop_thread import LoopThread
from .backlog import DEFAULT_EVENTS, Inbox
from .frames import check_fps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable

    from ..stream import CompletionStream
    from .backlog import Batch

__all__ = ["batches", "blocking_batches"]

# On Windows, ^C does not interrupt a wait without a limit.
_WAIT_SECONDS = 0.1 if sys.platform == "win32" else None


async def batches(
    stream: CompletionStream, fps: float = 20, *, events: Iterable[str] = DEFAULT_EVENTS
) -> AsyncGenerator[Batch, None]:
    """What a stream says, batch by batch, as fast as it is asked for, but at most `fps` a second; starts the stream.

    Whatever came since the last batch is in the next, however long that took. The last one has the `ending`. Leaving the loop, or
    closing the generator, aborts the stream; so does the garbage collector, if nobody else does.

    Args:
        stream: it may run on another loop, where it has been started then.
        fps: what a user interface that draws in a browser can take: each batch is a message to it.
        events: which events besides the ending, by name.

    Raises:
        StreamError, StreamAborted: after the last batch, if the stream failed, or somebody aborted it.
        ValueError: `fps` makes no sense, or an event is unknown.

    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     shown = ""
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url) as driver:
    ...         async for batch in batches(driver.stream("Write a poem", model="m")):
    ...             shown += batch.text  # in Gradio: yield shown
    ...     return len(shown)
    >>> asyncio.run(main())
    485
    """
    frame = 1 / check_fps(fps)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(ready.set)
        except RuntimeError:
            inbox.close()  # the loop is closed, and nobody asks any more

    inbox = Inbox(wake)
    inbox.subscribe(stream, events)
    stream.start()
    try:
        while True:
            await ready.wait()
            shown_at = loop.time()
            yield (batch := inbox.take(sys.maxsize))
            if batch.ending is not None:
                break
            await asyncio.sleep(shown_at + frame - loop.time())
            ready.clear()
            if not inbox.rest():
                ready.set()
    finally:
        inbox.close()
        stream.abort("the iteration was left")
    _raise_failure(batch)


def blocking_batches(
    stream: CompletionStream,
    fps: float = 20,
    *,
    events: Iterable[str] = DEFAULT_EVENTS,
    thread: LoopThread | None = None,
) -> Generator[Batch, None, None]:
    """As `batches`, in code that is not async (a script of Streamlit): a plain generator, of a stream on a loop in a thread.

    Args:
        stream: of a driver that lives on that loop; for `streamkit.blocking.stream_text(...)` its `.stream`.
        fps, events: see `batches`.
        thread: where the stream runs; default `LoopThread.shared()`, as for all of `streamkit.blocking`.

    Raises:
        StreamError, StreamAborted, ValueError: see `batches`.
        RuntimeError: it was used on the thread of that loop, which would wait for itself; or the thread is closed.

    >>> from streamkit import demo_tape
    >>> from streamkit.blocking import stream_text
    >>> from streamkit.testing import replay_server
    >>> with LoopThread.shared().enter(replay_server(demo_tape(), speed=0)) as server:
    ...     answer = stream_text("Write a poem", base_url=server.base_url)
    ...     len("".join(batch.text for batch in blocking_batches(answer.stream)))  # in Streamlit: st.write_stream(...)
    485
    """
    frame = 1 / check_fps(fps)
    thread = LoopThread.shared() if thread is None else thread
    if thread.is_current:
        raise RuntimeError(
            "blocking_batches would wait for the loop on its own thread: use `async for` with batches there"
        )
    ready = threading.Event()
    inbox = Inbox(ready.set)
    inbox.subscribe(stream, events)
    thread.call_soon(stream.start)
    try:
        while True:
            while not ready.wait(_WAIT_SECONDS):
                pass
            shown_at = time.monotonic()
            yield (batch := inbox.take(sys.maxsize))
            if batch.ending is not None:
                break
            time.sleep(max(shown_at + frame - time.monotonic(), 0))
            ready.clear()
            if not inbox.rest():
                ready.set()
    finally:
        inbox.close()
        stream.abort("the iteration was left")
    _raise_failure(batch)


def _raise_failure(last: Batch) -> None:
    if isinstance(last.ending, StreamError | StreamAborted):
        raise last.ending.with_traceback(None)  # it would grow with everyone who raises it
