from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import aclosing, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from streamkit import CompletionStream, StreamAborted, StreamDriver, StreamError
from streamkit.blocking import stream_text
from streamkit.gui import Batch, batches, blocking_batches
from streamkit.loop_thread import LoopThread
from streamkit.testing import Hang, Send, chunk, completion_server, sse

from ..clock import driven, turns
from ..stream.scripted import END, Item, ScriptedSource, feed_of, text_reads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamkit.testing import ReceivedRequest
    from streamkit.testing.script import Script

WORDS = ("one ", "two ", "three ")
ANSWER = sse(*map(chunk, WORDS), chunk(finish_reason="stop"))
BEGINNING: Script = [Send(sse(*map(chunk, WORDS), done=False)), Hang()]


def apart(words: str, seconds: float) -> list[Item]:
    """Each letter as a read of its own, and then so many seconds of nothing."""
    reads: list[Item] = []
    for word in words:
        reads += (*text_reads(word), seconds)
    return reads


# --- batches ----------------------------------------------------------------------------------------------------------


@driven
async def test_batches_come_at_once_then_joined_a_frame() -> None:
    loop = asyncio.get_running_loop()
    # None comes just when a frame is due, where either order would be right.
    reads = apart("bcdefghij", 0.25)
    stream = CompletionStream(ScriptedSource([*text_reads("a"), 0.125, *reads, feed_of(), END]))
    begun, seen, endings = loop.time(), list[tuple[float, str]](), list[object]()

    async for batch in batches(stream, fps=1):
        seen.append((loop.time() - begun, batch.text))
        endings.append(batch.ending)

    assert seen == [(0.0, "a"), (1.0, "bcde"), (2.0, "fghi"), (3.0, "j")]
    assert endings[-1] is stream.completion


@driven
async def test_slow_consumer_gets_larger_batches_and_not_later_ones() -> None:
    reads = apart("abcdefghij", 1.0)
    stream = CompletionStream(ScriptedSource([*reads, feed_of(), END]))
    seen = []

    async for batch in batches(stream, fps=100):
        seen.append(batch.text)
        await asyncio.sleep(3.75)

    assert seen == ["a", "bcd", "efgh", "ij"]


@driven
async def test_closing_the_generator_aborts_the_stream() -> None:
    stream = CompletionStream(ScriptedSource(text_reads("a")))

    async with aclosing(batches(stream)) as generator:
        async for batch in generator:
            assert batch.text == "a"
            break
    await stream.finished()

    assert stream.completion.ended_by == "abort"


@driven
async def test_generator_that_is_dropped_aborts_the_stream() -> None:
    """Some ways out of Gradio leave it to the garbage collector."""
    stream = CompletionStream(ScriptedSource(text_reads("a")))

    async def take() -> None:
        async for _ in batches(stream):
            break

    await take()
    gc.collect()
    await stream.finished()

    assert stream.completion.ended_by == "abort"


@driven
async def test_cancelling_who_waits_for_a_batch_aborts_the_stream() -> None:
    stream = CompletionStream(ScriptedSource(text_reads("a")))

    async def iterate() -> None:
        async for _ in batches(stream):
            pass

    task = asyncio.create_task(iterate())
    await asyncio.sleep(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.finished()

    assert stream.completion.ended_by == "abort"


@driven
@pytest.mark.parametrize("abort", [True, False])
async def test_failure_is_raised_after_the_last_batch(abort: bool, caplog: pytest.LogCaptureFixture) -> None:
    stream = CompletionStream(ScriptedSource([*text_reads("a"), 1.0, StreamError("broken")]))
    seen: list[Batch] = []

    with pytest.raises(StreamAborted if abort else StreamError) as caught:
        async for batch in batches(stream):
            seen.append(batch)
            if abort:
                stream.abort("enough")

    assert "".join(batch.text for batch in seen) == "a"
    assert seen[-1].ending is caught.value
    assert caught.value.completion.text == "a"
    del stream
    gc.collect()
    assert caplog.records == []


@driven
async def test_batches_of_a_stream_that_began_elsewhere_begin_with_what_it_said() -> None:
    source = ScriptedSource(text_reads("a", "b"))
    stream = CompletionStream(source).start()
    await turns(10)

    generator = batches(stream)
    first = await anext(generator)
    source.push(feed_of("c"), END)
    rest = [batch.text async for batch in generator]

    assert (first.text, "".join(rest)) == ("ab", "c")


async def test_batches_of_a_stream_on_another_loop() -> None:
    with (
        LoopThread() as thread,
        thread.enter(completion_server(ANSWER)) as server,
        thread.enter(StreamDriver(server.base_url, model="m")) as driver,
    ):
        stream, running = driver.stream("hi"), threading.Event()
        stream.once("connect", lambda _: running.set())
        thread.call_soon(stream.start)
        assert await asyncio.to_thread(running.wait, 5)
        text = "".join([batch.text async for batch in batches(stream)])

    assert text == "one two three "


@pytest.mark.parametrize("form", [batches, blocking_batches])
def test_arguments_that_make_no_sense_are_named(form: Any) -> None:
    stream = CompletionStream(ScriptedSource())

    async def first(**options: object) -> None:
        generator = form(stream, **options)
        if form is batches:
            await anext(generator)
        else:
            next(generator)

    with LoopThread() as thread:
        for options, message in (
            ({"fps": -1}, "fps must be a number of frames a second, more than 0, not -1"),
            ({"events": ["texts"]}, "unknown event 'texts'"),
        ):
            thread_option = {} if form is batches else {"thread": thread}
            with pytest.raises(ValueError, match=message):
                asyncio.run(first(**options, **thread_option))
    stream.abort()


# --- blocking_batches -------------------------------------------------------------------------------------------------


class Served:
    def __init__(self, thread: LoopThread, base_url: str, requests: list[ReceivedRequest]) -> None:
        self.thread = thread
        self.base_url = base_url
        self.requests = requests

    def saw_the_close(self) -> bool:
        self.thread.submit(asyncio.wait_for(self.requests[0].closed.wait(), 5)).result()
        return not self.requests[0].answered


@contextmanager
def serving(*scripts: Script) -> Iterator[Served]:
    try:
        with LoopThread("server") as thread, thread.enter(completion_server(*scripts)) as server:
            yield Served(thread, server.base_url, server.requests)
    finally:
        LoopThread.shared().close()


def test_blocking_batches_have_everything_and_the_ending() -> None:
    with serving(ANSWER) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url).stream
        seen = list(blocking_batches(stream))

    assert "".join(batch.text for batch in seen) == "one two three "
    assert [batch.ending for batch in seen if batch.ending is not None] == [stream.completion]


def test_blocking_batches_keep_to_their_frames() -> None:
    slow: Script = [Send(sse(chunk(word), done=False)) for word in WORDS]
    with serving([*slow[:1], *slow[1:], Send(sse(chunk(finish_reason="stop")))]) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url).stream
        at = []
        for _ in blocking_batches(stream, fps=20):
            at.append(time.monotonic())

    assert all(later - earlier > 0.045 for earlier, later in pairwise(at))


def test_leaving_the_loop_aborts_and_the_server_sees_it() -> None:
    with serving(BEGINNING) as server:
        for batch in blocking_batches(stream_text("hi", model="m", base_url=server.base_url).stream):
            assert batch.text
            break
        assert server.saw_the_close()


def test_abort_by_another_thread_is_raised() -> None:
    with serving(BEGINNING) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url).stream
        with pytest.raises(StreamAborted, match="enough"):
            for _ in blocking_batches(stream):
                threading.Thread(target=stream.abort, args=["enough"]).start()
        assert server.saw_the_close()


def test_loop_that_is_closed_meanwhile_ends_the_wait() -> None:
    with serving(BEGINNING) as server:
        stream = stream_text("hi", model="m", base_url=server.base_url).stream
        with pytest.raises(StreamAborted):
            for _ in blocking_batches(stream):
                threading.Thread(target=LoopThread.shared().close).start()


def test_on_the_loops_own_thread_it_is_refused() -> None:
    async def misuse() -> None:
        next(blocking_batches(CompletionStream(ScriptedSource()), thread=thread))

    with LoopThread() as thread, pytest.raises(RuntimeError, match="would wait for the loop on its own thread"):
        thread.submit(misuse()).result(5)
