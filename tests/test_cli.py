from __future__ import annotations

import sys
from pathlib import Path

import pytest

import streamkit

if sys.platform == "win32":
    pytest.skip("pipes and their signals as POSIX has them", allow_module_level=True)

import asyncio
import shlex

from tests.cli.command import COMMAND, environment, run

SHELL_COMMAND = shlex.join(COMMAND)


async def shell(script: str, cwd: Path) -> tuple[str, str]:
    """Run a script of sh; returns its output and its error output."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", script, cwd=cwd, env=environment(None, None), stdout=pipe, stderr=pipe
    )
    out, err = await process.communicate()
    return out.decode(), err.decode()


async def test_help_lists_the_commands_that_exist_and_no_other() -> None:
    outcome = await run("--help")

    listed = outcome.out.partition("COMMAND\n")[2].splitlines()
    assert outcome.status == 0
    assert [line.split()[0] for line in listed] == ["demo", "chat", "record", "replay", "serve", "inspect", "cast"]
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("command", ["demo", "chat", "record", "replay", "serve", "inspect", "cast"])
async def test_help_of_each_command_fits_80_columns(command: str) -> None:
    outcome = await run(command, "--help", env={"COLUMNS": "80"})

    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= 80


async def test_help_says_where_the_key_is_read_from() -> None:
    outcome = await run("chat", "--help")

    assert "OPENAI_API_KEY" in outcome.out
    assert "--api-key" not in outcome.out


async def test_version_is_the_one_of_the_package() -> None:
    assert (await run("--version")).out == f"streamkit {streamkit.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("dance",), ("demo", "dance"), ("demo", "--spee", "0")])
async def test_wrong_command_line_exits_2_without_traceback(arguments: tuple[str, ...]) -> None:
    outcome = await run(*arguments)

    assert (outcome.status, outcome.out) == (2, "")
    assert "error: " in outcome.err.splitlines()[-1]


async def test_reader_that_has_seen_enough_ends_the_command_in_silence(tmp_path: Path) -> None:
    # At the recorded pace: the answer still comes when `head` has left.
    out, err = await shell(f"{{ {SHELL_COMMAND} demo; echo $? > status; }} | head -n 1", tmp_path)

    assert (out.count("\n"), err) == (1, "")
    assert (tmp_path / "status").read_text() == "141\n"


async def test_reader_that_has_left_before_the_answer_ends_the_command_in_silence(tmp_path: Path) -> None:
    out, err = await shell(f"{SHELL_COMMAND} demo --speed 0 | true", tmp_path)

    assert (out, err) == ("", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
async def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    out, err = await shell(f"{SHELL_COMMAND} demo --speed 0 > /dev/full; echo $?", tmp_path)

    assert out == "1\n"
    assert err == "streamkit: reading or writing failed: No space left on device\n"


async def test_terminal_without_unicode_gets_what_it_can_show() -> None:
    outcome = await run("demo", "--speed", "0", env={"PYTHONIOENCODING": "ascii"})

    assert outcome.status == 0
    assert "a syllable, a comma, ?, a smile ?," in outcome.out
