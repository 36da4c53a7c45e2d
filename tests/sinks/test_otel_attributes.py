from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from streamkit import (
    ConnectionLost,
    ServerError,
    StatusError,
    StreamAborted,
    StreamDriver,
    StreamError,
    StreamStart,
)
from streamkit.model import Choice, Completion
from streamkit.sinks.otel_attributes import encodable, error_of, split_server
from streamkit.testing import completion_server, sse

from .telemetry import WHOLE, Telemetry, described, driver_for


async def test_span_has_every_attribute_of_the_conventions_and_no_other(telemetry: Telemetry) -> None:
    sink = telemetry.sink(server_address="api.example.org", server_port=443, attributes={"deployment": "blue"})
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        await driver.stream(
            "hi", model="m", temperature=0.5, top_p=1, max_tokens=9, seed=7, stop="END", n=2, presence_penalty=0.1,
            frequency_penalty=0.2, reasoning_effort="low", service_tier="auto", response_format={"type": "json_object"},
            extra_body={"top_k": 40},
        )  # fmt: skip

    attributes = described(telemetry.span)
    first_chunk = attributes.pop("gen_ai.response.time_to_first_chunk")
    assert 0 < first_chunk < 5
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "server.address": "api.example.org",
        "server.port": 443,
        "gen_ai.request.stream": True,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.choice.count": 2,
        "gen_ai.request.presence_penalty": 0.1,
        "gen_ai.request.frequency_penalty": 0.2,
        "gen_ai.request.reasoning.level": "low",
        "gen_ai.output.type": "json",
        "gen_ai.response.id": "chatcmpl-streamkit",
        "gen_ai.response.model": "streamkit-test",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 21,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 16,
        "gen_ai.usage.reasoning.output_tokens": 3,
        "openai.api.type": "chat_completions",
        "openai.request.service_tier": "auto",
        "openai.response.service_tier": "default",
        "openai.response.system_fingerprint": "fp_1",
        "deployment": "blue",
    }
    assert (telemetry.span.name, telemetry.span.kind) == ("chat m", SpanKind.CLIENT)
    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert telemetry.span.instrumentation_scope is not None
    assert telemetry.span.instrumentation_scope.name == "streamkit"


async def test_what_a_server_did_not_say_is_not_made_up(telemetry: Telemetry) -> None:
    """No usage is no data point and no attribute, not zero; a server that names nothing leaves nothing."""
    bare = sse({"choices": [{"index": 0, "delta": {"content": "hi"}}]})
    async with driver_for(bare, sinks=[telemetry.sink()]) as driver:
        await driver.stream("hi")

    attributes = described(telemetry.span)
    del attributes["gen_ai.response.time_to_first_chunk"], attributes["server.port"]
    assert telemetry.span.name == "chat"
    assert attributes == {
        "server.address": "127.0.0.1",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.stream": True,
        "openai.api.type": "chat_completions",
    }
    assert "gen_ai.client.token.usage" not in telemetry.metrics()


async def test_server_is_where_the_request_goes_and_nothing_else_of_its_url(telemetry: Telemetry) -> None:
    async with completion_server(WHOLE) as server:
        url = server.base_url.replace("http://", "http://user:canary-key@") + "?api-key=canary-key"
        starts: list[StreamStart] = []
        async with StreamDriver(url, sinks=[telemetry.sink()]) as driver:
            stream = driver.stream("hi")
            stream.on("start", starts.append)
            await stream
        port = server.port

    assert [start.server for start in starts] == [f"127.0.0.1:{port}"]
    assert described(telemetry.span)["server.port"] == port
    assert "canary" not in telemetry.span.to_json()


@pytest.mark.parametrize(
    ("url", "server", "parts"),
    [
        ("https://api.example.com/v1", "api.example.com:443", ("api.example.com", 443)),
        ("http://[::1]:8000/v1", "[::1]:8000", ("::1", 8000)),
        ("http://bücher.example/v1", "xn--bcher-kva.example:80", ("xn--bcher-kva.example", 80)),
    ],
)
async def test_server_has_host_and_port(url: str, server: str, parts: tuple[str, int]) -> None:
    starts: list[StreamStart] = []
    async with StreamDriver(url) as driver:
        stream = driver.stream("hi", model="m")
        stream.on("start", starts.append)
        stream.abort()
        with pytest.raises(StreamAborted):
            await stream

    assert [start.server for start in starts] == [server]
    assert split_server(server) == parts


@pytest.mark.parametrize("server", [None, "", "host", ":80", "host:port"])
def test_server_that_a_source_does_not_know_is_left_out(server: str | None) -> None:
    assert split_server(server) == (None, None)


async def test_request_of_wrong_types_still_makes_a_span(telemetry: Telemetry) -> None:
    wrong: dict[str, Any] = {
        "temperature": "hot", "top_p": True, "max_tokens": -1, "seed": 2**63, "stop": [1, "x"], "n": True,
        "response_format": "json", "service_tier": 5,
    }  # fmt: skip
    async with driver_for(WHOLE, sinks=[telemetry.sink()]) as driver:
        await driver.stream("hi", model="m", **wrong)

    attributes = described(telemetry.span)
    assert {name for name in attributes if ".request." in name} == {
        "gen_ai.request.model",
        "gen_ai.request.stream",
        "gen_ai.request.stop_sequences",
    }
    assert attributes["gen_ai.request.stop_sequences"] == ("x",)


@pytest.mark.parametrize(
    ("request_limits", "limit"),
    [({"max_tokens": 9}, 9), ({"max_completion_tokens": 8}, 8), ({"max_completion_tokens": 8, "max_tokens": 9}, 8)],
)
async def test_either_name_of_the_limit_counts(
    telemetry: Telemetry, request_limits: dict[str, Any], limit: int
) -> None:
    async with driver_for(WHOLE, sinks=[telemetry.sink()]) as driver:
        await driver.stream("hi", model="m", **request_limits)

    assert described(telemetry.span)["gen_ai.request.max_tokens"] == limit


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, {"input_tokens": 9, "cache_read.input_tokens": 4}),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"audio_tokens": 3, "cache_write_tokens": 2}},
            {"input_tokens": 9, "audio.input_tokens": 3, "cache_write.input_tokens": 2},
        ),
        (
            {"completion_tokens": 9, "completion_tokens_details": {"audio_tokens": 3, "reasoning_tokens": "many"}},
            {"output_tokens": 9, "audio.output_tokens": 3},
        ),
        ({"completion_tokens": 9, "prompt_tokens_details": None}, {"output_tokens": 9}),
    ],
)
async def test_details_of_usage_stand_beside_the_totals(
    telemetry: Telemetry, usage: dict[str, Any], expected: dict[str, int]
) -> None:
    feed = sse(
        {"choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    )
    async with driver_for(feed, sinks=[telemetry.sink()]) as driver:
        await driver.stream("hi", model="m")

    told = {name: value for name, value in described(telemetry.span).items() if name.startswith("gen_ai.usage.")}
    assert told == {f"gen_ai.usage.{name}": value for name, value in expected.items()}


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (StatusError("503: busy", status=503), "503"),
        (ServerError("overloaded", status=529, code="overloaded_error"), "529"),
        (ServerError("odd", status=5_000_000, code="random-4711"), "streamkit.errors.ServerError"),
        (ConnectionLost("cut"), "streamkit.errors.ConnectionLost"),
        (StreamAborted("enough"), "streamkit.errors.StreamAborted"),
    ],
)
def test_error_type_has_few_values(failure: StreamError | StreamAborted, kind: str) -> None:
    error = error_of(failure, Completion(ended_by="error"), with_content=False)

    assert error is not None
    assert error.type == kind


def test_whole_means_that_every_choice_is_finished() -> None:
    choices = (Choice(0, finish_reason="stop"), Choice(1))
    left = StreamAborted("the iteration was left")

    assert error_of(left, Completion(choices=choices[:1], ended_by="abort"), with_content=False) is None
    assert error_of(left, Completion(choices=choices, ended_by="abort"), with_content=False) is not None
    assert error_of(left, Completion(ended_by="abort"), with_content=False) is not None


def test_encodable_text_is_left_alone() -> None:
    assert encodable("naïve 🙂") == "naïve 🙂"
