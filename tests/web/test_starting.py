from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamkit import CompletionStream, StatusError
from streamkit.web import Limits, MemoryLog, Principal, Refused, Relay, serve

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource, feed_of, text_reads
from .scripted import REQUEST, MemoryOutlet, driver_of, relay_of, rest_of, texts

ANN, BOB = Principal("ann"), Principal("bob")


@driven
async def test_ids_are_long_and_never_the_same():
    relay, _ = relay_of(*[[feed_of("a"), END]] * 20)
    ids = {(await relay.start(REQUEST)).id for _ in range(20)}
    assert len(ids) == 20
    assert all(len(stream_id) >= 22 for stream_id in ids)
    await turns(20)
    await relay.close()


@driven
async def test_repetition_of_a_keyed_start_is_no_start_for_the_limits():
    relay, driver = relay_of(limits=Limits(max_streams_per_principal=1, starts_per_minute=1))
    first = await relay.start(REQUEST, idempotency_key="k")
    again = await relay.start(REQUEST, idempotency_key="k")
    assert (again.id, again.created) == (first.id, False)
    with pytest.raises(Refused) as refused:
        await relay.start(REQUEST, idempotency_key="other")
    assert refused.value.status == 429
    assert len(driver.sources) == 1
    await relay.close()


@driven
async def test_the_same_key_is_the_same_stream_for_the_same_principal():
    relay, driver = relay_of()
    first, second = await asyncio.gather(*[relay.start(REQUEST, principal=ANN, idempotency_key="k") for _ in range(2)])
    assert first.id == second.id
    assert (first.created, second.created) == (True, False)
    other = await relay.start(REQUEST, principal=BOB, idempotency_key="k")
    assert other.id != first.id
    await turns(5)
    assert sum(source.connects for source in driver.sources) == 2
    assert second.stream is first.stream
    await relay.close()


@driven
async def test_a_key_cannot_stand_for_two_requests():
    relay, _ = relay_of()
    await relay.start(REQUEST, idempotency_key="k")
    with pytest.raises(Refused) as refused:
        await relay.start({**REQUEST, "temperature": 1}, idempotency_key="k")
    assert refused.value.status == 422
    assert relay.running == 1
    await relay.close()


@driven
async def test_a_key_whose_stream_failed_at_once_may_be_tried_again():
    relay, _ = relay_of([StatusError("no", status=500)], [feed_of("a"), END])
    first = await relay.start(REQUEST, idempotency_key="k")
    with pytest.raises(StatusError):
        await first.ready()
    await turns(10)
    second = await relay.start(REQUEST, idempotency_key="k")
    assert second.created
    assert texts(await rest_of(await relay.subscribe(second.id))) == "a"
    third = await relay.start(REQUEST, idempotency_key="k")
    assert (third.id, third.created) == (second.id, False)
    await third.ready()
    await turns(10)
    await relay.close()


@driven
async def test_streams_are_counted_and_given_back():
    relay, _ = relay_of(limits=Limits(max_streams_per_principal=1, max_streams=2))
    first = await relay.start(REQUEST, principal=ANN)
    with pytest.raises(Refused) as refused:
        await relay.start(REQUEST, principal=ANN)
    assert refused.value.status == 429
    await relay.start(REQUEST, principal=BOB)
    with pytest.raises(Refused) as refused:
        await relay.start(REQUEST)
    assert refused.value.status == 503
    await relay.stop(first.id, ANN)
    await turns(20)
    await relay.start(REQUEST, principal=ANN)
    await relay.close()


@driven
async def test_a_request_that_cannot_be_sent_leaves_nothing_behind():
    relay, driver = relay_of(limits=Limits(max_streams=1))

    def stream(request: Any) -> Any:
        raise TypeError("messages must be a list")

    original, driver.stream = driver.stream, stream  # type: ignore[method-assign]  # it is the test's own
    for key in (None, "k"):
        with pytest.raises(TypeError):
            await relay.start(REQUEST, idempotency_key=key)
    driver.stream = original  # type: ignore[method-assign]  # likewise
    assert (await relay.start(REQUEST, idempotency_key="k")).created
    await relay.close()


@driven
async def test_a_sink_that_raises_leaves_no_stream_behind():
    problems = [RuntimeError("no disk")]

    def sink(stream: object) -> None:
        if problems:
            raise problems.pop()

    log = MemoryLog()
    scripted, driver = driver_of()
    relay = Relay(scripted, log=log, limits=Limits(max_streams=1), sinks=[sink])
    with pytest.raises(RuntimeError, match="no disk"):
        await relay.start(REQUEST)
    assert len(log) == 0
    assert driver.sources[0].connects == 0
    await relay.start(REQUEST)
    await relay.close()


@driven
async def test_a_client_that_left_while_it_waited_leaves_no_trace():
    relay, driver = relay_of()
    for _ in range(50):
        relayed = await relay.start(REQUEST)
        outlet = MemoryOutlet()
        serving = asyncio.ensure_future(serve(await relay.subscribe(relayed.id, encoding="openai"), outlet))
        await turns(3)
        outlet.left = True
        await asyncio.sleep(0.3)
        assert serving.result() == "gone"
    await turns(10)
    assert relay.running == 0
    assert all(source.closed == [False] for source in driver.sources)
    await relay.close()


@driven
async def test_a_stream_of_ones_own_is_relayed_from_its_beginning():
    relay = Relay(None)
    for start_it in (False, True):
        stream = CompletionStream(ScriptedSource([feed_of("a", "b"), END]))
        if start_it:
            stream.start()
        relayed = await relay.adopt(stream, principal=ANN)
        assert relayed.stream is stream
        assert texts(await rest_of(await relay.subscribe(relayed.id, principal=ANN))) == "ab"
        assert relayed.request_id == "req_1"
    await turns(10)
    assert relay.running == 0
    await relay.close()


@driven
async def test_a_stream_that_cannot_be_relayed_whole_is_refused_in_one_sentence():
    log = MemoryLog()
    relay = Relay(None, log=log, limits=Limits(max_streams=1))
    with pytest.raises(RuntimeError, match="no driver"):
        await relay.start(REQUEST)
    ended = CompletionStream(ScriptedSource([feed_of("a"), END]))
    await ended
    begun = CompletionStream(ScriptedSource(text_reads("a"))).start()
    await turns(10)
    for stream, sentence in ((ended, "has ended"), (begun, "has begun")):
        with pytest.raises(RuntimeError, match=sentence):
            await relay.adopt(stream)
    assert len(log) == 0
    stream = CompletionStream(ScriptedSource(text_reads("a")))
    relayed = await relay.adopt(stream)
    for other in (relay, Relay(None)):
        with pytest.raises((RuntimeError, Refused), match="relayed already|busy"):
            await other.adopt(stream)
    begun.abort()
    await relay.stop(relayed.id)
    await begun.finished()
    await relay.close()


def test_a_stream_of_another_loop_is_refused():
    loop = asyncio.new_event_loop()
    stream = CompletionStream(ScriptedSource())
    loop.call_soon(stream.start)
    loop.run_until_complete(turns(3))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(Relay(None).adopt(stream))
    stream.abort()
    loop.run_until_complete(stream.finished())
    loop.close()
