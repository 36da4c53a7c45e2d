from __future__ import annotations

import enum
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from streamkit.tools.partial import PartialJSON
from streamkit.tools.schema import schema_of
from streamkit.tools.shape import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


def begins(part: Any, whole: Any) -> bool:
    """Whether one JSON value is a beginning of another."""
    if type(part) is not type(whole):
        return False
    if isinstance(part, str):
        return bool(whole.startswith(part))
    if isinstance(part, list):
        if len(part) > len(whole) or part[:-1] != whole[: len(part)][:-1]:
            return False
        return not part or begins(part[-1], whole[len(part) - 1])
    if isinstance(part, dict):
        return list(part) == list(whole)[: len(part)] and all(begins(part[key], whole[key]) for key in part)
    return bool(part == whole)


def snapshots(text: str, size: int, shape: Shape | None = None) -> Iterator[Any]:
    partial = PartialJSON(shape)
    for at in range(0, len(text), size):
        partial.feed(text[at : at + size])
        if partial.version:
            yield partial.snapshot()
    partial.close()
    if partial.version:
        yield partial.snapshot()


@settings(max_examples=200, deadline=None)
@given(VALUES, st.data(), st.booleans(), st.sampled_from([None, 1]))
def test_each_snapshot_begins_the_next_and_the_last_is_the_value(
    value: object,
    data: st.DataObject,
    ascii_only: bool,
    indent: int | None,
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    partial, position = PartialJSON(), 0
    before: list[Any] = []
    while position < len(text):
        size = data.draw(st.integers(1, 9))
        version = partial.version
        partial.feed(text[position : position + size])
        position += size
        if partial.version:
            now = partial.snapshot()
            assert not before or begins(before[-1], now)
            assert partial.version != version or now == before[-1]
            before = [now]
    partial.close()
    assert partial.is_whole
    assert partial.snapshot() == json.loads(text)
    assert json.dumps(partial.snapshot()) == json.dumps(value)
    assert not before or begins(before[-1], partial.snapshot())


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('{}[]",:\\u0d8e1.-+ \n`ntrfalse')), st.integers(1, 5))
def test_any_text_never_raises_and_never_says_what_json_does_not(text: str, size: int) -> None:
    found = list(snapshots(text, size))
    for before, after in itertools.pairwise(found):
        assert begins(before, after) or '"' in text  # a key may come twice
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert found[-1] == value


class Sky(enum.Enum):
    CLEAR = "clear"


class Day(msgspec.Struct):
    sky: Sky
    note: str


def test_what_makes_sense_only_when_it_is_whole_is_shown_when_it_is_whole() -> None:
    text = '{"sky": "clear", "note": "sun"}'
    shown = list(snapshots(text, 4, Shape(schema_of(Day))))
    assert all(each.get("sky", "clear") == "clear" for each in shown)
    assert {each["note"] for each in shown if "note" in each} >= {"su", "sun"}


def test_a_snapshot_does_not_change_later() -> None:
    partial = PartialJSON()
    partial.feed('{"a": [1, [2')
    early = partial.snapshot()
    partial.feed("], 3]}")
    assert early == {"a": [1, []]}
    assert partial.snapshot() == {"a": [1, [2], 3]}


@pytest.mark.parametrize("opening", ["```json\n", "```\n", "  \n```JSON \r\n", "\ufeff", "\n\n"])
def test_a_fence_and_white_space_before_the_value_are_skipped(opening: str) -> None:
    (*_, last) = snapshots(opening + '{"a": 1}\n```\n', 3)
    assert last == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1 "b"',
        '{"a"; 1}',
        "[1 2]",
        "{1: 2}",
        '["a\x01"]',
        '["\\x"]',
        '["\\u12x4"]',
        "[01]",
        "[nul]",
        "[1}",
        "``x",
        "[,]",
    ],
)
def test_where_it_is_no_json_nothing_more_is_added(text: str) -> None:
    partial = PartialJSON()
    partial.feed(text + " ")
    version = partial.version
    partial.feed('"more"]}')
    partial.close()
    assert partial.version == version
    assert not partial.is_whole


def test_too_deep_a_text_stops_instead_of_failing() -> None:
    partial = PartialJSON()
    partial.feed("[" * 100_000)
    assert partial.snapshot() is not None
    assert not partial.is_whole


def test_nothing_yet_is_an_error() -> None:
    partial = PartialJSON()
    partial.feed(" ")
    assert partial.version == 0
    with pytest.raises(LookupError):
        partial.snapshot()


def test_halves_of_a_surrogate_pair_are_shown_together() -> None:
    shown = list(snapshots('"\\ud83d\\ude00!"', 1))
    assert not any("\ud83d" in each for each in shown)
    assert shown[-1] == "😀!"


def _seconds(text: str) -> float:
    partial, begun = PartialJSON(), time.process_time()
    budget = 0
    for at in range(0, len(text), 4):
        partial.feed(text[at : at + 4])
        budget += 4096
        if partial.version and budget >= partial.cost:
            budget -= partial.cost
            partial.snapshot()
    return time.process_time() - begun


@pytest.mark.parametrize("unit", ["x" * 40, '", "y": "' + "z" * 30], ids=["one text", "many"])
def test_four_times_the_text_takes_about_four_times_as_long(unit: str) -> None:
    def text(size: int) -> str:
        return '["' + unit.replace('"y": ', "") * (size // len(unit)) + '"]'

    small, large = (min(_seconds(text(size)) for _ in range(2)) for size in (100_000, 400_000))
    assert large < 10 * small  # quadratic time: 16 times


@pytest.mark.parametrize("size", [1, 2, 5, 99])
@pytest.mark.parametrize(
    "text",
    [r'"\ud83d x"', r'"\ud83d\n"', r'"\ud83d\u0041"', r'"\ud83d\ud83d\ude00"', r'"\ude00"', r'"\ud83d"', r'"\u00e9\/"'],
)
def test_half_a_surrogate_pair_is_what_json_makes_of_it(text: str, size: int) -> None:
    (*_, last) = snapshots(text, size)
    assert last == json.loads(text)
