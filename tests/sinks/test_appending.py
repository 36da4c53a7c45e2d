"""Whole lines from several writers, and a file that is never too large for long."""

from pathlib import Path
from typing import Any

import pytest

from streamkit.sinks.appending import Appender


def test_lines_of_two_appenders_stand_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    one, two = Appender(path), Appender(path)

    for number in range(10):
        (one, two)[number % 2].append(b"%d\n" % number)

    assert path.read_bytes() == b"".join(b"%d\n" % number for number in range(10))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_would_grow_too_large_is_moved_away_first(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    appender = Appender(path, max_bytes=8, backups=2)

    for line in (b"aaaa\n", b"bbbb\n", b"cccc\n", b"dddd\n"):
        appender.append(line)

    assert path.read_bytes() == b"dddd\n"
    assert Path(f"{path}.1").read_bytes() == b"cccc\n"
    assert Path(f"{path}.2").read_bytes() == b"bbbb\n"
    assert not Path(f"{path}.3").exists()


def test_a_line_larger_than_the_limit_is_written_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    Appender(path, max_bytes=2).append(b"aaaa\n")

    assert path.read_bytes() == b"aaaa\n"


def test_the_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.*its folder does not exist; make it first"):
        Appender(tmp_path / "nowhere" / "log.jsonl")


@pytest.mark.parametrize(("name", "value"), [("max_bytes", 0), ("max_bytes", True), ("backups", 0), ("backups", 1.5)])
def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Appender(tmp_path / "log", **{name: value})


def test_a_disk_that_is_full_is_an_error_and_takes_nothing() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")

    with pytest.raises(OSError, match="cannot write /dev/full"):
        Appender(full).append(b"line\n")
