"""`@tool`: a typed Python function as a tool that a model can call."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from ..errors import StreamkitError
from .docstring import parse_docstring
from .schema import schema_of
from .signature import arguments_type, is_unbound_method, name_of, plain_function
from .strict import strict_schema
from .values import Decoder, InvalidJSON, InvalidValue

__all__ = ["Tool", "ToolArgumentsError", "tool", "tools_by_name"]

P = ParamSpec("P")
R = TypeVar("R")


class ToolArgumentsError(StreamkitError, ValueError):
    """The arguments that a model wrote do not fit the function; `str()` says what is wrong where, in words for the model."""

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Tool(Generic[P, R]):
    """A function with what a model has to know of it; made by `tool`. Calling it calls the function.

    Attributes:
        function: what was given.
        name, description: what the model sees.
        schema: the JSON schema of the arguments.
        strict: whether the schema is sent in strict mode.
        timeout: the limit of one call, in seconds; None: that of `run_tools`.
        is_async: it runs on the loop, and not in a thread.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
        timeout: float | None = None,
    ) -> None:
        plain = plain_function(function)
        self.name = name_of(function, name)
        functools.update_wrapper(self, plain, updated=())
        self.function = function
        said, of_parameters = parse_docstring(_doc_of(plain))
        self.description = said if description is None else description
        if not isinstance(self.description, str):
            raise TypeError(f"description of tool {self.name!r} must be a text, not {type(description).__name__}")
        seconds: Any = timeout  # whatever a caller without a type checker may give
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0
        ):
            raise ValueError(f"timeout of tool {self.name!r} must be a number of seconds above 0, not {timeout!r}")
        self.timeout = timeout
        self.is_async = inspect.iscoroutinefunction(plain)
        self.is_unbound = is_unbound_method(function)
        """It lacks its object: `object.method` is the tool that can be called."""
        arguments = arguments_type(function, self.name, of_parameters)
        self._fields: tuple[str, ...] = arguments.__struct_fields__
        whole = schema_of(arguments)
        whole.pop("title", None)
        self._decoder: Decoder[msgspec.Struct] = Decoder(arguments, whole)
        self.schema, self.strict = self._schema(whole, strict)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function as if it were no tool."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:  # noqa: ANN401 - a Tool without its first parameter
        """In a class, a tool is a method."""
        if instance is None or not self.is_unbound:
            return self
        bound = copy.copy(self)
        bound.function = self.function.__get__(instance, owner)
        bound.is_unbound = False
        return bound

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as an entry of the request's `tools`."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = self.schema
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    def decode(self, arguments: str) -> dict[str, Any]:
        """The arguments that a model wrote, as values of the function's types; what it left out is not there.

        No text, or null, is no arguments; JSON inside a JSON text, as some servers send it, is taken. Raises ToolArgumentsError.
        """
        text = arguments.strip() or "{}"
        try:
            if text.startswith('"'):
                with_text = msgspec.json.decode(text, type=str).strip()
                text = with_text or "{}"
            decoded = self._decoder.decode("{}" if text == "null" else text)
        except InvalidValue as error:
            names = ", ".join(self._fields) or "none"
            raise ToolArgumentsError(
                self.name, f"the arguments do not fit: {error} (the parameters are: {names})"
            ) from error
        except (InvalidJSON, msgspec.DecodeError, UnicodeError) as error:
            raise ToolArgumentsError(self.name, f"the arguments are not valid JSON: {error}") from error
        values = {name: getattr(decoded, name) for name in self._fields}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}

    def call(self, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - R, or what R promises
        """Call the function with what `decode` gave; something to await where it `is_async`, and perhaps elsewhere."""
        return self.function(**arguments)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # decode knows the parameters

    def _schema(self, schema: dict[str, Any], strict: bool | None) -> tuple[dict[str, Any], bool]:
        if strict is not None and not isinstance(strict, bool):
            raise TypeError(f"strict of tool {self.name!r} must be True, False or None, not {type(strict).__name__}")
        if strict is not False:
            try:
                return strict_schema(schema), True
            except ValueError as obstacle:
                if strict:
                    raise ValueError(f"tool {self.name!r} cannot be strict: {obstacle}") from None
        return schema, False


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(*functions: Any, **options: Any) -> Any:
    """Make a tool of a function, sync or async: its name, docstring and annotations are what the model is told.

    Parameters may be of any type that msgspec has a JSON schema for (builtins, `Literal`, enums, dates, dataclasses, Structs,
    TypedDicts, `Annotated[int, msgspec.Meta(ge=0)]`), and pydantic models. One with a default may be left out, or be null.

    Args:
        function: left out, the call returns a decorator. Also a bound method, a partial (what it binds is kept from the model),
            an object that can be called.
        name: instead of the function's.
        description: instead of the docstring's, up to its section of arguments.
        strict: whether the model is held to the schema. None: where strict mode can express it (it has no `dict` with any keys,
            no tuple of mixed types). True: it is an error if it cannot.
        timeout: the limit of one call in seconds, instead of that of `run_tools`.

    Raises TypeError or ValueError, naming the parameter, for one without an annotation or with a type that has no schema, for
    `*args`, and for what is no function.

    >>> @tool
    ... def weather(city: str, days: int = 1) -> str:
    ...     '''The weather of a city.
    ...
    ...     Args:
    ...         city: its name in English
    ...     '''
    ...     return f"sunny in {city}"
    >>> weather.schema["properties"]["city"], weather.schema["required"]
    ({'description': 'its name in English', 'type': 'string'}, ['city', 'days'])
    >>> weather.decode('{"city": "Oslo", "days": null}'), weather("Oslo")
    ({'city': 'Oslo'}, 'sunny in Oslo')
    >>> weather.decode('{"town": "Oslo"}')
    Traceback (most recent call last):
    ...
    streamkit.tools.tool.ToolArgumentsError: the arguments do not fit: Object contains unknown field `town` (the parameters...
    """
    if not functions:
        return functools.partial(tool, **options)
    (function,) = functions
    return Tool(function.function if isinstance(function, Tool) else function, **options)


def _doc_of(plain: Any) -> str | None:  # noqa: ANN401 - a function, or a method
    """The docstring; of an object that can be called its class's, where its `__call__` has none but that of every `__call__`."""
    owner = getattr(plain, "__self__", None)
    if owner is not None and plain.__name__ == "__call__" and plain.__doc__ is None:
        return inspect.getdoc(type(owner))
    return inspect.getdoc(plain)


def tools_by_name(tools: Iterable[Tool[..., Any] | Callable[..., Any]]) -> dict[str, Tool[..., Any]]:
    """Tools, and functions to be made tools, by name.

    Raises TypeError or ValueError for two of one name, a method without its object, and no tools at all.
    """
    if callable(tools) or not isinstance(tools, Iterable):
        raise TypeError(f"tools must be a list of functions, not {type(tools).__name__}")
    found: dict[str, Tool[..., Any]] = {}
    for each in tools:
        made = each if isinstance(each, Tool) else tool(each)
        if made.is_unbound:
            raise TypeError(f"tool {made.name!r} is a method without its object: give object.{made.name}")
        if made.name in found:
            raise ValueError(f"two tools are called {made.name!r}: give one another name, as in tool(f, name=...)")
        found[made.name] = made
    if not found:
        raise ValueError("there is no tool: give at least one function")
    return found
