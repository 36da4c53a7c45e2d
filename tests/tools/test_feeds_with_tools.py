"""Recorded feeds of every vendor, with their calls in whatever shape: the loop makes them and ends with the answer."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from streamkit import StreamError
from streamkit.testing import Send
from streamkit.tools import Tool, ToolResult, run_tools, tool
from streamkit.tools.payloads import ToolAnswer

from ..conftest import SHARED, require_or_skip
from ..feeds import Feed, expected_error, feed_id, openai_chat_feeds
from .conversation import conversation, following, is_grammatical, says

ANSWER = "That is the answer."


def calls_of(feed: Feed) -> list[dict[str, Any]]:
    return [feed.expected["function_call"]] if "function_call" in feed.expected else feed.expected["tool_calls"]


FEEDS: list[Feed | None] = [feed for feed in openai_chat_feeds() if calls_of(feed) and expected_error(feed) is None]


def arguments_of(call: dict[str, Any]) -> dict[str, Any] | None:
    """What the function is to be called with, None where that is no JSON object."""
    try:
        arguments = json.loads(call["arguments"] or "{}")
    except ValueError:
        return None
    return {} if arguments is None else arguments if isinstance(arguments, dict) else None


def tool_for(name: str, arguments: list[dict[str, Any] | None]) -> Tool[..., Any]:
    """A function that takes what this model gives, and returns it."""

    def function(**given: Any) -> dict[str, Any]:
        return given

    names = sorted({name for given in arguments for name in given or {}})
    kind = inspect.Parameter.KEYWORD_ONLY
    function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect takes it from there
        [inspect.Parameter(each, kind, annotation=Any, default=None) for each in names]
    )
    function.__annotations__ = dict.fromkeys(names, Any)
    return tool(function, name=name)


@pytest.mark.parametrize("feed", FEEDS or [None], ids=lambda feed: "none" if feed is None else feed_id(feed))
async def test_the_calls_of_a_real_feed_are_made_and_answered(feed: Feed | None):
    if feed is None:
        require_or_skip(f"the recorded feeds are not in {SHARED}")
    calls = calls_of(feed)
    by_name: dict[str, list[dict[str, Any] | None]] = {}
    for each in calls:
        by_name.setdefault(each["name"], []).append(arguments_of(each))
    tools = [tool_for(name, arguments) for name, arguments in by_name.items()]
    async with conversation([Send(feed.body)], says(ANSWER), on_truncation="accept") as (driver, server):
        stream = run_tools(driver, "hi", tools)
        events = following(stream)
        heard: dict[str, ToolAnswer] = {}
        stream.on("tool_result", lambda result: heard.setdefault(result.call.id, result))
        stream.on("tool_error", lambda failure: heard.setdefault(failure.call.id, failure))
        try:
            completion = await stream
        except StreamError as error:
            raise AssertionError(f"{feed.path.name}: {error}") from error
        conversation_sent = server.requests[1].json["messages"]

    assert completion.text == ANSWER
    assert is_grammatical(events)
    made = completion.rounds[0].answers
    assert [answer.call.name for answer in made] == [each["name"] for each in calls]
    assert all(heard[answer.call.id] is answer for answer in made)
    for answer, each in zip(made, calls, strict=True):
        arguments = arguments_of(each)
        if arguments is None:
            assert not isinstance(answer, ToolResult)
            assert answer.kind == "invalid_arguments"
        else:
            assert isinstance(answer, ToolResult), answer
            assert answer.value == arguments | dict.fromkeys(answer.value.keys() - arguments.keys())
    # Every call that goes back has an id of its own, and one message that answers it.
    assistant, *results = conversation_sent[1:]
    ids = [sent["id"] for sent in assistant["tool_calls"]]
    assert len(set(ids)) == len(ids) == len(calls)
    assert all(ids)
    assert [result["tool_call_id"] for result in results] == ids
