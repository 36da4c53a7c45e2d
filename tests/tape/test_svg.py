from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from streamkit.tape import Tape, TapeRead, demo_tape
from streamkit.tape.inspection import inspect_tape
from streamkit.tape.svg import timeline_svg
from streamkit.testing import chunk, sse

SVG = "{http://www.w3.org/2000/svg}"


def picture_of(tape: Tape, title: str = "tape") -> ET.Element:
    return ET.fromstring(timeline_svg(inspect_tape(tape), title))


def test_picture_is_small_stands_alone_and_holds_no_text_of_the_answer() -> None:
    picture = timeline_svg(inspect_tape(demo_tape()), "demo.sse.jsonl")

    assert len(picture) < 10_000
    assert picture.count("http") == 1  # the namespace
    assert "<script" not in picture and "letter" not in picture
    assert "prefers-color-scheme:dark" in picture


def test_long_tape_makes_no_large_picture() -> None:
    feed = sse(chunk("Hi"), done=False)
    tape = Tape(status=200, reads=tuple(TapeRead(place / 100, feed) for place in range(20_000)))

    assert len(timeline_svg(inspect_tape(tape))) < 20_000


def test_rows_and_the_longest_gap_are_labelled() -> None:
    texts = ["".join(element.itertext()) for element in picture_of(demo_tape(), "demo").iter()]

    assert {"demo", "reads", "text", "0 s", "4 s"} <= set(texts)
    assert "0.310 s: nothing between the request and the headers" in texts
    assert "485 characters" in texts


@pytest.mark.parametrize("title", ["a<b>&\"c'", "]]>"])
def test_title_is_escaped(title: str) -> None:
    assert picture_of(demo_tape(), title).findtext(f"{SVG}title") == title


@pytest.mark.parametrize(
    "tape", [Tape(), Tape(ending="reset", ended_at=0.0), Tape(status=200, reads=(TapeRead(0.0, b"x"),))]
)
def test_tape_of_next_to_nothing_has_a_picture(tape: Tape) -> None:
    assert picture_of(tape).tag == f"{SVG}svg"


def test_nothing_is_drawn_outside_of_the_picture() -> None:
    picture = picture_of(demo_tape())
    width = float(picture.attrib["width"])

    for path in picture.iter(f"{SVG}path"):
        places = [float(part.split()[0]) for part in path.attrib["d"].split("M") if part]
        assert all(0 <= place <= width for place in places)
