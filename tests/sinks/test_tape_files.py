from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from streamkit.errors import TapeError
from streamkit.sinks.tape_files import TapeFiles
from streamkit.tape import TapeWriter


def make(files: TapeFiles) -> str:
    path, writer = files.make(partial(TapeWriter.open))
    writer.close()
    files.release()
    return path.name


def test_numbers_go_on_where_others_stopped(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"tape-{number}.jsonl").touch()
    files = TapeFiles(tmp_path / "tape-{n}.jsonl")

    assert [make(files) for _ in range(3)] == ["tape-4.jsonl", "tape-5.jsonl", "tape-6.jsonl"]
    assert make(TapeFiles(tmp_path / "tape-{n}.jsonl")) == "tape-7.jsonl"


@pytest.mark.parametrize("taken", range(20))
def test_next_number_is_the_first_after_those_in_a_row(taken: int, tmp_path: Path) -> None:
    for number in range(1, taken + 1):
        (tmp_path / f"{number:06}.sse.jsonl").touch()

    assert make(TapeFiles(tmp_path)) == f"{taken + 1:06}.sse.jsonl"


def test_file_that_another_process_makes_meanwhile_is_passed_over(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path)
    tried: list[str] = []

    def open_tape(path: Path, *, overwrite: bool) -> TapeWriter:
        tried.append(path.name)
        if len(tried) == 1:
            path.touch()
        return TapeWriter.open(path, overwrite=overwrite)

    path, writer = files.make(open_tape)
    writer.close()

    assert tried == ["000001.sse.jsonl", "000002.sse.jsonl"]
    assert path.name == "000002.sse.jsonl"


def test_one_file_is_for_one_stream_at_a_time(tmp_path: Path) -> None:
    files = TapeFiles(tmp_path / "a", overwrite=True)
    _, writer = files.make(TapeWriter.open)

    with pytest.raises(TapeError, match=r"another stream is being recorded there; put {n} into the name"):
        files.check()
    with pytest.raises(TapeError, match="another stream"):
        files.make(TapeWriter.open)

    writer.close()
    files.release()
    files.check()
    assert make(files) == "a"


def test_braces_can_be_a_part_of_the_name(tmp_path: Path) -> None:
    assert make(TapeFiles(tmp_path / "{{a}}")) == "{a}"


def test_folder_keeps_its_braces(tmp_path: Path) -> None:
    (tmp_path / "{x}").mkdir()

    assert make(TapeFiles(tmp_path / "{x}" / "a")) == "a"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(TapeError, match=f"{tmp_path} cannot be written"):
        TapeFiles(tmp_path / "a").check()


def test_repr_is_short(tmp_path: Path) -> None:
    assert repr(TapeFiles("a/{n}")) == "<TapeFiles 'a/{n}'>"
