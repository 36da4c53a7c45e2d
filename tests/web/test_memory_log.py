from __future__ import annotations

from typing import Any

import pytest

from streamkit.web import MemoryLog, StreamEnd, StreamMeta

from .scripted import chunk_record


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def ended(log: MemoryLog, stream_id: str, size: int = 10) -> None:
    await log.open(stream_id, StreamMeta())
    await log.append(stream_id, [chunk_record(1, "x" * size)])
    await log.seal(stream_id, StreamEnd("done"))


async def test_an_ended_stream_stays_for_the_retention_and_a_running_one_for_ever():
    clock = Clock()
    log = MemoryLog(retention=10, clock=clock)
    await log.open("running", StreamMeta())
    await ended(log, "ended")
    clock.now = 9.9
    assert await log.state("ended") is not None
    clock.now = 10.0
    assert await log.state("ended") is None
    clock.now = 1e9
    assert await log.state("running") is not None
    assert len(log) == 1


async def test_the_streams_that_ended_first_give_way_when_memory_is_short():
    log = MemoryLog(max_bytes=3000)
    for name in "abcd":
        await ended(log, name, 1000)
    assert [await log.state(name) is not None for name in "abcd"] == [False, False, True, True]


async def test_the_latest_stays_however_large():
    log = MemoryLog(max_bytes=10)
    await ended(log, "a", 1000)
    assert await log.state("a") is not None
    await ended(log, "b", 1000)
    assert await log.state("a") is None
    assert len(log) == 1


async def test_a_deleted_stream_gives_its_memory_back():
    log = MemoryLog(max_bytes=2500)
    for _ in range(10):
        await ended(log, "a", 1000)
        await log.delete("a")
    await ended(log, "b", 1000)
    await ended(log, "c", 1000)
    assert len(log) == 2


async def test_claims_run_out():
    clock = Clock()
    log = MemoryLog(clock=clock)
    for name in "st":
        await log.open(name, StreamMeta())
    assert await log.claim("key", "s", 10) == "s"
    clock.now = 10.0
    assert await log.claim("key", "t", 10) == "t"
    clock.now = 19.0
    assert await log.claim("key", "s", 10) == "t"


async def test_a_thousand_streams_leave_nothing_behind():
    clock = Clock()
    log = MemoryLog(retention=1, clock=clock)
    for number in range(1000):
        clock.now = number
        await ended(log, str(number))
        await log.claim(f"key {number}", str(number), 5)
    assert len(log) == 1
    assert len(log._claims) <= 6


@pytest.mark.parametrize("arguments", [{"retention": -1.0}, {"retention": float("nan")}, {"max_bytes": -1}])
def test_senseless_limits_are_refused_by_name(arguments: dict[str, Any]):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MemoryLog(**arguments)
