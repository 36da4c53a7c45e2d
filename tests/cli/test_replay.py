from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import asyncio
import re
import signal
import socket
import statistics
import time
from itertools import pairwise
from pathlib import Path

import aiohttp

from streamkit.tape import Ending, TapeRead, TapeWriter, demo_tape
from streamkit.testing import chunk, sse
from tests.cli.command import COMMAND, environment, run, terminal
from tests.conftest import REPO

DEMO = str(REPO / "streamkit" / "demo.sse.jsonl")
PART = sse(chunk("Hel"), chunk("lo"), done=False)


def write(path: Path, ending: Ending | None = "eof", data: bytes = PART) -> str:
    with TapeWriter.open(path) as writer:
        writer.headers(200, [("content-type", "text/event-stream")], 0.01)
        writer.read(data, 0.02)
        if ending is not None:
            writer.end(ending, 0.03)
    return str(path)


async def test_answer_goes_to_standard_output_and_figures_to_standard_error() -> None:
    outcome = await run("replay", DEMO, "--speed", "0")

    assert outcome.status == 0
    assert outcome.out.endswith("hears it once.\n")
    assert outcome.sentence.endswith(", 17 prompt + 127 completion = 144 tokens")


async def test_it_is_shown_as_it_came() -> None:
    begun = time.monotonic()
    async with terminal("replay", DEMO, "--speed", "4") as screen:
        await screen.until("A stream")
        assert "hears it once." not in screen.shown
        await screen.until("hears it once.")
        assert await screen.status() == 0

    assert time.monotonic() - begun >= demo_tape().duration / 4


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        ("eof", "cut short"),
        ("reset", "was cut"),
        ("timeout", "took longer"),
        ("cancelled", "cut short"),
        (None, "was cut"),
    ],
)
async def test_failed_recording_fails_again(ending: Ending | None, says: str, tmp_path: Path) -> None:
    outcome = await run("replay", write(tmp_path / "a", ending))

    assert (outcome.status, outcome.out) == (1, "Hello\n")
    assert says in outcome.sentence


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--speed", "-1"), 2, "-1 is below 0; 1 is the recorded pace, 0 is at once"),
        (("--port", "65536"), 2, "'65536' is no port, 0 to 65535"),
        (("--port", "80"), 2, "--port goes with --serve"),
    ],
)
async def test_arguments_that_make_no_sense_are_named(arguments: tuple[str, ...], status: int, says: str) -> None:
    outcome = await run("replay", DEMO, *arguments)

    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.err.splitlines()[-1].endswith(says)


async def test_tape_of_a_newer_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new.sse.jsonl"
    path.write_text('{"format": "streamkit-tape", "version": 2}\n')

    outcome = await run("replay", str(path))

    assert (outcome.status, outcome.out) == (1, "")
    assert f"{path} is a tape of version 2, written by a newer streamkit" in outcome.sentence


async def test_port_that_is_taken_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = await run("replay", DEMO, "--serve", "--port", str(port))

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.sentence.startswith(
        f"streamkit: cannot listen on port {port}: Address already in use; choose another"
    )


async def test_server_plays_the_bytes_the_reads_and_the_pace_until_interrupted(tmp_path: Path) -> None:
    reads = [TapeRead(0.05 + 0.02 * place, sse(chunk(f"{place} "), done=False)) for place in range(20)]
    path = tmp_path / "a"
    with TapeWriter.open(path) as writer:
        writer.headers(200, [("content-type", "text/event-stream"), ("x-request-id", "req_1")], 0.02)
        for read in reads:
            writer.read(read.data, read.seconds)
        writer.end("eof", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    process = await asyncio.create_subprocess_exec(
        *COMMAND, "replay", path, "--serve", "--port", str(port),
        env=environment(None, None), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    loop = asyncio.get_running_loop()
    got: list[TapeRead] = []
    async with aiohttp.ClientSession() as session, session.post(url + "/chat/completions", json={}) as response:
        assert response.headers["x-request-id"] == "req_1"
        while data := await response.content.readany():
            got.append(TapeRead(loop.time(), data))
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()

    assert url == f"http://127.0.0.1:{port}/v1"
    assert (process.returncode, err) == (0, b"every request is answered with the tape, until ^C\n")
    assert [read.data for read in got] == [read.data for read in reads]
    delays = [(after.seconds - before.seconds) - 0.02 for before, after in pairwise(got)]
    assert statistics.median(map(abs, delays)) < 0.015


async def test_replay_needs_no_colours_and_no_terminal() -> None:
    async with terminal("replay", DEMO, "--speed", "0", env={"NO_COLOR": "1"}) as screen:
        assert await screen.status() == 0

    assert not re.search(r"\x1b", screen.shown)
