"""The suite's own guards: a leak fails the test that made it, and no skip passes where everything has to be there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPO

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import asyncio, contextlib, socket, sys

import pytest

from tests.conftest import require_or_skip

async def forever():
    await asyncio.Event().wait()

async def test_leaves_a_task():
    global task
    task = asyncio.create_task(forever())

async def test_cancels_its_task():
    task = asyncio.create_task(forever())
    await asyncio.sleep(0)
    task.cancel()

async def test_leaves_a_socket():
    socket.socket()

async def test_forgets_to_await():
    forever()

async def test_runs_in_debug_mode():
    assert asyncio.get_running_loop().get_debug()

async def test_misses_a_part():
    require_or_skip("no such part")

def test_imports_a_part():
    pytest.importorskip("no_such_part")

@pytest.mark.skip
def test_is_left_out():
    pass

@pytest.mark.skipif(sys.version_info >= (3,), reason="Python 2 only")
def test_is_for_another_python():
    pass

@pytest.mark.xfail
def test_is_known_to_fail():
    assert False
"""


LEAKS = {"leaves_a_task", "leaves_a_socket", "forgets_to_await"}
SKIPS = {"misses_a_part", "imports_a_part", "is_left_out"}


@pytest.mark.parametrize(
    ("require_all", "failing", "skipped"), [("", LEAKS, len(SKIPS) + 1), ("1", LEAKS | SKIPS, 1)], ids=["user", "ci"]
)
def test_guards(require_all: str, failing: set[str], skipped: int, tmp_path: Path) -> None:
    for folder in ("tests", "streamkit"):  # the names that testpaths has
        (tmp_path / folder).mkdir()
    shutil.copy(REPO / "setup.cfg", tmp_path)
    shutil.copy(REPO / "tests" / "__init__.py", tmp_path / "tests")
    shutil.copy(REPO / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    env = os.environ | {"STREAMKIT_REQUIRE_ALL": require_all}

    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=50, check=False)

    failed = re.findall(r"^(?:FAILED|ERROR) \S+::test_(\w+)", result.stdout, re.MULTILINE)
    assert set(failed) == failing, result.stdout
    assert f", {skipped} skipped, 1 xfailed" in result.stdout, result.stdout
