from __future__ import annotations

import io
import stat
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given, strategies as st

from streamkit.errors import TapeError
from streamkit.tape import Ending, TapeWriter, load_tape, parse_tape
from tests.tape.tapes import ENDINGS, read_lists, write


@given(read_lists, st.sampled_from(ENDINGS))
@example([(0.0, "a\u2028b\x85c\u2029d\x0b\0".encode())], "eof")
@example([(0.0, b"\xff"), (1e-07, b"\xf0\x9f"), (0.3333333333, b"\x8c\x8a")], "reset")
def test_what_is_written_loads_the_same(reads: list[tuple[float, bytes]], ending: Ending) -> None:
    reads = sorted(reads, key=lambda read: read[0])

    content = write(reads, ending=ending)
    tape = parse_tape(content)

    assert tape.reads == tuple((round(at, 6), data) for at, data in reads)
    assert tape.ending == ending and tape.created == "2026-01-01T00:00:00+00:00"
    assert len(content.decode().splitlines()) == len(reads) + 3  # whatever a reader takes for a line end


def test_utf8_is_written_as_text_and_other_bytes_as_base64() -> None:
    lines = write([(0.25, "é".encode()), (0.5, b"\xc3"), (0.75, b"\xa9")]).decode().splitlines()

    assert lines[2:5] == ['[0.25, "d", "é"]', '[0.5, "b", "ww=="]', '[0.75, "b", "qQ=="]']


def test_each_line_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    sizes = []
    writer = TapeWriter.open(path)

    def note() -> None:
        content = path.read_bytes()
        assert content.endswith(b"\n")
        sizes.append(content.count(b"\n"))

    note()
    writer.headers(200, {"content-type": "text/event-stream"}, 0.1)
    note()
    writer.read(b"", 0.2)
    note()
    writer.read(b"x", 0.2)
    note()
    writer.end("timeout", 0.3)
    note()
    writer.close()
    writer.close()

    assert sizes == [1, 2, 2, 3, 4]
    assert load_tape(path).headers == (("content-type", "text/event-stream"),)


def test_a_writer_left_by_an_exception_leaves_a_tape_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"

    with pytest.raises(ZeroDivisionError), TapeWriter.open(path) as writer:
        writer.headers(200, [], 0.1)
        writer.read(b"x", 0.2)
        _ = 1 / 0

    assert load_tape(path).body == b"x" and load_tape(path).ending is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_may_read_a_tape(tmp_path: Path) -> None:
    path, old = tmp_path / "a.sse.jsonl", tmp_path / "old.sse.jsonl"
    old.write_text("x" * 1000)
    old.chmod(0o644)

    TapeWriter.open(path).close()
    TapeWriter.open(old, overwrite=True).close()

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(old.stat().st_mode) == 0o600
    assert load_tape(old).status is None


def test_a_tape_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    path.write_text("precious")

    with pytest.raises(TapeError, match=r"a\.sse\.jsonl exists; choose another name, or ask to overwrite it"):
        TapeWriter.open(path)
    assert path.read_text() == "precious"


def test_a_place_that_cannot_hold_a_tape_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot make .*absent.*: its folder does not exist; make it first"):
        TapeWriter.open(tmp_path / "absent" / "a.sse.jsonl")
    with pytest.raises(TapeError, match="cannot make '.*': .+; choose another place"):
        TapeWriter.open(tmp_path, overwrite=True)
    with pytest.raises(TapeError, match="choose another place"):
        TapeWriter.open("nul\0")


def test_a_request_that_is_no_json_leaves_no_open_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        TapeWriter.open(tmp_path / "a.sse.jsonl", request={"body": b"bytes"})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full: Linux has one")
def test_a_disk_full_from_the_start_is_a_tape_error() -> None:
    with pytest.raises(TapeError, match="cannot go on writing /dev/full: No space left on device"):
        TapeWriter.open("/dev/full", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_up_leaves_a_tape_that_says_where_it_ends(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.sse.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TapeWriter.open(path) as writer:
        writer.headers(200, [], 0.1)
        writer.read(b"x" * 1000, 0.2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
        try:
            with pytest.raises(TapeError, match=r"cannot go on writing .*: File too large; the tape ends 0\.3 s after"):
                writer.read(b"y" * 1000, 0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(ValueError, match="after its headers and before its end"):
            writer.read(b"z", 0.4)

    tape = load_tape(path)
    assert tape.body == b"x" * 1000 and tape.torn and tape.ending is None


def test_a_tape_is_written_in_its_order() -> None:
    writer = TapeWriter(io.BytesIO())
    with pytest.raises(ValueError, match="after its headers"):
        writer.read(b"x", 0.0)
    writer.headers(200, [], 0.5)
    with pytest.raises(ValueError, match="once"):
        writer.headers(200, [], 0.5)
    with pytest.raises(ValueError, match=r"from 0\.5 to 0\.25: use a monotonic clock"):
        writer.read(b"x", 0.25)
    for nonsense in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and at least 0, not"):
            writer.read(b"x", nonsense)
    with pytest.raises(ValueError, match="no such ending of a tape: 'fin'; use one of eof, reset, timeout, cancelled"):
        writer.end(cast("Ending", "fin"), 1.0)
    writer.end("eof", 1.0)
    with pytest.raises(ValueError, match="once"):
        writer.end("eof", 1.0)
