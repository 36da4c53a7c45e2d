from __future__ import annotations

import io
import sys

import pytest

from streamkit.cli.console import Console
from streamkit.model import Event, StreamWarning


class Output(io.StringIO):
    """A text output that is, or is not, a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def outputs(monkeypatch: pytest.MonkeyPatch, *, out: bool, err: bool) -> tuple[Output, Output]:
    monkeypatch.setattr(sys, "stdout", Output(terminal=out))
    monkeypatch.setattr(sys, "stderr", Output(terminal=err))
    monkeypatch.setenv("NO_COLOR", "1")
    return sys.stdout, sys.stderr  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # as they were just set


def test_note_on_the_terminal_of_an_answer_begins_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = outputs(monkeypatch, out=True, err=True)
    console = Console()

    console.text("Hel")
    console.note("note")
    console.text("lo")
    console.end_line()

    assert (out.getvalue(), err.getvalue()) == ("Hel\nlo\n", "note\n")


@pytest.mark.parametrize(("out_terminal", "err_terminal"), [(False, False), (True, False), (False, True)])
def test_note_elsewhere_leaves_the_answer_alone(
    out_terminal: bool, err_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = outputs(monkeypatch, out=out_terminal, err=err_terminal)
    console = Console()

    console.text("Hel")
    console.warning(StreamWarning("malformed_chunk", "not JSON"))
    console.reasoning("hm")
    console.text("lo")
    console.end_line()
    console.end_line()

    assert (out.getvalue(), err.getvalue()) == ("Hello\n", "warning: not JSON (malformed_chunk)\nhm\n")


def test_answer_that_ends_its_own_line_gets_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = outputs(monkeypatch, out=True, err=True)
    console = Console()

    console.reasoning("hm\n")
    console.text("Hello\n")
    console.text("")
    console.note("note")
    console.end_line()

    assert (out.getvalue(), err.getvalue()) == ("Hello\n", "hm\nnote\n")


def test_event_has_the_seconds_since_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    _, err = outputs(monkeypatch, out=False, err=False)
    console = Console()

    console.event(Event("start", "payload", 1000.25))
    console.event(Event("text", "hi\n", 1001.5))

    assert err.getvalue() == "   0.000 start      'payload'\n   1.250 text       'hi\\n'\n"


@pytest.mark.parametrize("colour", [None, ""])
def test_asides_are_dim_where_colours_are_not_refused(colour: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    _, err = outputs(monkeypatch, out=True, err=True)
    monkeypatch.setenv("TERM", "xterm")
    if colour is None:
        monkeypatch.delenv("NO_COLOR")
    else:
        monkeypatch.setenv("NO_COLOR", colour)

    Console().reasoning("hm\x1b[31m")

    assert err.getvalue() == "\x1b[2mhm␛[31m\x1b[0m"
