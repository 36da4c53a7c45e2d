from __future__ import annotations

import datetime as dt
import enum
import functools
import inspect
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from streamkit import StreamkitError
from streamkit.tools import Tool, ToolArgumentsError, tool, tools_by_name


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


@dataclass
class Place:
    lat: float
    lon: float
    tags: list[str] = field(default_factory=list)


class Options(TypedDict, total=False):
    depth: int


class Pair(NamedTuple):
    a: int
    b: str


class Node(msgspec.Struct):
    name: str
    children: list[Node] = []


@tool
def weather(
    city: str,
    unit: Unit = Unit.C,
    days: Annotated[int, msgspec.Meta(ge=1, le=7)] = 1,
    place: Place | None = None,
    when: dt.date | None = None,
) -> str:
    """The weather of a city.

    Args:
        city: its name in English
        unit: of the temperature
    """
    return f"{city} {unit.value} {days} {place} {when}"


def test_a_tool_is_still_the_function() -> None:
    assert weather("Oslo", days=2) == "Oslo celsius 2 None None"
    assert weather.__doc__ is not None
    assert weather.__doc__.startswith("The weather of a city.")
    assert list(inspect.signature(weather).parameters) == ["city", "unit", "days", "place", "when"]


def test_the_definition_tells_the_model_all() -> None:
    definition = weather.definition
    assert definition["type"] == "function"
    function = definition["function"]
    assert function["name"] == "weather"
    assert function["description"] == "The weather of a city."
    assert function["strict"] is True
    parameters = function["parameters"]
    assert parameters["required"] == ["city", "unit", "days", "place", "when"]
    assert parameters["additionalProperties"] is False
    assert parameters["properties"]["city"] == {"description": "its name in English", "type": "string"}
    assert parameters["properties"]["days"]["anyOf"][0] == {"type": "integer", "minimum": 1, "maximum": 7}
    json.dumps(definition)


def test_arguments_are_of_the_types_of_the_parameters() -> None:
    arguments = weather.decode(
        '{"city": "Oslo", "unit": "fahrenheit", "days": 3, "place": {"lat": 1, "lon": 2.5, "tags": null}, "when": "2026-01-02"}'
    )
    assert arguments == {
        "city": "Oslo",
        "unit": Unit.F,
        "days": 3,
        "place": Place(1.0, 2.5),
        "when": dt.date(2026, 1, 2),
    }
    assert weather.call(arguments).startswith("Oslo fahrenheit 3 Place(")


def test_what_is_null_or_missing_is_left_to_the_default() -> None:
    assert weather.decode('{"city": "Oslo", "unit": null, "days": null}') == {"city": "Oslo"}
    assert weather.decode('{"city": "Oslo", "place": null}') == {"city": "Oslo", "place": None}


@pytest.mark.parametrize("text", ["", " ", "null", "{}", '"{}"', '""'])
def test_no_arguments_are_written_in_many_ways(text: str) -> None:
    def look() -> str:
        return "sand"

    assert tool(look).decode(text) == {}


@pytest.mark.parametrize(
    "kind", [dict[str, int], Options, Pair, tuple[int, str], Any, Node, bytes, Literal["a", 1], list[Place]]
)
def test_any_type_with_a_schema_will_do(kind: object) -> None:
    def f(it: Any) -> None: ...

    f.__annotations__["it"] = kind
    assert list(tool(f).schema["properties"]) == ["it"]


def test_it_is_strict_where_it_can_be() -> None:
    def f(options: dict[str, int]) -> None: ...

    made = tool(f)
    assert made.strict is False
    assert "strict" not in made.definition["function"]
    with pytest.raises(ValueError, match=r"'f' cannot be strict: an object with any keys \(at #/properties/options\)"):
        tool(f, strict=True)
    assert tool(weather, strict=False).schema["required"] == ["city"]


def test_name_description_and_timeout_may_be_given() -> None:
    @tool(name="now", description="The time.", timeout=2)
    def f() -> str:
        """Something else."""
        return "now"

    assert (f.name, f.description, f.timeout, f()) == ("now", "The time.", 2, "now")
    assert tool(f, name="then").name == "then"


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": True}, {"timeout": "1"}, {"strict": 1}, {"description": 7}, {"name": "a b"}]
)
def test_wrong_options_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        tool(**{"name": "f", **options})(lambda: None)


@pytest.mark.parametrize("text", ["", "  ", "{}", '""', '"{}"', " {} "])
def test_no_arguments_at_all(text: str) -> None:
    @tool
    def now() -> int:
        return 1

    assert now.decode(text) == {}


def test_json_in_a_json_text_is_taken() -> None:
    assert weather.decode(json.dumps('{"city": "Oslo"}')) == {"city": "Oslo"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"city": "Oslo", "town": 1}', ["unknown field `town`", "city, unit, days, place, when"]),
        ("{}", ["missing required field `city`"]),
        ('{"city": 7}', ["Expected `str`, got `int`", "$.city"]),
        ('{"city": "Oslo", "days": 9}', ["<= 7", "$.days"]),
        ('{"city": "Oslo", "unit": "K"}', ["Invalid enum value 'K'", "$.unit"]),
        ('{"city": "Oslo", "place": {"lat": 1}}', ["missing required field `lon`", "$.place"]),
        ("[]", ["Expected `object`, got `array`"]),
        ('{"city": "Oslo"', ["not valid JSON"]),
        ("Oslo", ["not valid JSON"]),
        ('"Oslo"', ["not valid JSON"]),
        ("[" * 100_000, ["not valid JSON"]),
        ('{"city": "\ud800"}', ["not valid JSON"]),
    ],
)
def test_what_is_wrong_with_arguments_is_said_in_words_for_the_model(text: str, words: list[str]) -> None:
    with pytest.raises(ToolArgumentsError) as caught:
        weather.decode(text)
    assert isinstance(caught.value, StreamkitError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.tool == "weather"
    for word in words:
        assert word in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('{}[]":,\\ city days0129null"Oslo')))
def test_any_text_gives_arguments_or_tool_arguments_error(text: str) -> None:
    try:
        arguments = weather.decode(text)
    except ToolArgumentsError:
        return
    assert isinstance(arguments["city"], str)


class Shop:
    def __init__(self, stock: int) -> None:
        self.stock = stock

    @tool
    def buy(self, amount: int) -> int:
        """Buy some."""
        return self.stock - amount

    @tool
    @staticmethod
    def currency(country: str) -> str:
        return country


def test_a_tool_in_a_class_is_a_method() -> None:
    shop, other = Shop(10), Shop(20)
    assert shop.buy(3) == 7
    assert other.buy.call(other.buy.decode('{"amount": 3}')) == 17
    assert list(shop.buy.schema["properties"]) == ["amount"]
    assert Shop.currency("no") == shop.currency("no") == "no"
    assert list(tools_by_name([shop.buy, shop.currency])) == ["buy", "currency"]
    with pytest.raises(TypeError, match=r"give object\.buy"):
        tools_by_name([Shop.buy])


def test_bound_methods_partials_and_objects_are_tools() -> None:
    class Add:
        """Adds."""

        def __call__(self, a: int, b: int) -> int:
            return a + b

        async def later(self, a: int) -> int:
            return a

    add = Add()
    assert tool(add).call({"a": 1, "b": 2}) == 3
    assert tool(add).name == "Add"
    partial = tool(functools.partial(add, b=5), name="add5")
    assert list(partial.schema["properties"]) == ["a"]
    assert partial.call(partial.decode('{"a": 1}')) == 6
    with pytest.raises(ToolArgumentsError, match="unknown field `b`"):
        partial.decode('{"a": 1, "b": 2}')
    assert tool(add.later).is_async


def test_an_object_that_can_be_called_is_described_by_its_class_or_not_at_all() -> None:
    class Add:
        """Add one."""

        def __call__(self, a: int) -> int:
            return a + 1

    class Plain:
        def __call__(self, a: int) -> int:
            return a

    class Own(Add):
        def __call__(self, a: int) -> int:
            """Add none."""
            return a

    assert [tool(each).description for each in (Add(), Plain(), Own())] == ["Add one.", "", "Add none."]


async def test_an_async_function_stays_async() -> None:
    @tool
    async def later(n: int) -> int:
        return n + 1

    assert later.is_async
    assert not weather.is_async
    assert await later(1) == 2
    assert await later.call({"n": 2}) == 3


def test_a_list_of_tools_is_checked() -> None:
    def plain(a: int) -> int:
        return a

    found = tools_by_name([weather, plain])
    assert list(found) == ["weather", "plain"]
    assert isinstance(found["plain"], Tool)
    with pytest.raises(ValueError, match="two tools are called 'plain'"):
        tools_by_name([plain, plain])
    with pytest.raises(ValueError, match="no tool"):
        tools_by_name([])
    for wrong in (weather, 7, None):
        with pytest.raises(TypeError, match="list of functions"):
            tools_by_name(wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # wrong on purpose
    with pytest.raises(TypeError, match="must be a function, not int"):
        tools_by_name([7])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  # wrong on purpose
