"""Recorded feeds of many servers, over real HTTP: what each must decode to, however its bytes are cut into reads."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator

import pytest

from streamkit import ServerError, StreamDriver, StreamError, TruncatedStream
from streamkit.testing import End, Send, Step, Wait, completion_server

from .feeds import Feed, assert_as_expected, expected_error, feed_id, openai_chat_feeds

BATCHES = 8
SMALL = 6_000


@pytest.fixture(scope="module")
def feeds(shared: object) -> list[Feed]:
    return openai_chat_feeds()


def one_read_each(pieces: Iterable[bytes]) -> Iterator[Step]:
    """Each piece arrives in a read of its own: two turns of the loop that server and client share lie between."""
    for piece in pieces:
        yield Send(piece)
        yield Wait(0)
        yield Wait(0)


def pieces_at_random(body: bytes, seed: str) -> Iterator[bytes]:
    generator = random.Random(seed)
    position = 0
    while position < len(body):
        # Most cuts fall inside an event, a few leave several in one read.
        size = generator.choice([1, 2, 3, 10, 100, 400, 1_000, 5_000])
        yield body[position : position + size]
        position += size


def expected_failure(feed: Feed) -> type[StreamError | None]:
    """How a stream of the feed fails, if it does: some report an error, and some were cut by who recorded them."""
    if expected_error(feed) is not None:
        return ServerError
    reasons = feed.expected["finish_reasons"].values()
    # In the body, not by `has_done`: a last event without its blank line counts (row 19 of the wire's table).
    return type(None) if b"data: [DONE]" in feed.body or (reasons and all(reasons)) else TruncatedStream


async def each_as_expected(feeds: list[Feed], scripts: list[list[Step]]) -> None:
    failures: list[str] = []
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, retries=0) as driver:
        for feed in feeds:
            failed: StreamError | None = None
            try:
                completion = await driver.stream("hi", model="m")
            except StreamError as error:
                completion, failed = error.completion, error
            try:
                assert type(failed) is expected_failure(feed)
                assert (expected_error(feed) or "") in str(failed)
                assert_as_expected(completion, feed)
            except AssertionError as error:
                failures.append(f"{feed_id(feed)}: {error}")
    assert len(server.requests) == len(feeds)
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_feeds_sent_whole(feeds, batch):
    chosen = feeds[batch::BATCHES]
    await each_as_expected(chosen, [[Send(feed.body), End()] for feed in chosen])


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_feeds_split_at_random(feeds, batch):
    chosen = feeds[batch::BATCHES]
    scripts = [[*one_read_each(pieces_at_random(feed.body, feed_id(feed))), End()] for feed in chosen]
    await each_as_expected(chosen, scripts)


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_small_feeds_in_one_byte_reads(feeds, batch):
    asyncio.get_running_loop().set_debug(False)  # a traceback kept for each of some 50,000 reads takes most of a minute
    chosen = [feed for feed in feeds if len(feed.body) < SMALL][batch::BATCHES]
    assert chosen
    scripts = [[*one_read_each(bytes([byte]) for byte in feed.body), End()] for feed in chosen]
    await each_as_expected(chosen, scripts)


async def test_one_read_each_is_one_read_each():
    body = b'data: {"choices":[{"delta":{"content":"h\xc3\xa9"},"finish_reason":"stop"}]}\n\n'
    sizes: list[int] = []
    async with (
        completion_server([*one_read_each(bytes([byte]) for byte in body), End()]) as server,
        StreamDriver(server.base_url, "key") as driver,
    ):
        stream = driver.stream("hi", model="m")
        stream.on("read", lambda read: sizes.append(len(read.data)))
        assert (await stream).text == "hé"
    assert sizes == [1] * len(body)
