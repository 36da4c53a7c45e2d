"""Against a real OpenAI-compatible server that scripts tool calls: aimock, from npm; see tests/test_aimock.py for where it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from streamkit import StreamDriver
from streamkit.tools import ToolCompletion, ToolFailure, ToolResult, TooManyRounds, run_tools

from ..test_aimock import running_aimock
from .conversation import following, is_grammatical

PARIS = {"name": "get_weather", "arguments": '{"city":"Paris"}', "id": "call_001"}
OSLO = {"name": "get_weather", "arguments": '{"city":"Oslo"}', "id": "call_002"}
ADD = {"name": "add", "arguments": '{"a":4,"b":17}', "id": "call_003"}


def fixture(model: str, response: dict[str, object], **match: object) -> dict[str, object]:
    return {"match": {"model": model, **match}, "response": response}


# What it answers depends on the results that it got: the tools have to be right for the answer to be.
FIXTURES = [
    fixture(
        "weather", {"content": "Paris 17 °C, Oslo 4 °C."}, toolCallId="call_002", toolResultContains="4 °C in Oslo"
    ),
    fixture("weather", {"toolCalls": [PARIS, OSLO]}, hasToolResult=False),
    fixture("chain", {"content": "Together 21 °C."}, toolCallId="call_003", toolResultContains="21"),
    fixture("chain", {"content": "First, the sum.", "toolCalls": [ADD]}, toolCallId="call_002"),
    fixture("chain", {"toolCalls": [PARIS, OSLO]}, hasToolResult=False),
    fixture("mends", {"content": "Paris it is."}, toolCallId="call_001"),
    fixture("mends", {"toolCalls": [PARIS]}, toolCallId="call_009", toolResultContains="there is no tool 'weather'"),
    fixture("mends", {"toolCalls": [{**PARIS, "name": "weather", "id": "call_009"}]}, hasToolResult=False),
    fixture("forever", {"toolCalls": [PARIS]}),
]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_aimock(tmp_path_factory.mktemp("aimock"), FIXTURES, chunk_size=3) as base_url:
        yield base_url


@pytest.fixture
async def driver(base_url: str) -> AsyncIterator[StreamDriver]:
    async with StreamDriver(base_url, "sk-test", retries=0) as driver:
        yield driver


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"{ {'Paris': 17, 'Oslo': 4}[city] } °C in {city}"


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_two_calls_and_the_answer(driver: StreamDriver) -> None:
    stream = run_tools(driver, "Weather in Paris and Oslo?", [get_weather], model="weather")
    events, results = following(stream), dict[str, Any]()
    stream.on("tool_result", lambda result: results.setdefault(result.call.id, result.value))
    completion = await stream
    assert completion.text == "Paris 17 °C, Oslo 4 °C."
    assert results == {"call_001": "17 °C in Paris", "call_002": "4 °C in Oslo"}
    assert is_grammatical(events)
    assert completion.quirks == {}
    assert completion.usage is not None
    assert [each.completion.usage is not None for each in completion.rounds] == [True, True]


async def test_three_rounds_of_calls(driver: StreamDriver) -> None:
    completion = await run_tools(driver, "How warm together?", [get_weather, add], model="chain")
    assert completion.text == "Together 21 °C."
    assert [[answer.content for answer in each.answers] for each in completion.rounds] == [
        ["17 °C in Paris", "4 °C in Oslo"],
        ["21"],
        [],
    ]
    assert completion.rounds[1].completion.text == "First, the sum."


async def test_a_model_that_is_told_of_its_mistake_mends_it(driver: StreamDriver) -> None:
    completion = await run_tools(driver, "Weather?", [get_weather], model="mends")
    assert completion.text == "Paris it is."
    assert [type(each.answers[0]) for each in completion.rounds[:2]] == [ToolFailure, ToolResult]


async def test_a_model_that_calls_for_ever(driver: StreamDriver) -> None:
    with pytest.raises(TooManyRounds) as caught:
        await run_tools(driver, "Weather?", [get_weather], model="forever", max_rounds=4)
    completion = caught.value.completion
    assert isinstance(completion, ToolCompletion)
    assert len(completion.messages) == 9


async def test_fifty_runs_at_once(driver: StreamDriver) -> None:
    runs = [run_tools(driver, "?", [get_weather, add], model=model) for model in ["weather", "chain"] * 25]
    completions = await asyncio.gather(*runs)
    assert {completion.text for completion in completions} == {"Paris 17 °C, Oslo 4 °C.", "Together 21 °C."}
