"""JSON that a model wrote -> values of the types that were asked for, and values -> JSON."""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from .schema import is_pydantic
from .strict import without_nulls

__all__ = ["Decoder", "InvalidJSON", "InvalidValue", "to_json"]

T = TypeVar("T")

_PATH = re.compile(r"`(\$[^`]*)`\Z")  # where msgspec's messages say it


class InvalidJSON(ValueError):
    """What should be JSON is none."""


class InvalidValue(ValueError):
    """It is JSON, but not of the type that was asked for. `path` is the place, as in `$.days`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        found = _PATH.search(reason)
        self.path = found[1] if found is not None else "$"


class Decoder(Generic[T]):
    """Decodes into a type; a null stands for what may be left out, as strict mode has it.

    Making it raises TypeError for types that cannot be decoded.

    >>> Decoder(dict[str, int], {"type": "object"}).decode('{"a": 1}')
    {'a': 1}
    """

    def __init__(self, kind: Any, schema: dict[str, Any]) -> None:  # noqa: ANN401 - a type, or a special form
        self._typed: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind, dec_hook=_from_json)
        self._schema = schema

    def decode(self, text: str) -> T:
        """The value. Raises InvalidJSON, or InvalidValue, in words that a model can act on."""
        try:
            try:
                return self._typed.decode(text)
            except msgspec.ValidationError as error:
                value = msgspec.json.decode(text)
                trimmed = without_nulls(value, self._schema, self._schema.get("$defs", {}))
                if trimmed == value:
                    raise error from None
                return self._typed.decode(msgspec.json.encode(trimmed))
        except msgspec.ValidationError as error:
            raise InvalidValue(str(error)) from error
        except RecursionError as error:
            raise InvalidJSON("JSON is nested too deep") from error
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidJSON(str(error)) from error
        except Exception as error:  # a type's own validator may raise anything
            raise InvalidValue(f"{type(error).__name__}: {error}") from error


def to_json(value: object) -> bytes:
    """A value as JSON; pydantic models by their `model_dump`. Raises TypeError or ValueError for what JSON cannot hold.

    >>> to_json({"cities": ("Oslo", "Roma")})
    b'{"cities":["Oslo","Roma"]}'
    """
    try:
        return msgspec.json.encode(value, enc_hook=_to_json)
    except RecursionError:
        raise ValueError("the value holds itself, or is nested too deep for JSON") from None


def _from_json(kind: Any, value: object) -> Any:  # noqa: ANN401 - msgspec's dec_hook
    if not is_pydantic(kind):
        raise NotImplementedError
    try:
        if (validate_json := getattr(kind, "model_validate_json", None)) is not None:
            return validate_json(msgspec.json.encode(value))  # pydantic is laxer there: a date is a text in JSON
        return kind.model_validate(value)
    except ValueError as error:
        if (errors := getattr(error, "errors", None)) is None:
            raise
        # pydantic's own text quotes the input and links to its documentation.
        raise ValueError("; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors())) from error


def _to_json(value: Any) -> Any:  # noqa: ANN401 - msgspec's enc_hook
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise TypeError(f"an object of type {type(value).__name__} is not JSON")
