from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Literal

import msgspec
import pytest

from streamkit.tools.schema import schema_of
from streamkit.tools.shape import Shape


class Sky(enum.Enum):
    CLEAR = "clear"


class Node(msgspec.Struct):
    name: str
    children: list[Node] = []


@pytest.mark.parametrize(
    ("kind", "grows"),
    [
        (str, True),
        (str | None, True),
        (Annotated[str, msgspec.Meta(pattern="a+", max_length=9)], True),
        (Annotated[str, msgspec.Meta(description="a")] | int, True),
        (object | None, True),
        (Sky, False),
        (Sky | None, False),
        (Literal["a", "b"], False),
        (dt.date, False),
        (bytes, False),
    ],
)
def test_a_text_grows_and_what_is_one_of_a_few_does_not(kind: object, grows: bool) -> None:
    schema = {} if kind == object | None else schema_of(kind)
    assert Shape(schema).grows is grows


def test_a_type_that_holds_itself_has_places_at_every_depth() -> None:
    shape = Shape(schema_of(Node))
    for _ in range(50):
        shape = shape.child("children").child(None)
    assert shape.child("name").grows


def test_places_below_maps_and_tuples() -> None:
    assert not Shape(schema_of(dict[str, Sky])).child("any").grows
    assert not Shape(schema_of(tuple[Sky, Sky])).child(None).grows


def test_unknown_keys_are_not_remembered() -> None:
    shape = Shape(schema_of(Node))
    for number in range(100):
        assert shape.child(f"key{number}").grows
    assert shape._children == {}
