from __future__ import annotations

import asyncio
import logging

import pytest

from streamkit import StatusError
from streamkit.web import Limits
from streamkit.web.running import JOIN_SECONDS

from ..clock import driven, turns
from ..stream.scripted import END, feed_of, text_reads
from .scripted import REQUEST, relay_of, rest_of, texts


@driven
async def test_without_readers_that_cannot_come_back_the_stream_ends_at_once():
    relay, driver = relay_of(text_reads("a"))
    relayed = await relay.start(REQUEST)
    subscription = await relay.subscribe(relayed.id, encoding="openai")
    await anext(subscription)
    subscription.close("gone")
    await turns(20)
    assert driver.sources[0].closed == [False]
    assert (await relay.state(relayed.id)).reason == "abort"
    await relay.close()


@driven
async def test_a_browser_has_the_grace_to_come_back():
    loop = asyncio.get_running_loop()
    relay, driver = relay_of(text_reads("a"), grace=5.0)
    relayed = await relay.start(REQUEST)
    for _ in range(3):
        subscription = await relay.subscribe(relayed.id)
        await anext(subscription)
        subscription.close("gone")
        await asyncio.sleep(4.9)
        assert driver.sources[0].closed == []
    await asyncio.sleep(0.2)
    await turns(20)
    assert driver.sources[0].closed == [False]
    assert loop.time() > 0
    await relay.close()


@driven
async def test_one_reader_is_enough():
    relay, driver = relay_of(text_reads("a"), grace=0.0)
    relayed = await relay.start(REQUEST)
    stays, leaves = [await relay.subscribe(relayed.id, encoding="guide") for _ in range(2)]
    leaves.close("gone")
    await asyncio.sleep(10)
    assert driver.sources[0].closed == []
    stays.close("gone")
    await asyncio.sleep(0.1)
    assert driver.sources[0].closed == [False]
    await relay.close()


@driven
async def test_a_stream_that_nobody_ever_reads_is_aborted():
    relay, driver = relay_of(text_reads("a"))
    await relay.start(REQUEST)
    await asyncio.sleep(JOIN_SECONDS - 1)
    assert driver.sources[0].closed == []
    await asyncio.sleep(2)
    assert driver.sources[0].closed == [False]
    await relay.close()


@driven
async def test_detached_streams_go_on_and_can_be_replayed():
    relay, driver = relay_of([], on_disconnect="continue")
    relayed = await relay.start(REQUEST)
    subscription = await relay.subscribe(relayed.id)
    await anext(subscription)
    subscription.close("gone")
    await asyncio.sleep(100)
    driver.sources[0].push(feed_of("a", "b"), END)
    await asyncio.sleep(1)
    assert texts(await rest_of(await relay.subscribe(relayed.id))) == "ab"
    await relay.close()


@driven
async def test_only_so_many_run_without_a_reader():
    relay, driver = relay_of(on_disconnect="continue", limits=Limits(max_detached=2))
    for _ in range(4):
        relayed = await relay.start(REQUEST)
        (await relay.subscribe(relayed.id)).close("gone")
    await turns(20)
    assert [source.closed for source in driver.sources] == [[False], [False], [], []]
    await relay.close()


@driven
async def test_a_request_can_choose_to_go_on():
    relay, driver = relay_of()
    relayed = await relay.start(REQUEST, on_disconnect="continue")
    (await relay.subscribe(relayed.id, encoding="openai")).close("gone")
    await asyncio.sleep(100)
    assert driver.sources[0].closed == []
    await relay.close()


def test_a_stream_that_fails_is_one_line_in_the_log_without_what_the_upstream_said(caplog: pytest.LogCaptureFixture):
    relayed_id = ""

    @driven
    async def fail() -> None:
        nonlocal relayed_id
        relay, _ = relay_of([StatusError("429: slow, user 7", status=429, code="a\nb", request_id="req_1")])
        relayed = await relay.start(REQUEST)
        relayed_id = relayed.id
        await rest_of(await relay.subscribe(relayed.id))
        await turns(20)
        await relay.close()

    with caplog.at_level(logging.INFO, "streamkit"):
        fail()
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("streamkit.web", "WARNING")
    assert record.getMessage() == (
        f"stream {relayed_id} failed: StatusError, code 'a\\nb', status 429, request req_1: "
        "too many requests, or the quota is used up"
    )
