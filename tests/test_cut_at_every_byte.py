"""A tape of forty events, cut after every single byte: never a `done`, and never lost what had arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from streamkit import ConnectionLost, Event, StreamDriver, StreamError, TruncatedStream
from streamkit.tape import Tape, TapeRead
from streamkit.testing import (
    Cut,
    Fault,
    Headers,
    ReceivedRequest,
    Reset,
    ScriptedServer,
    Send,
    Step,
    chunk,
    sse,
    tape_script,
)

WORDS = [f"{word} " for word in ("Was", "ist", "größer", "🙂", "naïve", "€100") for _ in range(7)][:37]
CHUNKS = [chunk("", role="assistant"), *map(chunk, WORDS), chunk(finish_reason="stop")]
# As short as chunks can be: every byte of them is a connection.
EVENTS = [sse({"choices": payload["choices"]}, done=False) for payload in CHUNKS] + [b"data: [DONE]\n\n"]
BODY = b"".join(EVENTS)
UNFINISHED = len(BODY) - len(EVENTS[-1]) - len(EVENTS[-2])
"""From here on the finish_reason may have come whole, and then the answer is."""

TAPE = Tape(
    status=200,
    headers=(("content-type", "text/event-stream"),),
    headers_at=0.0,
    reads=tuple(TapeRead(0.001 * place, event) for place, event in enumerate(EVENTS)),
    ending="eof",
    ended_at=0.1,
)

CONCURRENCY = 64


def cut(size: int) -> tuple[Step, ...]:
    return tape_script(TAPE, speed=0, fault=Fault("cut", after_bytes=size))


def reset(size: int) -> tuple[Step, ...]:
    return tape_script(TAPE, speed=0, fault=Fault("reset", after_bytes=size))


def cut_in_one_write(size: int) -> tuple[Step, ...]:
    return Headers(), Send(BODY[:size]), Cut()


def reset_in_one_write(size: int) -> tuple[Step, ...]:
    return Headers(), Send(BODY[:size]), Reset()


def close_delimited(size: int) -> tuple[Step, ...]:
    return Headers(framing="close"), Send(BODY[:size]), Cut()


class CutServer(ScriptedServer):
    """Cuts where the request says."""

    def __init__(self, script: Callable[[int], tuple[Step, ...]]) -> None:
        super().__init__(b"")
        self._script = script

    def script_for(self, request: ReceivedRequest) -> tuple[Step, ...]:
        return self._script(request.json["cut"])


def arrived(size: int) -> tuple[int, str]:
    """How many events lie whole in the first bytes, and the text of those."""
    events, end = 0, 0
    for event in EVENTS:
        end += len(event)
        if end > size:
            break
        events += 1
    return events, "".join(WORDS[: max(0, events - 1)])


def heard(names: list[str]) -> Callable[[Event], None]:
    return lambda event: names.append(event.name)


@pytest.mark.parametrize("script", [cut, reset, cut_in_one_write, reset_in_one_write, close_delimited])
async def test_cut_at_every_byte(script: Callable[[int], tuple[Step, ...]]) -> None:
    asyncio.get_running_loop().set_debug(False)  # tracebacks for thousands of connections take minutes
    assert len(EVENTS) == 40
    sizes = iter(range(len(BODY) + 1))
    outcomes: dict[int, tuple[str, str, list[str]]] = {}

    async def work(driver: StreamDriver, sizes: Iterator[int]) -> None:
        for size in sizes:
            stream = driver.stream("hi", model="m", cut=size)
            names: list[str] = []
            texts: list[str] = []
            stream.on("*", heard(names))
            stream.on("text", texts.append)
            try:
                ending, completion = "done", await stream
            except StreamError as error:
                ending, completion = type(error).__name__, error.completion
            assert "".join(texts) == completion.text
            outcomes[size] = (ending, completion.text, names[-2:])

    async with CutServer(script) as server, StreamDriver(server.base_url, retries=0) as driver:
        await asyncio.gather(*(work(driver, sizes) for _ in range(CONCURRENCY)))

    assert sorted(outcomes) == list(range(len(BODY) + 1))
    lost = (
        {TruncatedStream.__name__, "EmptyStream", "ProtocolError"}
        if script is close_delimited
        else {ConnectionLost.__name__}
    )
    for size, (ending, text, last) in outcomes.items():
        events, expected = arrived(size)
        # Without the blank line that ends it, the event with the finish_reason has not come.
        finished = events >= len(EVENTS) - 1 or (script is close_delimited and size >= UNFINISHED + len(EVENTS[-2]) - 2)
        assert text == expected or (script is close_delimited and text.startswith(expected)), size
        if finished:
            assert (ending, last) == ("done", ["done", "end"]), size
        else:
            assert ending in lost, (size, ending)
            assert last == ["error", "end"], size
