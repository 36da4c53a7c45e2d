from __future__ import annotations

import asyncio

import pytest

from streamkit.web import RelaySubscription, StreamEnd, encoding
from streamkit.web.encoded import Encoded
from streamkit.web.records import EndReason
from streamkit.web.subscription import Outcome

from ..clock import driven, turns
from .scripted import MemoryOutlet, chunk_record


def native() -> Encoded:
    return Encoded(encoding("native", "s"))


async def rest_of(subscription: RelaySubscription) -> bytes:
    return b"".join([data async for data in subscription])


@driven
async def test_what_is_there_comes_at_once_and_joined():
    encoded = native()
    encoded.add([chunk_record(1, "a"), chunk_record(2, "b")])
    subscription = RelaySubscription("s", encoded)
    assert await anext(subscription) == b"".join(encoded.frames)


@driven
async def test_without_anything_to_say_the_first_thing_is_a_heartbeat():
    subscription = RelaySubscription("s", native())
    assert await anext(subscription) == b": hb\n"


@driven
async def test_the_reconnection_time_stands_in_the_first_event_and_nowhere_else():
    encoded = native()
    subscription = RelaySubscription("s", encoded, prefix=b"retry: 2000\n")
    assert await anext(subscription) == b": hb\n"
    encoded.add([chunk_record(1, "a")])
    assert (await anext(subscription)).startswith(b"retry: 2000\nid: s:1\n")
    encoded.add([chunk_record(2, "b")])
    assert (await anext(subscription)).startswith(b"id: s:2\n")


@driven
async def test_silence_is_broken_by_one_heartbeat_after_so_many_seconds():
    loop = asyncio.get_running_loop()
    subscription = RelaySubscription("s", native())
    await anext(subscription)
    waiting = asyncio.ensure_future(anext(subscription))
    await turns(2)
    started = loop.time()
    subscription.beat(started + 14.9, 15.0)
    await turns(2)
    assert not waiting.done()
    subscription.beat(started + 15.0, 15.0)
    assert await waiting == b": hb\n"


@driven
async def test_an_event_puts_the_heartbeat_off():
    loop = asyncio.get_running_loop()
    encoded = native()
    subscription = RelaySubscription("s", encoded)
    await anext(subscription)
    await asyncio.sleep(10)
    encoded.add([chunk_record(1)])
    subscription.news(loop.time())
    await anext(subscription)
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(10)
    subscription.beat(loop.time(), 15.0)
    await turns(2)
    assert not waiting.done()
    subscription.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


@driven
async def test_the_iteration_ends_with_the_stream_and_says_how():
    endings: dict[EndReason, Outcome] = {"done": "end", "abort": "end", "error": "error", "shutdown": "error"}
    for reason, outcome in endings.items():
        encoded = native()
        subscription = RelaySubscription("s", encoded)
        encoded.finish(StreamEnd(reason), 1)
        assert await rest_of(subscription)
        assert subscription.outcome == outcome


@driven
async def test_closing_ends_the_iteration_once():
    left: list[Outcome | None] = []
    subscription = RelaySubscription("s", native(), left=lambda subscription: left.append(subscription.outcome))
    reading = asyncio.ensure_future(rest_of(subscription))
    await turns(2)
    subscription.close()
    subscription.close("gone")
    assert await reading == b": hb\n"
    assert left == ["closed"]


@driven
async def test_a_reader_that_falls_too_far_behind_is_cut_but_what_was_there_before_it_is_no_lag():
    encoded = native()
    encoded.add([chunk_record(seq, "x" * 1000) for seq in range(1, 100)])
    subscription = RelaySubscription("s", encoded, max_lag=10_000)
    for seq in range(100, 105):
        encoded.add([chunk_record(seq, "x" * 1000)])
        subscription.news(1.0 + seq)
    assert subscription.outcome is None
    for seq in range(105, 112):
        encoded.add([chunk_record(seq, "x" * 1000)])
        subscription.news(1.0 + seq)
    assert subscription.outcome == "lagging"
    assert await rest_of(subscription) == b""


@pytest.mark.parametrize("room", [0, 3000])
@driven
async def test_an_upstream_that_has_all_at_once_after_a_silence_makes_no_reader_slow(room: int):
    encoded, outlet = native(), MemoryOutlet(room)
    early, waiting = RelaySubscription("s", encoded, max_lag=10_000), RelaySubscription("s", encoded, max_lag=10_000)
    waiting.direct(outlet.offer, outlet.gone)
    reading = asyncio.ensure_future(rest_of(waiting))
    await turns(2)
    for seq in range(1, 21):  # all in one turn of the loop
        encoded.add([chunk_record(seq, "x" * 1000)])
        early.news(100.0)
        waiting.news(100.0)
    assert early.outcome is waiting.outcome is None
    encoded.finish(StreamEnd("done"), 21)
    waiting.news(100.5)
    assert (await rest_of(early)).count(b"x" * 1000) == 20
    assert (outlet.body + await reading).count(b"x" * 1000) == 20
    assert outlet.offered == (2 if room else 0)


@driven
async def test_a_reader_that_takes_something_has_another_second():
    encoded = native()
    subscription = RelaySubscription("s", encoded, max_lag=100_000)
    for seq, now in enumerate([0.0, 0.9, 1.8, 2.7, 3.6], 1):
        encoded.add([chunk_record(seq, "x" * 70_000)] * 3)
        subscription.news(now)
        assert subscription.take()
    assert subscription.outcome is None
    subscription.news(5.0)
    subscription.news(5.9)
    assert subscription.outcome is None
    subscription.news(6.0)
    assert subscription.outcome == "lagging"


@driven
async def test_what_a_connection_has_room_for_is_written_without_a_turn_of_the_task():
    encoded = native()
    subscription = RelaySubscription("s", encoded)
    outlet = MemoryOutlet()
    subscription.direct(outlet.offer, outlet.gone)
    await anext(subscription)
    waiting = asyncio.ensure_future(anext(subscription))
    await turns(2)
    for seq in (1, 2, 3):
        encoded.add([chunk_record(seq)])
        subscription.news(0.0)
    assert outlet.body == b"".join(encoded.frames)
    await turns(2)
    assert not waiting.done()
    outlet.drain(0)
    encoded.add([chunk_record(4)])
    subscription.news(0.0)
    assert await waiting == encoded.frames[3]


@driven
async def test_a_cursor_ahead_of_the_tail_skips_what_was_read_before():
    encoded = native()
    subscription = RelaySubscription("s", encoded, after=2)
    assert await anext(subscription) == b": hb\n"
    waiting = asyncio.ensure_future(anext(subscription))
    await turns(1)
    for seq in (1, 2, 3):
        encoded.add([chunk_record(seq)])
        subscription.news(0.0)
    assert await waiting == encoded.frames[2]


@driven
async def test_a_connection_that_is_gone_ends_it_at_the_next_look():
    outlet = MemoryOutlet()
    subscription = RelaySubscription("s", native())
    subscription.direct(outlet.offer, outlet.gone)
    reading = asyncio.ensure_future(rest_of(subscription))
    await turns(2)
    outlet.left = True
    subscription.beat(0.0, 15.0)
    await reading
    assert subscription.outcome == "gone"


@driven
async def test_cancelling_the_wait_loses_nothing():
    encoded = native()
    subscription = RelaySubscription("s", encoded)
    await anext(subscription)
    waiting = asyncio.ensure_future(anext(subscription))
    await turns(2)
    encoded.add([chunk_record(1)])
    subscription.news(0.0)
    waiting.cancel()
    await turns(2)
    assert waiting.cancelled()
    assert await anext(subscription) == encoded.frames[0]
