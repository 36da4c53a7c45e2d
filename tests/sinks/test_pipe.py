from __future__ import annotations

from typing import Any

import pytest
from pyee import EventEmitter

from streamkit import CompletionStream, StreamError
from streamkit.sinks import pipe

from ..clock import driven
from ..stream.scripted import END, ScriptedSource, feed_of, heard


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
async def test_own_emitter_is_refused() -> None:
    bus = EventEmitter()
    stream = CompletionStream(ScriptedSource(), emitter=bus)

    with pytest.raises(ValueError, match="own emitter"):
        stream.attach(pipe(bus))


def test_what_is_no_emitter_is_refused() -> None:
    wrong: Any = []
    with pytest.raises(TypeError, match="emitter must be a pyee EventEmitter, not list"):
        pipe(wrong)
