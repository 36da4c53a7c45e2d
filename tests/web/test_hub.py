from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from streamkit.web import LogGap, MemoryLog, Record, RelaySubscription, StreamEnd, StreamMeta, serve
from streamkit.web.hub import SLICE, Channel, Hub
from streamkit.web.records import EndReason

from ..clock import driven, turns
from .scripted import MemoryOutlet, chunk_record


async def rest_of(subscription: RelaySubscription) -> bytes:
    return b"".join([data async for data in subscription])


def end_record(seq: int, reason: EndReason = "done") -> Record:
    return Record(seq, "end", StreamEnd(reason).encode())


@driven
async def test_an_early_a_late_and_a_resuming_reader_read_the_same():
    hub = Hub(MemoryLog(), retry_ms=(7, 7))
    channel = hub.open("s")
    early = asyncio.ensure_future(rest_of(await hub.subscribe("s")))
    channel.add([chunk_record(1, "a"), chunk_record(2, "b")])
    await turns(2)
    late = asyncio.ensure_future(rest_of(await hub.subscribe("s")))
    resumed = asyncio.ensure_future(rest_of(await hub.subscribe("s", 1)))
    channel.add([chunk_record(3, "c"), end_record(4)])
    whole = (await early).replace(b": hb\n", b"").removeprefix(b"retry: 7\n")
    assert (await late).removeprefix(b"retry: 7\n") == whole
    first, rest = whole.split(b"id: s:2\n")
    assert first.startswith(b"id: s:1\n")
    assert (await resumed).removeprefix(b"retry: 7\n") == b"id: s:2\n" + rest
    hub.release(channel)
    assert hub.channel("s") is None


@driven
async def test_every_encoding_is_made_once_however_many_read():
    hub = Hub(MemoryLog())
    channel = hub.open("s")
    readers = [await hub.subscribe("s", name=name) for name in ("native", "openai", "guide") for _ in range(50)]
    readings = [asyncio.ensure_future(rest_of(reader)) for reader in readers]
    await turns(2)
    channel.add([chunk_record(1, "a"), end_record(2)])
    bodies = await asyncio.gather(*readings)
    assert len({reader.encoder for reader in readers}) == 3
    assert len({re.sub(rb"retry: \d+\n", b"", body) for body in bodies}) == 3


@driven
async def test_browsers_are_told_different_times_to_come_back():
    hub = Hub(MemoryLog())
    channel = hub.open("s")
    channel.add([chunk_record(1)])
    times = set()
    for _ in range(40):
        reader = await hub.subscribe("s")
        retry = re.match(rb"retry: (\d+)\n", await anext(reader))
        assert retry is not None
        times.add(int(retry[1]))
        reader.close()
    assert len(times) > 20
    assert all(1500 <= time <= 4000 for time in times)


@driven
async def test_a_stream_of_another_process_is_read_from_the_log_by_one_task():
    log = MemoryLog()
    await log.open("s", StreamMeta())
    await log.append("s", [chunk_record(1, "a")])
    hub = Hub(log)
    readings = [asyncio.ensure_future(rest_of(await hub.subscribe("s", name="plain"))) for _ in range(10)]
    await turns(3)
    assert sum(task.get_name() == "streamkit.web.read" for task in asyncio.all_tasks()) == 1
    await log.append("s", [chunk_record(2, "b")])
    await turns(3)
    await log.seal("s", StreamEnd("done"))
    assert await asyncio.gather(*readings) == [b"ab"] * 10
    await turns(2)
    assert hub.channel("s") is None


@driven
async def test_the_reading_task_ends_with_its_last_reader():
    log = MemoryLog()
    await log.open("s", StreamMeta())
    hub = Hub(log)
    one, two = await hub.subscribe("s"), await hub.subscribe("s", name="guide")
    await turns(2)
    one.close()
    await turns(2)
    assert hub.channel("s") is not None
    two.close()
    assert hub.channel("s") is None
    await turns(3)  # the driven test fails for a task that is left


class BrokenLog(MemoryLog):
    async def read(self, stream_id: str, after: int = 0) -> AsyncGenerator[Sequence[Record | LogGap], None]:
        yield [chunk_record(1, "a")]
        raise OSError("a secret path")


@driven
async def test_a_log_that_cannot_be_read_on_is_an_error_for_readers():
    hub = Hub(BrokenLog())
    reader = await hub.subscribe("s", name="guide")
    body = await rest_of(reader)
    assert b'{"content":"a"}' in body
    assert b'"code":"internal"' in body
    assert b"secret" not in body
    assert reader.outcome == "error"


@driven
async def test_heartbeats_come_in_silence_also_before_the_first_event():
    loop = asyncio.get_running_loop()
    hub = Hub(MemoryLog(), heartbeat=15.0)
    channel = hub.open("s")
    outlet = MemoryOutlet()
    serving = asyncio.ensure_future(serve(await hub.subscribe("s", name="openai"), outlet))
    started = loop.time()
    await asyncio.sleep(46)
    assert outlet.body == b": hb\n" * 4
    channel.add([chunk_record(1)])
    await asyncio.sleep(14)
    assert outlet.body.count(b"hb") == 4
    await asyncio.sleep(2)
    assert outlet.body.count(b"hb") == 5
    assert loop.time() - started > 60
    channel.add([end_record(2)])
    assert await serving == "end"


@driven
async def test_one_timer_looks_after_all_readers_and_stops_without_any():
    hub = Hub(MemoryLog())
    hub.open("s")
    outlets = [MemoryOutlet() for _ in range(20)]
    servings = [asyncio.ensure_future(serve(await hub.subscribe("s"), outlet)) for outlet in outlets]
    await asyncio.sleep(1)
    for outlet in outlets:
        outlet.left = True
    await asyncio.sleep(0.3)
    assert [serving.result() for serving in servings] == ["gone"] * 20
    await asyncio.sleep(1)
    loop: Any = asyncio.get_running_loop()
    assert not [handle for handle in loop._scheduled if not handle.cancelled()]


@driven
async def test_a_stopped_client_delays_nobody_and_costs_no_copy():
    hub = Hub(MemoryLog(), max_lag_bytes=None)
    channel = hub.open("s")
    stopped, lively = MemoryOutlet(room=10), MemoryOutlet()
    servings = [
        asyncio.ensure_future(serve(await hub.subscribe("s", name="guide"), outlet)) for outlet in (stopped, lively)
    ]
    await turns(3)
    for seq in range(1, 200):
        channel.add([chunk_record(seq, "x" * 100)])
        assert lively.sent[-1].endswith(b'"}\n\n')
    assert lively.offered == 199
    assert len(stopped.sent) <= 2
    stopped.drain(10**9)
    channel.add([end_record(200)])
    assert [await serving for serving in servings] == ["end", "end"]
    assert stopped.body.replace(b": hb\n", b"") == lively.body.replace(b": hb\n", b"")


@driven
async def test_for_falling_behind_only_who_can_resume_is_cut():
    hub = Hub(MemoryLog(), max_lag_bytes=10_000)
    channel = hub.open("s")
    resumable, other = [await hub.subscribe("s", name=name) for name in ("native", "openai")]
    for seq in range(1, 40):
        await asyncio.sleep(0.1)
        channel.add([chunk_record(seq, "x" * 1000)])
    assert resumable.outcome == "lagging"
    channel.add([end_record(40)])
    assert (await rest_of(other)).count(b"x" * 1000) == 39
    assert other.outcome == "end"


@driven
async def test_readers_hear_of_an_ending_that_the_log_does_not_have():
    hub = Hub(MemoryLog())
    channel = hub.open("s")
    reading = asyncio.ensure_future(rest_of(await hub.subscribe("s", name="openai")))
    await turns(2)
    channel.fail(StreamEnd("shutdown"))
    channel.add([chunk_record(1)])
    body = await reading
    assert b'"code":"shutdown"' in body
    assert b"choices" not in body
    late = await hub.subscribe("s", name="native")
    assert b'"reason":"shutdown"' in await rest_of(late)


@driven
async def test_closing_ends_all_readers_and_tasks():
    log = MemoryLog()
    await log.open("far", StreamMeta())
    hub = Hub(log)
    hub.open("near")
    readers = [await hub.subscribe(name) for name in ("near", "far") for _ in range(3)]
    readings = [asyncio.ensure_future(rest_of(reader)) for reader in readers]
    await turns(3)
    await hub.close()
    await asyncio.gather(*readings)
    assert {reader.outcome for reader in readers} == {"closed"}
    await hub.until_unread()


@driven
async def test_a_deleted_stream_has_no_readers():
    hub = Hub(MemoryLog())
    hub.open("s")
    reader = await hub.subscribe("s")
    hub.forget("s")
    hub.forget("unknown")
    assert reader.outcome == "closed"


def seqs(channel: Channel) -> Sequence[int]:
    return [record.seq for record in channel.records if isinstance(record, Record)]


@driven
async def test_nothing_is_taken_in_after_the_end():
    channel = Channel("s")
    channel.add([chunk_record(1), end_record(2)])
    channel.add([chunk_record(3)])
    channel.fail(StreamEnd("error"))
    assert seqs(channel) == [1, 2]
    assert channel.end == StreamEnd("done")


@driven
async def test_who_joins_a_long_stream_lets_others_have_their_turn_and_misses_nothing():
    log = MemoryLog()
    await log.open("s", StreamMeta())
    await log.append("s", [chunk_record(seq) for seq in range(1, 3 * SLICE + 10)])
    hub = Hub(log)
    first = await hub.subscribe("s", name="plain")
    await turns(10)
    joining = asyncio.ensure_future(hub.subscribe("s", name="guide"))
    also = asyncio.ensure_future(hub.subscribe("s", name="guide"))
    await turns(2)
    assert not joining.done()
    first.close()  # the one who joins keeps the channel
    await log.append("s", [chunk_record(3 * SLICE + 10)])
    await turns(10)
    await log.seal("s", StreamEnd("done"))
    for reader in (await joining, await also):
        body = await rest_of(reader)
        assert body.count(b'"content"') == 3 * SLICE + 10
        assert body.endswith(b"data: [DONE]\n\n")
    assert hub.channel("s") is None


@driven
async def test_joining_that_is_given_up_leaves_nothing():
    log = MemoryLog()
    await log.open("s", StreamMeta())
    await log.append("s", [chunk_record(seq) for seq in range(1, 3 * SLICE)])
    hub = Hub(log)
    first = await hub.subscribe("s", name="plain")
    await turns(10)
    joining = asyncio.ensure_future(hub.subscribe("s", name="guide"))
    await turns(2)
    joining.cancel()
    await turns(2)
    first.close()
    assert hub.channel("s") is None


@driven
async def test_an_outlet_that_raises_harms_nobody_else(caplog: pytest.LogCaptureFixture):
    hub = Hub(MemoryLog())
    channel = hub.open("s")
    broken, sound = MemoryOutlet(), MemoryOutlet()

    def offer(piece: object) -> bool:
        raise TypeError("a bug")

    broken.offer = offer  # type: ignore[method-assign]  # it is broken
    servings = [
        asyncio.ensure_future(serve(await hub.subscribe("s", name="guide"), outlet)) for outlet in (broken, sound)
    ]
    await turns(3)
    channel.add([chunk_record(1), end_record(2)])
    assert [await serving for serving in servings] == ["gone", "end"]
    assert sound.body.endswith(b"[DONE]\n\n")
    assert "a bug" in caplog.text


@driven
async def test_a_short_heartbeat_is_kept():
    hub = Hub(MemoryLog(), heartbeat=0.05)
    hub.open("s")
    outlet = MemoryOutlet()
    serving = asyncio.ensure_future(serve(await hub.subscribe("s", name="openai"), outlet))
    await asyncio.sleep(1)
    assert 10 <= outlet.body.count(b": hb\n") <= 21
    outlet.left = True
    await asyncio.sleep(0.1)
    assert serving.result() == "gone"
