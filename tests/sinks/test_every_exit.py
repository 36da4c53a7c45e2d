"""Every way out of a stream, with every sink: one closing record, with the right outcome, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamkit import CompletionStream, StreamAborted, StreamDriver, StreamError, sinks
from streamkit.sinks import TranscriptSink
from streamkit.testing import (
    Cut,
    Hang,
    Reset,
    Script,
    ScriptedServer,
    Send,
    Wait,
    answer,
    chunk,
    completion_server,
    sse,
)

from .probes import PROBES, Probe

PART = sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)
WHOLE = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"))
BUSY = answer(429, {"error": {"message": "slow down"}}, {"retry-after": "0"})

Leave = Callable[[CompletionStream, ScriptedServer], Awaitable[None]]


@dataclass(frozen=True)
class Exit:
    """A way out: what the server says, what the user does, and what comes of it."""

    name: str
    outcome: str
    text: str
    leave: Leave
    scripts: Sequence[Script] = (WHOLE,)
    retries: int = 0


async def wait(stream: CompletionStream, server: ScriptedServer) -> None:
    with suppress(StreamError, StreamAborted):
        await stream


async def start(stream: CompletionStream, server: ScriptedServer) -> None:
    stream.start()


async def leave_loop(stream: CompletionStream, server: ScriptedServer) -> None:
    async for _ in stream:
        break


async def leave_context(stream: CompletionStream, server: ScriptedServer) -> None:
    async with stream:
        await stream.wait_for("text")


async def cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def awaiting(stream: CompletionStream) -> None:
    await stream


async def cancel_before_headers(stream: CompletionStream, server: ScriptedServer) -> None:
    task = asyncio.create_task(awaiting(stream))
    while not server.requests:
        await asyncio.sleep(0)
    await cancel(task)


async def cancel_in_the_middle(stream: CompletionStream, server: ScriptedServer) -> None:
    spoke = asyncio.Event()
    stream.on("text", lambda text: spoke.set() if text == "lo" else None)
    task = asyncio.create_task(awaiting(stream))
    await spoke.wait()
    await cancel(task)


async def cancel_twice(stream: CompletionStream, server: ScriptedServer) -> None:
    spoke = asyncio.Event()
    stream.on("text", lambda text: spoke.set() if text == "lo" else None)
    task = asyncio.create_task(awaiting(stream))
    await spoke.wait()
    task.cancel()
    await asyncio.sleep(0)
    await cancel(task)


async def abort(stream: CompletionStream, server: ScriptedServer) -> None:
    stream.on("text", lambda text: stream.abort("enough") if text == "lo" else None)
    await wait(stream, server)


async def abort_before_start(stream: CompletionStream, server: ScriptedServer) -> None:
    stream.abort("never mind")
    await wait(stream, server)


async def drop(stream: CompletionStream, server: ScriptedServer) -> None:
    iterator = aiter(stream)
    await anext(iterator)
    del iterator
    gc.collect()


EXITS = [
    Exit("whole", "whole", "Hello", wait),
    Exit("started_only", "whole", "Hello", start),
    Exit("retried", "whole", "Hello", wait, [BUSY, WHOLE], retries=1),
    Exit("break", "abort", "Hel", leave_loop, [[Send(PART[:-20]), Hang()]]),
    Exit("left_context", "abort", "Hello", leave_context, [[Send(PART), Hang()]]),
    Exit("cancel_before_headers", "cancel", "", cancel_before_headers, [[Hang()]]),
    Exit("cancel_in_the_middle", "cancel", "Hello", cancel_in_the_middle, [[Send(PART), Hang()]]),
    Exit("cancel_twice", "cancel", "Hello", cancel_twice, [[Send(PART), Hang()]]),
    Exit("abort", "abort", "Hello", abort, [[Send(PART), Hang()]]),
    Exit("abort_before_start", "abort", "", abort_before_start),
    Exit("reset", "ConnectionLost", "Hello", wait, [[Send(PART), Reset()]]),
    Exit("cut", "ConnectionLost", "Hello", wait, [[Send(PART), Cut()]]),
    Exit("truncated", "TruncatedStream", "Hello", wait, [PART]),
    Exit("empty", "EmptyStream", "", wait, [b"data: [DONE]\n\n"]),
    Exit("429", "StatusError", "", wait, [BUSY]),
    Exit("html", "ProtocolError", "", wait, [answer(200, "<html>hello</html>")]),
    Exit("error_in_feed", "ServerError", "Hello", wait, [PART + b'data: {"error": {"message": "oh"}}\n\n']),
    Exit("dropped", "abort", "Hel", drop, [[Send(PART[:-20]), Hang()]]),
]


def test_every_sink_has_a_probe() -> None:
    probed = {name for probe in PROBES for name in sinks.__all__ if name in (probe.__init__.__code__.co_names)}

    not_sinks = {name for name in sinks.__all__ if name.endswith(("Stats", "Figures"))}
    assert probed >= set(sinks.__all__) - not_sinks - ELSEWHERE


#: Sinks with tests of their own for every exit.
ELSEWHERE = {"TapeSink"}


@pytest.mark.parametrize("way", EXITS, ids=lambda way: way.name)
@pytest.mark.parametrize("kind", PROBES, ids=lambda kind: kind.__name__)
async def test_one_closing_record_with_the_right_outcome(
    kind: type[Probe], way: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = kind(tmp_path, monkeypatch)
    async with (
        completion_server(*way.scripts) as server,
        StreamDriver(server.base_url, retries=way.retries, sinks=[probe.sink]) as driver,
    ):
        stream = driver.stream("hi", model="m")
        await way.leave(stream, server)
        await stream.finished()

    [(outcome, text)] = probe.closings()

    assert outcome == way.outcome
    assert (text or "") in ("", way.text)  # a sink that shows no text shows none
    assert stream.completion.text == way.text


@pytest.mark.parametrize("kind", PROBES, ids=lambda kind: kind.__name__)
async def test_loop_that_is_shut_down_closes_the_record(
    kind: type[Probe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio.run cancels what still runs when its main function has returned, the stream's own task too."""
    probe = kind(tmp_path, monkeypatch)
    async with (
        completion_server([Send(PART), Hang()]) as server,
        StreamDriver(server.base_url, sinks=[probe.sink]) as driver,
    ):
        stream = driver.stream("hi", model="m").start()
        await stream.wait_for("text")
        [task] = [task for task in asyncio.all_tasks() if task.get_name() == "streamkit.stream"]
        task.cancel()
        await stream.finished()

    assert [outcome for outcome, _ in probe.closings()] == ["cancel"]


async def test_200_streams_at_once_through_one_sink_of_each_kind_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = probes_in(tmp_path, monkeypatch)
    parts = [[f"<{number}.{part}>" for part in range(5)] for number in range(200)]
    scripts = [
        [step for part in texts for step in (Send(sse(chunk(part), done=False)), Wait(0.02))]
        + [Send(sse(chunk(finish_reason="stop")))]
        for texts in parts
    ]
    async with (
        completion_server(*scripts) as server,
        StreamDriver(server.base_url, sinks=[probe.sink for probe in probes]) as driver,
    ):
        streams = [driver.stream(f"prompt {number}", model="m").start() for number in range(200)]
        for stream in streams:
            await stream.finished()
    expected = sorted(map("".join, parts))
    assert sorted(stream.completion.text for stream in streams) == expected

    for probe in probes:
        closings = probe.closings()

        assert [outcome for outcome, _ in closings] == ["whole"] * 200, probe
        assert sorted(text for _, text in closings if text is not None) in ([], expected), probe


def probes_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Probe]:
    """One of each kind, each with a folder of its own."""
    probes = []
    for kind in PROBES:
        (own := folder / kind.__name__).mkdir(parents=True)
        probes.append(kind(own, monkeypatch))
    return probes


@pytest.mark.parametrize("kind", PROBES, ids=lambda kind: kind.__name__)
async def test_sink_keeps_nothing_of_a_stream_that_is_gone(
    kind: type[Probe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = kind(tmp_path, monkeypatch)
    async with completion_server(WHOLE) as server, StreamDriver(server.base_url, sinks=[probe.sink]) as driver:
        stream = driver.stream("hi", model="m")
        await stream
        gone = weakref.ref(stream)
        del stream
        await asyncio.sleep(0)
        gc.collect()

        assert gone() is None


KEY, PROMPT = "sk-canary-key-7f3a9c", "canary prompt 51c0ffee"


@pytest.mark.parametrize("way", ["whole", "400", "error_in_feed", "html", "malformed"])
@pytest.mark.parametrize("kind", PROBES, ids=lambda kind: kind.__name__)
async def test_keys_and_prompts_stay_out(
    kind: type[Probe], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server quotes. What is asked for (content="full", a transcript with its prompts) has the prompt, never the key."""
    caplog.set_level(logging.DEBUG)
    quoted = f"invalid key {KEY} in the request {PROMPT}"
    scripts: dict[str, Script] = {
        "whole": sse(chunk("fine"), chunk(finish_reason="stop")),
        "400": answer(400, {"error": {"message": quoted, "type": quoted, "code": quoted}}),
        "error_in_feed": sse(chunk("fine"), {"error": {"message": quoted}}),
        "html": answer(200, f"<html>{quoted}</html>"),
        "malformed": sse(chunk("fine"), done=False) + f'data: {{"{quoted}\n\n'.encode() + WHOLE,
    }
    probe = kind(tmp_path, monkeypatch)
    async with completion_server(scripts[way]) as server:
        url = f"{server.base_url}?api-key={KEY}"
        async with StreamDriver(url, KEY, headers={"x-api-key": KEY}, sinks=[probe.sink], retries=0) as driver:
            stream = driver.stream(PROMPT, model="m")
            with suppress(StreamError):
                await stream

    assert len(probe.closings()) == 1
    assert KEY not in probe.output()
    assert KEY not in caplog.text
    if kind.__name__ not in {"FullLogProbe", "TranscriptProbe"}:
        assert PROMPT not in probe.output()
        assert PROMPT not in caplog.text


def raises_everywhere(stream: CompletionStream) -> None:
    def fail(payload: object) -> None:
        raise RuntimeError("a bug in a sink")

    for event in ("start", "chunk", "text", "done", "end", "*"):
        stream.on(event, fail)


def hangs(stream: CompletionStream) -> None:
    async def hang(payload: object) -> None:
        await asyncio.Event().wait()

    stream.on("text", hang)
    stream.on("end", hang)


async def outputs_with(
    others: Sequence[Callable[[CompletionStream], object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[list[tuple[str, str | None]]]]:
    probes = probes_in(tmp_path, monkeypatch)
    names: list[str] = []
    all_sinks = [*others, *(probe.sink for probe in probes), *others]
    async with (
        completion_server(WHOLE) as server,
        StreamDriver(server.base_url, sinks=all_sinks, drain_timeout=0.05) as driver,
    ):
        stream = driver.stream("hi", model="m")
        stream.on("*", lambda event: names.append(event.name))
        await stream
    return names, [probe.closings() for probe in probes]


async def test_failing_sinks_change_nothing_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    alone = await outputs_with([], tmp_path / "alone", monkeypatch)

    beside = await outputs_with(
        [raises_everywhere, hangs, TranscriptSink("/dev/full")], tmp_path / "beside", monkeypatch
    )

    assert beside == alone
    assert all(len(closings) == 1 for closings in beside[1])
    assert "a bug in a sink" in caplog.text
    assert "No space left on device" in caplog.text
