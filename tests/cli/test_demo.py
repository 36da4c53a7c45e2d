from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from streamkit.tape import demo_tape

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

from tests.cli.command import run, terminal
from tests.conftest import REPO

TAPE = (REPO / "streamkit" / "demo.sse.jsonl").read_text(encoding="utf-8")
FIGURES = r"first text at \d+\.\d\d s, (129 chunks|\d+\.\d chunks/s), 17 prompt \+ 127 completion = 144 tokens"


async def test_demo_prints_the_answer_and_ends_with_a_line_of_figures() -> None:
    outcome = await run("demo", "--speed", "0")

    answer, _, figures = outcome.out.rstrip("\n").rpartition("\n\n")
    assert (outcome.status, outcome.err) == (0, "")
    assert answer.startswith("A stream is a letter that you read while it is being written.\n")
    assert answer.endswith("and hears it once.")
    assert re.fullmatch(FIGURES, figures)


async def test_demo_plays_at_the_recorded_pace_times_the_speed() -> None:
    tape = demo_tape()
    begun = time.monotonic()

    outcome = await run("demo", "--speed", "4")

    took = time.monotonic() - begun
    figures = re.search(r"first text at (\S+) s, \S+ chunks/s, ", outcome.out)
    assert figures is not None
    assert float(figures[1]) >= tape.headers_at / 4 - 0.005  # what was printed is rounded
    assert tape.duration / 4 <= took < tape.duration


async def test_demo_shows_the_answer_as_it_comes() -> None:
    async with terminal("demo") as screen:
        await screen.until("A stream")

        assert "hears it once." not in screen.shown


async def test_demo_needs_neither_the_server_nor_the_key_nor_the_proxy_of_the_environment() -> None:
    nowhere = "http://127.0.0.1:1"
    env = {"OPENAI_API_KEY": "no\nkey", "http_proxy": nowhere, "HTTP_PROXY": nowhere, "ALL_PROXY": nowhere}

    outcome = await run("demo", "--speed", "0", base_url=nowhere, env=env)

    assert (outcome.status, outcome.err) == (0, "")


@pytest.mark.parametrize("speed", ["-1", "nan", "inf", "fast"])
async def test_speed_that_makes_no_sense_is_named(speed: str) -> None:
    outcome = await run("demo", f"--speed={speed}")

    assert (outcome.status, outcome.out) == (2, "")
    assert speed in outcome.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the tape"),
        ("", "is empty, not a tape"),
        ("data: hello\n\n", "is a body of server-sent events, not a tape"),
        (TAPE.replace('"version": 1', '"version": 99', 1), "written by a newer streamkit"),
        (TAPE.replace('"d"', '"x"', 1), "line 3: unknown code"),
    ],
)
async def test_file_that_is_no_tape_gets_one_sentence_that_names_it(
    content: str | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "answer.sse.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    outcome = await run("demo", "--tape", str(path))

    assert (outcome.status, outcome.out) == (1, "")
    assert str(path) in outcome.sentence
    assert says in outcome.sentence


async def test_torn_tape_plays_what_is_whole_and_ends_as_a_cut_answer(tmp_path: Path) -> None:
    path = tmp_path / "torn.sse.jsonl"
    lines = TAPE.splitlines(keepends=True)
    path.write_text("".join(lines[:20]) + lines[20][:40], encoding="utf-8")

    outcome = await run("demo", "--speed", "0", "--tape", str(path))

    assert outcome.status == 1
    assert outcome.out.startswith("A stream is a letter")
    first, last = outcome.err.splitlines()
    assert first == f"{path} ends inside a line: playing what is whole"
    assert "cut" in last
