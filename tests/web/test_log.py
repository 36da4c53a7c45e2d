"""What any StreamLog must do: the suite runs on every log that is in `LOGS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from streamkit.web import Failure, LogGap, MemoryLog, Record, StreamEnd, StreamLog, StreamMeta
from streamkit.web.log import StreamExists, StreamSealed, UnknownStream

from .scripted import chunk_record

META = StreamMeta("ann", 1.5, "m", "f")


@asynccontextmanager
async def memory_log() -> AsyncIterator[StreamLog]:
    log = MemoryLog()
    yield log
    await log.close()


LOGS: dict[str, Callable[[], AbstractAsyncContextManager[StreamLog]]] = {"memory": memory_log}


@pytest.fixture(params=LOGS)
async def log(request: pytest.FixtureRequest) -> AsyncIterator[StreamLog]:
    async with LOGS[request.param]() as log:
        yield log


async def all_of(log: StreamLog, stream_id: str, after: int = 0) -> list[Record | LogGap]:
    return [record async for batch in log.read(stream_id, after) for record in batch]


async def test_what_was_appended_is_read_in_order_and_then_the_end(log: StreamLog):
    await log.open("s", META)
    await log.append("s", [chunk_record(1, "a"), chunk_record(2, "b")])
    await log.append("s", [chunk_record(3, "c")])
    assert await log.seal("s", StreamEnd("done", "stop", {"total_tokens": 3}))
    end = StreamEnd("done", "stop", {"total_tokens": 3}).encode()
    assert await all_of(log, "s") == [
        chunk_record(1, "a"),
        chunk_record(2, "b"),
        chunk_record(3, "c"),
        Record(4, "end", end),
    ]


@pytest.mark.parametrize(("after", "seqs"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, []), (99, [])])
async def test_reading_goes_on_after_a_cursor(log: StreamLog, after: int, seqs: list[int]):
    await log.open("s", META)
    await log.append("s", [chunk_record(1), chunk_record(2)])
    await log.seal("s", StreamEnd("done"))
    read = await all_of(log, "s", after)
    assert [record.seq for record in read if isinstance(record, Record)] == seqs


async def test_a_reader_waits_for_what_comes_and_ends_with_the_seal(log: StreamLog):
    await log.open("s", META)
    reading = asyncio.ensure_future(all_of(log, "s"))
    for seq in (1, 2, 3):
        await log.append("s", [chunk_record(seq)])
        await asyncio.sleep(0)
    assert not reading.done()
    await log.seal("s", StreamEnd("error", error=Failure("it broke")))
    read = await asyncio.wait_for(reading, 10)
    assert [record.seq for record in read if isinstance(record, Record)] == [1, 2, 3, 4]


async def test_many_readers_at_different_places_read_the_same(log: StreamLog):
    await log.open("s", META)
    readings = []
    for seq in range(1, 21):
        readings.append(asyncio.ensure_future(all_of(log, "s")))
        await log.append("s", [chunk_record(seq, str(seq))])
        await asyncio.sleep(0)
    await log.seal("s", StreamEnd("done"))
    results = await asyncio.wait_for(asyncio.gather(*readings), 10)
    assert all(result == results[0] for result in results)
    assert len(results[0]) == 21


async def test_the_first_seal_wins_and_nothing_can_follow_it(log: StreamLog):
    await log.open("s", META)
    assert await log.seal("s", StreamEnd("done"))
    assert not await log.seal("s", StreamEnd("error"))
    with pytest.raises(StreamSealed):
        await log.append("s", [chunk_record(2)])
    with pytest.raises(StreamSealed):
        await log.renew("s")
    (end,) = await all_of(log, "s")
    assert isinstance(end, Record)
    assert (end.seq, end.kind, StreamEnd.decode(end.data).reason) == (1, "end", "done")


async def test_of_many_who_seal_at_once_one_wins(log: StreamLog):
    await log.open("s", META)
    won = await asyncio.gather(*[log.seal("s", StreamEnd("abort", finish_reason=str(n))) for n in range(10)])
    assert won.count(True) == 1
    (end,) = await all_of(log, "s")
    assert isinstance(end, Record)
    assert StreamEnd.decode(end.data).finish_reason == str(won.index(True))


@pytest.mark.parametrize("seqs", [[2], [1, 3], [0], [1, 2, 2]])
async def test_records_that_leave_a_hole_are_refused_whole(log: StreamLog, seqs: list[int]):
    await log.open("s", META)
    with pytest.raises(ValueError, match="record"):
        await log.append("s", [chunk_record(seq) for seq in seqs])
    await log.seal("s", StreamEnd("done"))
    assert len(await all_of(log, "s")) == 1


async def test_an_end_cannot_be_appended(log: StreamLog):
    await log.open("s", META)
    with pytest.raises(ValueError, match="end"):
        await log.append("s", [Record(1, "end", StreamEnd("done").encode())])


async def test_a_stream_is_opened_once(log: StreamLog):
    await log.open("s", META)
    with pytest.raises(StreamExists):
        await log.open("s", META)
    await log.seal("s", StreamEnd("done"))
    with pytest.raises(StreamExists):
        await log.open("s", META)


async def test_the_state_tells_how_far_a_stream_is_and_whose(log: StreamLog):
    assert await log.state("s") is None
    await log.open("s", META)
    await log.append("s", [chunk_record(1)])
    running = await log.state("s")
    assert running is not None
    assert (running.status, running.seq, running.reason, running.meta) == ("running", 1, None, META)
    await log.seal("s", StreamEnd("abort"))
    ended = await log.state("s")
    assert ended is not None
    assert (ended.status, ended.seq, ended.reason, ended.meta) == ("ended", 2, "abort", META)


async def test_unknown_streams_are_unknown_to_all_methods(log: StreamLog):
    with pytest.raises(UnknownStream):
        await log.append("s", [chunk_record(1)])
    with pytest.raises(UnknownStream):
        await log.seal("s", StreamEnd("done"))
    with pytest.raises(UnknownStream):
        await log.stop("s", "why")
    with pytest.raises(UnknownStream):
        await log.renew("s")
    with pytest.raises(UnknownStream):
        await all_of(log, "s")
    assert not await log.delete("s")


async def test_a_stop_reaches_the_writer_when_it_renews(log: StreamLog):
    await log.open("s", META)
    assert await log.renew("s") is None
    assert await log.stop("s", "enough")
    assert await log.renew("s") == "enough"
    await log.seal("s", StreamEnd("abort"))
    assert not await log.stop("s", "again")


async def test_a_deleted_stream_is_gone_for_its_readers_too(log: StreamLog):
    await log.open("s", META)
    await log.append("s", [chunk_record(1)])
    reading = asyncio.ensure_future(all_of(log, "s"))
    await asyncio.sleep(0)
    assert await log.delete("s")
    with pytest.raises(UnknownStream):
        await asyncio.wait_for(reading, 10)
    assert await log.state("s") is None


async def test_a_key_stands_for_the_first_stream_that_claims_it(log: StreamLog):
    for stream_id in ("s", "t"):
        await log.open(stream_id, META)
    assert await log.claim("key", "s", 60) == "s"
    assert await log.claim("key", "t", 60) == "s"
    assert await log.claim("other", "t", 60) == "t"
    await log.delete("s")
    assert await log.claim("key", "t", 60) == "t"


async def test_streams_do_not_mix(log: StreamLog):
    for stream_id in ("s", "t"):
        await log.open(stream_id, META)
        await log.append(stream_id, [chunk_record(1, stream_id)])
    await log.seal("s", StreamEnd("done"))
    assert (await all_of(log, "s"))[0] == chunk_record(1, "s")
    state = await log.state("t")
    assert state is not None
    assert state.status == "running"


async def test_a_reader_that_is_cancelled_disturbs_nobody(log: StreamLog):
    await log.open("s", META)
    left, stays = (asyncio.ensure_future(all_of(log, "s")) for _ in range(2))
    await asyncio.sleep(0)
    left.cancel()
    await log.append("s", [chunk_record(1)])
    await log.seal("s", StreamEnd("done"))
    assert len(await asyncio.wait_for(stays, 10)) == 2
    assert left.cancelled()
