"""Every code block of the README and the docs runs, and every example, pasted as it is into an empty folder.

A page's blocks run in order in one namespace, as a reader would type them; a block that awaits at its top level is
awaited. They talk over loopback to a server that replays the tape streamkit ships, as OPENAI_BASE_URL. In a page,

- `<!-- no-run: reason -->` above a block leaves it out,
- `<!-- run -->` above a console or sh block of `streamkit ...` commands runs those,
- `<!-- python` on a line, code, `-->` is code that runs and is not shown: what a fragment needs around it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamkit.tape import demo_tape
from streamkit.testing import replay_server
from tests.conftest import REPO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PAGES = [REPO / "README.md", *sorted((REPO / "docs").rglob("*.md"))]
#: A window runs until a person closes it: tests/gui/test_examples.py drives those.
EXAMPLES = [path for path in sorted((REPO / "examples").glob("*.py")) if not path.name.startswith("window_")]

NO_RUN = re.compile(r"<!-- no-run: \S.* -->")

#: Runs the blocks of a page, each compiled with its line numbers in the page, so that a traceback points there.
RUNNER = """\
import ast, asyncio, inspect, json, sys
page, blocks = json.loads(sys.stdin.read())
namespace = {"__name__": "__main__"}
async def finish(result):
    await result
with asyncio.Runner() as runner:
    for line, code in blocks:
        compiled = compile("\\n" * (line - 1) + code, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(compiled, namespace)
        if inspect.iscoroutine(result):
            runner.run(finish(result))
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, the line that its code begins on, and what stands above it."""

    line: int
    language: str
    code: str
    above: str

    @property
    def is_run(self) -> bool:
        if self.language == "python":
            return not NO_RUN.fullmatch(self.above)
        return self.above == "<!-- run -->"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    above = ""
    for number, line in lines:
        opening = line.strip()
        if opening.startswith("```"):
            language, closing = (opening.strip("`").split() or [""])[0], "```"
        elif opening == "<!-- python":
            language, closing = "python", "-->"
        else:
            above = opening or above
            continue
        code = []
        for _, inner in lines:
            if inner.strip() == closing:
                break
            code.append(inner)
        else:
            raise AssertionError(f"{page}:{number}: a block without an end")
        yield Block(number + 1, language, textwrap.dedent("\n".join(code)) + "\n", above)
        above = ""


def commands_of(block: Block) -> list[str]:
    """The commands of a block: what follows `$ ` in a console block, every line of a sh block."""
    lines = block.code.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line and not line.startswith("#")]


def name_of(path: Path) -> str:
    return path.relative_to(REPO).as_posix()


BLOCKS = {page: list(blocks_of(page)) for page in PAGES}
PYTHON = {page: [block for block in BLOCKS[page] if block.language == "python" and block.is_run] for page in PAGES}
COMMANDS = {
    page: [
        command
        for block in BLOCKS[page]
        if block.language != "python" and block.is_run
        for command in commands_of(block)
    ]
    for page in PAGES
}


async def run(*command: str, base_url: str | None, cwd: Path, stdin: str = "") -> tuple[int, str, str]:
    """Run `command` as a user who has activated the environment would in the folder `cwd`.

    Returns its exit status, its output and its error output.
    """
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "STREAMKIT_", "PYTHON"))
    }
    env |= {"HOME": str(cwd), "PYTHONPATH": str(REPO), "PYTHONIOENCODING": "utf-8"}
    env["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), env.get("PATH", "")))
    if base_url is not None:
        env |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-none"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        out, err = await process.communicate(stdin.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(name="base_url")
async def _base_url() -> AsyncIterator[str]:
    """The base URL of a server that answers every request with the shipped tape, at once."""
    async with replay_server(demo_tape(), speed=0) as server:
        yield server.base_url


@pytest.mark.parametrize("page", [page for page in PAGES if PYTHON[page]], ids=name_of)
async def test_python_blocks_run(page: Path, base_url: str, tmp_path: Path) -> None:
    blocks = json.dumps([name_of(page), [(block.line, block.code) for block in PYTHON[page]]])

    status, _, errors = await run(sys.executable, "-c", RUNNER, base_url=base_url, cwd=tmp_path, stdin=blocks)

    assert status == 0, errors


@pytest.mark.parametrize("page", [page for page in PAGES if COMMANDS[page]], ids=name_of)
async def test_commands_run(page: Path, base_url: str, tmp_path: Path) -> None:
    for command in COMMANDS[page]:
        assert command.startswith("streamkit ")

        status, _, errors = await run("sh", "-c", command, base_url=base_url, cwd=tmp_path)

        assert status == 0, f"{command}\n{errors}"


def test_blocks_are_found_and_few_are_left_out() -> None:
    python = [block for page in PAGES for block in BLOCKS[page] if block.language == "python"]
    left_out = [block for block in python if not block.is_run]

    assert PYTHON[REPO / "README.md"]
    assert any(COMMANDS.values())
    assert len(left_out) <= len(python) / 4


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_block_evades_its_run(page: Path) -> None:
    for block in BLOCKS[page]:
        place = f"{name_of(page)}:{block.line}"

        assert block.language not in {"py", "py3", "python3", "Python", "pycon"}, f"{place}: say python"
        assert "no-run" not in block.above or NO_RUN.fullmatch(block.above), f"{place}: no-run needs a reason"
        assert block.above != "<!-- run -->" or commands_of(block), f"{place}: no command to run"


@pytest.mark.parametrize("server", ["embedded", "given"])
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
async def test_example_runs_in_an_empty_folder(example: Path, server: str, base_url: str, tmp_path: Path) -> None:
    shutil.copy(example, tmp_path)
    command = [sys.executable, "-W", "error::ResourceWarning", "-W", "error::RuntimeWarning", example.name]

    status, output, errors = await run(*command, base_url=base_url if server == "given" else None, cwd=tmp_path)

    assert (status, errors) == (0, "")
    assert output.strip()
