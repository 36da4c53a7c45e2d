"""Sinks on a run of several rounds: it is one stream, so each closes once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from pyee import EventEmitter

from streamkit import StreamAborted, StreamDriver, StreamError, load_tape
from streamkit.sinks import (
    ConsoleSink,
    LogSink,
    OTelSink,
    PrometheusSink,
    StatsSink,
    TapeSink,
    TextAccumulator,
    TranscriptSink,
    pipe,
)
from streamkit.testing import Cut, Send, chunk, completion_server, sse, tape_script
from streamkit.testing.script import Script
from streamkit.tools import ToolStream, run_tools
from streamkit.tools.calls import CallPolicy
from streamkit.tools.rounds import ToolSource
from streamkit.tools.tool import tools_by_name

from ..clock import driven
from ..stream.scripted import END, ScriptedSource
from .conversation import asks, call, conversation, says

WEATHER = call("weather", {"city": "Oslo"})


def weather(city: str) -> str:
    return f"4 °C in {city}"


class Sinks:
    """One of each, and what they have closed."""

    def __init__(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.folder = folder
        self.stats = StatsSink()
        self.spans, tracer = InMemorySpanExporter(), TracerProvider()
        tracer.add_span_processor(SimpleSpanProcessor(self.spans))
        self.registry = CollectorRegistry()
        self.text = TextAccumulator()
        self.piped = EventEmitter()
        self.heard: list[str] = []
        for event in ("round", "tool_start", "tool_result", "done", "end"):
            self.piped.on(event, lambda _, event=event: self.heard.append(event))
        self.console = (folder / "console").open("w", encoding="utf-8")
        self.sinks: list[Any] = [
            LogSink("tools.test"),
            self.stats,
            TranscriptSink(folder / "log.jsonl"),
            TapeSink(f"{folder}/tape-{{n}}.sse.jsonl"),
            OTelSink(tracer_provider=tracer, meter_provider=MeterProvider()),
            PrometheusSink(self.registry),
            self.text,
            pipe(self.piped),
            ConsoleSink(file=self.console),
        ]
        caplog.set_level(logging.INFO, "tools.test")
        self.caplog = caplog

    def assert_each_has_closed_once(self, rounds: int) -> dict[str, Any]:
        records = [vars(record)["streamkit"]["event"] for record in self.caplog.records if "streamkit" in vars(record)]
        assert records.count("start") == records.count("end") == 1
        assert len(self.stats.recent) == 1
        assert len(self.spans.get_finished_spans()) == 1
        started = self.registry.get_sample_value("streamkit_streams_in_flight", {"model": "m"})
        assert started == 0
        (line,) = (self.folder / "log.jsonl").read_text("utf-8").splitlines()
        tapes = sorted(self.folder.glob("tape-*.sse.jsonl"))
        assert len(tapes) == rounds
        # A listener that raised is in the log.
        assert [record.message for record in self.caplog.records if record.name == "streamkit.listeners"] == []
        closed: dict[str, Any] = json.loads(line)
        return closed


@pytest.fixture
def sinks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Sinks]:
    sinks = Sinks(tmp_path, caplog)
    yield sinks
    sinks.console.close()


async def test_a_run_is_one_record_of_each_sink_and_a_tape_for_each_request(sinks: Sinks):
    async with conversation(asks(WEATHER, text="Let me see. "), says("4 °C."), sinks=sinks.sinks) as (driver, _):
        await run_tools(driver, "hi", [weather], model="m")
    line = sinks.assert_each_has_closed_once(2)
    assert (line["text"], line["ended_by"], line["usage"]["total_tokens"]) == ("4 °C.", "done", 30)
    stats = sinks.stats.recent[0]
    assert (stats.ended_by, stats.completion_tokens) == ("done", 10)
    (span,) = sinks.spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["gen_ai.usage.output_tokens"] == 10
    assert span.status.is_ok or span.status.status_code.name == "UNSET"
    assert sinks.heard == ["round", "tool_start", "tool_result", "round", "done", "end"]


@driven
async def test_the_time_of_the_functions_is_not_the_models():
    """Two rounds of 3 tokens in 2 s each, with 100 s between them."""

    async def slow() -> str:
        await asyncio.sleep(100)
        return "ok"

    usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    begins: list[Any] = [5.0, sse(chunk("a"), done=False), 2.0]
    rounds = [
        ScriptedSource([*begins, asks(call("slow", "{}"), usage=usage), END]),
        ScriptedSource([*begins, says("b", usage), END]),
    ]
    policy = CallPolicy(tools_by_name([slow]), tool_timeout=None)
    stats, reader = StatsSink(), InMemoryMetricReader()
    registry = CollectorRegistry()
    otel = OTelSink(tracer_provider=TracerProvider(), meter_provider=MeterProvider([reader]))
    source = ToolSource(rounds.pop(0), lambda body: rounds.pop(0), policy, max_rounds=2)
    await ToolStream(source).attach(stats, otel, PrometheusSink(registry))

    (seen,) = stats.recent
    assert (seen.ttft, seen.e2e, seen.wall, seen.completion_tokens) == (5, 114, 114, 6)
    assert (seen.tpot, seen.tokens_per_second) == (1, 1)
    assert seen.inter_chunk is not None
    assert (seen.inter_chunk.count, seen.inter_chunk.max) == (2, 2)
    assert registry.get_sample_value("streamkit_inter_chunk_seconds_sum", {"model": "scripted"}) == 4
    data = reader.get_metrics_data()
    assert data is not None
    metrics: Any = {each.name: each for scope in data.resource_metrics[0].scope_metrics for each in scope.metrics}
    (point,) = metrics["gen_ai.client.operation.time_per_output_chunk"].data.data_points
    assert point.max == 2


async def test_the_tapes_of_a_run_play_the_conversation_again(sinks: Sinks):
    async with conversation(asks(WEATHER), says("4 °C."), sinks=sinks.sinks) as (driver, server):
        first = await run_tools(driver, "hi", [weather], model="m")
    tapes = [load_tape(path) for path in sorted(sinks.folder.glob("tape-*.sse.jsonl"))]
    assert [tape.ending for tape in tapes] == ["eof", "eof"]
    assert [tape.request["body"] for tape in tapes] == [request.json for request in server.requests]
    replay = completion_server(*(tape_script(tape, speed=0) for tape in tapes))
    async with replay, StreamDriver(replay.base_url) as driver:
        again = await run_tools(driver, "hi", [weather], model="m")
    assert (again.text, again.messages) == (first.text, first.messages)


async def test_one_tape_file_holds_the_first_request(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "one.sse.jsonl"
    async with conversation(asks(WEATHER), says("4 °C."), sinks=[TapeSink(path)]) as (driver, _):
        await run_tools(driver, "hi", [weather])
    assert b"tool_calls" in load_tape(path).body
    assert load_tape(path).ending == "eof"
    assert [record.message for record in caplog.records if "not recorded" in record.message] == [
        f"a stream is not recorded: {path} exists; choose another name, or ask to overwrite it"
    ]


async def test_a_run_that_fails_in_a_later_round(sinks: Sinks):
    cut: Script = [Send(sse(chunk("The weat", role="assistant"), done=False)), Cut()]
    async with conversation(asks(WEATHER), cut, sinks=sinks.sinks, retries=0) as (driver, _):
        with pytest.raises(StreamError):
            await run_tools(driver, "hi", [weather], model="m")
    line = sinks.assert_each_has_closed_once(2)
    assert (line["ended_by"], line["error"]["type"]) == ("error", "ConnectionLost")
    assert load_tape(sinks.folder / "tape-2.sse.jsonl").ending == "reset"


async def test_a_run_that_is_aborted_between_two_rounds(sinks: Sinks):
    async with conversation(asks(WEATHER), says("never"), sinks=sinks.sinks) as (driver, _):
        stream: ToolStream = run_tools(driver, "hi", [weather], model="m")
        stream.on("tool_result", lambda _: stream.abort("enough"))
        with pytest.raises(StreamAborted):
            await stream
    assert sinks.assert_each_has_closed_once(1)["ended_by"] == "abort"
