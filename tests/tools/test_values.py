from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import msgspec
import pytest

from streamkit.tools.schema import schema_of
from streamkit.tools.values import Decoder, InvalidJSON, InvalidValue, to_json
from tests.conftest import require_or_skip


@dataclass
class Day:
    date: dt.date
    hours: int = 24

    def __post_init__(self) -> None:
        if self.hours > 24:
            raise ValueError("a day has 24 hours")
        if self.hours < 0:
            raise RuntimeError("negative")


def decode(text: str) -> Day:
    decoder: Decoder[Day] = Decoder(Day, schema_of(Day))
    return decoder.decode(text)


def test_values_are_of_the_type() -> None:
    assert decode('{"date": "2026-01-02"}') == Day(dt.date(2026, 1, 2))


def test_a_null_stands_for_what_is_left_out() -> None:
    assert decode('{"date": "2026-01-02", "hours": null}').hours == 24


@pytest.mark.parametrize(
    ("text", "reason", "path"),
    [
        ('{"date": 1}', "Expected `date`", "$.date"),
        ("{}", "missing required field `date`", "$"),
        ('{"date": "2026-01-02", "hours": 25}', "24 hours", "$"),
        ('{"date": "2026-01-02", "hours": -1}', "negative", "$"),
        ("[1]", "Expected `object`", "$"),
    ],
)
def test_what_does_not_fit_says_why_and_where(text: str, reason: str, path: str) -> None:
    with pytest.raises(InvalidValue, match=reason.replace("`", ".")) as caught:
        decode(text)
    assert caught.value.path == path


@pytest.mark.parametrize("text", ["", "{", '{"date": ', "nonsense", '{"date": "\ud800"}', "[" * 100_000])
def test_what_is_no_json_says_so(text: str) -> None:
    decoder: Decoder[object] = Decoder(object, {})
    with pytest.raises(InvalidJSON):
        decoder.decode(text)


def test_pydantic_models_are_read_and_written_as_pydantic_does() -> None:
    try:
        import pydantic
    except ImportError:
        require_or_skip("pydantic is not installed: pip install pydantic")
    model = pydantic.create_model("Model", when=(dt.date, ...), n=(int, 1))
    decoder: Decoder[list[object]] = Decoder(list[model], schema_of(list[model]))  # type: ignore[valid-type]  # made here
    (value,) = decoder.decode('[{"when": "2026-01-02"}]')
    assert to_json({"it": value}) == b'{"it":{"when":"2026-01-02","n":1}}'
    with pytest.raises(InvalidValue, match="when: ") as caught:
        decoder.decode('[{"when": "yesterday"}]')
    assert "https://" not in str(caught.value)


def test_what_json_cannot_hold_is_an_error() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(ValueError, match="holds itself"):
        to_json(ring)
    with pytest.raises(TypeError, match="type object"):
        to_json([object()])


def test_structs_and_dates_are_json() -> None:
    assert msgspec.json.decode(to_json([Day(dt.date(2026, 1, 2))])) == [{"date": "2026-01-02", "hours": 24}]
