from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import json
import xml.etree.ElementTree as ET
from pathlib import Path

from streamkit.tape import TapeWriter
from streamkit.testing import chunk, sse
from tests.cli.command import run, terminal
from tests.conftest import REPO

DEMO = str(REPO / "streamkit" / "demo.sse.jsonl")


async def test_table_and_timeline_fit_80_columns_in_a_pipe_and_on_a_terminal() -> None:
    piped = await run("inspect", DEMO)
    async with terminal("inspect", DEMO, env={"NO_COLOR": "1"}) as screen:
        assert await screen.status() == 0

    assert (piped.status, piped.err) == (0, "")
    assert screen.shown == piped.out
    assert "\x1b" not in piped.out
    lines = piped.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "demo.sse.jsonl"
    assert "usage         17 prompt + 127 completion = 144 tokens" in lines
    assert "outcome       whole, with [DONE]" in lines
    assert "first text    0.352 s" in lines
    assert "longest gaps  0.310 s, from the request at 0.000 s to the headers" in lines
    assert "quirks        none" in lines
    assert lines[-3].startswith("reads ") and "█" in lines[-3]


@pytest.mark.parametrize("columns", [40, 60, 120])
async def test_it_fits_other_widths_too(columns: int) -> None:
    outcome = await run("inspect", DEMO, env={"COLUMNS": str(columns)})

    assert columns - 10 < max(map(len, outcome.out.splitlines())) <= columns


async def test_terminal_without_blocks_gets_ascii() -> None:
    outcome = await run("inspect", DEMO, env={"PYTHONIOENCODING": "ascii"})

    assert outcome.out.isascii()
    assert "?" not in outcome.out
    assert "#" in outcome.out.splitlines()[-3]


async def test_json_has_the_figures() -> None:
    figures = json.loads((await run("inspect", DEMO, "--json")).out)

    assert figures["tape"] == "demo.sse.jsonl"
    assert figures["usage"] == {"prompt_tokens": 17, "completion_tokens": 127, "total_tokens": 144}
    assert figures["complete"] is True


async def test_picture_goes_into_a_new_file_or_to_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"

    both = await run("inspect", DEMO, "--svg", str(path))
    alone = await run("inspect", DEMO, "--svg", "-")
    again = await run("inspect", DEMO, "--svg", str(path))

    assert both.out.startswith("demo.sse.jsonl\n")
    assert ET.fromstring(path.read_text()).tag.endswith("svg")
    assert alone.out == path.read_text()
    assert (again.status, again.out) == (2, "")
    assert again.sentence == f"streamkit: {path} exists; choose another name, or - for standard output"


async def test_everything_odd_is_shown_and_neither_prompt_nor_answer_is(tmp_path: Path) -> None:
    path = tmp_path / "odd.sse.jsonl"
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    request = {
        "attempt": 2,
        "body": {"model": "m\n1", "messages": [{"role": "user", "content": "canary prompt"}], "tools": [{}, {}]},
    }
    with TapeWriter.open(path, request=request) as writer:
        writer.headers(200, [("Content-Type", "text/event-stream")], 0.1)
        writer.read(b": ping\n\n" + sse(chunk(reasoning_content="canary thought"), done=False), 0.2)
        writer.read(sse(chunk("canary answer"), "{oops", chunk(tool_calls=[call]), done=False), 0.5)
    with path.open("ab") as file:
        file.write(b"[0.6, ")

    outcome = await run("inspect", str(path))

    lines = outcome.out.splitlines()
    assert "canary" not in outcome.out
    assert "request       m 1, 1 message, 2 tools, attempt 2" in lines
    assert "end           none: the tape breaks off at 0.500 s, inside a line" in lines
    assert "quirks        malformed_chunk (1)" in lines
    assert "reasoning     14 characters in 1 pieces" in lines
    assert "tool calls    weather" in lines
    assert "keep-alives   1" in lines


async def test_answer_that_never_came_is_said(tmp_path: Path) -> None:
    with TapeWriter.open(tmp_path / "a") as writer:
        writer.end("reset", 0.25)

    outcome = await run("inspect", str(tmp_path / "a"))

    assert outcome.status == 0
    assert "answer        none" in outcome.out.splitlines()
    assert "end           reset at 0.250 s" in outcome.out.splitlines()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read the tape"),
        ('{"format": "streamkit-tape", "version": 7}\n', "is a tape of version 7, written by a newer streamkit"),
        ("data: x\n\n", "is a body of server-sent events, not a tape"),
    ],
)
async def test_file_that_is_no_tape_is_one_sentence(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if content is not None:
        path.write_text(content)

    outcome = await run("inspect", str(path))

    assert (outcome.status, outcome.out) == (1, "")
    assert says in outcome.sentence and str(path) in outcome.sentence
