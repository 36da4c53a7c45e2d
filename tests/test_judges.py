"""How the judges judge; that they find nothing is for `make judges` to show."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.judges import driven
from benchmarks.judges.aimock import TEXT
from benchmarks.judges.cases import CASES, SCRIPTS, verdict
from benchmarks.judges.command import SHORT, main
from benchmarks.judges.driven import Read
from benchmarks.judges.environments import NODE, PYTHON, PYTHON_SERVERS
from benchmarks.judges.relayed import CHROMIUM_CLIENTS, NODE_CLIENTS
from benchmarks.judges.saw import Saw, saw_of
from benchmarks.judges.servers import SERVERS, Server, Unstartable, served
from benchmarks.judges.table import failures, table, write_page
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


def test_halves_of_a_character_in_two_pieces_are_one_character() -> None:
    chunks = [{"choices": [{"delta": {"content": half}}]} for half in ("\ud83d", "\ude42")]
    assert saw_of({"chunks": chunks}).text == "🙂"


def read(text: str = "", error: dict[str, Any] | None = None, **more: Any) -> Read:
    return Read((Saw(text=text, **more),), error)


@pytest.mark.parametrize(
    ("case", "streamkit", "openai", "expected", "right"),
    [
        ("text", read("Hi"), read("Hi"), None, True),
        ("text", read("Hi"), read("Hi!"), None, False),
        ("text", read(), read(), None, False),  # both read nothing
        ("text", read("Hi", {"status": 500}), read("Hi"), None, False),
        ("text", read("Hi", finish_reason="stop"), read("Hi"), None, False),
        ("text", read("Hi"), read(), None, False),
        ("text", read("Hi"), read(), "more", True),
        ("text", read("Hi"), read("H"), "more", False),
        ("tools", read(tool_calls=[["f", "{}", "1"]]), read(tool_calls=[["f", "{}", "2"]]), None, True),
        ("tools", read(tool_calls=[["f", "{}", ""]]), read(tool_calls=[["f", "{}", "2"]]), None, False),
        ("n=2", Read((Saw("a"), Saw("b"))), read("a"), None, False),
        ("wrong key", read(error={"status": 401}), read(error={"status": 401}), None, True),
        ("wrong key", read(error={"status": 401}), read(error={"status": 400}), None, False),
        ("wrong key", read("Hi"), read("Hi"), None, False),
        ("kill -9", read("Hel", {}), read("Hell", {}), None, True),
        ("kill -9", read("Hel", {}), read("Hell"), None, True),  # who misses the error is not streamkit
        ("kill -9", read("Hel"), read("Hel"), None, False),
        ("kill -9", read("Hel"), read("Hel", {}), None, False),
        ("kill -9", read("Hex", {}), read("Hel", {}), None, False),
        ("kill -9", read("", {}), read("Hel", {}), None, False),
        ("SIGTERM", read("Hello"), read("Hello"), None, True),
        ("SIGTERM", read("Hello"), read("Hello", {}), None, False),
    ],
)
def test_a_verdict_of_the_driver(case: str, streamkit: Read, openai: Read, expected: str | None, right: bool) -> None:
    assert driven.verdict(case, streamkit, openai, expected)[0] is right


def _server(command: Callable[[Path, int], list[str]]) -> Server:
    return Server("deaf 1.0", command, {})


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda home, port: [str(home / "nothing")], r"deaf 1\.0 does not start: .*nothing"),
        (lambda home, port: [sys.executable, "-c", "exit('no ear')"], r"^deaf 1\.0 ended with status 1: no ear$"),
        (lambda home, port: [sys.executable, "-c", ""], r"ended with status 0: it said nothing"),
    ],
)
def test_a_server_that_does_not_run_is_one_line(
    command: Callable[[Path, int], list[str]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Unstartable, match=said), served(_server(command), tmp_path):
        pass


def test_a_server_is_gone_afterwards(tmp_path: Path) -> None:
    def command(home: Path, port: int) -> list[str]:
        return [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]

    with served(_server(command), tmp_path) as running:
        popen = running._popen
        assert popen.poll() is None
    assert popen.poll() is not None


def test_a_difference_is_in_the_table_and_a_failure() -> None:
    cells = {"one": {"plain": (True, "same"), "tools": (False, "text: 'a', relayed 'b'")}}
    assert "| one | same | **DIFFERENT** |  |" in table("client", cells, ["plain", "tools", "slow"])
    assert failures(cells) == ["one, tools: text: 'a', relayed 'b'"]


def test_a_table_goes_into_a_page_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- other -->\n\nother\n<!-- end -->\n<!-- one -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    write_page(page, "one", "| new |")
    wanted = "<!-- other -->\n\nother\n<!-- end -->\n<!-- one -->\n\n| new |\n\n<!-- end -->\nafter\n"
    assert page.read_text(encoding="utf-8") == wanted
    with pytest.raises(SystemExit, match="has no <!-- third -->"):
        write_page(page, "third", "")


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


def test_the_page_has_every_server_of_these_versions_and_every_case_of_it() -> None:
    page = (ROOT / "docs/judges.md").read_text(encoding="utf-8")
    installed = " ".join([*NODE, *(one for wanted in PYTHON_SERVERS.values() for one in wanted)])
    for server in SERVERS:
        (row,) = [line for line in page.split("\n") if line.startswith(f"| {server.name} |")]
        filled = {case for case, cell in zip(driven.CASES, row.split("|")[2:], strict=False) if cell.strip()}
        assert filled == set(server.asks)
        assert server.name.rpartition(" ")[2] in installed
    assert {server.name for server in SERVERS} >= SHORT


def test_every_scripted_case_has_its_script() -> None:
    assert set(SCRIPTS) == {case.name for case in CASES if case.upstream == "scripted"}


def test_without_node_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit):
        main([])
    assert "node is not installed" in capsys.readouterr().err
