"""The probe measures what it says, and judges it; the figures themselves are no test's business."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import windows
from benchmarks.__main__ import main

from .window_qt import qt

if TYPE_CHECKING:
    from pathlib import Path


def test_probe_shows_all_of_it_and_says_how_long_the_window_hung(tmp_path: Path) -> None:
    if not qt().__name__.startswith("PySide6"):
        pytest.fail("the probe is written for PySide6")
    file = tmp_path / "figures.json"
    status = main(["windows", "qt", "--tokens", "60", "--rounds", "1", "--json", str(file)])
    figures = json.loads(file.read_text(encoding="utf-8"))["windows"]["qt"]

    assert status in {0, 1}  # this machine may be busy
    assert sorted(figures) == ["1000 bind", "1000 naive", "20000 bind", "20000 naive", "stop"]
    for name in figures.keys() - {"stop"}:
        assert figures[name]["whole"]
        assert 0 < figures[name]["stall"] <= figures[name]["seconds"]
    assert figures["stop"] > 0


GOOD: dict[str, Any] = {
    **{
        f"{rate} {way}": {"stall": 0.01, "seconds": 2, "whole": True}
        for rate in windows.LIMITS
        for way in ("bind", "naive")
    },
    "stop": 0.01,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"1000 bind": {"stall": 0.06, "whole": True}}, "qt hung for 60 ms at 1,000 tokens/s, of 50"),
        ({"1000 naive": {"stall": 9, "whole": True}}, None),
        (
            {"20000 naive": {"stall": 0.01, "whole": False}},
            "qt does not show the text as it came, at 20,000 tokens/s: naive",
        ),
        ({"stop": 0.2}, "qt: 200 ms from Stop to the close, of 100"),
        ({"error": "no display"}, "qt: no display"),
    ],
)
def test_what_misses_its_target_is_named(change: dict[str, Any], said: str | None) -> None:
    assert windows._judge("qt", GOOD | change) == ([] if said is None else [said])


def test_toolkit_that_cannot_be_measured_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    assert main(["windows", "tk", "--tokens", "5", "--rounds", "1"]) == 1
    assert "FAIL tk: " in capsys.readouterr().out


def test_unknown_toolkit_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["windows", "motif"])
    assert "no toolkit is called motif; there are qt, tk, textual" in capsys.readouterr().err
