from __future__ import annotations

import json

import pytest

from streamkit.tape import Tape, TapeRead, demo_tape
from streamkit.tape.inspection import Inspection, inspect_tape
from streamkit.testing import chunk, sse

WHOLE = sse(chunk("Hi", finish_reason="stop"))
PART = sse(chunk("Hi"), done=False)


def inspection_of(data: bytes, **settings: object) -> Inspection:
    fields = {"status": 200, "reads": (TapeRead(1.0, data),), "ending": "eof", "ended_at": 1.0, **settings}
    return inspect_tape(Tape(**fields))  # type: ignore[arg-type]  # any of its fields


@pytest.mark.parametrize(
    ("inspection", "outcome"),
    [
        (inspection_of(WHOLE), "whole, with [DONE]"),
        (inspection_of(WHOLE.partition(b"data: [DONE]")[0]), "whole, without [DONE]"),
        (inspection_of(PART), "not whole: no finish_reason and no [DONE]"),
        (inspection_of(PART, ending="reset"), "not whole: no finish_reason and no [DONE]"),
        (inspection_of(PART, ending=None, ended_at=None), "the recording was cut before the end"),
        (inspection_of(b'{"error": "oh"}'), "the server reported an error in the stream: oh"),
        (inspection_of(b'{"error": "oh"}', status=400), "400: oh"),
        (inspect_tape(Tape(ending="reset")), "no answer came"),
    ],
)
def test_outcome_is_told_in_a_few_words(inspection: Inspection, outcome: str) -> None:
    assert inspection.outcome == outcome


def test_gaps_are_between_what_came_the_longest_first() -> None:
    reads = TapeRead(1.0, PART), TapeRead(1.5, PART), TapeRead(6.0, PART)
    gaps = inspect_tape(Tape(status=200, headers_at=0.75, reads=reads, ending="timeout", ended_at=9.0)).gaps

    assert [(gap.seconds, gap.after, gap.before) for gap in gaps] == [
        (4.5, "read 2", "read 3"),
        (3.0, "read 3", "the end"),
        (0.75, "the request", "the headers"),
        (0.5, "read 1", "read 2"),
        (0.25, "the headers", "read 1"),
    ]


def test_figures_are_json_and_hold_no_text() -> None:
    figures = inspect_tape(demo_tape()).as_dict()

    shown = json.dumps(figures)
    assert json.loads(shown) == figures
    assert "letter" not in shown
    assert figures["bytes"] == len(demo_tape().body)
    assert figures["reads"] == len(demo_tape().reads)
    assert figures["events"] == {"chunk": 129, "text": 126, "usage": 1}
    assert figures["first_text"] == demo_tape().reads[1].seconds
    assert len(figures["gaps"]) == 3


def test_repr_holds_no_text() -> None:
    assert repr(inspection_of(WHOLE)) == (
        f"<Inspection of <Tape: status 200, 1 reads, {len(WHOLE)} bytes, 1 s, eof>: 1 chunks, whole, with [DONE]>"
    )
