from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from streamkit import CompletionStream, ConnectionLost, StatusError
from streamkit.web import LogGap, MemoryLog, Record, StreamEnd, StreamMeta
from streamkit.web.hub import Channel
from streamkit.web.publish import LOG_SECONDS, Publication

from ..clock import driven, turns
from ..stream.scripted import END, Item, ScriptedSource, feed_of, text_reads
from .scripted import FailingLog


async def published(
    log: MemoryLog, script: Sequence[Item], *, max_bytes: int | None = None, sinks: Sequence[Any] = ()
) -> tuple[Publication, Channel, CompletionStream]:
    """A stream that was published to its end."""
    await log.open("s", StreamMeta())
    channel = Channel("s")
    publication = Publication(log, "s", channel, max_bytes=max_bytes)
    stream = CompletionStream(ScriptedSource(script)).attach(publication, *sinks)
    stream.start()
    await publication.run()
    await stream.finished()
    return publication, channel, stream


async def logged(log: MemoryLog) -> list[Record | LogGap]:
    return [record async for batch in log.read("s") for record in batch]


def end_of_channel(channel: Channel) -> StreamEnd:
    assert channel.end is not None
    return channel.end


@driven
async def test_a_stream_becomes_dense_records_and_one_end():
    log = MemoryLog()
    _, channel, _ = await published(log, [feed_of("a", "b"), END])
    records = await logged(log)
    assert [record.seq for record in records if isinstance(record, Record)] == [1, 2, 3, 4, 5]
    assert [record.kind for record in records if isinstance(record, Record)] == ["chunk"] * 4 + ["end"]
    assert channel.records == records
    assert end_of_channel(channel) == StreamEnd("done", "stop")


class CountingLog(MemoryLog):
    appends: list[int]

    def __init__(self) -> None:
        super().__init__()
        self.appends = []

    async def append(self, stream_id: str, records: Sequence[Record]) -> None:
        self.appends.append(len(records))
        await super().append(stream_id, records)


@driven
async def test_what_came_with_one_read_is_appended_at_once():
    log = CountingLog()
    await published(log, [feed_of(*"abcdef"), 5, END])
    assert log.appends == [8]


@driven
async def test_each_read_is_appended_when_it_comes():
    log = CountingLog()
    first, second = text_reads("a", "b")
    await published(log, [first, 5, second, 5, feed_of("c"), END])
    assert log.appends[:2] == [1, 1]


ENDINGS: list[tuple[list[Item], str, str]] = [
    ([*text_reads("a"), ConnectionLost("cut")], "error", "upstream_cut"),
    ([*text_reads("a"), END], "error", "upstream_cut"),
    ([StatusError("no", status=400, code="bad")], "error", "bad"),
    (
        [b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"boom","code":"c9"}}\n\n'],
        "error",
        "c9",
    ),
    ([b'data: {"choices":[{"delta":{"content":"a"}}],"error":{"message":"boom","code":"c9"}}\n\n'], "error", "c9"),
]


@pytest.mark.parametrize(("script", "reason", "code"), ENDINGS)
def test_a_failure_is_the_one_terminal_record(script: list[Item], reason: str, code: str):
    @driven
    async def test() -> None:
        log = MemoryLog()
        _, channel, _ = await published(log, script)
        ends = [record for record in await logged(log) if isinstance(record, Record) and record.kind == "end"]
        assert len(ends) == 1
        end = StreamEnd.decode(ends[0].data)
        assert end == channel.end
        assert end.reason == reason
        assert end.error is not None
        assert end.error.code == code

    test()


@driven
async def test_an_abort_is_the_terminal_record():
    log = MemoryLog()
    _, channel, _ = await published(log, text_reads("a"), sinks=[lambda s: s.on("text", lambda _: s.abort("enough"))])
    assert end_of_channel(channel) == StreamEnd("abort")
    assert len(channel.records) == 2


@driven
async def test_a_slow_sink_does_not_keep_the_end_from_clients():
    release = asyncio.Event()

    async def slow(_: object) -> None:
        await release.wait()

    log = MemoryLog()
    await log.open("s", StreamMeta())
    channel = Channel("s")
    publication = Publication(log, "s", channel)
    stream = CompletionStream(ScriptedSource([feed_of("a"), END])).attach(publication, lambda s: s.on("text", slow))
    stream.start()
    await publication.run()
    assert end_of_channel(channel).reason == "done"
    assert stream.running
    release.set()
    await stream.finished()


@driven
async def test_an_answer_that_is_too_long_is_ended_and_never_whole():
    log = MemoryLog()
    _, channel, stream = await published(log, [feed_of(*["x" * 100] * 50), END], max_bytes=3000)
    end = end_of_channel(channel)
    assert end.error is not None
    assert (end.reason, end.error.code) == ("error", "output_too_long")
    assert sum(len(record.data) for record in channel.records if isinstance(record, Record)) < 3500
    assert stream.completion.ended_by == "abort"


@pytest.mark.parametrize(
    "log", [FailingLog(appends=0), FailingLog(appends=1), FailingLog(seals=0), FailingLog(appends=0, seals=0)]
)
def test_a_log_that_fails_ends_the_stream_with_an_error_and_harms_no_other_sink(
    log: FailingLog, caplog: pytest.LogCaptureFixture
):
    heard: list[str] = []

    @driven
    async def test() -> None:
        _, channel, stream = await published(
            log,
            [*text_reads("a"), 5, *text_reads("b"), 5, feed_of("c"), END],
            sinks=[lambda s: s.on("text", heard.append), lambda s: s.on("end", lambda c: heard.append("end"))],
        )
        end = end_of_channel(channel)
        assert (end.reason, end.error and end.error.code) == ("error", "internal")
        assert not stream.running

    test()
    assert heard[-1] == "end"
    assert heard[0] == "a"
    assert "OSError" in caplog.text
    assert "secrets" not in caplog.text


@pytest.mark.parametrize("log", [FailingLog(appends=0, hang=True), FailingLog(seals=0, hang=True)])
def test_a_log_that_hangs_does_not_hang_the_stream(log: FailingLog):
    @driven
    async def test() -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        _, channel, _ = await published(log, [*text_reads("a"), 5, feed_of("b"), END])
        assert end_of_channel(channel).reason == "error"
        assert loop.time() - started < LOG_SECONDS + 3

    test()


class LeasedLog(MemoryLog):
    renew_every: float | None = 5.0


@driven
async def test_a_stop_asked_for_elsewhere_reaches_a_silent_stream():
    log = LeasedLog()
    await log.open("s", StreamMeta())
    channel = Channel("s")
    publication = Publication(log, "s", channel)
    source = ScriptedSource(text_reads("a"))
    stream = CompletionStream(source).attach(publication).start()
    running = asyncio.ensure_future(publication.run())
    await asyncio.sleep(12)
    assert not running.done()
    await log.stop("s", "from elsewhere")
    await asyncio.sleep(5)
    await running
    await stream.finished()
    assert end_of_channel(channel).reason == "abort"
    assert source.closed == [False]


@driven
async def test_a_writer_that_was_given_up_tells_its_readers_what_the_log_says():
    log = LeasedLog()
    await log.open("s", StreamMeta())
    channel = Channel("s")
    publication = Publication(log, "s", channel)
    source = ScriptedSource(text_reads("a"))
    stream = CompletionStream(source).attach(publication).start()
    running = asyncio.ensure_future(publication.run())
    await turns(10)
    await log.seal("s", StreamEnd("producer_lost"))
    source.push(*text_reads("b"))
    await running
    await stream.finished()
    assert end_of_channel(channel) == StreamEnd("producer_lost")
    assert len(channel.records) == 2
    assert channel.records == await logged(log)


@driven
async def test_started_says_that_there_is_something_to_tell():
    log = MemoryLog()
    await log.open("s", StreamMeta())
    publication = Publication(log, "s", Channel("s"))
    source = ScriptedSource()
    stream = CompletionStream(source).attach(publication).start()
    running = asyncio.ensure_future(publication.run())
    await turns(5)
    assert not publication.started.is_set()
    assert publication.empty
    source.push(feed_of("a"), END)
    await turns(10)
    assert publication.started.is_set()
    assert not publication.empty
    await running
    await stream.finished()
