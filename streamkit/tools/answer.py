"""A type as the form of an answer: how the model is told of it, and how an answer is read."""

from __future__ import annotations

import re
from typing import Any, Final, Generic, Literal, TypeVar

from .schema import resolve, schema_of
from .strict import strict_schema
from .values import Decoder, InvalidValue

__all__ = ["NOTHING_YET", "TypedAnswer"]

T = TypeVar("T")

NOTHING_YET: Final[Any] = object()
"""No value: None is one."""


class TypedAnswer(Generic[T]):
    """What is asked for: a type, how it is said to the model, and how it is read.

    Strict mode wants an object: any other type becomes the one property, `value`, of an object.
    """

    def __init__(self, kind: Any, name: str | None, strict: bool | None) -> None:  # noqa: ANN401 - a type
        self.name = (
            name or re.sub(r"[^a-zA-Z0-9_-]+", "_", getattr(kind, "__name__", "answer")).strip("_")[:64] or "answer"
        )
        try:
            schema = schema_of(kind)
            self._decoder: Decoder[T] = Decoder(kind, schema)
        except TypeError as error:
            raise TypeError(f"type has no JSON schema: {error}") from None
        alternatives = resolve(schema, schema.get("$defs", {}))
        self.wrapped = "anyOf" in schema or [each.get("type") for each in alternatives] != ["object"]
        self._wrapper: Decoder[dict[str, T]] | None = None
        if self.wrapped:
            definitions = schema.pop("$defs", {})
            schema = {
                "type": "object",
                "properties": {"value": schema},
                "required": ["value"],
                "additionalProperties": False,
                **({"$defs": definitions} if definitions else {}),
            }
            self._wrapper = Decoder(dict[Literal["value"], kind], schema)
        self.schema = self.sent = schema
        self.strict = strict is not False
        if self.strict:
            try:
                self.sent = strict_schema(schema)
            except ValueError as obstacle:
                if strict:
                    raise ValueError(f"{self.name} cannot be strict: {obstacle}") from None
                self.strict = False

    @property
    def response_format(self) -> dict[str, Any]:
        """What the request asks for."""
        return {
            "type": "json_schema",
            "json_schema": {"name": self.name, "schema": self.sent, "strict": self.strict},
        }

    def decode(self, text: str) -> T:
        """The value of an answer. Raises InvalidJSON or InvalidValue."""
        if self._wrapper is None:
            return self._decoder.decode(text)
        try:
            return self._wrapper.decode(text)["value"]
        except (InvalidValue, KeyError) as wrapped:
            try:
                return self._decoder.decode(text)  # a server that does not know response_format
            except InvalidValue:
                if isinstance(wrapped, KeyError):
                    raise InvalidValue("Object missing required field `value`") from None
                raise wrapped from None

    def unwrap(self, value: Any) -> Any:  # noqa: ANN401 - JSON
        """What a part of an answer says of the value; NOTHING_YET where that is nothing."""
        if self.wrapped and isinstance(value, dict):
            return value.get("value", NOTHING_YET)
        return value
