from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
import warnings
from typing import Any

import pytest

from streamkit import CompletionStream, ConnectionLost, RetryPolicy, StreamAborted, StreamError
from streamkit.settings import Settings
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from .scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, spaced, text_reads, untyped

FINISH = sse(chunk(finish_reason="stop"))


def stream_of(*items: Item, **settings: Any) -> CompletionStream:
    return CompletionStream(ScriptedSource(items), settings=Settings(retry=RetryPolicy(retries=0), **settings))


def source_of(stream: CompletionStream) -> ScriptedSource:
    source = stream._pump._source
    assert isinstance(source, ScriptedSource)
    return source


async def never(_: object) -> None:
    await asyncio.Event().wait()


# --- starting -------------------------------------------------------------------------------------------------------


@driven
async def test_nothing_happens_before_the_start():
    stream = stream_of(feed_of("a"), END)
    events = heard(stream)
    await turns(5)
    assert events == []
    assert source_of(stream).connects == 0
    assert not stream.running
    assert stream.completion.text == ""
    assert "not started" in repr(stream)
    await stream
    assert "done" in repr(stream)


@driven
async def test_start_returns_the_stream_and_twice_is_once():
    stream = stream_of(feed_of("a"), END)
    assert stream.start() is stream
    assert stream.start() is stream
    assert stream.running
    await stream
    assert stream.start() is stream
    assert source_of(stream).connects == 1


@driven
async def test_listeners_added_in_the_turn_of_the_start_miss_nothing():
    stream = stream_of(feed_of("a"), END).start()
    events = heard(stream)
    await stream
    assert events[0] == "start"


def test_start_without_a_loop_says_what_to_do():
    with pytest.raises(RuntimeError, match=r"event loop.*blocking"):
        stream_of(END).start()


@driven
async def test_a_stream_can_be_awaited_often_and_by_many():
    stream = stream_of(feed_of("a"), END)
    results = await asyncio.gather(stream, stream, stream)
    assert all(each is results[0] for each in results)
    assert await stream is results[0]


@driven
async def test_await_returns_after_the_end():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    @stream.on("end")
    async def ended(_: object) -> None:
        await asyncio.sleep(3)
        log.append("end")

    await stream
    assert log == ["end"]


async def test_another_loop_may_not_await_it():
    stream = stream_of(asyncio.Event()).start()
    errors: list[BaseException] = []

    async def elsewhere() -> None:
        try:
            await stream
        except RuntimeError as error:
            errors.append(error)

    await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
    assert "another event loop" in str(errors[0])
    stream.abort()
    with pytest.raises(StreamAborted):
        await stream


@driven
async def test_attach_calls_each_sink_and_returns_the_stream():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    assert (
        stream.attach(
            lambda stream: stream.on("text", log.append), lambda stream: stream.on("done", lambda _: log.append("done"))
        )
        is stream
    )
    await stream
    assert log == ["a", "done"]
    with pytest.raises(TypeError, match="sink.*str"):
        untyped(stream).attach("print")


@driven
async def test_a_sink_that_raises_leaves_the_stream_usable():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    def bad(_: CompletionStream) -> None:
        raise ValueError("a sink's own")

    with pytest.raises(ValueError, match="own"):
        stream.attach(bad)

    async def slow(text: str) -> None:
        await asyncio.sleep(1)
        log.append(f"slow {text}")

    async def fast(text: str) -> None:
        log.append(f"fast {text}")

    stream.on("text", slow)
    stream.on("text", fast)  # no longer in the sink: a mailbox of its own
    await stream
    assert log == ["fast a", "fast b", "slow a", "slow b"]


# --- abort ----------------------------------------------------------------------------------------------------------


@driven
async def test_abort_before_the_start_is_start_abort_end_and_no_request():
    stream = stream_of(feed_of("a"), END)
    events = heard(stream)
    stream.abort("changed my mind")
    stream.abort("again")
    with pytest.raises(StreamAborted, match="changed my mind"):
        await stream
    assert events == ["start", "abort", "end"]
    assert source_of(stream).connects == 0
    assert stream.completion.ended_by == "abort"


async def test_abort_from_another_thread_before_the_start():
    stream = stream_of(feed_of("a"), END)
    events = heard(stream)
    await asyncio.to_thread(stream.abort)
    with pytest.raises(StreamAborted):
        await stream
    assert events == ["start", "abort", "end"]
    assert source_of(stream).connects == 0


@driven
async def test_abort_in_the_turn_of_the_start():
    stream = stream_of(feed_of("a"), END).start()
    events = heard(stream)
    stream.abort()
    with pytest.raises(StreamAborted):
        await stream
    assert events == ["start", "abort", "end"]
    assert source_of(stream).connects == 0


@driven
async def test_abort_while_connecting():
    source = ScriptedSource(hang=asyncio.Event())
    stream = CompletionStream(source).start()
    events = heard(stream)
    await turns(5)
    stream.abort()
    with pytest.raises(StreamAborted):
        await stream
    assert source.connects == 1
    assert events == ["start", "abort", "end"]


@driven
async def test_abort_after_the_end_does_nothing():
    stream = stream_of(feed_of("a"), END)
    events = heard(stream)
    completion = await stream
    stream.abort()
    await turns(3)
    assert events[-2:] == ["done", "end"]
    assert await stream is completion


@driven
async def test_after_abort_has_returned_nothing_more_is_published():
    """Even if bytes came in the same turn of the loop: a window that was just closed hears no more text."""
    stream = stream_of(*text_reads("a"))
    events = heard(stream)
    stream.start()
    await turns(10)
    source_of(stream).push(*text_reads("b", "c"))
    stream.abort("enough")
    with pytest.raises(StreamAborted) as caught:
        await stream
    assert events.count("text") == 1
    assert caught.value.completion.text == "a"


@driven
async def test_abort_from_a_listener_lets_the_events_of_this_chunk_pass_and_no_more():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []
    stream.on("chunk", lambda chunk: stream.abort() if chunk.text == "a" else None)
    stream.on("text", log.append)
    stream.on("chunk", lambda chunk: log.append(f"chunk {chunk}"))
    with pytest.raises(StreamAborted) as caught:
        await stream
    assert log == ["chunk ", "chunk a", "a"]
    assert caught.value.completion.text == "a"


@driven
async def test_what_was_published_is_still_delivered_to_the_slow():
    stream = stream_of(*text_reads("a", "b"))
    log: list[str] = []

    async def slow(payload: object) -> None:
        await asyncio.sleep(1)
        log.append(str(payload))

    stream.on("text", slow)
    stream.on("abort", slow)
    stream.on("text", lambda text: stream.abort("enough") if text == "b" else None)
    with pytest.raises(StreamAborted):
        await stream
    assert log == ["a", "b", "aborted: enough"]


@driven
async def test_abort_from_an_async_listener():
    stream = stream_of(*text_reads("a", "b"))
    events = heard(stream)

    @stream.on("text")
    async def enough(_: str) -> None:
        await asyncio.sleep(1)
        stream.abort("enough")

    with pytest.raises(StreamAborted, match="enough"):
        await stream
    assert is_grammatical(events)


async def test_abort_from_many_threads_at_once_is_one_abort():
    stream = stream_of(*text_reads("a")).start()
    events = heard(stream)
    await turns(10)
    barrier = threading.Barrier(8)

    def abort(number: int) -> None:
        barrier.wait()
        for _ in range(50):
            stream.abort(f"by {number}")

    threads = [threading.Thread(target=abort, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    with pytest.raises(StreamAborted, match="by [0-7]"):
        await stream
    for thread in threads:
        thread.join()
    await turns(3)
    assert is_grammatical(events)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows delivers no signal to a loop")
async def test_abort_from_a_signal_handler():
    """One that Python runs between two instructions, and one that the loop calls."""
    loop = asyncio.get_running_loop()
    for add in (
        lambda stream: signal.signal(signal.SIGUSR1, lambda *_: stream.abort("a signal")),
        lambda stream: loop.add_signal_handler(signal.SIGUSR1, stream.abort, "a signal"),
    ):
        stream = stream_of(*text_reads("a"))
        events = heard(stream)
        before = signal.getsignal(signal.SIGUSR1)
        add(stream)
        try:
            stream.on("text", lambda _: loop.call_later(0.01, os.kill, os.getpid(), signal.SIGUSR1))
            with pytest.raises(StreamAborted, match="a signal"):
                await stream
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            signal.signal(signal.SIGUSR1, before)
        assert is_grammatical(events)


@driven
async def test_async_with_starts_nothing():
    stream = stream_of(feed_of("a"), END)
    async with stream as same:
        assert same is stream
    assert source_of(stream).connects == 0
    assert not stream.running


@driven
async def test_the_exit_of_async_with_aborts_what_runs_and_waits_for_the_end():
    stream = stream_of(*text_reads("a"))
    events = heard(stream)

    @stream.on("abort")
    async def slow(_: object) -> None:
        await asyncio.sleep(3)

    async with stream:
        assert await stream.wait_for("text") == "a"
    assert not stream.running
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]


@driven
async def test_async_with_passes_an_exception_on():
    stream = stream_of(*text_reads("a")).start()
    with pytest.raises(ZeroDivisionError):
        async with stream:
            raise ZeroDivisionError
    assert not stream.running


@driven
async def test_async_with_over_a_finished_stream_does_nothing():
    async with stream_of(feed_of("a"), END) as stream:
        await stream
    assert stream.completion.ended_by == "done"


# --- cancellation ---------------------------------------------------------------------------------------------------


@driven
async def test_cancelling_the_await_that_started_it_closes_drains_and_ends_in_this_order():
    stream = stream_of(*text_reads("a", "b"))
    source = source_of(stream)
    log: list[str] = []

    @stream.on("text")
    async def slow(text: str) -> None:
        await asyncio.sleep(1)
        log.append(f"{text} {source.closed}")

    stream.on("abort", lambda aborted: log.append(f"{aborted} {aborted.completion.ended_by}"))
    stream.on("end", lambda _: log.append("end"))
    waiting = asyncio.ensure_future(stream)
    await turns(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert log == ["a [False]", "b [False]", "aborted: cancelled cancel", "end"]
    with pytest.raises(StreamAborted):
        await stream


@driven
async def test_a_second_cancellation_drains_nothing():
    stream = stream_of(*text_reads("a", "b"), drain_timeout=1000.0)
    began = asyncio.get_running_loop().time()
    log: list[str] = []

    async def stuck(_: object) -> None:
        log.append("called")
        await asyncio.Event().wait()

    stream.on("text", stuck)
    stream.on("abort", lambda _: log.append("abort"))
    stream.on("end", lambda _: log.append("end"))
    waiting = asyncio.ensure_future(stream)
    await turns(10)
    waiting.cancel()
    await turns(10)
    assert log == ["called"]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert log == ["called", "abort", "end"]
    assert asyncio.get_running_loop().time() == began


@pytest.mark.parametrize("kind", ["a coroutine function", "a lambda"])
@driven
async def test_a_second_cancellation_leaves_no_call_behind(kind):
    """Not even of listeners that hear their first event then: `run` looks for the task, and for the coroutine."""
    stream = stream_of(*text_reads("a"), drain_timeout=1000.0)
    log: list[str] = []

    async def ended(_: object) -> None:
        log.append("began")
        await asyncio.Event().wait()

    stream.on("text", never)
    for event in ("abort", "end"):
        untyped(stream).on(event, ended if kind == "a coroutine function" else lambda payload: ended(payload))
    waiting = asyncio.ensure_future(stream)
    await turns(10)
    waiting.cancel()
    await turns(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@driven
async def test_many_cancellations_are_survived():
    for pauses in ((0, 0, 0), (1, 0, 2), (0, 1, 0), (3, 1, 1), (2, 2, 2), (10, 1, 0)):
        stream = stream_of(*text_reads("a"), drain_timeout=1000.0)
        events = heard(stream)
        stream.on("text", never)
        waiting = asyncio.ensure_future(stream)
        await turns(1)
        for pause in pauses:
            await turns(pause)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await turns(3)
        assert is_grammatical(events), (pauses, events)
        assert not stream.running


@driven
async def test_cancelling_another_waiter_cancels_only_that_wait():
    gate = asyncio.Event()
    stream = stream_of(*text_reads("a"), gate, FINISH, END)
    first = asyncio.ensure_future(stream)
    await turns(10)
    second = asyncio.ensure_future(stream)
    await turns(2)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.set()
    assert (await first).text == "a"


@driven
async def test_a_timeout_around_the_await_is_a_cancellation():
    stream = stream_of(*text_reads("a"))
    events = heard(stream)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await stream
    assert is_grammatical(events)
    assert stream.completion.ended_by == "cancel"


@driven
async def test_a_cancellation_interrupts_a_pump_that_waits_for_a_mailbox():
    stream = stream_of(*text_reads(*["x"] * 2000), drain_timeout=3.0)
    events = heard(stream)
    stream.on("text", never)
    waiting = asyncio.ensure_future(stream)
    await turns(6000)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert is_grammatical(events)


def test_a_loop_that_shuts_down_takes_the_stream_with_it():
    events: list[str] = []

    async def main() -> None:
        stream = stream_of(*text_reads("a"))
        stream.on("*", lambda event: events.append(event.name))
        stream.on("text", never)
        stream.start()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]


# --- a listener and its own stream ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["await", "async for", "wait_for", "async with", "finished"])
@pytest.mark.parametrize("event", ["text", "done", "end"])
@driven
async def test_waiting_for_its_own_stream_inside_a_listener_is_refused_at_once(how, event):
    stream = stream_of(*text_reads("a"), 3, FINISH, END)
    loop = asyncio.get_running_loop()
    began = loop.time()
    errors: list[BaseException] = []

    async def listener(_: object) -> None:
        try:
            match how:
                case "await":
                    await stream
                case "async for":
                    async for _ in stream:
                        pass
                case "wait_for":
                    await stream.wait_for("end")
                case "async with":
                    async with stream:
                        pass
                case "finished":
                    await stream.finished()
        except RuntimeError as error:
            errors.append(error)

    stream.on(event, listener)
    try:
        await stream
    except StreamAborted:
        assert how == "async with"
    assert len(errors) == 1
    assert "own stream" in str(errors[0])
    assert loop.time() == began


@driven
async def test_awaiting_it_by_way_of_a_task_costs_the_drain_timeout_and_hangs_nobody(caplog):
    stream = stream_of(feed_of("a"), END, drain_timeout=3.0)

    @stream.on("text")
    async def listener(_: object) -> None:
        await asyncio.ensure_future(stream)

    assert (await stream).text == "a"
    assert len(caplog.records) == 1


@driven
async def test_a_listener_may_await_another_stream():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    @stream.on("text")
    async def nested(text: str) -> None:
        log.append((await stream_of(feed_of(text, "!"), END)).text)

    await stream
    assert log == ["a!", "b!"]


@driven
async def test_a_listener_may_wait_for_what_comes_next():
    stream = stream_of(*spaced(text_reads("a", "b"), 3), FINISH, END)
    log: list[str] = []

    @stream.once("text")
    async def listener(text: str) -> None:
        log.append(text + await stream.wait_for("text"))

    await stream
    assert log == ["ab"]


# --- observers do not handle ----------------------------------------------------------------------------------------


@driven
async def test_await_raises_the_error_whoever_listens():
    stream = stream_of(*text_reads("a"), ConnectionLost("cut"))
    log: list[object] = []
    stream.on("error", log.append)
    with pytest.raises(ConnectionLost) as caught:
        await stream
    assert log == [caught.value]
    with pytest.raises(ConnectionLost):
        await stream


async def run_and_forget(stream: CompletionStream) -> None:
    stream.start()
    while stream.running:
        await asyncio.sleep(0.01)
    await turns(2)


@driven
async def test_a_failure_that_nobody_hears_of_is_logged_once(caplog):
    stream = stream_of(*text_reads("secret"), ConnectionLost("cut"))
    stream.on("text", lambda _: None)
    await run_and_forget(stream)
    assert not caplog.records
    del stream
    gc.collect()
    (record,) = caplog.records
    assert record.name == "streamkit.stream"
    assert record.levelname == "ERROR"
    assert "ConnectionLost: cut" in record.getMessage()
    assert "secret" not in caplog.text


async def awaits(stream: CompletionStream) -> None:
    with pytest.raises(StreamError):
        await stream


async def iterates(stream: CompletionStream) -> None:
    with pytest.raises(StreamError):
        async for _ in stream:
            pass


async def waits_for(stream: CompletionStream) -> None:
    await stream.wait_for("error")


async def awaits_later(stream: CompletionStream) -> None:
    await run_and_forget(stream)
    await awaits(stream)


async def is_told_late(stream: CompletionStream) -> None:
    await run_and_forget(stream)
    stream.on("error", lambda _: None, replay=True)
    await turns(2)


async def listens(stream: CompletionStream) -> None:
    stream.on("error", lambda _: None)
    await run_and_forget(stream)


async def listens_to_the_end(stream: CompletionStream) -> None:
    stream.on("end", lambda _: None)
    await run_and_forget(stream)


async def listens_to_all(stream: CompletionStream) -> None:
    heard(stream)
    await run_and_forget(stream)


async def listens_on_the_emitter(stream: CompletionStream) -> None:
    stream.emitter.on("error", lambda _: None)
    await run_and_forget(stream)


async def leaves(stream: CompletionStream) -> None:
    async with stream:
        stream.start()


@pytest.mark.parametrize(
    "notice",
    [
        awaits,
        iterates,
        waits_for,
        awaits_later,
        is_told_late,
        listens,
        listens_to_the_end,
        listens_to_all,
        listens_on_the_emitter,
        leaves,
    ],
)
@driven
async def test_a_failure_that_somebody_hears_of_is_not_logged(notice, caplog):
    await notice(stream_of(*text_reads("a"), ConnectionLost("cut")))
    gc.collect()
    assert not caplog.records


@driven
async def test_an_abort_that_nobody_awaits_is_no_failure(caplog):
    async def run_and_abort() -> None:
        stream = stream_of(*text_reads("a"))
        stream.on("text", lambda _: stream.abort())
        await run_and_forget(stream)

    await run_and_abort()
    gc.collect()
    assert not caplog.records


def test_an_unstarted_stream_with_listeners_warns():
    stream = stream_of(END)
    stream.on("text", print)
    with pytest.warns(RuntimeWarning, match=r"await.*start\(\)") as caught:
        del stream
        gc.collect()
    assert len(caught) == 1


def without_listeners() -> None:
    stream_of(END)


def listeners_removed() -> None:
    stream = stream_of(END)
    stream.on("text", print)
    stream.off("text", print)


def aborted() -> None:
    stream = stream_of(END)
    stream.on("text", print)
    stream.abort()


def left() -> None:
    stream = stream_of(END)
    stream.on("text", print)

    async def main() -> None:
        async with stream:
            pass

    asyncio.run(main())


def ran() -> None:
    stream = stream_of(feed_of("a"), END)
    stream.on("text", lambda _: None)

    async def main() -> None:
        await stream

    asyncio.run(main())


def badly_made() -> None:
    emitter: Any = "none"
    with pytest.raises(TypeError):
        CompletionStream(ScriptedSource(), emitter=emitter)


@pytest.mark.parametrize("use", [without_listeners, listeners_removed, aborted, left, ran, badly_made])
def test_no_other_stream_warns(use, caplog):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        use()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert not caplog.records


# --- threads --------------------------------------------------------------------------------------------------------


async def test_on_off_and_completion_from_other_threads_while_it_runs():
    """The state that a sync listener sees holds its event, whoever looks at the same time from elsewhere."""
    count = 3000
    stream = stream_of(*spaced(text_reads(*["x"] * (count // 2)), 1), *text_reads(*["x"] * (count // 2)), FINISH, END)
    loop_thread = threading.get_ident()
    wrong: list[object] = []
    over = threading.Event()
    text = 0

    def check(_: str) -> None:
        nonlocal text
        text += 1
        if len(stream.completion.text) != text:
            wrong.append((len(stream.completion.text), text))

    def meddle() -> None:
        try:
            while not over.is_set():
                last = 0

                def listener(_: object) -> None:
                    if threading.get_ident() != loop_thread:
                        wrong.append("a listener was called on another thread")

                stream.on("text", listener)
                stream.on("chunk", listener)
                stream.on("text", listener, replay=True)
                length = len(stream.completion.text)
                if length < last:
                    wrong.append("the text shrank")
                last = length
                _ = stream.listener_count("text"), stream.event_names(), repr(stream)
                for event in ("text", "chunk", "text"):
                    stream.off(event, listener)
        except BaseException as error:
            wrong.append(error)

    stream.on("text", check)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=meddle) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        completion = await stream
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert wrong == []
    assert completion.text == "x" * count == "x" * text


async def test_aborts_from_threads_at_any_moment_end_every_stream():
    for number in range(50):
        stream = stream_of(*spaced(text_reads(*"abcdefghij"), 2), FINISH, END)
        events = heard(stream)

        def abort_soon(stream: CompletionStream = stream, pause: float = number / 200_000) -> None:
            time.sleep(pause)
            stream.abort()

        thread = threading.Thread(target=abort_soon)
        thread.start()
        try:
            await stream
        except StreamAborted:
            pass
        thread.join()
        await asyncio.sleep(0)
        assert is_grammatical(events), events
