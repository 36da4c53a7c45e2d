"""The functions that open a stream on the background loop, and the drivers that their calls share."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ..driver import StreamDriver
from ..loop_thread import LoopThread
from .stream import BlockingStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..model import Chunk, Completion
    from ..stream import CompletionStream
    from ..wire.request import Prompt

__all__ = ["complete", "stream_chunks", "stream_text"]


def stream_text(
    prompt: Prompt,
    *,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    driver: StreamDriver | None = None,
    sinks: Iterable[Callable[[CompletionStream], object]] = (),
    **request: Any,  # noqa: ANN401 - what StreamDriver.stream takes, as given
) -> BlockingStream[str]:
    """The text of a completion, piece by piece as it comes; the request leaves when the first piece is asked for.

    Args:
        prompt: a text, a list of messages, or a whole request as a dict.
        model: which model.
        base_url, api_key: of the server; default OPENAI_BASE_URL and OPENAI_API_KEY. Calls for the same server share one
            driver and its connections, until the process exits.
        driver: a StreamDriver with settings of its own instead. Its streams then run on `LoopThread.shared()`, where it
            is also to be closed, best by `with LoopThread.shared().enter(StreamDriver(...)) as driver:`.
        sinks: attached to the stream. Like all listeners they are called on the background loop's thread.
        request: anything else that `StreamDriver.stream` takes: temperature=, tools=, timeout=, retries=, headers=, …

    Works in scripts, in any thread, and beside a running event loop (a notebook), which it blocks as any call does.
    Raises at once TypeError or ValueError for what cannot be sent; while iterating, see `BlockingStream`.
    """
    stream, thread = _open(prompt, base_url, api_key, driver, sinks, {"model": model, **request})
    return BlockingStream(stream, lambda stream: stream.events("text"), thread)


def stream_chunks(
    prompt: Prompt,
    *,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    driver: StreamDriver | None = None,
    sinks: Iterable[Callable[[CompletionStream], object]] = (),
    **request: Any,  # noqa: ANN401 - what StreamDriver.stream takes, as given
) -> BlockingStream[Chunk]:
    """As `stream_text`, chunk by chunk: for reasoning, tool calls, several choices. `str(chunk)` is its text."""
    stream, thread = _open(prompt, base_url, api_key, driver, sinks, {"model": model, **request})
    return BlockingStream(stream, lambda stream: stream.events("chunk"), thread)


def complete(
    prompt: Prompt,
    *,
    on_text: Callable[[str], object] | None = None,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    driver: StreamDriver | None = None,
    sinks: Iterable[Callable[[CompletionStream], object]] = (),
    **request: Any,  # noqa: ANN401 - what StreamDriver.stream takes, as given
) -> Completion:
    """The whole completion, when it is there; `on_text` is called with each piece of its text as it comes.

    The callback runs in the caller's thread: it may take its time, and what it raises aborts the stream and comes out here.
    The other arguments are those of `stream_text`. Raises what iterating over a `BlockingStream` raises.
    """
    with stream_text(
        prompt, model=model, base_url=base_url, api_key=api_key, driver=driver, sinks=sinks, **request
    ) as answer:
        for text in answer:
            if on_text is not None:
                on_text(text)
    return answer.completion


_drivers: dict[tuple[object, ...], StreamDriver] = {}


def _open(
    prompt: Prompt,
    base_url: str | None,
    api_key: str | None,
    driver: StreamDriver | None,
    sinks: Iterable[Callable[[CompletionStream], object]],
    request: dict[str, Any],
) -> tuple[CompletionStream, LoopThread]:
    thread = LoopThread.shared()
    if driver is None:
        driver = _shared_driver(thread, base_url, api_key)
    elif base_url is not None or api_key is not None:
        raise ValueError("base_url and api_key are the driver's: give them to the StreamDriver, or leave driver= out")
    return driver.stream(prompt, **request).attach(*sinks), thread


def _shared_driver(thread: LoopThread, base_url: str | None, api_key: str | None) -> StreamDriver:
    key = (thread, base_url, api_key, os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY"))
    driver = _drivers.get(key)
    if driver is None:
        made = StreamDriver(base_url, api_key)
        driver = _drivers.setdefault(key, made)  # another thread may have been faster
        if driver is made:
            thread.submit(_keep(driver, key))
    return driver


async def _keep(driver: StreamDriver, key: tuple[object, ...]) -> None:
    """Runs as long as the loop does, and then closes the driver."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        del _drivers[key]
        await driver.close()
