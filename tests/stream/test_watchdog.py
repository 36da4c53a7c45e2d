from __future__ import annotations

import asyncio

import pytest

from streamkit.settings import Timeout
from streamkit.stream.watchdog import Watchdog

from ..clock import driven


class Watched:
    """A watchdog, and what it said when."""

    def __init__(self, **limits: float | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.said: list[tuple[float, object]] = []
        timeout = Timeout(
            **{"connect": None, "first": None, "idle": None, "total": None, "after_finish": None, **limits}
        )
        self.dog = Watchdog(
            self.loop, timeout, expired=self.say, stalled=lambda seconds, limit: self.say((round(seconds, 3), limit))
        )

    def say(self, what: object) -> None:
        self.said.append((round(self.loop.time() - self.began, 3), what))

    async def wait(self, seconds: float) -> None:
        """The pump waits for the socket."""
        self.dog.wait()
        await asyncio.sleep(seconds)
        self.dog.woke()

    async def work(self, seconds: float) -> None:
        """The pump waits for a listener."""
        await asyncio.sleep(seconds)


@pytest.mark.parametrize("phase", ["first", "after_finish"])
@driven
async def test_a_limit_runs_out_once_and_without_a_stall(phase):
    watched = Watched(**{phase: 10.0})
    watched.dog.enter(phase)
    await watched.wait(100)
    assert watched.said == [(10.0, phase)]


@driven
async def test_half_the_idle_limit_is_a_stall():
    watched = Watched(idle=10.0)
    watched.dog.enter("idle")
    await watched.wait(100)
    assert watched.said == [(5.0, (5.0, 10.0)), (10.0, "idle")]


@driven
async def test_content_starts_the_limit_anew():
    watched = Watched(idle=10.0)
    watched.dog.enter("idle")
    for _ in range(5):
        await watched.wait(4.9)
        watched.dog.content()
        watched.dog.enter("idle")
    await watched.wait(9)
    watched.dog.content()
    await watched.wait(7)
    watched.dog.stop()
    assert watched.said == [(29.5, (5.0, 10.0)), (38.5, (5.0, 10.0))]


@driven
async def test_reads_without_content_do_not():
    watched = Watched(idle=10.0)
    watched.dog.enter("idle")
    for _ in range(20):
        await watched.wait(1)
    assert watched.said == [(5.0, (5.0, 10.0)), (10.0, "idle")]


@driven
async def test_only_time_that_is_spent_waiting_counts():
    watched = Watched(idle=10.0)
    watched.dog.enter("idle")
    await watched.work(1000)
    await watched.wait(4)
    await watched.work(1000)
    await watched.wait(4)
    assert len(watched.said) == 1  # five seconds of waiting: the stall
    await watched.work(1000)
    await watched.wait(4)
    assert [what for _, what in watched.said] == [(pytest.approx(5.0, abs=0.01), 10.0), "idle"]
    # It looks again every few milliseconds once it is late, so it is a little late itself.
    assert [at for at, _ in watched.said] == [pytest.approx(2005.0, abs=0.01), pytest.approx(3010.0, abs=0.01)]


@driven
async def test_no_time_counts_while_it_is_paused():
    watched = Watched(first=10.0)
    watched.dog.enter("first")
    await watched.wait(9)
    watched.dog.pause()
    await watched.work(100)
    watched.dog.enter("first")
    await watched.wait(9)
    assert watched.said == []
    await watched.wait(2)
    assert watched.said == [(119.0, "first")]


@driven
async def test_the_total_limit_counts_all_time():
    watched = Watched(total=10.0, idle=100.0)
    watched.dog.enter("idle")
    await watched.wait(3)
    watched.dog.content()
    await watched.work(3)
    watched.dog.pause()
    await watched.work(100)
    assert watched.said == [(10.0, "total")]


@driven
async def test_nothing_is_said_after_stop():
    watched = Watched(total=10.0, first=5.0)
    watched.dog.enter("first")
    watched.dog.wait()
    watched.dog.stop()
    await watched.work(100)
    assert watched.said == []


@driven
async def test_no_limit_is_no_limit():
    watched = Watched()
    for phase in ("first", "idle", "after_finish"):
        watched.dog.enter(phase)
        await watched.wait(1e6)
    assert watched.said == []


@driven
async def test_a_limit_that_follows_no_limit_holds():
    watched = Watched(idle=10.0)
    watched.dog.enter("first")
    await watched.wait(100)
    watched.dog.content()
    watched.dog.enter("idle")
    await watched.wait(11)
    assert watched.said == [(105.0, (5.0, 10.0)), (110.0, "idle")]


@driven
async def test_ten_thousand_reads_move_no_timer():
    """A read costs two looks at the clock; a timer for each would be most of the cost of a small read."""
    watched = Watched(idle=10.0)
    watched.dog.enter("idle")
    timer = watched.dog._timer
    for _ in range(10_000):
        watched.dog.wait()
        watched.dog.woke()
        watched.dog.content()
        watched.dog.enter("idle")
    assert watched.dog._timer is timer
    watched.dog.stop()
