from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from streamkit import CompletionStream, ConnectionLost, RetryPolicy, StreamAborted, StreamError
from streamkit.settings import Settings
from streamkit.subscriptions import EVENTS
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from .scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, spaced, text_reads, untyped

FINISH = sse(chunk(finish_reason="stop"))


def stream_of(*items: Item, **settings: Any) -> CompletionStream:
    return CompletionStream(ScriptedSource(items), settings=Settings(retry=RetryPolicy(retries=0), **settings))


# --- async for ------------------------------------------------------------------------------------------------------


@driven
async def test_async_for_starts_the_stream_and_yields_every_chunk():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []
    stream.on("text", log.append)
    assert [chunk.text async for chunk in stream] == ["", "a", "b", ""]
    assert log == ["a", "b"]
    assert not stream.running  # the loop ends after `end`
    assert stream.completion.ended_by == "done"


@driven
async def test_async_for_raises_what_the_stream_ended_with_after_the_last_chunk():
    cut = ConnectionLost("cut")
    stream = stream_of(*text_reads("a", "b"), cut)
    log: list[str] = []
    with pytest.raises(ConnectionLost) as caught:
        async for chunk in stream:
            log.append(chunk.text)
    assert caught.value is cut
    assert log == ["a", "b"]
    assert not stream.running


@driven
async def test_async_for_raises_the_abort():
    stream = stream_of(*text_reads("a"))
    stream.on("text", lambda _: stream.abort("enough"))
    log: list[str] = []
    with pytest.raises(StreamAborted, match="enough"):
        async for chunk in stream:
            log.append(chunk.text)
    assert log == ["a"]


@driven
async def test_a_second_async_for_is_refused_and_events_named():
    stream = stream_of(feed_of("a"), END)
    async for _ in stream:
        with pytest.raises(RuntimeError, match="events"):
            stream.__aiter__()
    with pytest.raises(RuntimeError, match="events"):
        async for _ in stream:
            pass
    assert [each async for each in stream.events("chunk")] == []


@driven
async def test_leaving_async_for_early_aborts_at_the_next_turn():
    source = ScriptedSource(text_reads("a", "b"))
    stream = CompletionStream(source)
    events = heard(stream)
    async for first in stream:
        assert first.text == "a"
        break
    assert source.closed == []
    await turns(4)
    assert source.closed == [False]
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]
    assert not stream.running


@driven
async def test_an_exception_in_the_body_aborts_too():
    stream = stream_of(*text_reads("a", "b"))
    events = heard(stream)
    with pytest.raises(ZeroDivisionError):
        async for _ in stream:
            raise ZeroDivisionError
    await turns(4)
    assert events[-2:] == ["abort", "end"]


@driven
async def test_a_cancellation_in_the_body_aborts_and_is_heard():
    stream = stream_of(*text_reads("a", "b"))
    events = heard(stream)

    async def consume() -> None:
        async for _ in stream:
            await asyncio.Event().wait()

    consuming = asyncio.create_task(consume())
    await turns(10)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    await turns(5)
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]


@driven
async def test_a_cancellation_in_the_wait_ends_the_stream_before_it_is_raised():
    source = ScriptedSource(text_reads("a"))
    stream = CompletionStream(source)
    events = heard(stream)
    log: list[str] = []

    @stream.on("text")
    async def slow(text: str) -> None:
        await asyncio.sleep(1)
        log.append(f"{text}, closed: {source.closed}")

    async def consume() -> None:
        async for _ in stream:
            pass

    consuming = asyncio.create_task(consume())
    await turns(10)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert not stream.running
    assert log == ["a, closed: [False]"]
    assert is_grammatical(events)
    assert stream.completion.ended_by == "cancel"


@driven
async def test_the_pump_waits_for_an_iterator_that_is_behind():
    texts = [str(number) for number in range(3000)]
    source = ScriptedSource([*text_reads(*texts), ConnectionLost("cut")])
    stream = CompletionStream(source)
    published: list[str] = []
    stream.on("text", published.append)
    log: list[str] = []
    with pytest.raises(ConnectionLost):
        async for chunk in stream:
            if not log:
                await turns(9000)
                assert len(published) == 1025
                assert bytes(source.taken) == b"".join(text_reads(*texts))
            log.append(chunk.text)
    assert log == texts == published


@driven
async def test_a_stream_may_be_started_before_it_is_iterated():
    stream = stream_of(feed_of("a"), END).start()
    assert [chunk.text async for chunk in stream] == ["", "a", ""]


# --- events ---------------------------------------------------------------------------------------------------------


@driven
async def test_events_yields_the_payloads_of_one_event_from_now_on():
    gate = asyncio.Event()
    stream = stream_of(*text_reads("a"), gate, *text_reads("b", "c"), FINISH, END)
    iterator = stream.events("text")
    assert await anext(iterator) == "a"
    late = stream.events("text")
    gate.set()
    assert [text async for text in iterator] == ["b", "c"]
    assert [text async for text in late] == ["b", "c"]


@driven
async def test_many_iterators_each_get_everything():
    stream = stream_of(*text_reads(*"abcdef"), FINISH, END)

    async def collect(delay: int) -> str:
        log = ""
        async for text in stream.events("text", maxsize=2):
            await turns(delay)
            log += text
        return log

    assert await asyncio.gather(*[collect(delay) for delay in range(5)]) == ["abcdef"] * 5


@pytest.mark.parametrize(
    "event", [name for name in EVENTS if name not in {"error", "abort", "retry", "stall", "tool_delta", "tool_call"}]
)
@driven
async def test_every_event_can_be_iterated(event):
    feed = sse(
        chunk("a", reasoning_content="r", refusal="n"),
        b": beat\n\n",
        "{",
        chunk(finish_reason="stop", usage={"total_tokens": 1}),
    )
    stream = stream_of(feed, END)

    def bad(_: object) -> None:
        raise ValueError

    stream.once("text", bad)
    payloads = [payload async for payload in untyped(stream).events(event)]
    assert payloads


@pytest.mark.parametrize("event", ["error", "abort"])
@driven
async def test_a_bad_ending_that_is_iterated_is_yielded_not_raised(event):
    stream = stream_of(*text_reads("a"), *([StreamError("cut")] if event == "error" else []))
    if event == "abort":
        stream.on("text", lambda _: stream.abort("cut"))
    payloads = [str(payload) async for payload in untyped(stream).events(event)]
    assert payloads in (["cut"], ["aborted: cut"])


@driven
async def test_leaving_events_unsubscribes_and_the_stream_goes_on():
    stream = stream_of(*text_reads(*["x"] * 3000), FINISH, END)
    async for _ in stream.events("text", maxsize=1):
        break
    await turns(2)
    assert (await stream).text == "x" * 3000


@driven
async def test_an_iterator_that_is_closed_is_at_its_end():
    stream = stream_of(*text_reads(*["x"] * 3000), FINISH, END)
    iterator = stream.events("text", maxsize=1)
    assert await anext(iterator) == "x"
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    await iterator.aclose()
    assert (await stream).text == "x" * 3000


@driven
async def test_an_iterator_that_is_forgotten_keeps_nobody_waiting():
    stream = stream_of(*text_reads(*["x"] * 3000), FINISH, END)
    stream.events("text", maxsize=1)
    gc.collect()
    assert (await stream).text == "x" * 3000


async def test_an_iterator_collected_in_another_thread_touches_nothing_there():
    stream = stream_of(*text_reads(*["x"] * 3000), FINISH, END)
    box = [stream.events("text", maxsize=1)]
    await turns(30)
    worker = threading.Thread(target=box.clear)
    worker.start()
    await asyncio.to_thread(worker.join)
    assert (await stream).text == "x" * 3000


@pytest.mark.parametrize("maxsize", [0, -1, 1.5, None, True])
def test_events_refuses_a_size_that_makes_no_sense(maxsize):
    with pytest.raises(ValueError, match="maxsize"):
        stream_of(END).events("text", maxsize=maxsize)


@driven
async def test_cancelling_a_loop_over_events_that_did_not_start_the_stream_leaves_it_running():
    gate = asyncio.Event()
    stream = stream_of(*text_reads("a"), gate, *text_reads("b"), FINISH, END).start()

    async def consume() -> None:
        async for _ in stream.events("text"):
            pass

    consuming = asyncio.create_task(consume())
    await turns(10)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    gate.set()
    assert (await stream).text == "ab"


@driven
async def test_a_listener_may_hand_an_iterator_to_a_task():
    stream = stream_of(*spaced(text_reads("a", "b", "c"), 3), FINISH, END)
    tasks: list[asyncio.Task[list[str]]] = []

    async def collect(iterator: Any) -> list[str]:
        return [text async for text in iterator]

    stream.once("text", lambda _: tasks.append(asyncio.create_task(collect(stream.events("text")))))
    await stream
    assert await tasks[0] == ["b", "c"]


@pytest.mark.parametrize("how", ["events", "async for", "wait_for"])
def test_a_wrong_use_leaves_nothing_behind_that_the_pump_would_wait_for(how):
    """Called where no loop runs, it raises; it must not have subscribed a queue that nobody empties."""
    stream = stream_of(*text_reads(*["x"] * 3000), FINISH, END)
    with pytest.raises(RuntimeError, match="loop"):
        match how:
            case "events":
                stream.events("text")
            case "async for":
                stream.__aiter__()
            case "wait_for":
                stream.wait_for("done").send(None)

    @driven
    async def main() -> None:
        assert (await asyncio.wait_for(stream, 1000)).text == "x" * 3000

    main()


async def test_iterating_on_another_loop_is_refused_and_leaves_nothing_behind():
    gate = asyncio.Event()
    stream = stream_of(gate, *text_reads(*["x"] * 3000), FINISH, END).start()
    await turns(3)
    errors: list[str] = []

    def elsewhere() -> None:
        async def wrong() -> None:
            for use in (lambda: anext(stream.events("text")), lambda: stream, lambda: stream.wait_for("text")):
                try:
                    await use()
                except RuntimeError as error:
                    errors.append(str(error))

        asyncio.run(wrong())

    await asyncio.to_thread(elsewhere)
    gate.set()
    assert (await asyncio.wait_for(stream, 10)).text == "x" * 3000
    assert len(errors) == 3
    assert all("another event loop" in error for error in errors)


# --- wait_for -------------------------------------------------------------------------------------------------------


@driven
async def test_wait_for_starts_the_stream_and_returns_the_next_payload():
    # Some turns between the two, as on a network: what is published while nobody waits is missed, as with Node's `once`.
    stream = stream_of(*text_reads("a"), 5, *text_reads("b"), 5, FINISH, END)
    assert await stream.wait_for("text") == "a"
    assert await stream.wait_for("text") == "b"
    completion = await stream.wait_for("done")
    assert completion.text == "ab"
    assert await stream.wait_for("end") is completion


@driven
async def test_what_stays_true_is_returned_at_once():
    stream = stream_of(feed_of("a"), END)
    completion = await stream
    assert await stream.wait_for("done") is completion
    assert await stream.wait_for("end") is completion
    assert await stream.wait_for("text_done") == "a"
    assert (await stream.wait_for("start")).model == "scripted"
    assert (await stream.wait_for("connect")).status == 200


@pytest.mark.parametrize("event", ["reasoning", "tool_call", "retry", "error", "abort", "usage"])
@driven
async def test_wait_for_an_event_that_never_comes_is_a_lookup_error(event):
    stream = stream_of(feed_of("a"), END)
    with pytest.raises(LookupError, match=event):
        await stream.wait_for(event)
    with pytest.raises(LookupError, match=event):
        await stream.wait_for(event)  # over already


@pytest.mark.parametrize("event", ["tool_call", "done", "text_done"])
@driven
async def test_wait_for_raises_the_error_and_the_abort(event):
    cut = ConnectionLost("cut")
    stream = stream_of(*text_reads("a"), cut)
    with pytest.raises(ConnectionLost) as caught:
        await stream.wait_for(event)
    assert caught.value is cut
    assert await stream.wait_for("error") is cut
    stream = stream_of(*text_reads("a"))
    stream.on("text", lambda _: stream.abort())
    with pytest.raises(StreamAborted):
        await stream.wait_for(event)


@driven
async def test_wait_for_listener_error_hears_of_it(caplog):
    stream = stream_of(*text_reads("a", "b"), FINISH, END)

    @stream.on("text")
    def bad(_: str) -> None:
        raise ValueError

    failure = await stream.wait_for("listener_error")
    assert failure.listener is bad
    await stream


@driven
async def test_cancelling_the_wait_that_started_the_stream_ends_it():
    stream = stream_of(*text_reads("a"))
    events = heard(stream)
    waiting = asyncio.create_task(stream.wait_for("done"))
    await turns(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert is_grammatical(events)
    assert stream.completion.ended_by == "cancel"


@driven
async def test_cancelling_another_wait_cancels_only_that():
    gate = asyncio.Event()
    stream = stream_of(*text_reads("a"), gate, FINISH, END).start()
    waiting = asyncio.create_task(stream.wait_for("done"))
    await turns(10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert (await stream).text == "a"
