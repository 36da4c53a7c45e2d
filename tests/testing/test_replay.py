from __future__ import annotations

import asyncio
import io
import selectors
import statistics
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Literal, cast

import aiohttp
import pytest

from streamkit.errors import TapeError
from streamkit.tape import Ending, Tape, TapeRead, TapeWriter, demo_tape
from streamkit.testing import (
    At,
    Cut,
    End,
    Fault,
    Hang,
    Headers,
    Reset,
    ScriptedServer,
    Send,
    Step,
    completion_server,
    replay_server,
    tape_script,
)

from .loopback import exchange

SSE = (("content-type", "text/event-stream"),)
EVENTS = TapeRead(0.25, b"data: 1\n\n"), TapeRead(0.5, b"data: \xf0\x9f"), TapeRead(0.5, b"\x8c\x8a\n\n")
TAPE = Tape(status=200, headers=SSE, headers_at=0.125, reads=EVENTS, ending="eof", ended_at=0.75)


class DrivenLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer as soon as no socket has anything: hours pass at once."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_DrivenSelector(self))

    def time(self) -> float:
        return self.now


class _DrivenSelector(selectors.DefaultSelector):
    def __init__(self, loop: DrivenLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        # Loopback delivers in the call that sends; the grace is for a kernel that takes its time.
        events = super().select(0.001)
        if not events:
            self._loop.now += timeout
        return events


def run_driven(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=DrivenLoop) as runner:
        runner.run(main)


async def receive(server: ScriptedServer) -> tuple[Tape, BaseException | None]:
    """Post, and return what came as a tape, with times since the request was there; and how it failed."""
    loop = asyncio.get_running_loop()
    reads: list[TapeRead] = []
    error: BaseException | None = None
    async with aiohttp.ClientSession() as session, session.post(server.base_url, json={}) as response:
        start = server.requests[-1].at
        headers_at = loop.time() - start
        piece = b""
        try:
            async for data, ends_chunk in response.content.iter_chunks():
                piece += data
                if ends_chunk and piece:  # aiohttp reports the last chunk, which is empty, too
                    reads.append(TapeRead(loop.time() - start, piece))
                    piece = b""
        except aiohttp.ClientError as failure:
            error = failure
        if piece:
            reads.append(TapeRead(loop.time() - start, piece))
        headers = tuple((name.lower(), value) for name, value in response.headers.items())
        return Tape(response.status, headers, headers_at, tuple(reads), None, loop.time() - start), error


# ---------------------------------------------------------------------------------------------------------- pace


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.1])
def test_the_demo_replays_at_its_pace(speed: float) -> None:
    tape = demo_tape()

    async def main() -> None:
        async with replay_server(tape, speed) as server:
            received, error = await receive(server)

        assert error is None
        assert [read.data for read in received.reads] == [read.data for read in tape.reads]
        for got, recorded in zip(received.reads, tape.reads, strict=True):
            assert got.seconds == pytest.approx(recorded.seconds / speed, abs=1e-4)
        assert received.headers_at == pytest.approx(tape.headers_at / speed, abs=1e-4)
        assert received.duration == pytest.approx(tape.duration / speed, abs=1e-4)
        assert ("x-request-id", "req_demo_1") in received.headers

    run_driven(main())


def test_a_late_read_delays_no_other() -> None:
    """A client that does not read for 20 seconds gets the rest when it was due, not 20 seconds later."""
    flood = TapeRead(1.0, b"x" * 2**26)
    tape = Tape(status=200, reads=(flood, *(TapeRead(float(second), b"y") for second in range(2, 60))), ending="eof")

    async def main() -> None:
        loop = cast("DrivenLoop", asyncio.get_running_loop())
        async with replay_server(tape) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**10)
            writer.write(b"POST / HTTP/1.1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await asyncio.sleep(20)
            while await reader.read(2**20):
                pass
            ended = loop.time() - server.requests[0].at
            writer.close()
        assert ended == pytest.approx(59, abs=0.1)

    run_driven(main())


async def test_the_pace_holds_on_a_real_clock() -> None:
    reads = tuple(TapeRead(0.02 * (n + 1), b"data: %d\n\n" % n) for n in range(15))

    async with replay_server(Tape(status=200, reads=reads, ending="eof")) as server:
        received, _ = await receive(server)

    late = [got.seconds - recorded.seconds for got, recorded in zip(received.reads, reads, strict=True)]
    assert min(late) > -0.002  # a timer may fire within the clock's resolution
    assert statistics.median(late) < 0.015  # the median: on a busy machine any single one may be late


async def test_speed_0_waits_for_nothing() -> None:
    tape = Tape(
        status=200, headers_at=1e6, reads=tuple(TapeRead(1e6 + n, b"%d," % n) for n in range(3000)), ending="eof"
    )

    async with replay_server(tape, speed=0) as server:
        received, error = await receive(server)

    assert error is None and received.body == tape.body and len(received.reads) == 3000


async def test_every_post_gets_the_tape() -> None:
    async with replay_server(TAPE, speed=0) as server:
        bodies = [tape.body for tape, _ in await asyncio.gather(*[receive(server) for _ in range(5)])]

    assert bodies == [TAPE.body] * 5


# ---------------------------------------------------------------------------------------------------- the script


def test_a_tape_is_a_script() -> None:
    assert tape_script(TAPE) == (
        At(0.125),
        Headers(200, SSE),
        *(At(0.25), Send(EVENTS[0].data)),
        *(At(0.5), Send(EVENTS[1].data)),
        *(At(0.5), Send(EVENTS[2].data)),
        *(At(0.75), End()),
    )
    assert tape_script(TAPE, 0) == (Headers(200, SSE), *(Send(read.data) for read in EVENTS), End())


@pytest.mark.parametrize(
    ("ending", "step"), [("eof", End()), ("cancelled", End()), ("reset", Reset()), ("timeout", Hang()), (None, Cut())]
)
def test_the_end_is_the_recorded_one(ending: Ending | None, step: Step) -> None:
    tape = Tape(status=200, reads=EVENTS, ending=ending)

    assert tape_script(tape)[-2:] == (At(0.5), step)
    assert tape_script(Tape(ending=ending), 0) == (step,)


def test_the_framing_is_not_the_recorded_one() -> None:
    names = ("Transfer-Encoding", "Content-Length", "Content-Encoding", "Connection", "Keep-Alive", "x-a")
    tape = Tape(status=200, headers=tuple((name, "1") for name in names))

    assert tape_script(tape, 0)[0] == Headers(200, [("x-a", "1")])


def test_reads_can_be_split_otherwise() -> None:
    steps = tape_script(TAPE, split=4)
    sends = [step.data for step in steps if isinstance(step, Send)]

    assert b"".join(sends) == TAPE.body and [len(data) for data in sends] == [4, 4, 1, 4, 4, 4]
    assert [type(step) for step in steps[2:6]] == [At, Send, Send, Send]


@pytest.mark.parametrize("size", range(len(TAPE.body) + 1))
def test_a_fault_comes_after_exactly_so_many_bytes(size: int) -> None:
    steps = tape_script(TAPE, fault=Fault("reset", size))

    assert b"".join(step.data for step in steps if isinstance(step, Send)) == TAPE.body[:size]
    assert steps[-1] == Reset() and isinstance(steps[-2], Headers if size == 0 else Send)


def test_a_fault_without_a_place_comes_after_everything() -> None:
    assert tape_script(TAPE, 0, Fault("stall")) == (*tape_script(TAPE, 0)[:-1], Hang())


@pytest.mark.parametrize("speed", [-1.0, -0.001, float("nan"), float("inf")])
def test_a_speed_that_cannot_be_is_named(speed: float) -> None:
    with pytest.raises(ValueError, match=rf"^speed must be 0 \(at once\) or more \(1 is .*\), not {speed}$"):
        replay_server(TAPE, speed)


def test_other_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match="split must be at least 1 byte a write, not 0"):
        replay_server(TAPE, split=0)
    with pytest.raises(ValueError, match="no such fault: 'fire'; use one of close, cut, reset, stall"):
        Fault(cast("Literal['cut']", "fire"))
    with pytest.raises(ValueError, match="after_bytes must be at least 0, not -1"):
        Fault("cut", -1)
    with pytest.raises(ValueError, match="after 23 bytes, but the tape has only 21"):
        replay_server(TAPE, fault=Fault("cut", 23))


# ----------------------------------------------------------------------------------------------------- on the wire


@pytest.mark.parametrize("size", [0, 1, 9, 17, len(TAPE.body)])
@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_what_came_before_a_cut_arrives(kind: Literal["cut", "reset"], size: int) -> None:
    async with replay_server(TAPE, 0, Fault(kind, size)) as server:
        reads, was_reset = await exchange(server.port)

    chunks = b"".join(reads).partition(b"\r\n\r\n")[2]
    body = b""
    while chunks:
        length, _, rest = chunks.partition(b"\r\n")
        body += rest[: int(length, 16)]
        chunks = rest[int(length, 16) + 2 :]
    assert body == TAPE.body[:size]
    assert not reads[-1].endswith(b"\r\n0\r\n\r\n")
    assert was_reset is (kind == "reset")


async def test_a_close_looks_whole() -> None:
    async with replay_server(TAPE, 0, Fault("close", 4)) as server:
        received, error = await receive(server)

    assert received.body == b"data" and error is None


@pytest.mark.parametrize("ending", ["reset", None])
async def test_a_recorded_cut_is_a_cut(ending: Ending | None) -> None:
    async with replay_server(Tape(status=200, reads=EVENTS, ending=ending), 0) as server:
        _, error = await receive(server)

    assert isinstance(error, aiohttp.ClientError)


async def test_a_stall_is_silence_until_the_client_leaves() -> None:
    async with replay_server(TAPE, 0, Fault("stall", 9)) as server, aiohttp.ClientSession() as session:
        response = await session.post(server.base_url, json={})
        assert await response.content.readany() == TAPE.body[:9]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.05)
        response.close()
        await asyncio.wait_for(server.requests[0].closed.wait(), 5)


async def test_a_tape_of_a_failed_connection_has_no_answer() -> None:
    async with replay_server(Tape(ending="reset"), 0) as server:
        with pytest.raises(aiohttp.ClientOSError):
            await receive(server)


async def test_an_error_replays_as_one() -> None:
    tape = Tape(
        status=429, headers=(("content-type", "application/json"),), reads=(TapeRead(0.0, b"{}"),), ending="eof"
    )

    async with completion_server(tape_script(tape, 0), b"then this") as server:
        first, second = (await receive(server))[0], (await receive(server))[0]

    assert (first.status, first.body) == (429, b"{}")
    assert (second.status, second.body) == (200, b"then this")


async def test_a_recording_of_a_replay_is_the_tape(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    with TapeWriter.open(path) as writer:
        writer.headers(200, SSE, 0.0)
        for seconds, data in EVENTS:
            writer.read(data, seconds)
        writer.end("eof", 1.0)

    async with replay_server(path, 0) as server:
        received, _ = await receive(server)
    again = io.BytesIO()
    with TapeWriter(again) as writer:
        writer.headers(received.status or 0, SSE, 0.0)
        for (seconds, _), (_, data) in zip(EVENTS, received.reads, strict=True):
            writer.read(data, seconds)
        writer.end("eof", 1.0)

    assert again.getvalue().splitlines()[1:] == path.read_bytes().splitlines()[1:]


def test_a_path_of_no_tape_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot read the tape"):
        replay_server(tmp_path / "absent.sse.jsonl")
