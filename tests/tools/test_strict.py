from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest

from streamkit.tools.schema import schema_of
from streamkit.tools.strict import strict_schema, without_nulls


class Sky(enum.Enum):
    CLEAR = "clear"
    GREY = "grey"


@dataclass
class Day:
    sky: Sky
    rain: list[int] = field(default_factory=list)
    note: str | None = None


class Week(msgspec.Struct):
    days: list[Day]
    first: Annotated[Day, msgspec.Meta(description="Monday")] | None = None
    name: Annotated[str, msgspec.Meta(min_length=3)] = "week"


class Circle(msgspec.Struct, tag=True):
    r: float
    colour: str = "red"


class Square(msgspec.Struct, tag=True):
    a: float
    colour: str = "blue"


class Options(TypedDict, total=False):
    depth: int


class Pair(NamedTuple):
    a: int
    b: str


def closed(schema: object) -> bool:
    """Whether every object in a schema is as strict mode wants it."""
    if isinstance(schema, list):
        return all(map(closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        if schema["additionalProperties"] is not False or schema["required"] != list(schema["properties"]):
            return False
        return all(map(closed, schema["properties"].values()))
    return "default" not in schema and all(map(closed, schema.values()))


@pytest.mark.parametrize("kind", [Day, Week, Circle | Square, list[Circle | Square], Options])
def test_every_object_is_closed_and_requires_all(kind: object) -> None:
    schema = strict_schema(schema_of(kind))
    assert closed({key: part for key, part in schema.items() if key != "$defs"})
    assert all(map(closed, schema.get("$defs", {}).values()))


def test_what_may_be_left_out_may_be_null_once() -> None:
    properties = strict_schema(schema_of(Day))["properties"]
    assert properties["rain"] == {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}
    assert properties["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_an_unknown_keyword_is_told_in_the_description() -> None:
    name = strict_schema(schema_of(Week))["properties"]["name"]
    assert name == {"description": "(minLength=3)", "anyOf": [{"type": "string"}, {"type": "null"}]}


def test_a_reference_stands_alone() -> None:
    class Plan(msgspec.Struct):
        day: Annotated[Day, msgspec.Meta(description="when")]

    assert strict_schema(schema_of(Plan))["properties"]["day"] == {
        "description": "when",
        "anyOf": [{"$ref": "#/$defs/Day"}],
    }


def test_an_enum_has_a_type() -> None:
    assert strict_schema(schema_of(Literal["a", 1]))["type"] == ["integer", "string"]
    assert strict_schema(schema_of(Sky))["type"] == "string"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (dict[str, int], "any keys"),
        (Any, "any type"),
        (Pair, "prefixItems"),
        (list[Any], "anything"),
        (list, "anything"),
    ],
)
def test_what_strict_mode_cannot_say_is_an_error(kind: object, place: str) -> None:
    with pytest.raises(ValueError, match=place):
        strict_schema(schema_of(kind))


def test_the_error_names_the_place() -> None:
    class Plan(msgspec.Struct):
        options: dict[str, str]

    with pytest.raises(ValueError, match=r"at #/properties/options"):
        strict_schema(schema_of(Plan))


def test_only_nulls_that_stand_for_something_left_out_are_taken_out() -> None:
    schema = schema_of(Week)
    value = {"days": [{"sky": "clear", "rain": None, "note": None}], "first": None, "name": None}
    trimmed = without_nulls(value, schema, schema["$defs"])
    assert trimmed == {"days": [{"sky": "clear", "note": None}], "first": None}
    assert msgspec.convert(trimmed, Week) == Week([Day(Sky.CLEAR)])


def test_the_tag_tells_of_which_alternative_an_object_is() -> None:
    schema = schema_of(Circle | Square)
    value = {"type": "Square", "a": 1.0, "colour": None}
    assert without_nulls(value, schema, schema["$defs"]) == {"type": "Square", "a": 1.0}


def test_a_null_where_one_is_required_stays() -> None:
    schema = schema_of(Day)
    assert without_nulls({"sky": None}, schema, schema["$defs"]) == {"sky": None}


def test_a_constant_that_is_an_object_is_an_error() -> None:
    with pytest.raises(ValueError, match="no single value"):
        strict_schema({"const": {"a": 1}})
