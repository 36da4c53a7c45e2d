from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from streamkit import (
    CompletionStream,
    Connected,
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    Retry,
    RetryPolicy,
    ServerError,
    StatusError,
    StreamAborted,
    StreamError,
    StreamTimeout,
    Timeout,
    TruncatedStream,
)
from streamkit.settings import Settings
from streamkit.subscriptions import EVENTS
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from .scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, text_reads, untyped

ROLE = sse(chunk("", role="assistant"), done=False)
FINISH = sse(chunk(finish_reason="stop"))
CUT = ConnectionLost("cut", retryable=True)
NO_RETRY = Settings(retry=RetryPolicy(retries=0))


def stream_of(*attempts: list[Item] | StreamError, settings: Settings | None = None) -> CompletionStream:
    return CompletionStream(ScriptedSource(*attempts), settings=settings)


async def outcome(stream: CompletionStream) -> Any:
    try:
        return await stream
    except (StreamError, StreamAborted) as ending:
        return ending


# --- one ending, whatever happens -----------------------------------------------------------------------------------


async def aborted_by(when: str) -> CompletionStream:
    stream = stream_of([ROLE, *text_reads("a", "b"), FINISH, END])
    untyped(stream).on(when, lambda _: stream.abort("enough"))
    return stream


async def plain(*attempts: list[Item] | StreamError, settings: Settings | None = None) -> CompletionStream:
    return stream_of(*attempts, settings=settings)


TOOL = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}])

ENDINGS: dict[str, tuple[Callable[[], Coroutine[Any, Any, CompletionStream]], str, str, type | None]] = {
    "done": (lambda: plain([feed_of("a", "b"), END]), "done", "done", None),
    "eof": (lambda: plain([feed_of("a", done=False), END]), "done", "eof", None),
    "no last blank line": (lambda: plain([feed_of("a", done=False)[:-1], END]), "done", "eof", None),
    "everything at once": (
        lambda: plain(
            [sse(chunk("t", reasoning_content="r", refusal="no"), TOOL, chunk(usage={"total_tokens": 1})), END]
        ),
        "done",
        "done",
        None,
    ),
    "a whole body": (
        lambda: plain([b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}', END]),
        "done",
        "eof",
        None,
    ),
    "cut after the finish": (lambda: plain([feed_of("a", done=False), CUT]), "done", "eof", None),
    "silence after the finish": (lambda: plain([feed_of("a", done=False)]), "done", "eof", None),
    "truncation accepted": (
        lambda: plain([*text_reads("a"), END], settings=Settings(on_truncation="accept")),
        "done",
        "eof",
        None,
    ),
    "truncation": (lambda: plain([*text_reads("a"), END]), "error", "error", TruncatedStream),
    "a cut": (lambda: plain([*text_reads("a"), CUT]), "error", "error", ConnectionLost),
    "an error in the feed": (
        lambda: plain([*text_reads("a"), sse({"error": {"message": "overloaded"}}), END]),
        "error",
        "error",
        ServerError,
    ),
    "an error beside a chunk": (
        lambda: plain([sse({**chunk("a"), "error": {"message": "overloaded"}}), END]),
        "error",
        "error",
        ServerError,
    ),
    "an error for a finish": (
        lambda: plain([feed_of("a", finish="error"), END], settings=NO_RETRY),
        "error",
        "error",
        ServerError,
    ),
    "a page": (lambda: plain([b"<html>", END], settings=NO_RETRY), "error", "error", ProtocolError),
    "nothing": (lambda: plain([END], settings=NO_RETRY), "error", "error", EmptyStream),
    "nothing, again and again": (lambda: plain([END], [END], [END]), "error", "error", EmptyStream),
    "no connection": (lambda: plain(ConnectionFailed("refused")), "error", "error", ConnectionFailed),
    "no connection, again and again": (
        lambda: plain(*[ConnectionFailed("refused", retryable=True)] * 3),
        "error",
        "error",
        ConnectionFailed,
    ),
    "a status": (lambda: plain(StatusError("no such model", status=404)), "error", "error", StatusError),
    "no first content": (lambda: plain([ROLE]), "error", "error", StreamTimeout),
    "idle": (lambda: plain([*text_reads("a")]), "error", "error", StreamTimeout),
    "too long": (
        lambda: plain([*text_reads("a"), 9.0, *text_reads("b"), 9.0], settings=Settings(timeout=Timeout(total=10.0))),
        "error",
        "error",
        StreamTimeout,
    ),
    "aborted at the start": (lambda: aborted_by("start"), "abort", "abort", StreamAborted),
    "aborted at the connect": (lambda: aborted_by("connect"), "abort", "abort", StreamAborted),
    "aborted by a chunk": (lambda: aborted_by("chunk"), "abort", "abort", StreamAborted),
    "aborted by a text": (lambda: aborted_by("text"), "abort", "abort", StreamAborted),
    "aborted by the usage": (lambda: aborted_by("text_done"), "done", "done", None),
    "aborted when it is done": (lambda: aborted_by("done"), "done", "done", None),
    "aborted at the end": (lambda: aborted_by("end"), "done", "done", None),
}


@pytest.mark.parametrize("case", ENDINGS)
@driven
async def test_every_stream_has_exactly_one_ending_and_a_grammar(case):
    make, ending, ended_by, error = ENDINGS[case]
    stream = await make()
    everything = heard(stream)
    one_by_one: list[str] = []
    slowly: list[str] = []
    payloads: dict[str, Any] = {}
    for name in EVENTS:
        if name != "*":

            def note(payload: object, name: str = name) -> None:
                one_by_one.append(name)
                payloads[name] = payload

            async def note_slowly(payload: object, name: str = name) -> None:
                await asyncio.sleep(0.001)
                slowly.append(name)

            untyped(stream).on(name, note)
            untyped(stream).on(name, note_slowly)
    result = await outcome(stream)
    await turns(5)

    assert is_grammatical(everything), everything
    assert [name for name in one_by_one if name != "read"] == everything
    assert sorted(slowly) == sorted(one_by_one)
    assert slowly[-2:] == [ending, "end"]
    assert sum(name in {"done", "error", "abort"} for name in everything) == 1
    assert everything[-2:] == [ending, "end"]
    assert stream.completion is payloads["end"]
    assert stream.completion.ended_by == ended_by
    if error is None:
        assert result is payloads["end"] is payloads["done"]
    else:
        assert type(result) is error
        assert result is payloads[ending]
        assert payloads[ending].completion is stream.completion
    assert not stream.running


@driven
async def test_a_cancelled_stream_ends_with_an_abort():
    stream = stream_of([ROLE, *text_reads("a")])
    events = heard(stream)
    waiting = asyncio.create_task(outcome(stream))
    await turns(10)
    assert events[-1] == "text"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]
    assert stream.completion.ended_by == "cancel"
    assert stream.completion.text == "a"


@driven
async def test_a_failure_of_streamkit_itself_is_an_error_and_logged(caplog):
    class Broken(ScriptedSource):
        async def read(self) -> bytes:
            raise ZeroDivisionError

    stream = CompletionStream(Broken([]))
    events = heard(stream)
    error = await outcome(stream)
    assert isinstance(error, StreamError)
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert "please report" in str(error)
    assert is_grammatical(events)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# --- attempts --------------------------------------------------------------------------------------------------------


@driven
async def test_an_attempt_that_published_nothing_is_made_again():
    source = ScriptedSource(
        ConnectionFailed("refused", retryable=True), [ROLE, CUT], [ROLE, *text_reads("a"), FINISH, END]
    )
    stream = CompletionStream(source)
    events = heard(stream)
    retries: list[Retry] = []
    connects: list[Connected] = []
    stream.on("retry", retries.append)
    stream.on("connect", connects.append)
    completion = await stream
    assert completion.text == "a"
    assert events == [
        "start", "retry", "connect", "retry", "connect", "chunk", "chunk", "text", "chunk", "text_done", "done", "end",
    ]  # fmt: skip
    assert [(retry.attempt, type(retry.error)) for retry in retries] == [(1, ConnectionFailed), (2, ConnectionLost)]
    assert [retry.error.completion.text for retry in retries] == ["", ""]
    assert [(connect.attempt, connect.request_id) for connect in connects] == [(2, "req_2"), (3, "req_3")]
    assert source.closed == [False, False, True]


@driven
async def test_an_attempt_that_published_a_chunk_is_not_made_again():
    source = ScriptedSource([ROLE, *text_reads("a"), CUT], [feed_of("b"), END])
    stream = CompletionStream(source)
    error = await outcome(stream)
    assert error is CUT
    assert source.connects == 1
    assert CUT.completion.text == "a"


@driven
async def test_chunks_without_content_are_held_back_until_there_is_content():
    events_at_gate: list[str] = []
    gate = asyncio.Event()
    filtered = sse({"choices": [], "prompt_filter_results": [{"index": 0}]}, done=False)
    stream = stream_of([filtered, ROLE, gate, *text_reads("a"), FINISH, END])
    events = heard(stream)
    chunks: list[Any] = []
    stream.on("chunk", chunks.append)
    stream.start()
    await turns(20)
    events_at_gate = list(events)
    gate.set()
    await stream
    assert events_at_gate == ["start", "connect"]
    assert [str(each) for each in chunks] == ["", "", "a", ""]
    assert "prompt_filter_results" in chunks[0].extra
    assert chunks[1].choices[0].delta.role == "assistant"
    assert is_grammatical(events)


@pytest.mark.parametrize(
    "ending",
    [
        [END],
        [sse(chunk(finish_reason="stop")), END],
        [sse(chunk(usage={"total_tokens": 3})), END],
        [sse({"error": {"message": "no"}}), END],
        [ConnectionLost("cut")],
        [],  # the limit for the first content
    ],
)
@driven
async def test_what_was_held_back_is_published_before_the_ending(ending):
    stream = stream_of([ROLE, *ending], settings=NO_RETRY)
    events = heard(stream)
    await outcome(stream)
    assert "chunk" in events
    assert is_grammatical(events)
    assert stream.completion.id == "chatcmpl-streamkit"


@driven
async def test_what_was_held_back_of_a_failed_attempt_is_forgotten():
    stream = stream_of([sse({**chunk("", role="assistant"), "id": "first"}, done=False), CUT], [feed_of("b"), END])
    chunks: list[Any] = []
    stream.on("chunk", chunks.append)
    completion = await stream
    assert completion.id == "chatcmpl-streamkit"
    assert len(chunks) == 3
    assert completion.quirks == {}


@driven
async def test_the_pause_before_a_retry_ends_with_an_abort():
    source = ScriptedSource(StatusError("busy", status=503, retryable=True))
    stream = CompletionStream(source, settings=Settings(retry=RetryPolicy(initial=50.0, maximum=50.0)))
    events = heard(stream)
    loop = asyncio.get_running_loop()
    began = loop.time()
    stream.on("retry", lambda _: loop.call_later(1.0, stream.abort))
    assert isinstance(await outcome(stream), StreamAborted)
    assert loop.time() - began == pytest.approx(1.0)
    assert events == ["start", "retry", "abort", "end"]
    assert source.connects == 1


@driven
async def test_a_parser_starts_anew_with_each_attempt():
    half = sse(chunk("lost"), done=False)[:20]
    stream = stream_of([half, CUT], [feed_of("kept"), END])
    events = heard(stream)
    assert (await stream).text == "kept"
    assert "warning" not in events


# --- state first -----------------------------------------------------------------------------------------------------


@driven
async def test_inside_a_sync_listener_the_completion_holds_this_event_and_nothing_later():
    # All in one read: whoever decoded the whole read first would be ahead.
    stream = stream_of([feed_of("a", "b", "c"), END])
    seen: list[tuple[str, str, str]] = []
    text = ""

    def on_text(piece: str) -> None:
        nonlocal text
        text += piece
        seen.append(("text", text, stream.completion.text))

    stream.on("chunk", lambda chunk: seen.append(("chunk", text + chunk.text, stream.completion.text)))
    stream.on("text", on_text)
    stream.on("done", lambda completion: seen.append(("done", completion.text, stream.completion.text)))
    await stream
    assert len(seen) == 9
    for name, expected, known in seen:
        assert known == expected, name
    assert stream.completion is stream.completion


@driven
async def test_a_snapshot_is_cached_until_the_next_event():
    stream = stream_of([feed_of("a", "b"), END])
    snapshots: list[object] = []
    stream.on("chunk", lambda _: snapshots.append(stream.completion))
    stream.on("text", lambda _: snapshots.append(stream.completion))
    await stream
    first, text_chunk, text, *_ = snapshots
    assert text_chunk is text
    assert first is not text


@driven
async def test_a_snapshot_taken_in_the_middle_of_a_chunk_is_not_kept():
    """Another thread may ask for the completion at any moment: here, between two steps of the accumulator."""
    stream = stream_of([feed_of("a", "b", "c"), END])
    seen: list[str] = []

    @stream.once("text")
    def ask_before_each_write(_: str) -> None:
        content: Any = stream._pump._intake.accumulator._choices[0].content
        write = content.write

        def asked(text: str) -> None:
            assert not stream.completion.text.endswith(text)
            write(text)

        content.write = asked

    stream.on("text", lambda _: seen.append(stream.completion.text))
    await stream
    assert seen == ["a", "ab", "abc"]


@driven
async def test_in_the_ending_the_completion_is_final():
    stream = stream_of([*text_reads("a"), CUT])
    known: list[Any] = []
    stream.on("error", lambda error: known.extend((error.completion, stream.completion)))
    stream.on("end", lambda completion: known.append(completion))
    await outcome(stream)
    assert len(known) == 3
    assert all(each is known[0] for each in known)
    assert known[0].ended_by == "error"


# --- the source ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "whole"),
    [
        ([feed_of("a"), END], True),
        ([feed_of("a", done=False), END], True),
        ([*text_reads("a"), CUT], False),
        ([END], False),
    ],
)
@driven
async def test_the_connection_is_closed_before_the_ending_is_told(items, whole):
    source = ScriptedSource(items)
    stream = CompletionStream(source, settings=NO_RETRY)
    closed: list[bool] = []
    stream.on("done", lambda _: closed.extend(source.closed))
    stream.on("error", lambda _: closed.extend(source.closed))
    await outcome(stream)
    assert closed == [whole] == source.closed


@driven
async def test_a_read_is_published_only_if_somebody_listens_and_not_on_star():
    stream = stream_of([*text_reads("a"), FINISH, END])
    events = heard(stream)
    reads: list[Any] = []
    stream.on("read", reads.append)
    await stream
    assert b"".join(read.data for read in reads) == b"".join(text_reads("a")) + FINISH
    assert "read" not in events


@driven
async def test_read_at_is_when_the_bytes_came():
    stream = stream_of([*text_reads("a"), 2.0, *text_reads("b"), 3.0, FINISH, END])
    start = asyncio.get_running_loop().time()
    at: list[float] = []
    stream.on("chunk", lambda _: at.append(stream.read_at - start))
    completion = await stream
    assert at == pytest.approx([0.0, 2.0, 5.0])
    assert completion.timings.last_chunk == pytest.approx(5.0)
    assert completion.timings.first_text == pytest.approx(0.0)
    assert completion.timings.end == pytest.approx(5.0)


@driven
async def test_the_pump_lets_others_run_while_there_is_work():
    """A feed that never makes the pump wait: the loop turns all the same, every 10 ms or so."""
    stream = stream_of([feed_of(*["x"] * 100), END])
    ticks = 0

    def work(_: str) -> None:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass

    async def tick() -> None:
        nonlocal ticks
        while not stream.completion.ended_by:
            ticks += 1
            await asyncio.sleep(0)

    stream.on("text", work)
    ticking = asyncio.create_task(tick())
    await stream
    await ticking
    assert ticks >= 9


# --- time ------------------------------------------------------------------------------------------------------------


@driven
async def test_a_slow_listener_causes_no_stall_and_no_timeout():
    limits = Timeout(first=1.0, idle=1.0)
    items: list[Item] = []
    for data in text_reads(*"abcdef" * 250):
        items += [data]
    stream = stream_of([*items, FINISH, END], settings=Settings(timeout=limits))
    events = heard(stream)
    heard_late: list[str] = []

    @stream.on("text")
    async def slow(text: str) -> None:
        await asyncio.sleep(0.9)
        heard_late.append(text)

    completion = await stream
    assert len(heard_late) == 1500
    assert completion.ended_by == "done"
    assert "stall" not in events


@driven
async def test_a_stall_is_told_at_half_the_limit_and_ends_the_stream_at_the_whole():
    stream = stream_of([*text_reads("a"), 7.0, *text_reads("b")], settings=Settings(timeout=Timeout(idle=10.0)))
    events = heard(stream)
    stalls: list[Any] = []
    stream.on("stall", stalls.append)
    began = asyncio.get_running_loop().time()
    error = await outcome(stream)
    assert isinstance(error, StreamTimeout)
    assert error.phase == "idle"
    assert error.completion.text == "ab"
    assert [(stall.seconds, stall.limit) for stall in stalls] == [(pytest.approx(5.0), 10.0)] * 2
    assert asyncio.get_running_loop().time() - began == pytest.approx(17.0)
    assert is_grammatical(events)


@driven
async def test_keep_alives_are_no_content():
    beats: list[Item] = [5.0, b": ping\n\n"] * 9
    stream = stream_of([*text_reads("a"), *beats], settings=Settings(timeout=Timeout(idle=12.0)))
    events = heard(stream)
    error = await outcome(stream)
    assert isinstance(error, StreamTimeout)
    assert events.count("heartbeat") == 2
    assert events.count("stall") == 1


@driven
async def test_the_total_limit_interrupts_a_pump_that_waits_for_a_listener():
    settings = Settings(timeout=Timeout(total=20.0), drain_timeout=30.0)
    stream = stream_of([feed_of(*["x"] * 1500), END], settings=settings)
    began = asyncio.get_running_loop().time()
    never = asyncio.Event()

    @stream.on("text")
    async def stuck(text: str) -> None:
        await never.wait()

    error = await outcome(stream)
    assert isinstance(error, StreamTimeout)
    assert error.phase == "total"
    assert asyncio.get_running_loop().time() - began == pytest.approx(50.0)
