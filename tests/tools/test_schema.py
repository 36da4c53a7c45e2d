from __future__ import annotations

import msgspec
import pytest

from streamkit.tools.schema import is_pydantic, resolve, schema_of
from tests.conftest import require_or_skip


class City(msgspec.Struct):
    name: str
    twin: City | None = None


class Trip(msgspec.Struct):
    start: City


class Fake:
    """What pydantic's models look like from outside."""

    @classmethod
    def model_json_schema(cls, ref_template: str) -> dict[str, object]:
        return {
            "type": "object",
            "properties": {"a": {"$ref": ref_template.format(model="A")}},
            "$defs": {"A": {"type": "null"}},
        }

    @classmethod
    def model_validate(cls, value: object) -> Fake:
        return cls()


def test_the_type_itself_stands_at_the_root() -> None:
    assert schema_of(Trip)["properties"] == {"start": {"$ref": "#/$defs/City"}}
    assert list(schema_of(Trip)["$defs"]) == ["City"]


def test_a_type_that_refers_to_itself_stays_defined() -> None:
    schema = schema_of(City)
    assert schema["type"] == "object"
    assert "City" in schema["$defs"]


def test_definitions_of_pydantic_models_move_to_the_root() -> None:
    schema = schema_of(list[Fake])
    assert schema["$defs"] == {"A": {"type": "null"}}
    assert schema["items"] == {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}


def test_a_pydantic_model_is_known_by_what_it_can_do() -> None:
    assert is_pydantic(Fake)
    assert not is_pydantic(Fake())
    assert not is_pydantic(City)


def test_real_pydantic_models_have_a_schema() -> None:
    try:
        import pydantic
    except ImportError:
        require_or_skip("pydantic is not installed: pip install pydantic")
    model = pydantic.create_model("Model", when=(int, ...))
    assert schema_of(model)["required"] == ["when"]


@pytest.mark.parametrize("kind", [object, complex, list[complex], type])
def test_a_type_that_json_does_not_know_is_an_error(kind: object) -> None:
    with pytest.raises(TypeError, match="JSON"):
        schema_of(kind)


def test_references_and_alternatives_are_followed() -> None:
    definitions = {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]}}
    assert resolve({"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}, definitions) == [
        {"type": "string"},
        {"type": "null"},
    ]
