from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from streamkit.tools.signature import arguments_type, name_of, plain_function

if TYPE_CHECKING:
    from decimal import Decimal


class Thermometer:
    def read(self, room: str) -> float:
        return 21.0 if room else 0.0

    def __call__(self, room: str) -> float:
        return self.read(room)

    @staticmethod
    def scale(unit: str) -> str:
        return unit


def fields(function: Any) -> tuple[str, ...]:
    return arguments_type(function, "f", {}).__struct_fields__


def test_what_can_be_called_has_its_parameters() -> None:
    here = Thermometer()
    for function in (here.read, Thermometer.read, here):
        assert fields(function) == ("room",)
    assert fields(Thermometer.scale) == fields(vars(Thermometer)["scale"]) == ("unit",)


def test_what_a_partial_binds_is_kept_from_the_model() -> None:
    def search(key: str, query: str, limit: int = 3) -> str:
        return key + query + str(limit)

    assert fields(functools.partial(search, "secret")) == ("query", "limit")
    assert fields(functools.partial(search, key="secret")) == ("query", "limit")


def test_a_wrapped_function_has_the_parameters_of_the_one_inside() -> None:
    @functools.wraps(Thermometer.scale)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return Thermometer.scale(*args, **kwargs)

    assert fields(wrapper) == ("unit",)


def test_a_return_type_that_only_type_checkers_know_does_not_matter() -> None:
    def price(name: str) -> Decimal:
        raise AssertionError(name)

    assert fields(price) == ("name",)


def no_annotation(place): ...
def star(*places: str) -> None: ...
def stars(**places: str) -> None: ...
def positional(place: str, /) -> None: ...
def no_schema(place: complex) -> None: ...
def only_checked(place: Decimal) -> None: ...
def nested(place: list[dict[str, complex]]) -> None: ...


@pytest.mark.parametrize("function", [no_annotation, star, stars, positional, no_schema, only_checked, nested])
def test_a_parameter_that_a_model_cannot_be_told_of_is_named(function: Any) -> None:
    with pytest.raises(TypeError, match="parameter 'places?' of tool 'f'"):
        fields(function)


def test_a_generator_is_no_tool() -> None:
    def numbers(n: int) -> Any:
        yield n

    with pytest.raises(TypeError, match="'f' is a generator"):
        fields(numbers)


@pytest.mark.parametrize("thing", [7, "text", None, Thermometer, vars(Thermometer), classmethod(no_annotation)])
def test_what_is_no_function_is_refused(thing: object) -> None:
    with pytest.raises(TypeError, match="function|class"):
        plain_function(thing)


def test_names() -> None:
    assert name_of(star, None) == "star"
    assert name_of(functools.partial(functools.partial(star)), None) == "star"
    assert name_of(Thermometer(), None) == "Thermometer"
    for wrong in ("", "a b", "x" * 65, "größe", 7):
        with pytest.raises(ValueError, match="no name for a tool"):
            name_of(star, wrong)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # 7 is wrong on purpose
    with pytest.raises(ValueError, match="needs one"):
        name_of(lambda: None, None)
