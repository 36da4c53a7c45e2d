from __future__ import annotations

import gc
from typing import Any

import pytest
from pyee import EventEmitter
from pyee.asyncio import AsyncIOEventEmitter

from streamkit import CompletionStream, StreamError
from streamkit.sinks import pipe
from streamkit.subscriptions import EVENTS

from ..clock import driven
from ..stream.scripted import END, ScriptedSource, feed_of, heard, text_reads, untyped


def recorded(bus: EventEmitter, *names: str) -> list[tuple[str, Any]]:
    events: list[tuple[str, Any]] = []
    for name in names:
        bus.on(name, lambda payload, name=name: events.append((name, payload)))
    return events


@driven
async def test_forwards_every_event_in_order_with_its_payload() -> None:
    bus = EventEmitter()
    events = recorded(bus, "start", "connect", "chunk", "text", "text_done", "done", "end")
    stream = CompletionStream(ScriptedSource([feed_of("a", "b"), END])).attach(pipe(bus))
    own = heard(stream)

    completion = await stream

    assert [name for name, _ in events] == own
    assert events[-1] == ("end", completion)


@driven
async def test_prefix_and_star() -> None:
    bus = EventEmitter()
    events = recorded(bus, "chat:text", "chat:*", "text")

    await CompletionStream(ScriptedSource([feed_of("a"), END])).attach(pipe(bus, prefix="chat:"))

    assert ("chat:text", "a") in events
    assert sum(name == "chat:*" for name, _ in events) > 5
    assert not any(name == "text" for name, _ in events)


@driven
async def test_error_goes_only_where_somebody_listens() -> None:
    deaf, listening = EventEmitter(), EventEmitter()
    events = recorded(listening, "error")
    stream = CompletionStream(ScriptedSource([StreamError("broken")])).attach(pipe(deaf), pipe(listening))
    failures: list[object] = []
    stream.on("listener_error", failures.append)

    with pytest.raises(StreamError) as caught:
        await stream

    assert events == [("error", caught.value)]
    assert failures == []


@driven
async def test_failing_listener_over_there_is_a_listener_error_here() -> None:
    bus = EventEmitter()

    def fail(text: str) -> None:
        raise RuntimeError("over there")

    bus.on("text", fail)
    stream = CompletionStream(ScriptedSource([feed_of("a"), END])).attach(pipe(bus))
    failures: list[BaseException] = []
    stream.on("listener_error", failures.append)

    completion = await stream

    assert completion.text == "a"
    assert [str(failure.__cause__) for failure in failures] == ["over there"]


@driven
async def test_who_begins_to_listen_over_there_hears_the_next_read_and_who_leaves_hears_no_more() -> None:
    bus = EventEmitter()
    stream = CompletionStream(ScriptedSource([*text_reads("a", "b", "c"), feed_of("d"), END])).attach(pipe(bus))
    texts: list[str] = []
    stream.on("text", lambda text: bus.once("text", texts.append) if text in {"a", "c"} else None)

    await stream

    assert texts == ["b", "d"]


@driven
@pytest.mark.parametrize("late", ["text", "done"])
async def test_who_begins_to_listen_at_the_last_moment_hears_the_ending(late: str) -> None:
    bus, source = EventEmitter(), ScriptedSource([feed_of("a"), END])
    stream = CompletionStream(source).attach(pipe(bus))
    events: list[tuple[str, Any]] = []

    def listen(_: object) -> None:
        for name in ("end", "*"):
            bus.on(name, lambda payload, name=name: events.append((name, payload)))

    untyped(stream).once(late, listen)

    completion = await stream

    assert ("end", completion) in events
    assert [event.name for name, event in events if name == "*"][-1:] == ["end"]


@driven
async def test_nothing_is_emitted_that_nobody_listens_to() -> None:
    """Nor does a pipe make anything of what the bus knows and the stream does not, or of another prefix."""
    emitted: list[str] = []

    class Counting(EventEmitter):
        def _call_handlers(self, event: str, args: Any, kwargs: Any) -> bool:
            emitted.append(event)
            return super()._call_handlers(event, args, kwargs)

    bus = Counting()
    for name in ("a:text", "a:no such event", "b:chunk", "text"):
        bus.on(name, lambda _: None)
    emitted.clear()

    await CompletionStream(ScriptedSource([feed_of("x", "y"), END])).attach(pipe(bus, prefix="a:"))

    assert emitted == ["a:text", "a:text"]


@driven
async def test_emitter_with_an_emit_of_its_own_gets_everything() -> None:
    seen: list[str] = []

    class Logging(EventEmitter):
        def emit(self, event: str, *args: Any, **kwargs: Any) -> bool:
            seen.append(event)
            return super().emit(event, *args, **kwargs)

    stream = CompletionStream(ScriptedSource([feed_of("a"), END])).attach(pipe(Logging()))
    own = heard(stream)

    await stream

    assert [name for name in seen if name != "*"] == own
    assert seen.count("*") == len(own)


@driven
async def test_emitter_for_asyncio_runs_its_coroutines() -> None:
    bus = AsyncIOEventEmitter()
    texts: list[str] = []

    async def note(text: str) -> None:
        texts.append(text)

    bus.on("text", note)
    await CompletionStream(ScriptedSource([feed_of("a"), END])).attach(pipe(bus))
    await bus.wait_for_complete()

    assert texts == ["a"]


@driven
async def test_pipe_is_a_sink_whose_hearing_of_a_failure_does_not_settle_it(caplog: pytest.LogCaptureFixture) -> None:
    bus = EventEmitter()
    stream = CompletionStream(ScriptedSource([StreamError("broken")])).attach(pipe(bus))
    stream.start()
    bus.on("*", lambda _: None)

    await stream.finished()
    del stream
    gc.collect()

    assert "broken" in caplog.text


@driven
async def test_own_emitter_is_refused() -> None:
    bus = EventEmitter()
    stream = CompletionStream(ScriptedSource(), emitter=bus)

    with pytest.raises(ValueError, match="own emitter"):
        stream.attach(pipe(bus))

    for name in EVENTS:
        untyped(stream).on(name, lambda _: None)
    with pytest.raises(ValueError, match="own emitter"):
        stream.attach(pipe(bus))
    stream.start().abort()
    await stream.finished()


@driven
async def test_another_streams_emitter_is_not_its_own() -> None:
    bus = EventEmitter()
    other = CompletionStream(ScriptedSource([feed_of("b"), END]), emitter=bus)
    texts: list[str] = []
    other.on("text", texts.append)
    bus.on("text", lambda text: texts.append(f"bus {text}"))

    await CompletionStream(ScriptedSource([feed_of("a"), END])).attach(pipe(bus))
    await other

    assert texts == ["bus a", "b", "bus b"]


def test_what_is_no_emitter_is_refused() -> None:
    wrong: Any = []
    with pytest.raises(TypeError, match="emitter must be a pyee EventEmitter, not list"):
        pipe(wrong)
