from __future__ import annotations

import asyncio

import pytest

from streamkit import (
    CompletionStream,
    ConnectionFailed,
    ConnectionLost,
    RetryPolicy,
    Source,
    StreamAborted,
    StreamDriver,
    StreamError,
    StreamWarning,
)
from streamkit.driver.http import HTTPSource
from streamkit.settings import Settings
from streamkit.testing import Reset, Send, chunk, completion_server, sse

from ..clock import driven, turns
from .scripted import END, ScriptedSource, feed_of, heard, text_reads

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
