"""What a function takes -> a struct with a field for each parameter that a model may give."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from .schema import schema_of
from .values import Decoder

__all__ = ["arguments_type", "is_unbound_method", "name_of", "plain_function"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # what the API takes


def plain_function(function: object) -> Any:  # noqa: ANN401 - a function, or a method
    """The function under partials, and that of an object that can be called. Raises TypeError for what is no function."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, staticmethod):
        return function.__func__
    if isinstance(function, classmethod):
        raise TypeError("a class method has no class yet: make a tool of the bound one, tool(Class.method)")
    if inspect.isroutine(function):
        return function
    if isinstance(function, type) or not callable(function):
        what = f"the class {function.__name__}" if isinstance(function, type) else type(function).__name__
        raise TypeError(f"a tool must be a function, not {what}")
    return function.__call__


def name_of(function: object, name: str | None) -> str:
    """The name of a tool. Raises ValueError for one that the API does not take."""
    if name is None:
        plain = plain_function(function)
        owner = getattr(plain, "__self__", None)
        name = type(owner).__name__ if plain.__name__ == "__call__" else plain.__name__
        if name == "<lambda>":
            raise ValueError("a function without a name needs one: tool(function, name=...)")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a tool: up to 64 letters of a to z, digits, _ and -")
    return name


def is_unbound_method(function: object) -> bool:
    """Whether it is a function of a class that still lacks its `self`."""
    return inspect.isfunction(function) and next(iter(_signature(function).parameters), "") == "self"


def arguments_type(function: Callable[..., Any], name: str, said: dict[str, str]) -> type[msgspec.Struct]:
    """A struct with a field for each parameter, described by `said`; those with a default are UNSET where they are left out.

    Raises TypeError, naming the parameter, for what a model cannot be told of.
    """
    plain = plain_function(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise TypeError(f"tool {name!r} is a generator: return one value")
    try:
        parameters = dict(_signature(function).parameters)
    except (ValueError, TypeError):
        raise TypeError(f"tool {name!r} has no signature that can be asked for: wrap it in a function") from None
    if is_unbound_method(function):
        del parameters["self"]
    # What a partial has bound by name is the program's, and not for the model to change.
    bound = function.keywords if isinstance(function, functools.partial) else {}
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in parameters.values():
        if parameter.name in bound:
            continue
        kind = _type_of(parameter, plain, f"parameter {parameter.name!r} of tool {name!r}")
        if parameter.name in said:
            kind = Annotated[kind, msgspec.Meta(description=said[parameter.name])]
        if parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _signature(function: Any) -> inspect.Signature:  # noqa: ANN401 - anything that can be called
    return inspect.signature(function.__func__ if isinstance(function, staticmethod) else function)


def _type_of(parameter: inspect.Parameter, plain: Any, what: str) -> Any:  # noqa: ANN401 - a type
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise TypeError(f"{what} takes any number of arguments: a model has to be told which there are")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise TypeError(f"{what} is positional-only: a model gives arguments by name")
    if parameter.annotation is parameter.empty:
        raise TypeError(f"{what} has no annotation: a model has to be told its type")
    # One at a time: what cannot be resolved in the others (a return type imported for type checkers) does not matter.
    alone = types.SimpleNamespace(__annotations__={"it": parameter.annotation})
    inner = inspect.unwrap(plain)
    names = getattr(getattr(inner, "__func__", inner), "__globals__", {})
    try:
        kind = typing.get_type_hints(alone, globalns=names, include_extras=True)["it"]
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise TypeError(
            f"{what} has an annotation that cannot be resolved ({error}): define its type at the top of a module,"
            " where it is imported at run time too"
        ) from None
    try:
        Decoder(kind, schema_of(kind))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"{what} has a type without a JSON schema: {error}") from None
    return kind
