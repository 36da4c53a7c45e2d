from __future__ import annotations

import asyncio

import pytest

from streamkit import StatusError

from ..clock import driven, turns
from ..stream.scripted import END, text_reads
from .scripted import REQUEST, relay_of, rest_of


@driven
async def test_ready_raises_what_failed_before_there_was_content():
    relay, _ = relay_of([StatusError("slow down", status=429)])
    relayed = await relay.start(REQUEST)
    with pytest.raises(StatusError, match="slow down"):
        await relayed.ready()
    await turns(10)
    await relay.close()


@driven
async def test_ready_returns_with_the_first_chunk_and_after_early_commit():
    loop = asyncio.get_running_loop()
    relay, driver = relay_of([], [], early_commit=10.0)
    relayed = await relay.start(REQUEST)
    started = loop.time()
    waiting = asyncio.ensure_future(relayed.ready())
    await asyncio.sleep(3)
    driver.sources[0].push(*text_reads("a"))
    await waiting
    assert loop.time() - started == pytest.approx(3, abs=0.1)
    relayed = await relay.start(REQUEST)
    started = loop.time()
    await relayed.ready()
    assert loop.time() - started == pytest.approx(10)
    await relay.close()


@driven
async def test_an_error_after_content_is_told_in_band():
    relay, _ = relay_of([*text_reads("a"), END])
    relayed = await relay.start(REQUEST)
    subscription = await relay.subscribe(relayed.id, encoding="openai")
    await relayed.ready()
    body = await rest_of(subscription)
    assert b'"error"' in body
    assert b"[DONE]" not in body
    await turns(10)
    await relay.close()
