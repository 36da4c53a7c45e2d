from __future__ import annotations

import asyncio

from streamkit import CompletionStream
from streamkit.feed import EventFeed
from streamkit.mailbox import Post

from .clock import driven, turns
from .stream.scripted import ScriptedSource


def post() -> Post:
    return CompletionStream(ScriptedSource())._subs.post


@driven
async def test_a_feed_is_full_at_its_size_and_asks_for_attention():
    shared = post()
    feed: EventFeed[int] = EventFeed(shared, 2)
    feed.put(1)
    assert not feed.full
    assert not shared.attention
    feed.put(2)
    assert feed.full
    assert shared.full
    assert shared.attention
    assert [feed.take(), feed.take()] == [1, 2]
    assert not shared.full


@driven
async def test_whoever_waits_for_room_goes_on_as_soon_as_there_is_some():
    shared = post()
    feed: EventFeed[int] = EventFeed(shared, 2)
    feed.put(1)
    feed.put(2)
    waiting = asyncio.create_task(shared.room())
    await turns(3)
    assert not waiting.done()
    feed.take()
    await turns(2)
    assert waiting.done()


@driven
async def test_a_feed_that_is_left_keeps_nobody_waiting():
    shared = post()
    feed: EventFeed[int] = EventFeed(shared, 1)
    feed.put(1)
    waiting = asyncio.create_task(shared.room())
    await turns(3)
    feed.abandon()
    await turns(2)
    assert waiting.done()
    assert shared.feeds == []
    feed.abandon()
    feed.put(2)
    assert not feed.full


@driven
async def test_waiting_ends_with_an_event_or_with_the_end():
    feed: EventFeed[int] = EventFeed(post(), 2)
    waiting = asyncio.create_task(feed.wait())
    await turns(2)
    feed.put(1)
    await waiting
    waiting = asyncio.create_task(feed.wait())
    await turns(2)
    feed.close()
    await waiting
    assert feed.closed
    assert feed.take() == 1  # what came before the end is there


@driven
async def test_a_cancelled_wait_leaves_the_feed_usable():
    feed: EventFeed[int] = EventFeed(post(), 2)
    waiting = asyncio.create_task(feed.wait())
    await turns(2)
    waiting.cancel()
    await asyncio.wait([waiting])
    feed.put(1)
    assert feed.take() == 1
