from __future__ import annotations

import pytest

from streamkit import CompletionStream
from streamkit.tools import ToolStream, run_tools

from ..stream.scripted import untyped
from .conversation import asks, call, conversation, says


def weather(city: str) -> str:
    return f"4 °C in {city}"


async def test_it_is_a_completion_stream_with_four_events_more():
    async with conversation(says("Hi.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        assert isinstance(stream, ToolStream)
        assert isinstance(stream, CompletionStream)
        added = {"round", "tool_start", "tool_result", "tool_error"}
        assert all(map(stream.has_event, added))
        assert not any(map(driver.stream("hi").has_event, added))
        for event in added:
            with pytest.raises(ValueError, match=f"unknown event '{event}'"):
                untyped(driver.stream("hi")).on(event, print)
        await stream


async def test_an_unknown_event_lists_those_of_the_calls_too():
    async with conversation(says("Hi.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        with pytest.raises(ValueError, match="tool_error"):
            untyped(stream).on("tool_results", print)
        await stream


async def test_what_comes_from_the_feed_cannot_be_published_and_nothing_after_the_end():
    async with conversation(asks(call("weather", {"city": "Oslo"})), says("Hi.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        for event in ("text", "done", "*", "no such event"):
            with pytest.raises(ValueError, match=event.replace("*", r"\*")):
                stream.publish(event, "made up")
        heard: list[object] = []
        stream.on("round", heard.append)
        stream.publish("round", "too early")
        await stream
        stream.publish("round", "too late")
    assert len(heard) == 2


async def test_its_request_is_that_of_the_running_round():
    async with conversation(asks(call("weather", {"city": "Oslo"})), says("Hi.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        sizes: list[int] = []
        stream.on("connect", lambda _: sizes.append(len(stream.request["messages"])))
        await stream
    assert sizes == [1, 3]
