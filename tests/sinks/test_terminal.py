from __future__ import annotations

import io

import pytest

from streamkit.sinks.terminal import has_colours, visible

from .probes import Tty


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0)])
def test_control_character_is_seen_and_not_obeyed(code: int) -> None:
    shown = visible(f"a{chr(code)}b")

    assert len(shown) == 3
    assert (shown[1] == chr(code)) is (chr(code) in "\t\n")


def test_all_other_text_is_as_it_was() -> None:
    text = "".join(map(chr, (*range(0x20, 0x7F), *range(0xA0, 0x3000)))) + "👩‍👩‍👧‍👦"

    assert visible(text) == text


@pytest.mark.parametrize(
    ("environment", "colours"),
    [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_whose_owner_wants_them(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], colours: bool
) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert has_colours(Tty()) is colours
    assert not has_colours(io.StringIO())
