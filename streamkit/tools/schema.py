"""Python types -> JSON schema, as msgspec writes it; pydantic models by what they can do, so that pydantic is not imported."""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = ["is_pydantic", "resolve", "schema_of"]

_REF: Final = "#/$defs/"


def is_pydantic(kind: object) -> bool:
    """Whether a class is a pydantic model, or works like one."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate")


def schema_of(kind: object) -> dict[str, Any]:
    """The JSON schema of a type, `$defs` at its root. Raises TypeError where there is none.

    >>> schema_of(list[int])
    {'type': 'array', 'items': {'type': 'integer'}}
    """
    try:
        (schema,), components = msgspec.json.schema_components(
            [kind], schema_hook=_schema_of_pydantic, ref_template=_REF + "{name}"
        )
    except (TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        if "custom types" in reason:  # msgspec's words are about its own hooks, and do not name the type
            reason = f"{getattr(kind, '__name__', kind)} is or holds a type that JSON does not know"
        raise TypeError(reason) from None
    definitions: dict[str, Any] = {}
    for name, component in components.items():
        _define(definitions, name, _hoist(component, definitions))
    schema = _hoist(schema, definitions)
    # The type itself stands at the root; its definition stays where it refers to itself.
    name = str(schema.get("$ref", "")).removeprefix(_REF)
    if name in definitions:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**definitions[name], **rest}
        if not any(_refers(each, _REF + name) for each in definitions.values()):
            del definitions[name]
    return {**schema, "$defs": definitions} if definitions else schema


def resolve(schema: Any, definitions: dict[str, Any]) -> list[dict[str, Any]]:  # noqa: ANN401 - a part of a schema
    """The alternatives that a part of a schema allows, its references followed.

    >>> resolve({"anyOf": [{"$ref": "#/$defs/City"}, {"type": "null"}]}, {"City": {"type": "object"}})
    [{'type': 'object'}, {'type': 'null'}]
    """
    found: list[dict[str, Any]] = []
    waiting, seen = [schema], set()
    while waiting:
        part = waiting.pop(0)
        if not isinstance(part, dict):
            continue
        if "$ref" in part:
            if part["$ref"] not in seen:  # a reference to itself says nothing
                seen.add(part["$ref"])
                waiting.insert(0, definitions.get(str(part["$ref"]).removeprefix(_REF)))
        elif alternatives := part.get("anyOf") or part.get("oneOf") or part.get("allOf"):
            waiting[:0] = alternatives
        else:
            found.append(part)
    return found


def _schema_of_pydantic(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - msgspec's schema_hook
    if is_pydantic(kind):
        schema: dict[str, Any] = kind.model_json_schema(ref_template=_REF + "{model}")
        return schema
    raise NotImplementedError


def _hoist(schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - a schema, or a part of one
    """The schema without the `$defs` that pydantic has put into the middle of it; they are added to the others."""
    if isinstance(schema, list):
        return [_hoist(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    for name, part in schema.get("$defs", {}).items():
        _define(definitions, name, _hoist(part, definitions))
    return {name: _hoist(part, definitions) for name, part in schema.items() if name != "$defs"}


def _define(definitions: dict[str, Any], name: str, definition: object) -> None:
    if definitions.setdefault(name, definition) != definition:
        raise TypeError(f"two types are called {name!r}: rename one")


def _refers(schema: object, reference: str) -> bool:
    if isinstance(schema, dict):
        return schema.get("$ref") == reference or any(_refers(part, reference) for part in schema.values())
    return isinstance(schema, list) and any(_refers(part, reference) for part in schema)
