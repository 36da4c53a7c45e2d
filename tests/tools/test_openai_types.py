"""What goes out, held against the types of OpenAI's own SDK."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from streamkit.tools import run_tools, tool

from ..conftest import require_or_skip
from .conversation import asks, call, conversation, says


@pytest.fixture
def sdk() -> Any:
    """The chat types of the SDK."""
    try:
        import openai.types.chat
        import pydantic  # noqa: F401 - the SDK's own dependency
    except ImportError:
        require_or_skip("the OpenAI SDK is not installed: pip install openai")
    return openai.types.chat


class Unit(enum.Enum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


@dataclasses.dataclass
class Place:
    name: str
    at: tuple[float, float] | None = None


def forecast(
    places: list[Place],
    days: Annotated[int, msgspec.Meta(ge=1, le=10, description="how many")] = 3,
    unit: Unit = Unit.CELSIUS,
    detail: Literal["low", "high"] | None = None,
    labels: dict[str, str] | None = None,
) -> str:
    """The weather to come.

    Args:
        places: where
        unit: of the temperatures
    """
    return "rain"


def nothing() -> None:
    """Do nothing."""


def strict(kind: Any) -> Any:
    """An adapter of one of the SDK's TypedDicts that takes no field which the SDK does not know."""
    from pydantic import ConfigDict, TypeAdapter, with_config

    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(kind))


@pytest.mark.parametrize("function", [forecast, nothing])
def test_a_definition_is_a_tool_of_the_sdk(function, sdk):
    definition = tool(function).definition
    adapter = strict(sdk.ChatCompletionFunctionToolParam)
    assert adapter.validate_python(definition, strict=True) == definition
    with pytest.raises(ValueError, match="type"):
        adapter.validate_python({**definition, "type": "func"})


async def test_both_requests_of_a_run_are_requests_of_the_sdk(sdk):
    asked = call("forecast", {"places": [{"name": "Oslo"}]})
    async with conversation(asks(asked), says("Rain.")) as (driver, server):
        await run_tools(driver, "hi", [forecast, nothing], model="gpt-4.1-mini", temperature=0, tool_choice="auto")
    adapter = strict(sdk.completion_create_params.CompletionCreateParamsStreaming)
    assert len(server.requests) == 2
    for request in server.requests:
        checked = adapter.validate_python(request.json)
        # The SDK types lists as iterables, which pydantic reads lazily: reading them is what checks them.
        assert len(list(checked["messages"])) == len(request.json["messages"])
        assert len(list(checked["tools"])) == 2
