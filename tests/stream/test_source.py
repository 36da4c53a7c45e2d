from __future__ import annotations

import asyncio

import pytest
from pyee import EventEmitter

from streamkit import (
    CompletionStream,
    ConnectionFailed,
    ConnectionLost,
    RetryPolicy,
    RoundsSource,
    Source,
    StreamAborted,
    StreamDriver,
    StreamError,
    StreamTimeout,
    StreamWarning,
    Timeout,
)
from streamkit.driver.http import HTTPSource
from streamkit.settings import Settings
from streamkit.subscriptions import EVENTS
from streamkit.testing import Reset, Send, chunk, completion_server, sse

from ..clock import driven, turns
from .scripted import END, ScriptedSource, feed_of, heard, text_reads, untyped

# What a source may rely on, whoever writes one: `tools` does, and so may a user.


def test_both_sources_are_sources():
    source: Source = ScriptedSource()
    assert source.request
    http: type[Source] = HTTPSource
    assert http


@pytest.mark.parametrize(
    ("attempts", "closed"),
    [
        ([[feed_of("a"), END]], [True]),
        ([[feed_of("a", done=False), END]], [True]),
        ([[feed_of("a")]], [True]),  # after [DONE] the end need not be waited for
        ([[*text_reads("a"), END]], [False]),
        ([[*text_reads("a"), ConnectionLost("cut")]], [False]),
        (
            [ConnectionFailed("refused", retryable=True), [ConnectionLost("cut", retryable=True)], [feed_of("a"), END]],
            [False, False, True],
        ),
        ([ConnectionFailed("refused")], [False]),
    ],
)
@driven
async def test_it_is_closed_once_an_attempt_and_told_whether_the_feed_was_whole(attempts, closed):
    source = ScriptedSource(*attempts)
    stream = CompletionStream(source)
    try:
        await stream
    except StreamError:
        pass
    assert source.closed == closed
    assert source.connects == len(closed)


@driven
async def test_it_is_never_read_twice_at_once_and_not_after_it_was_closed():
    class Strict(ScriptedSource):
        async def read(self) -> bytes:
            assert not self.closed
            return await super().read()

        def read_nowait(self) -> bytes:
            assert not self.closed
            assert not self.reading
            return super().read_nowait()

    source = Strict([*text_reads(*["x"] * 1500), feed_of("y"), END])
    stream = CompletionStream(source)
    log: list[str] = []

    @stream.on("text")
    async def slow(text: str) -> None:
        await turns(2)
        log.append(text)

    assert (await stream).text == "x" * 1500 + "y"
    assert len(log) == 1501
    assert source.most_reading == 1


@driven
async def test_an_abort_cancels_its_read_and_then_closes_it():
    source = ScriptedSource(text_reads("a"))
    stream = CompletionStream(source)
    stream.on("text", lambda _: asyncio.get_running_loop().call_later(1, stream.abort))
    with pytest.raises(StreamAborted):
        await stream
    assert source.reading == 0
    assert source.closed == [False]


@driven
async def test_what_it_mended_to_connect_is_a_warning():
    class Mending(ScriptedSource):
        async def connect(self):
            connected, _ = await super().connect()
            return connected, [StreamWarning("stream_options_refused", "no usage")]

    stream = CompletionStream(Mending([feed_of("a"), END]))
    events = heard(stream)
    completion = await stream
    assert events[:3] == ["start", "warning", "connect"]
    assert completion.quirks == {"stream_options_refused": 1}


@driven
async def test_what_it_calls_secret_is_in_no_error_and_no_warning():
    page = b"<html>your key sk-secret is wrong</html>"
    error_object = sse({"error": {"message": "bad key sk-secret"}})
    malformed = b"data: {sk-secret\n\n"
    for items in ([page, END], [*text_reads("a"), error_object, END], [*text_reads("a"), malformed, END]):
        stream = CompletionStream(ScriptedSource(items), settings=Settings(retry=RetryPolicy(retries=0)))
        warnings: list[StreamWarning] = []
        stream.on("warning", warnings.append)
        with pytest.raises(StreamError) as caught:
            await stream
        said = f"{caught.value} {caught.value!r} {warnings!r} {stream!r}"
        assert "sk-secret" not in said


# The same over HTTP, to a real server.


async def test_all_that_came_before_a_reset_is_published():
    feed = b"".join(text_reads(*"abcdef"))
    async with completion_server([Send(feed), Reset()]) as server, StreamDriver(server.base_url, retries=0) as driver:
        stream = driver.stream("hi", model="m")
        log: list[str] = []
        stream.on("text", log.append)
        with pytest.raises(ConnectionLost) as caught:
            await stream
    assert log == list("abcdef")
    assert caught.value.completion.text == "abcdef"


async def test_a_slow_listener_loses_nothing_of_what_came_before_a_reset():
    """aiohttp throws away what it holds unread when a connection is reset: nothing may lie there."""
    texts = [f"{number} " for number in range(1500)]
    script: list[Send | Reset] = [*map(Send, text_reads(*texts)), Reset()]
    async with completion_server(script) as server, StreamDriver(server.base_url, retries=0) as driver:
        stream = driver.stream("hi", model="m")
        log: list[str] = []

        @stream.on("text")
        async def slow(text: str) -> None:
            await asyncio.sleep(0)
            log.append(text)

        with pytest.raises(ConnectionLost):
            await stream
    assert log == texts


def test_a_chunk_helper_says_what_the_feed_says():
    """The scripts of these tests stand on it."""
    assert sse(chunk("a"), done=False) == text_reads("a")[0]


# --- a source of rounds -------------------------------------------------------------------------------------------------


class ScriptedRounds(ScriptedSource):
    """A source of as many rounds as it has attempts; `between` is what it does after each."""

    def __init__(self, *attempts, between=None) -> None:
        super().__init__(*attempts)
        self.left = len(attempts)
        self.between = between
        self.said: list[str] = []
        self.begun = 0

    def begin(self, publish) -> None:
        self.begun += 1
        publish("round", self.begun)

    async def more(self, completion, publish) -> bool:
        assert self.closed == [True] * self.begun
        self.said.append(completion.text)
        self.left -= 1
        if self.between is not None:
            await self.between()
        return self.left > 0

    def whole(self, completion):
        return completion


def rounds_stream(source: ScriptedSource, **settings) -> CompletionStream:
    return CompletionStream(source, settings=Settings(**settings), events=[*EVENTS, "round"])


@driven
async def test_rounds_are_one_stream_with_one_ending():
    source: RoundsSource = ScriptedRounds()
    source = ScriptedRounds([feed_of("a"), END], [feed_of("b", "c"), END])
    stream = rounds_stream(source)
    events = heard(stream)
    assert (await stream).text == "bc"
    one = ["round", "connect", "chunk"]
    assert events == [
        "start",
        *one,
        "chunk",
        "text",
        "chunk",
        "text_done",
        *one,
        *["chunk", "text"] * 2,
        "chunk",
        "text_done",
        "done",
        "end",
    ]
    assert source.said == ["a", "bc"]
    assert source.connects == 2


@driven
async def test_a_round_is_retried_by_itself_as_long_as_it_has_said_nothing():
    lost = ConnectionLost("cut", retryable=True)
    source = ScriptedRounds([feed_of("a"), END], [lost], [feed_of("b"), END])
    source.left = 2
    stream = rounds_stream(source, retry=RetryPolicy(retries=1))
    retries = []
    stream.on("retry", lambda retry: retries.append((retry.attempt, stream.completion.text)))
    source.closed.clear()

    async def more(completion, publish) -> bool:
        source.said.append(completion.text)
        return len(source.said) < 2

    source.more = more  # type: ignore[method-assign]  # the closing is counted otherwise here
    assert (await stream).text == "b"
    assert retries == [(1, "")]
    assert source.said == ["a", "b"]


@driven
async def test_what_is_done_between_two_rounds_is_limited_by_total_alone():
    async def long() -> None:
        await asyncio.sleep(1000)

    source = ScriptedRounds([feed_of("a"), END], [feed_of("b"), END], between=long)
    stream = rounds_stream(source, timeout=Timeout(first=1, idle=1, after_finish=1))
    events = heard(stream)
    assert (await stream).text == "b"
    assert "stall" not in events

    source = ScriptedRounds([feed_of("a"), END], [feed_of("b"), END], between=long)
    with pytest.raises(StreamTimeout) as caught:
        await rounds_stream(source, timeout=Timeout(total=10))
    assert caught.value.phase == "total"
    assert source.connects == 1


@driven
async def test_what_is_done_between_two_rounds_may_end_the_stream_or_be_aborted():
    async def refuse() -> None:
        raise StreamError("enough")

    stream = rounds_stream(ScriptedRounds([feed_of("a"), END], [feed_of("b"), END], between=refuse))
    events = heard(stream)
    with pytest.raises(StreamError, match="enough") as caught:
        await stream
    assert caught.value.completion.text == "a"
    assert not caught.value.completion.complete
    assert events[-3:] == ["text_done", "error", "end"]

    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    stream = rounds_stream(ScriptedRounds([feed_of("a"), END], [feed_of("b"), END], between=wait))
    stream.on("text_done", lambda _: asyncio.get_running_loop().call_later(1, stream.abort))
    with pytest.raises(StreamAborted):
        await stream
    assert cancelled == [True]


@driven
async def test_an_event_published_from_inside_a_plain_listener_of_the_emitter_keeps_nobody_from_the_other():
    emitter = EventEmitter()
    stream = CompletionStream(ScriptedSource([feed_of("a"), END]), emitter=emitter, events=[*EVENTS, "added"])
    log: list[object] = []
    emitter.on("text", lambda text: stream.publish("added", text.upper()))  # before the stream's own relay
    stream.on("text", log.append)
    untyped(stream).on("added", log.append)
    await stream
    assert log == ["A", "a"]
