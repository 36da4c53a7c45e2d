from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import json
from pathlib import Path

from streamkit.tape import demo_tape
from streamkit.tape.cast import tape_cast
from tests.cli.command import run
from tests.conftest import REPO

DEMO = str(REPO / "streamkit" / "demo.sse.jsonl")


async def test_cast_goes_into_a_new_file_or_to_standard_output(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"

    outcome = await run("cast", DEMO, str(path), "--width", "100")
    shown = await run("cast", DEMO, "-", "--width", "100")

    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert path.read_text(encoding="utf-8") == shown.out == tape_cast(demo_tape(), width=100, title="demo.sse.jsonl")
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0])["width"] == 100


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ((DEMO, "{}/there"), 2, "{}/there exists; choose another name, or - for standard output"),
        ((DEMO, "{}/absent/a"), 2, "cannot make {}/absent/a: its folder does not exist; make it first"),
        (("{}/absent", "{}/a"), 1, "cannot read the tape '{}/absent': No such file or directory; check the path"),
        ((DEMO, "{}/a", "--width", "0"), 2, "'0' is no number of columns, 1 or more"),
        ((DEMO, "{}/a", "--width", "wide"), 2, "'wide' is no number of columns, 1 or more"),
    ],
)
async def test_what_will_not_do_is_named(arguments: tuple[str, ...], status: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")

    outcome = await run("cast", *(argument.replace("{}", str(tmp_path)) for argument in arguments))

    assert (outcome.status, outcome.out) == (status, "")
    assert outcome.err.splitlines()[-1].endswith(says.replace("{}", str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "precious"
