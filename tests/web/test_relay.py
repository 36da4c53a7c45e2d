from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamkit.testing import chunk, sse
from streamkit.web import Ended, Limits, MemoryLog, Principal, Refused, Relay, StreamEnd, StreamMeta, serve
from streamkit.web.encode import EncodingName

from ..clock import driven, turns
from ..stream.scripted import END, feed_of, text_reads
from .scripted import REQUEST, FailingLog, MemoryOutlet, chunk_record, driver_of, relay_of, rest_of, texts

ANN, BOB = Principal("ann"), Principal("bob")


@driven
async def test_a_stream_is_read_by_all_and_then_from_the_log():
    relay, _ = relay_of([feed_of("a", "b"), END])
    relayed = await relay.start(REQUEST)
    bodies = await asyncio.gather(*[rest_of(await relay.subscribe(relayed.id)) for _ in range(5)])
    assert {texts(body) for body in bodies} == {"ab"}
    await turns(20)
    assert relay.running == 0
    assert texts(await rest_of(await relay.subscribe(relayed.id))) == "ab"
    assert texts(await rest_of(await relay.subscribe(relayed.id, 2))) == "b"
    await relay.close()


@driven
async def test_sinks_of_the_driver_and_of_the_relay_see_every_stream():
    heard: list[str] = []
    driver, _ = driver_of(
        [feed_of("a"), END], sinks=[lambda s: s.on("text", lambda text: heard.append("driver " + text))]
    )
    relay = Relay(driver, sinks=[lambda s: s.on("text", lambda text: heard.append("relay " + text))])
    relayed = await relay.start(REQUEST)
    await rest_of(await relay.subscribe(relayed.id))
    assert heard == ["driver a", "relay a"]
    await relay.close()


@driven
async def test_a_foreign_stream_is_as_unknown_as_none():
    relay, _ = relay_of([])
    relayed = await relay.start(REQUEST, principal=ANN)
    for stream_id, principal in (
        (relayed.id, BOB),
        (relayed.id, None),
        ("nothing", ANN),
        ("../x", ANN),
        ("", ANN),
        ("a" * 200, ANN),
    ):
        answers = []
        for method in (relay.subscribe, relay.state, relay.snapshot, relay.stop, relay.delete):
            call: Any = method
            with pytest.raises(Refused) as refused:
                await call(stream_id, principal=principal)
            answers.append((refused.value.status, refused.value.code, str(refused.value)))
        assert set(answers) == {(404, "not_found", "there is no such stream, or it is over")}
    assert (await relay.state(relayed.id, ANN)).status == "running"
    await relay.close()


@driven
async def test_a_stop_ends_the_stream_and_tells_the_readers():
    relay, driver = relay_of(text_reads("a"))
    relayed = await relay.start(REQUEST)
    reading = asyncio.ensure_future(rest_of(await relay.subscribe(relayed.id)))
    await turns(10)
    assert await relay.stop(relayed.id)
    assert not await relay.stop(relayed.id)
    body = await reading
    assert texts(body) == "a"
    assert b'"reason":"abort"' in body
    await turns(10)
    assert driver.sources[0].closed == [False]
    assert not await relay.stop(relayed.id)
    await relay.close()


@driven
async def test_the_end_of_a_stream_is_204_for_who_has_it_all():
    relay, _ = relay_of([feed_of("a"), END])
    relayed = await relay.start(REQUEST)
    await rest_of(await relay.subscribe(relayed.id))
    state = await relay.state(relayed.id)
    assert (state.status, state.reason) == ("ended", "done")
    for after in (state.seq, state.seq + 1):
        with pytest.raises(Ended):
            await relay.subscribe(relayed.id, after)
    assert b"event: end" in await rest_of(await relay.subscribe(relayed.id, state.seq - 1))
    assert b"[DONE]" in await rest_of(await relay.subscribe(relayed.id, state.seq, "openai"))
    await turns(10)
    await relay.close()


@driven
async def test_a_stream_that_takes_too_long_is_ended_with_an_error():
    relay, driver = relay_of(text_reads("a"), limits=Limits(max_seconds=60))
    relayed = await relay.start(REQUEST)
    reading = asyncio.ensure_future(rest_of(await relay.subscribe(relayed.id, encoding="openai")))
    await asyncio.sleep(61)
    assert b'"code":"max_seconds"' in await reading
    assert driver.sources[0].closed == [False]
    await relay.close()


@driven
async def test_a_log_that_fails_is_an_error_for_the_readers_of_that_stream_alone():
    log = FailingLog(appends=1)
    relay, _ = relay_of([*text_reads("a"), 5, *text_reads("b")], [feed_of("c"), END], log=log)
    relayed = await relay.start(REQUEST)
    subscription = await relay.subscribe(relayed.id, encoding="guide")
    body = await rest_of(subscription)
    assert b'"internal"' in body
    assert subscription.outcome == "error"
    log.appends = 100
    again = await relay.start(REQUEST)
    assert b"[DONE]" in await rest_of(await relay.subscribe(again.id, encoding="guide"))
    await turns(10)
    await relay.close()


@driven
async def test_a_deleted_stream_leaves_nothing():
    relay, driver = relay_of(text_reads("a"))
    relayed = await relay.start(REQUEST)
    reading = asyncio.ensure_future(rest_of(await relay.subscribe(relayed.id)))
    await turns(5)
    await relay.delete(relayed.id)
    await reading
    assert driver.sources[0].closed == [False]
    with pytest.raises(Refused):
        await relay.state(relayed.id)
    assert relay.running == 0
    await relay.close()


@driven
async def test_readers_are_counted_and_given_back():
    relay, _ = relay_of(limits=Limits(max_subscribers=2))
    relayed = await relay.start(REQUEST)
    one = await relay.subscribe(relayed.id)
    await relay.subscribe(relayed.id)
    with pytest.raises(Refused) as refused:
        await relay.subscribe(relayed.id)
    assert refused.value.status == 429
    one.close()
    await relay.subscribe(relayed.id)
    await relay.close()


@driven
async def test_a_snapshot_and_what_comes_after_it_are_the_whole():
    relay, driver = relay_of(text_reads("a", "b"))
    relayed = await relay.start(REQUEST)
    await turns(20)
    snapshot = await relay.snapshot(relayed.id)
    assert (snapshot["text"], snapshot["status"], snapshot["model"]) == ("ab", "running", "streamkit-test")
    rest = asyncio.ensure_future(rest_of(await relay.subscribe(relayed.id, snapshot["seq"])))
    driver.sources[0].push(feed_of("c"), END)
    assert texts(await rest) == "c"
    await turns(10)
    after = await relay.snapshot(relayed.id)
    assert (after["text"], after["status"], after["reason"], after["finish_reason"]) == ("abc", "ended", "done", "stop")
    assert after["seq"] == (await relay.state(relayed.id)).seq
    await relay.close()


@driven
async def test_a_snapshot_of_a_stream_of_another_process_does_not_wait_for_its_end():
    log = MemoryLog()
    await log.open("far", StreamMeta("", 0.0, "m"))
    relay, _ = relay_of(log=log)
    assert (await relay.snapshot("far"))["text"] == ""
    await log.append("far", [chunk_record(1, "a")])
    assert (await relay.snapshot("far"))["text"] == "a"
    assert await relay.stop("far")
    assert await log.renew("far") == "stopped"
    await log.seal("far", StreamEnd("abort"))
    assert not await relay.stop("far")
    await relay.close()


@driven
async def test_closing_tells_every_reader_of_fifty_streams_in_time():
    loop = asyncio.get_running_loop()
    relay, driver = relay_of(*[text_reads("a")] * 50)
    outlets, servings = [], []
    for number in range(50):
        relayed = await relay.start(REQUEST)
        outlet = MemoryOutlet()
        subscription = await relay.subscribe(relayed.id, encoding=("native", "openai", "guide")[number % 3])
        outlets.append(outlet)
        servings.append(asyncio.ensure_future(serve(subscription, outlet)))
    await turns(20)
    started = loop.time()
    await relay.close()
    assert loop.time() - started < 0.1
    assert [serving.result() for serving in servings] == ["error"] * 50
    for outlet in outlets:
        assert b'"code":"shutdown"' in outlet.body
        assert b"[DONE]" not in outlet.body
    assert all(source.closed == [False] for source in driver.sources)
    with pytest.raises(Refused) as refused:
        await relay.start(REQUEST)
    assert refused.value.status == 503
    await relay.close()


@driven
async def test_neither_a_stopped_client_nor_a_stuck_sink_holds_up_the_shutdown():
    loop = asyncio.get_running_loop()

    async def stuck(_: object) -> None:
        await asyncio.Event().wait()

    relay, _ = relay_of(text_reads("a" * 100), sinks=[lambda s: s.on("text", stuck)])
    relayed = await relay.start(REQUEST)
    serving = asyncio.ensure_future(serve(await relay.subscribe(relayed.id), MemoryOutlet(room=1)))
    await turns(20)
    started = loop.time()
    await asyncio.gather(relay.close(), relay.close())
    assert loop.time() - started < 1.5
    serving.cancel()
    await asyncio.wait([serving])
    assert relayed.stream is not None
    await relayed.stream.finished()


@pytest.mark.parametrize(
    "arguments",
    [{"on_disconnect": "stay"}, {"heartbeat": 0}, {"grace": -1}, {"send_timeout": 0}, {"early_commit": -1}],
)
def test_senseless_settings_are_refused_by_name(arguments: dict[str, Any]):
    driver, _ = driver_of()
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Relay(driver, **arguments)


FEED = sse(*[chunk(f"{n} ") for n in range(39)], chunk(finish_reason="stop"), done=False)


def test_an_upstream_that_ends_inside_an_event_never_looks_whole():
    """A clean end of the body, at each byte of the last event and some of all others; test_upstream_dies.py has connections cut."""
    finish = FEED.rfind(b"data: ")
    whole_from = len(FEED) - 2  # real feeds leave out the last blank line: the event counts without it
    beginnings = [at for at in range(whole_from) if at % 97 == 0 or at > finish]
    signs: dict[EncodingName, bytes] = {
        "openai": b"[DONE]",
        "guide": b"[DONE]",
        "native": b'"reason":"done"',
        "plain": b"never",
    }

    async def cut_at(at: int) -> None:
        relay, _ = relay_of([*([FEED[:at]] if at else []), END])
        relayed = await relay.start(REQUEST)
        for name, sign in signs.items():
            subscription = await relay.subscribe(relayed.id, encoding=name)
            body = await rest_of(subscription)
            assert subscription.outcome == "error", (at, name)
            assert sign not in body, (at, name)
            assert name == "plain" or b"error" in body, (at, name)
        await turns(5)
        await relay.close()

    @driven
    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)  # tracebacks for so many tasks take long
        for at in beginnings:
            await cut_at(at)

    test()


@driven
async def test_a_feed_that_ends_after_its_finish_is_whole():
    for at in (len(FEED) - 2, len(FEED) - 1, len(FEED)):
        relay, _ = relay_of([FEED[:at], END])
        subscription = await relay.subscribe((await relay.start(REQUEST)).id, encoding="openai")
        assert (await rest_of(subscription)).endswith(b"data: [DONE]\n\n")
        assert subscription.outcome == "end"
        await turns(5)
        await relay.close()


@driven
async def test_a_reader_that_gives_up_while_it_joins_leaves_no_stream_without_end():
    relay, driver = relay_of([feed_of(*"x" * 3000, finish=None, done=False)], grace=5.0)
    relayed = await relay.start(REQUEST)
    await asyncio.sleep(0.1)
    joining = asyncio.ensure_future(relay.subscribe(relayed.id))
    await turns(2)
    assert not joining.done()
    joining.cancel()
    await asyncio.sleep(6)
    assert driver.sources[0].closed == [False]
    await relay.close()


@driven
async def test_after_closing_nothing_is_read():
    relay, _ = relay_of([feed_of("a"), END])
    relayed = await relay.start(REQUEST)
    await rest_of(await relay.subscribe(relayed.id))
    await relay.close()
    with pytest.raises(Refused) as refused:
        await relay.subscribe(relayed.id)
    assert refused.value.status == 503


@driven
async def test_a_long_answer_is_read_from_the_log_and_as_snapshot_whole():
    relay, _ = relay_of([feed_of(*"x" * 2500), END])
    relayed = await relay.start(REQUEST)
    assert len(texts(await rest_of(await relay.subscribe(relayed.id)))) == 2500
    await asyncio.sleep(0.1)
    assert (await relay.snapshot(relayed.id))["text"] == "x" * 2500
    assert len(texts(await rest_of(await relay.subscribe(relayed.id)))) == 2500
    await relay.close()
