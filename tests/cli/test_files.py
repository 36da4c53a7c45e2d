from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("tests.cli.command has terminals as POSIX has them", allow_module_level=True)

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamkit.cli.console import UsageError
from streamkit.cli.files import write_new


def test_text_goes_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_new(str(tmp_path / "a"), "ä\r\nb\n")
    write_new("-", "ä\n")

    assert (tmp_path / "a").read_bytes() == "ä\r\nb\n".encode()
    assert capsys.readouterr().out == "ä\n"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("there", "there exists"),
        ("absent/a", "its folder does not exist"),
        ("there/a", "Not a directory"),
        ("a\0b", "null"),
    ],
)
def test_place_that_will_not_do_is_named(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")

    with pytest.raises(UsageError, match=says):
        write_new(f"{tmp_path}/{name}", "text")

    assert (tmp_path / "there").read_text() == "precious"


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can be larger than 8,000 bytes. Not a fixture: pytest's own output may go to a file, and already be longer."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_half_a_file_is_removed(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_new(str(tmp_path / "a"), "x" * 10_000)

    assert list(tmp_path.iterdir()) == []
