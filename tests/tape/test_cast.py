from __future__ import annotations

import json

import pytest

from streamkit.tape import Tape, TapeRead, demo_tape
from streamkit.tape.cast import tape_cast
from streamkit.tape.decoding import decode_tape
from streamkit.testing import chunk, sse


def played(cast: str) -> str:
    return "".join(json.loads(line)[2] for line in cast.splitlines()[1:])


def test_cast_is_version_2_and_shows_the_answer_at_its_times() -> None:
    tape = demo_tape()
    header, *events = map(json.loads, tape_cast(tape, width=100, title="demo").splitlines())

    assert header == {
        "version": 2,
        "width": 100,
        "height": 24,
        "timestamp": 1767225600,
        "duration": tape.duration,
        "title": "demo",
    }
    assert {event[1] for event in events} == {"o"}
    texts = [(at, text) for at, name, text in decode_tape(tape).events if name == "text"]
    assert [event[0] for event in events[:-1]] == [at for at, _ in texts]
    assert played(tape_cast(tape)) == "".join(text for _, text in texts).replace("\n", "\r\n") + "\r\n"


def test_reasoning_is_dim_and_on_lines_of_its_own() -> None:
    feed = sse(chunk(reasoning_content="hm"), chunk(reasoning_content=" so"), chunk("Hi"), chunk("!\n"))

    cast = tape_cast(Tape(status=200, reads=(TapeRead(1.0, feed),)))

    assert played(cast) == "\x1b[2mhm\x1b[0m\x1b[2m so\x1b[0m\r\nHi!\r\n"


def test_answer_does_not_move_the_cursor() -> None:
    feed = sse(chunk("a\x1b[2Jb\x9bc\r\nd"))

    assert played(tape_cast(Tape(status=200, reads=(TapeRead(1.0, feed),)))) == "a␛[2Jb�c␍\r\nd\r\n"


def test_tape_without_text_and_without_a_date_is_a_header() -> None:
    (header,) = tape_cast(Tape(created="no date")).splitlines()

    assert json.loads(header) == {"version": 2, "width": 80, "height": 24, "duration": 0.0}


@pytest.mark.parametrize("width", [0, -1])
def test_width_that_cannot_be_is_named(width: int) -> None:
    with pytest.raises(ValueError, match=f"width must be 1 column or more, not {width}"):
        tape_cast(demo_tape(), width=width)
