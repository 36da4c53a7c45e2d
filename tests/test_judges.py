"""How the judges judge; that they find nothing is for `make judges` to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.judges.aimock import TEXT
from benchmarks.judges.cases import CASES, SCRIPTS, verdict
from benchmarks.judges.command import CHROMIUM_CLIENTS, NODE_CLIENTS, Results, main, write_page
from benchmarks.judges.environments import NODE, PYTHON
from benchmarks.judges.saw import Saw, saw_of
from benchmarks.process import ROOT

BY_NAME = {case.name: case for case in CASES}
ERROR = {"status": 429, "retry_after": "7", "message": "Slow down"}


def saw(text: str = "", error: dict[str, Any] | None = None, **more: Any) -> Saw:
    return Saw(text=text, error=error, **more)


@pytest.mark.parametrize(
    ("case", "straight", "relayed", "right"),
    [
        ("plain", saw(TEXT), saw(TEXT), True),
        ("plain", saw(TEXT), saw(TEXT[:-1]), False),
        ("plain", saw(), saw(), False),  # both read nothing
        ("plain", saw(TEXT, usage={"total_tokens": 1}), saw(TEXT), False),
        ("plain", saw(TEXT), saw(TEXT, {"message": "x"}), False),
        ("too many", saw(error=ERROR), saw(error=ERROR), True),
        ("too many", saw(error=ERROR), saw(error={**ERROR, "status": 502}), False),
        ("too many", saw(error=ERROR), saw(error={**ERROR, "retry_after": None}), False),
        ("too many", saw(error=ERROR), saw(), False),
        (
            "failed",
            saw("Hello", {"message": "The engine died"}),
            saw("Hello", {"message": "500: The engine died"}),
            True,
        ),
        ("failed", saw("Hello", {"message": "The engine died"}), saw("Hello", {"message": "terminated"}), False),
        ("failed", saw("Hello", {"message": "The engine died"}), saw("Hel", {"message": "The engine died"}), False),
        ("destroyed", saw(TEXT[:5], {"message": "cut"}), saw(TEXT[:10], {"message": "cut off"}), True),
        ("destroyed", saw(TEXT[:5], {"message": "cut"}), saw(TEXT[:5]), False),
        ("destroyed", saw(TEXT[:5], {"message": "cut"}), saw("other", {"message": "cut"}), False),
        ("short", saw("Hello"), saw("Hello", {"message": "cut"}), True),
        ("short", saw("Hello"), saw("Hello"), False),
    ],
)
def test_a_verdict(case: str, straight: Saw, relayed: Saw, right: bool) -> None:
    assert verdict(BY_NAME[case], straight, relayed)[0] is right


def test_reports_of_every_kind_are_added_up() -> None:
    delta = {"content": "Hi", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}], "usage": {"total_tokens": 1}}
    wanted = Saw("Hi", tool_calls=[["f", "{}", "c"]], finish_reason="stop", usage={"total_tokens": 1})
    assert saw_of({"chunks": [chunk]}).said() == wanted.said()
    payload = '{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}'
    parser = saw_of({"events": [{"data": payload}, {"data": "[DONE]"}]})
    assert (parser.text, parser.finish_reason, parser.done) == ("Hi", "stop", True)
    events = [{"event": "message", "data": '{"text":"Hi"}'}, {"event": "end", "data": '{"reason":"done"}'}]
    native = saw_of({"events": events, "opened": 1})
    assert (native.text, native.done, native.error) == ("Hi", True, None)
    assert saw_of({"text": "Hi", "error": {"message": "x"}}) == Saw("Hi", error={"message": "x"})


def test_a_difference_is_in_the_table_and_a_failure() -> None:
    results = Results({"one": {"plain": (True, "same"), "tools": (False, "text: 'a', relayed 'b'")}})
    assert "| one | same | **DIFFERENT** |" in results.table()
    assert results.failures() == ["one, tools: text: 'a', relayed 'b'"]


def test_the_table_goes_into_a_page_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- judges -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    write_page(page, "| new |")
    assert page.read_text(encoding="utf-8") == "before\n<!-- judges -->\n\n| new |\n\n<!-- end -->\nafter\n"
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(SystemExit, match="has no <!-- judges -->"):
        write_page(page, "")


def test_the_page_has_every_client_of_these_versions_and_nothing_different() -> None:
    page = (ROOT / "docs/judges.md").read_text(encoding="utf-8")
    for client in [*PYTHON, *NODE_CLIENTS, *CHROMIUM_CLIENTS]:
        assert f"| {client} | same |" in page
    assert "DIFFERENT" not in page
    for case in CASES:
        assert f"| {case.name} |" in page
    installed = " ".join([*NODE, *(one for wanted in PYTHON.values() for one in wanted)])
    for client in [*NODE_CLIENTS, *PYTHON]:
        assert client.partition(",")[0].rpartition(" ")[2] in installed


def test_every_scripted_case_has_its_script() -> None:
    assert set(SCRIPTS) == {case.name for case in CASES if case.upstream == "scripted"}


def test_without_node_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit):
        main([])
    assert "node is not installed" in capsys.readouterr().err
