from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from streamkit.tools.answer import NOTHING_YET, TypedAnswer
from streamkit.tools.values import InvalidJSON, InvalidValue


@dataclass
class City:
    name: str
    people: int = 0


def test_an_object_is_asked_for_as_it_is() -> None:
    answer: TypedAnswer[City] = TypedAnswer(City, None, None)
    asked = answer.response_format["json_schema"]
    assert (asked["name"], asked["strict"], list(asked["schema"]["properties"])) == ("City", True, ["name", "people"])
    assert answer.decode('{"name": "Oslo", "people": null}') == City("Oslo")
    assert answer.unwrap({"value": 1}) == {"value": 1}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[City], '[{"name": "Oslo"}]', [City("Oslo")]),
        (int, "7", 7),
        (City | None, '{"name": "Oslo"}', City("Oslo")),
        (City | None, "null", None),
        (dict[str, int], '{"value": 1}', {"value": 1}),
    ],
)
def test_anything_else_is_asked_for_inside_of_one_and_taken_bare(kind: Any, text: str, value: object) -> None:
    answer: TypedAnswer[Any] = TypedAnswer(kind, None, None)
    if kind != dict[str, int]:
        assert answer.wrapped
        assert answer.sent["required"] == ["value"]
        assert answer.decode(f'{{"value": {text}}}') == value
    assert answer.decode(text) == value


def test_what_a_wrapped_answer_says_so_far() -> None:
    answer: TypedAnswer[list[str]] = TypedAnswer(list[str], None, None)
    assert answer.unwrap({}) is NOTHING_YET
    assert answer.unwrap({"value": ["a"]}) == ["a"]
    assert answer.unwrap(["a"]) == ["a"]


def test_what_does_not_fit_is_an_error() -> None:
    answer: TypedAnswer[list[str]] = TypedAnswer(list[str], None, None)
    with pytest.raises(InvalidValue, match="missing required field `value`"):
        answer.decode("{}")
    with pytest.raises(InvalidJSON):
        answer.decode("Oslo")


def test_names_are_what_the_api_takes() -> None:
    assert TypedAnswer(list[City], None, None).name == "list"
    assert TypedAnswer(City | None, None, None).name.replace("_", "").isalnum()
    assert TypedAnswer(City, "town", None).name == "town"


def test_strict_is_an_error_where_it_cannot_be() -> None:
    assert not TypedAnswer(dict[str, int], None, None).strict
    with pytest.raises(ValueError, match="cannot be strict: an object with any keys"):
        TypedAnswer(dict[str, int], None, True)
    assert not TypedAnswer(City, None, False).strict
