from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.tape import Tape, TapeRead
from streamkit.tape.inspection import inspect_tape
from streamkit.tape.timeline import lanes_of, round_step, ruler, sums, timeline_lines
from streamkit.testing import chunk, sse

seconds = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(seconds, st.integers(1, 1000))), seconds, st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_sums_lose_nothing(marks: list[tuple[float, int]], duration: float, columns: int) -> None:
    parts = sums(marks, duration, columns)

    assert len(parts) == columns
    assert sum(parts) == sum(amount for _, amount in marks)


@given(st.lists(seconds, min_size=1, max_size=30), st.integers(30, 200), st.booleans())
@settings(max_examples=100, deadline=None)
def test_lines_fit_the_width(times: list[float], width: int, only_ascii: bool) -> None:
    feed = sse(chunk("Hi"), done=False)
    reads = tuple(TapeRead(at, feed) for at in sorted(times))
    lines = timeline_lines(inspect_tape(Tape(status=200, reads=reads)), width, only_ascii=only_ascii)

    assert len(lines) == 3
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("reads ") and lines[1].startswith("text ") and lines[2].lstrip().startswith("0 s")
    assert "".join(lines).isascii() or not only_ascii


def test_what_came_alone_shows_beside_what_came_in_mass() -> None:
    reads = TapeRead(0.1, b"x"), TapeRead(5.0, b"x" * 10_000), TapeRead(10.0, b"x")
    (row, _) = timeline_lines(inspect_tape(Tape(status=200, reads=reads)), 17)

    assert row == "reads  ▁    █   ▁"


def test_every_kind_has_its_row_and_absent_ones_have_none() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    feed = b": ping\n\n" + sse(chunk(reasoning_content="hm"), chunk("Hi"), "{oops", chunk(tool_calls=[call]))
    tape = Tape(status=200, reads=(TapeRead(1.0, feed),))

    assert [(lane.name, lane.unit) for lane in lanes_of(inspect_tape(tape))] == [
        ("reads", "bytes"),
        ("reasoning", "characters"),
        ("text", "characters"),
        ("tool calls", "events"),
        ("keep-alives", "events"),
        ("warnings", "events"),
    ]


def test_tape_without_reads_has_no_timeline() -> None:
    assert timeline_lines(inspect_tape(Tape(ending="reset"))) == []


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (0.0, "0 s"),
        (1e-6, "0 s"),
        (4.0, "0 s       1 s       2 s       3 s"),
        (4000.0, "0 s       1000 s    2000 s    3000 s"),
    ],
)
def test_ruler_has_round_places(duration: float, shown: str) -> None:
    assert ruler(duration, 40).startswith(shown)
    assert len(ruler(duration, 40)) <= 40


@given(st.floats(1e-6, 1e9), st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_steps_are_few_enough_and_no_larger_than_needed(length: float, most: int) -> None:
    step = round_step(length, most)

    assert length / step <= most
    assert step <= 1e-6 or length / (step / 2.5) > most * 0.999
