from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.util.genai.types import (
    BlobPart,
    FilePart,
    FunctionToolDefinition,
    GenericToolDefinition,
    InputMessage,
    OutputMessage,
    ReasoningPart,
    TextPart,
    ToolCallRequestPart,
    ToolCallResponsePart,
    UriPart,
)

from streamkit import StreamError
from streamkit.model import Choice, Completion, Message, ToolCall
from streamkit.sinks.otel_messages import input_messages, output_messages, tool_definitions

from .telemetry import BUSY, CAPTURE, WHOLE, Telemetry, described, driver_for

CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}


class EventLog:
    """Events in memory."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider()
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self.exporter))

    def attributes(self) -> list[dict[str, Any]]:
        return [dict(each.log_record.attributes or {}) for each in self.exporter.get_finished_logs()]


@pytest.mark.parametrize(
    ("mode", "on_span", "on_event"),
    [
        (None, False, False),
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("EVENT_ONLY", False, True),
        ("span_and_event", True, True),
    ],
)
async def test_content_is_where_the_environment_says_and_nowhere_by_default(
    telemetry: Telemetry, mode: str | None, on_span: bool, on_event: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode is not None:
        monkeypatch.setenv(CAPTURE, mode)
    events = EventLog()
    sink = telemetry.sink(logger_provider=events.provider)
    tools = [{"type": "function", "function": {"name": "look_up", "description": "d", "parameters": {}}}]
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        await driver.stream("a canary prompt", model="m", tools=tools)
    events.provider.shutdown()

    attributes = described(telemetry.span)
    assert (attributes.keys() >= CONTENT) is on_span
    assert ("canary" in telemetry.span.to_json()) is on_span
    assert [each.keys() >= CONTENT for each in events.attributes()] == [True] * on_event
    if on_span:
        assert json.loads(attributes["gen_ai.input.messages"])[0]["parts"][0]["content"] == "a canary prompt"
        assert json.loads(attributes["gen_ai.output.messages"])[0]["parts"][0]["content"] == "Hello"
        assert json.loads(attributes["gen_ai.tool.definitions"])[0]["name"] == "look_up"
    if on_event:
        assert events.attributes()[0]["gen_ai.usage.output_tokens"] == 5


async def test_error_of_a_server_is_shown_in_full_where_content_is(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    async with driver_for(BUSY, sinks=[telemetry.sink()], retries=0) as driver:
        with pytest.raises(StreamError):
            await driver.stream("a canary prompt", model="m")

    assert "you who asked: a canary prompt" in (telemetry.span.status.description or "")


async def test_completion_hook_gets_the_content_though_no_span_does(telemetry: Telemetry) -> None:
    class Hook:
        def __init__(self) -> None:
            self.outputs: list[Any] = []

        def on_completion(self, **content: Any) -> None:
            self.outputs += content["outputs"]

    hook = Hook()
    sink = telemetry.sink(completion_hook=hook)
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        await driver.stream("a canary prompt", model="m")

    assert [message.parts[0].content for message in hook.outputs] == ["Hello"]
    assert "canary" not in telemetry.span.to_json()


def test_messages_of_every_kind_become_parts() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q": 1}'}}
    cut = {"id": "call_2", "type": "function", "function": {"name": "look_up", "arguments": '{"q": '}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"png").decode()},
                },
                {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"wav").decode(), "format": "wav"}},
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "hologram", "hologram": {"data": "?"}},
                {"type": "input_audio", "input_audio": {"data": "not base64!", "format": "wav"}},
                {"type": "image_url", "image_url": None},
                "no part at all",
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [call, cut, {"function": None}]},
        {"role": "tool", "content": "42", "tool_call_id": "call_1"},
        "no message at all",
    ]

    assert input_messages({"messages": messages}) == [
        InputMessage("system", [TextPart("Be brief.")]),
        InputMessage(
            "user",
            [
                TextPart("What is this?"),
                UriPart(None, "image", "https://example.org/a.png"),
                BlobPart("image/png", "image", b"png"),
                BlobPart("audio/wav", "audio", b"wav"),
                FilePart(None, "document", "file-1"),
            ],
            name="ann",
        ),
        InputMessage(
            "assistant",
            [ToolCallRequestPart({"q": 1}, "look_up", "call_1"), ToolCallRequestPart('{"q": ', "look_up", "call_2")],
        ),
        InputMessage("tool", [ToolCallResponsePart("42", "call_1")]),
    ]


@pytest.mark.parametrize("messages", [None, "hi", 5, {"role": "user"}])
def test_messages_that_are_none_are_left_to_the_server_to_refuse(messages: object) -> None:
    assert input_messages({"messages": messages}) == []


def test_every_choice_is_a_message_as_far_as_it_came() -> None:
    completion = Completion(
        choices=(
            Choice(
                0, Message(content="hi", reasoning="hm", tool_calls=(ToolCall("c", "f", '{"a": 1}'),)), "tool_calls"
            ),
            Choice(1, Message(refusal="no")),
        )
    )

    assert output_messages(completion) == [
        OutputMessage(
            "assistant",
            [ReasoningPart("hm"), TextPart("hi"), ToolCallRequestPart({"a": 1}, "f", "c")],
            finish_reason="tool_calls",
        ),
        OutputMessage("assistant", [TextPart("no")], finish_reason="error"),
    ]


def test_tools_are_defined_as_they_were_offered() -> None:
    function = {"name": "f", "description": "what f does", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": function}, {"type": "web_search"}, {"type": "custom", "name": "x"}, 5]

    assert tool_definitions({"tools": tools}) == [
        FunctionToolDefinition("f", "what f does", {"type": "object"}),
        GenericToolDefinition("web_search", "web_search"),
        GenericToolDefinition("x", "custom"),
    ]
    assert tool_definitions({}) == []
