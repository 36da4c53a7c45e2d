"""What a JSON schema says of the strings in it: which of them make sense before they are whole."""

from __future__ import annotations

from typing import Any

from .schema import resolve

__all__ = ["Shape"]


class Shape:
    """A place in a schema. `grows`: a string there may be shown while it is still being written.

    Texts are; one of an enum, a date or base64 says something only when it is whole (msgspec's schema does not
    tell a datetime that may be without a time zone from a text).

    >>> shape = Shape({"type": "object", "properties": {"kind": {"enum": ["a", "b"]}, "text": {"type": "string"}}})
    >>> shape.child("kind").grows, shape.child("text").grows, shape.child("unknown").grows
    (False, True, True)
    """

    def __init__(self, schema: object = True, definitions: dict[str, Any] | None = None) -> None:
        if definitions is None:
            definitions = schema.get("$defs", {}) if isinstance(schema, dict) else {}
        self._definitions = definitions
        self._alternatives = resolve(schema, definitions)
        self._children: dict[str | None, Shape] = {}
        texts = [part for part in self._alternatives if _may_be_text(part)]
        self.grows = not texts or any(_is_plain(part) for part in texts)

    def child(self, key: str | None) -> Shape:
        """The place below: of a property, or None of the items of an array."""
        found = self._children.get(key)
        if found is None:
            found = Shape(
                {"anyOf": [part for each in self._alternatives for part in _below(each, key)]}, self._definitions
            )
            if key is None or any(key in each.get("properties", ()) for each in self._alternatives):
                self._children[key] = found  # of other keys there may be any number
        return found


def _below(schema: dict[str, Any], key: str | None) -> list[Any]:
    if key is None:
        return [*schema.get("prefixItems", ()), *([schema["items"]] if "items" in schema else ())]
    if key in schema.get("properties", ()):
        return [schema["properties"][key]]
    return [schema["additionalProperties"]] if "additionalProperties" in schema else []


def _may_be_text(schema: dict[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return any(isinstance(value, str) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "string")
    return "string" in (kind if isinstance(kind, list) else [kind])


def _is_plain(schema: dict[str, Any]) -> bool:
    return not schema.keys() & {"enum", "const", "format", "contentEncoding"}
