"""The benchmark of the fan-out measures what it says; that streamkit is ahead is the benchmark's to judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fanout import judged, main, measure, table

from .conftest import require_or_skip


@pytest.mark.parametrize("way", ["streamkit", "streamkit-asgi"])
def test_a_small_run_delivers_every_event_to_every_reader(way: str):
    measured = measure([way], readers=30, waiting=40, rate=50, seconds=0.5, rounds=1)
    (figures,) = measured["ways"][way]
    if "missing" in figures:
        require_or_skip(f"{figures['missing']} is not installed: pip install {figures['missing']}")
    assert figures["delivered"] == 30 * 25
    assert figures["lost"] == 0
    assert 0 < figures["microseconds_an_event"] < 1000
    assert figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert way in table(measured)


def figures(**changed: Any) -> dict[str, Any]:
    return {"microseconds_an_event": 5.0, "resident_a_reader": 10.0, "p99_ms": 9.0, "p50_ms": 1.0, **changed}


@pytest.mark.parametrize(
    ("way", "ours", "failures"),
    [
        ("streamkit", figures(), 0),
        ("streamkit", figures(p99_ms=100.0), 1),
        ("streamkit", figures(microseconds_an_event=6.0), 2),
        ("streamkit", figures(resident_a_reader=11.0, microseconds_an_event=6.0), 4),
        ("streamkit", {"failed": "nothing came"}, 1),
        ("streamkit-asgi", figures(microseconds_an_event=6.0), 1),
    ],
)
def test_being_behind_in_anything_is_a_failure(way: str, ours: dict[str, Any], failures: int):
    other = figures(microseconds_an_event=6.0, resident_a_reader=11.0, p99_ms=500.0)
    assert len(judged({"ways": {way: [ours], "aiohttp-sse": [other], "sse-starlette": [other]}})) == failures
    assert len(judged({"ways": {way: [ours], "aiohttp-sse": [{"missing": "x"}]}})) == (
        0 if "p99_ms" in ours and ours["p99_ms"] < 100 else 1
    )


def test_a_way_that_is_not_installed_is_named():
    measured = {
        "readers": 1,
        "rate": 1,
        "seconds": 1,
        "rounds": 1,
        "pinned": False,
        "ways": {"x": [{"missing": "x_y"}]},
    }
    assert "not installed: x_y" in table(measured)


@pytest.mark.parametrize("argv", [["--only", "nobody"], ["--readers", "5"], ["--json", "/no/such/folder/x.json"]])
def test_senseless_arguments_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(argv)
    assert argv[0] in capsys.readouterr().err or argv[1] in capsys.readouterr().err


def test_the_figures_go_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.fanout._once", lambda *_: {**figures(), "cpu_share": 0.1, "max_ms": 10.0})
    file = tmp_path / "figures.json"
    assert main(["--only", "streamkit", "--rounds", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text(encoding="utf-8"))["fanout"]["ways"]["streamkit"][0]["p99_ms"] == 9.0
