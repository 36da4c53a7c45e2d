from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from streamkit.web import RelaySubscription, StreamEnd, encoding, serve
from streamkit.web.encoded import Encoded

from ..clock import driven, turns
from .scripted import MemoryOutlet, chunk_record


def native() -> Encoded:
    return Encoded(encoding("native", "s"))


@driven
async def test_all_is_sent_and_the_outcome_told():
    encoded, outlet = native(), MemoryOutlet()
    encoded.add([chunk_record(1)])
    subscription = RelaySubscription("s", encoded)
    serving = asyncio.ensure_future(serve(subscription, outlet))
    await turns(3)
    encoded.add([chunk_record(2)])
    subscription.news(0.0)
    encoded.finish(StreamEnd("done"), 3)
    subscription.news(0.0)
    assert await serving == "end"
    assert outlet.body == b"".join(encoded.frames)
    assert outlet.offered == 2


class Sieve(MemoryOutlet):
    """Keeps nothing."""

    async def send(self, data: bytes) -> None:
        pass


@driven
async def test_readers_who_came_late_keep_nothing_of_what_they_were_sent_at_first():
    encoded = native()
    encoded.add([chunk_record(1, "x" * 100_000)])
    tracemalloc.start()
    try:
        subscriptions = [RelaySubscription("s", encoded, prefix=b"retry: 1\n") for _ in range(20)]
        reading = [asyncio.ensure_future(serve(subscription, Sieve())) for subscription in subscriptions]
        await turns(3)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000  # not two million; asyncio keeps tracebacks in debug mode
    for subscription in subscriptions:
        subscription.close()
    await asyncio.gather(*reading)


@driven
async def test_a_client_that_takes_nothing_is_given_up_after_the_send_timeout():
    loop = asyncio.get_running_loop()
    encoded, outlet = native(), MemoryOutlet(room=1)
    encoded.add([chunk_record(1)])
    started = loop.time()
    assert await serve(RelaySubscription("s", encoded), outlet, send_timeout=20.0) == "timeout"
    assert loop.time() - started == pytest.approx(20.0)


@driven
@pytest.mark.parametrize("quiet", [5.0, 15.0, 25.0, 45.0])
async def test_the_send_timeout_counts_from_the_send_that_waits(quiet: float):
    loop = asyncio.get_running_loop()
    encoded = native()
    encoded.add([chunk_record(1)])
    outlet = MemoryOutlet(room=encoded.total + 1)
    subscription = RelaySubscription("s", encoded)
    started = loop.time()
    serving = asyncio.ensure_future(serve(subscription, outlet, send_timeout=20.0))
    await asyncio.sleep(quiet)
    encoded.add([chunk_record(2), chunk_record(3)])
    subscription.news(loop.time())
    assert await serving == "timeout"
    assert loop.time() - started == pytest.approx(quiet + 20.0)


@driven
async def test_a_slow_client_that_takes_something_gets_all_of_it():
    encoded, outlet = native(), MemoryOutlet(room=1)
    subscription = RelaySubscription("s", encoded)
    serving = asyncio.ensure_future(serve(subscription, outlet, send_timeout=20.0))
    for seq in range(1, 11):
        await asyncio.sleep(15)
        encoded.add([chunk_record(seq, "x" * 50)])
        subscription.news(0.0)
        await asyncio.sleep(0.1)
        outlet.drain(10)
    encoded.finish(StreamEnd("done"), 11)
    subscription.news(0.0)
    outlet.drain(10**6)
    assert await serving == "end"
    assert outlet.body.replace(b": hb\n", b"") == b"".join(encoded.frames)


@driven
async def test_a_client_that_left_is_gone_at_the_next_write():
    outlet = MemoryOutlet()
    outlet.left = True
    subscription = RelaySubscription("s", native())
    assert await serve(subscription, outlet) == "gone"
    assert subscription.outcome == "gone"


@driven
async def test_cancelling_gives_the_subscription_back():
    left: list[RelaySubscription] = []
    subscription = RelaySubscription("s", native(), left=left.append)
    serving = asyncio.ensure_future(serve(subscription, MemoryOutlet()))
    await turns(3)
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()
    assert left == [subscription]
