"""JSON schema as strict mode wants it, and the way back from what it makes a model write.

In strict mode (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas) the model cannot leave the
schema. In return every property is required and no other is allowed: what may be left out is null instead. Keywords that strict
mode does not know are told to the model in the description; they are checked when the answer is decoded.
"""

from __future__ import annotations

import json
from typing import Any, Final

from .schema import resolve

__all__ = ["strict_schema", "without_nulls"]

_KNOWN: Final = frozenset(
    {"type", "enum", "const", "$ref", "description", "pattern", "multipleOf", "minimum", "maximum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
)
_FORMATS: Final = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])
_IDLE: Final = frozenset(
    ["title", "default", "discriminator", "examples", "deprecated", "readOnly", "writeOnly", "$defs"]
)
"""Keywords that allow and forbid nothing."""
_SHAPES: Final = frozenset(
    ["prefixItems", "patternProperties", "propertyNames", "not", "if", "then", "else", "contains", "dependentSchemas"]
)
"""Keywords without which a schema means something else."""
_TYPES: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema for strict mode. Raises ValueError, naming the place, where strict mode cannot say the same.

    >>> strict_schema({"type": "object", "properties": {"days": {"type": "integer", "default": 1}}, "required": []})[
    ...     "properties"
    ... ]
    {'days': {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}}
    >>> strict_schema({"type": "object", "additionalProperties": {"type": "integer"}})
    Traceback (most recent call last):
    ...
    ValueError: an object with any keys (at #)
    """
    definitions = schema.get("$defs", {})
    strict = _strict(schema, "#", definitions)
    if definitions:
        strict["$defs"] = {name: _strict(part, f"#/$defs/{name}", definitions) for name, part in definitions.items()}
    return strict


def _strict(schema: Any, path: str, definitions: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a part of a schema
    if not isinstance(schema, dict):
        raise ValueError(f"a value of any type (at {path})")  # noqa: TRY004 - the schema is right, and says so
    strict: dict[str, Any] = {}
    told: list[str] = []
    for keyword, part in schema.items():
        if keyword in _SHAPES:
            raise ValueError(f"the keyword {keyword} (at {path})")
        if keyword in {"anyOf", "oneOf"}:
            strict["anyOf"] = [
                _strict(each, f"{path}/{keyword}/{place}", definitions) for place, each in enumerate(part)
            ]
        elif keyword == "allOf":
            if len(part) != 1:
                raise ValueError(f"the keyword allOf (at {path})")
            strict.update(_strict(part[0], f"{path}/allOf/0", definitions))
        elif keyword == "items":
            strict["items"] = _strict(part, f"{path}/items", definitions)
        elif keyword in _KNOWN or (keyword == "format" and part in _FORMATS):
            strict[keyword] = part
        elif keyword not in _IDLE and keyword not in {"properties", "required", "additionalProperties"}:
            told.append(f"{keyword}={json.dumps(part)}")
    if schema.get("type") == "object" or "properties" in schema:
        _close_object(schema, strict, path, definitions)
    if told:
        strict["description"] = " ".join(filter(None, [strict.get("description"), f"({', '.join(told)})"]))
    if "type" not in strict and (values := strict.get("enum", [strict["const"]] if "const" in strict else [])):
        kinds = list(dict.fromkeys(_TYPES.get(type(value), "object") for value in values))
        if "object" in kinds:
            raise ValueError(f"a constant that is no single value (at {path})")
        strict["type"] = kinds[0] if len(kinds) == 1 else kinds
    if not strict.keys() & {"type", "anyOf", "$ref"}:
        raise ValueError(f"a value of any type (at {path})")
    if strict.get("type") == "array" and "items" not in strict:
        raise ValueError(f"an array of anything (at {path})")
    if "$ref" in strict and len(strict) > 1:  # strict mode wants a reference alone
        return {**{key: part for key, part in strict.items() if key != "$ref"}, "anyOf": [{"$ref": strict["$ref"]}]}
    return strict


def _close_object(schema: dict[str, Any], strict: dict[str, Any], path: str, definitions: dict[str, Any]) -> None:
    if "properties" not in schema or schema.get("additionalProperties", False) is not False:
        raise ValueError(f"an object with any keys (at {path})")
    required = schema.get("required", ())
    properties = strict["properties"] = {}
    for name, part in schema["properties"].items():
        found = _strict(part, f"{path}/properties/{name}", definitions)
        properties[name] = found if name in required or _takes_null(part, definitions) else _or_null(found)
    strict["required"] = list(properties)
    strict["additionalProperties"] = False


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    outer = {"description": schema.pop("description")} if "description" in schema else {}
    alternatives = schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
    return {**outer, "anyOf": [*alternatives, {"type": "null"}]}


def _takes_null(schema: object, definitions: dict[str, Any]) -> bool:
    return any(
        "null" in kind
        if isinstance(kind := part.get("type"), list)
        else kind == "null" or None in part.get("enum", ()) or ("const" in part and part["const"] is None) or not part
        for part in resolve(schema, definitions)
    )


def without_nulls(value: Any, schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON, and a part of a schema
    """JSON values without the nulls that stand for properties left out, by the schema before it was made strict.

    >>> schema = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": []}
    >>> without_nulls({"days": None}, schema, {})
    {}
    """
    alternatives = resolve(schema, definitions)
    if isinstance(value, list):
        items = next((part["items"] for part in alternatives if isinstance(part.get("items"), dict)), None)
        return value if items is None else [without_nulls(each, items, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    part = next((part for part in alternatives if _may_be(value, part)), None)
    if part is None:
        return value
    properties, required, others = part["properties"], part.get("required", ()), part.get("additionalProperties")
    return {
        name: without_nulls(each, properties.get(name, others), definitions)
        for name, each in value.items()
        if not (
            each is None
            and name in properties
            and name not in required
            and not _takes_null(properties[name], definitions)
        )
    }


def _may_be(value: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether an object is of this alternative: by its tag, and by its keys."""
    properties = part.get("properties")
    if properties is None or not value.keys() <= properties.keys():
        return False
    return all(
        value[name] in (tag["enum"] if "enum" in tag else [tag["const"]])
        for name, tag in properties.items()
        if name in value and name in part.get("required", ()) and tag.keys() & {"enum", "const"}
    )
