"""The rows of `make rows`: streamkit gets each right, and the verdicts on others are not for the asking."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.rows.case import Case, Expected, case, done, failed
from benchmarks.rows.command import main
from benchmarks.rows.page import page
from benchmarks.rows.report import Report, play
from benchmarks.rows.seen import Seen
from benchmarks.rows.table import CASES, ROWS
from benchmarks.rows.verdict import Kind, judge
from streamkit import ServerError, TruncatedStream

from .conftest import REPO

PAGE = REPO / "docs" / "rows.md"


async def test_streamkit_gets_every_row_right_whole_and_in_bytes() -> None:
    report = await play(systems=["streamkit"])
    assert report.failures() == []
    assert len(report.results[0].verdicts) == len(CASES)
    assert f"| streamkit | {len(ROWS)} | 0 | 0 | 0 | 0 | 0 |" in page(report)


def test_the_rows_are_those_of_the_table(shared: Path) -> None:
    numbers = re.findall(r"^\| (\d+b?) \|", (shared / "wire.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row.number for row in ROWS] == numbers


def test_the_page_has_every_row_and_every_quirk() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in ROWS:
        assert f"\n| {row.number} | " in text
    for quirk in {quirk for known in CASES.values() for quirk in known.expected.quirks}:
        assert f"\n| `{quirk}` | " in text
    assert f"| streamkit | {len(ROWS)} | 0 | 0 | 0 | 0 | 0 |" in text


def test_the_names_of_cases_are_unique_in_their_row() -> None:
    for row in ROWS:
        assert len({one.name for one in row.cases}) == len(row.cases), row.number


HELLO = done("Hello", usage=(1, 2, 3), quirks={"odd": 1}, events={"chunk": 2})
RIGHT = Seen(text="Hello", finish_reason="stop", usage=(1, 2, 3), quirks={"odd": 1}, events={"chunk": 2})
LOST = failed(ServerError, text="Hel", message="boom", details={"status": 500})
BOOM = Seen("error", {"class": "ServerError", "message": "it said boom", "status": 500}, text="Hel")


def of(expected: Expected) -> Case:
    return case("x", b"", expected)


@pytest.mark.parametrize(
    ("expected", "seen", "kind", "why"),
    [
        (HELLO, RIGHT, Kind.RIGHT, ""),
        (HELLO, Seen("hang"), Kind.HANG, "nothing more"),
        (HELLO, Seen("crash", {"class": "KeyError", "message": "x"}), Kind.CRASH, "KeyError: x"),
        (HELLO, Seen("error", {"class": "E", "message": "x"}, text="Hello"), Kind.CLEAN_ERROR, "E: x"),
        (HELLO, Seen(text="Hell", finish_reason="stop", usage=(1, 2, 3)), Kind.WRONG, "text 'Hell', not 'Hello'"),
        (HELLO, Seen(text="Hello", finish_reason="stop", usage=None), Kind.WRONG, "usage None"),
        (HELLO, Seen(text="Hello", usage=(1, 2, 3)), Kind.WRONG, "finish_reason None"),
        (LOST, BOOM, Kind.RIGHT, ""),
        (LOST, Seen(text="Hel"), Kind.WRONG, "no error where ServerError is due"),
        (LOST, Seen("error", {"class": "E", "message": "no"}, text="Hel"), Kind.CLEAN_ERROR, "does not say 'boom'"),
        (LOST, Seen("error", {"class": "E", "message": "boom"}, text=""), Kind.CLEAN_ERROR, "text '', not 'Hel'"),
    ],
)
def test_verdicts(expected: Expected, seen: Seen, kind: Kind, why: str) -> None:
    verdict = judge(of(expected), seen, frozenset(), strict=False)
    assert verdict.kind is kind
    assert why in verdict.why
    assert bool(verdict.why) is (kind is not Kind.RIGHT)


@pytest.mark.parametrize(
    ("expected", "seen", "why"),
    [
        (HELLO, Seen(text="Hello", finish_reason="stop", usage=(1, 2, 3), events={"chunk": 2}), "quirks {}"),
        (HELLO, Seen(text="Hello", finish_reason="stop", usage=(1, 2, 3), quirks={"odd": 1}), "0 times 'chunk'"),
        (LOST, Seen("error", {**BOOM.error, "status": None}, text="Hel"), "status None, not 500"),
        (failed(TruncatedStream), Seen("error", {"class": "ServerError", "message": ""}), "ServerError, not Truncated"),
        (done("Hello", extra={"a": 1}), Seen(text="Hello", finish_reason="stop"), "extra['a'] is None"),
    ],
)
def test_streamkit_is_held_to_more(expected: Expected, seen: Seen, why: str) -> None:
    assert judge(of(expected), seen, frozenset(), strict=False).kind is Kind.RIGHT
    verdict = judge(of(expected), seen, frozenset(), strict=True)
    assert verdict.kind is not Kind.RIGHT
    assert why in verdict.why


def test_what_was_seen_survives_its_way_between_processes() -> None:
    seen = Seen(
        text="é", choices={0: ("é", "stop"), 1: ("b", None)}, tool_calls=[("f", "{}")], usage=(1, 2, 3), quirks={"q": 1}
    )
    assert Seen.from_json(seen.as_json()) == seen


def test_a_wrong_row_fails_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def wrong(*_: object, **__: object) -> Report:
        report = await play([row for row in ROWS if row.number == "2"], ["streamkit"])
        [result] = report.results
        result.verdicts["2", 0] = judge(of(HELLO), Seen("hang"), frozenset(), strict=True)
        return report

    monkeypatch.setattr("benchmarks.rows.command.play", wrong)
    assert main(["--rows", "2"]) == 1
    assert "streamkit is not right: row 2, done: hang" in capsys.readouterr().out


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.md"
    assert main(["--rows", "2,53", "--systems", "streamkit", "--page", str(path)]) == 0
    assert "\n| 53 | " in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["--rows", "99"], "no such row: 99"), (["--node", "nowhere"], "no node_modules there")],
)
def test_bad_arguments_are_named(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert complaint in capsys.readouterr().err
