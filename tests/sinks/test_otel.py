from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode
from opentelemetry.util.genai.handler import TelemetryHandler

from streamkit import CompletionStream, StreamDriver, StreamError
from streamkit.loop_thread import LoopThread
from streamkit.sinks import OTelSink
from streamkit.testing import Hang, Reset, Send, answer, chunk, completion_server, sse

from ..conftest import REPO
from ..stream.scripted import END, ScriptedSource
from .otlp import otlp_receiver
from .telemetry import BUSY, CAPTURE, PART, WHOLE, Telemetry, described, driver_for


async def test_the_four_client_metrics_have_the_attributes_and_buckets_of_the_conventions(telemetry: Telemetry) -> None:
    sink = telemetry.sink()
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        for _ in range(2):
            await driver.stream("hi", model="m")

    metrics = telemetry.metrics()
    common = {
        "server.address": "127.0.0.1",
        "server.port": described(telemetry.spans[0])["server.port"],
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "streamkit-test",
    }
    counts = {
        name: [(point.count, dict(point.attributes).get("gen_ai.token.type")) for point in points]
        for name, points in metrics.items()
    }
    assert counts == {
        "gen_ai.client.operation.duration": [(2, None)],
        "gen_ai.client.operation.time_to_first_chunk": [(2, None)],
        "gen_ai.client.operation.time_per_output_chunk": [(6, None)],
        "gen_ai.client.token.usage": [(2, "input"), (2, "output")],
    }
    for points in metrics.values():
        for point in points:
            assert common == {name: value for name, value in point.attributes.items() if name != "gen_ai.token.type"}
    assert [point.sum for point in metrics["gen_ai.client.token.usage"]] == [42, 10]
    seconds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    for name in ("duration", "time_to_first_chunk", "time_per_output_chunk"):
        assert metrics[f"gen_ai.client.operation.{name}"][0].explicit_bounds == seconds
    assert metrics["gen_ai.client.token.usage"][0].explicit_bounds == tuple(4**power for power in range(14))


async def test_chunk_metric_can_be_left_out(telemetry: Telemetry) -> None:
    sink = telemetry.sink(per_chunk=False)
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        await driver.stream("hi", model="m")

    metrics = telemetry.metrics()
    assert "gen_ai.client.operation.time_per_output_chunk" not in metrics
    assert metrics["gen_ai.client.operation.time_to_first_chunk"][0].count == 1


async def test_cumulative_usage_is_counted_once(telemetry: Telemetry) -> None:
    feed = sse(
        chunk("a", usage={"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}),
        chunk("b", usage={"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}),
        chunk("c"),
        chunk(finish_reason="stop", usage={"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}),
    )
    async with driver_for(feed, sinks=[telemetry.sink()]) as driver:
        await driver.stream("hi", model="m")

    assert [point.sum for point in telemetry.metrics()["gen_ai.client.token.usage"]] == [10, 3]
    assert described(telemetry.span)["gen_ai.usage.output_tokens"] == 3


# --- endings --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (BUSY, "429", "StatusError: 429"),
        ([Send(PART), Reset()], "streamkit.errors.ConnectionLost", "the connection was cut"),
        (PART, "streamkit.errors.TruncatedStream", "the answer is cut short"),
        (PART + b'data: {"error": {"message": "a canary prompt"}}\n\n', "streamkit.errors.ServerError", "ServerError"),
        (answer(200, "<html>a canary prompt</html>"), "streamkit.errors.ProtocolError", "ProtocolError"),
    ],
    ids=["429", "reset", "truncated", "error_in_feed", "html"],
)
async def test_failure_is_an_error_of_few_kinds_in_streamkits_own_words(
    telemetry: Telemetry, script: Any, kind: str, message: str
) -> None:
    async with driver_for(script, sinks=[telemetry.sink()], retries=0) as driver:
        with pytest.raises(StreamError):
            await driver.stream("a canary prompt", model="m")

    span = telemetry.span
    assert span.status.status_code is StatusCode.ERROR
    assert message in (span.status.description or "")
    assert described(span)["error.type"] == kind
    assert [
        dict(point.attributes)["error.type"] for point in telemetry.metrics()["gen_ai.client.operation.duration"]
    ] == [kind]
    assert "canary" not in span.to_json()


async def test_retried_failure_that_ended_well_is_no_error(telemetry: Telemetry) -> None:
    async with driver_for(BUSY, WHOLE, sinks=[telemetry.sink()], retries=1) as driver:
        await driver.stream("hi", model="m")

    assert telemetry.span.status.status_code is StatusCode.UNSET
    assert "error.type" not in described(telemetry.span)


async def test_abort_and_cancel_are_told_apart(telemetry: Telemetry) -> None:
    sink = telemetry.sink()
    async with driver_for([Send(PART), Hang()], sinks=[sink]) as driver:
        aborted = driver.stream("hi", model="aborted").start()
        await aborted.wait_for("text")
        aborted.abort("user pressed Stop")
        await aborted.finished()
        cancelled = driver.stream("hi", model="cancelled")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await cancelled

    kinds = {span.name: (span.status.description, described(span)["error.type"]) for span in telemetry.spans}
    assert kinds == {
        "chat aborted": ("aborted: user pressed Stop", "streamkit.errors.StreamAborted"),
        "chat cancelled": ("the stream was cancelled", "asyncio.exceptions.CancelledError"),
    }


async def test_reader_who_leaves_after_the_finish_leaves_a_whole_answer(telemetry: Telemetry) -> None:
    finished = sse(chunk("Hello", finish_reason="stop"), done=False)
    sink = telemetry.sink()
    async with driver_for([Send(finished), Hang()], sinks=[sink]) as driver:
        stream = driver.stream("hi", model="m")
        async for _ in stream:
            break
        await stream.finished()

    assert stream.completion.ended_by == "abort"
    assert telemetry.span.status.status_code is StatusCode.UNSET


# --- contexts -------------------------------------------------------------------------------------------------------------


async def test_parent_is_what_was_current_where_the_stream_was_made(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the stream is read by another task, whose own span is over by then; nothing is made current, nor detached, there."""
    tracer, sink = telemetry.tracers.get_tracer("test"), telemetry.sink()
    async with driver_for(WHOLE, sinks=[sink]) as driver:
        with tracer.start_as_current_span("maker") as maker:
            stream = driver.stream("hi", model="m")

        async def read() -> None:
            with tracer.start_as_current_span("reader") as reader:
                async for _ in stream:
                    assert trace.get_current_span() is reader
                assert trace.get_current_span() is reader

        await asyncio.create_task(read())
        assert trace.get_current_span() is trace.INVALID_SPAN

    parents = {span.name: span.parent and span.parent.span_id for span in telemetry.spans}
    assert parents == {"maker": None, "reader": None, "chat m": maker.get_span_context().span_id}
    assert [record for record in caplog.records if record.name != "asyncio"] == []  # which warns of slow collections


async def test_iterators_that_are_dropped_anywhere_detach_nothing(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    sink = telemetry.sink()
    async with driver_for([Send(PART), Hang()], sinks=[sink]) as driver:
        for _ in range(3):
            stream = driver.stream("hi", model="m")
            iterator = aiter(stream)
            await asyncio.create_task(first_of(iterator))
            del iterator
            gc.collect()
            await stream.finished()

    assert [span.status.status_code for span in telemetry.spans] == [StatusCode.ERROR] * 3
    assert [record for record in caplog.records if record.name != "asyncio"] == []  # which warns of slow collections


async def first_of(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator)


async def test_200_streams_at_once_are_children_of_their_own_parents(telemetry: Telemetry) -> None:
    tracer, sink = telemetry.tracers.get_tracer("test"), telemetry.sink()
    parents: dict[str, int] = {}
    scripts = [sse({**chunk("x", finish_reason="stop"), "id": f"id-{number}"}) for number in range(200)]
    async with driver_for(*scripts, sinks=[sink]) as driver:

        async def ask(number: int) -> None:
            with tracer.start_as_current_span(f"parent {number}") as parent:
                parents[f"chat m{number}"] = parent.get_span_context().span_id
                stream = driver.stream("hi", model=f"m{number}")
                if number % 2:
                    await stream
                else:
                    stream.start()
                    await asyncio.sleep(0)
                    await stream.finished()

        await asyncio.gather(*map(ask, range(200)))

    chats = [span for span in telemetry.spans if span.name.startswith("chat ")]
    assert {span.name: span.parent.span_id for span in chats if span.parent} == parents
    assert len({described(span)["gen_ai.response.id"] for span in chats}) == len(chats) == 200


async def test_stream_inside_another_clients_span_is_not_counted_twice(telemetry: Telemetry) -> None:
    handler = TelemetryHandler(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    async with driver_for(WHOLE, sinks=[telemetry.sink()]) as driver:
        with handler.inference("openai", request_model="outer"):
            await driver.stream("hi", model="m")

    assert telemetry.span.name == "chat outer"
    assert "gen_ai.client.operation.time_per_output_chunk" not in telemetry.metrics()
    assert described(telemetry.span)["gen_ai.usage.output_tokens"] == 5
    assert [point.count for point in telemetry.metrics()["gen_ai.client.token.usage"]] == [1, 1]


async def test_sink_attached_late_ends_its_span_all_the_same(telemetry: Telemetry) -> None:
    async with driver_for([Send(PART), Hang()]) as driver:
        stream = driver.stream("hi", model="m").start()
        await stream.wait_for("text")
        stream.attach(telemetry.sink())
        stream.abort()
        await stream.finished()

    assert described(telemetry.span)["error.type"] == "streamkit.errors.StreamAborted"
    assert "gen_ai.client.operation.time_to_first_chunk" not in telemetry.metrics()


@pytest.mark.filterwarnings("ignore")  # a loop that is given up leaves everything open
def test_stream_on_a_loop_that_was_given_up_ends_its_span(telemetry: Telemetry) -> None:
    sink = telemetry.sink()

    async def begin(base_url: str) -> None:
        stream = StreamDriver(base_url, sinks=[sink]).stream("hi", model="m").start()
        await stream.wait_for("text")

    with LoopThread() as thread, thread.enter(completion_server([Send(PART), Hang()])) as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin(server.base_url))
        assert telemetry.spans == []
        loop.close()
        del loop
        gc.collect()

    assert telemetry.span.status.status_code is StatusCode.ERROR
    assert described(telemetry.span)["error.type"] == "_OTHER"


class Untellable(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("these messages are not to be told")


class UntellableSource(ScriptedSource):
    @property
    def request(self) -> dict[str, Any]:
        return {"model": "m", "messages": Untellable()}


async def test_messages_that_cannot_be_told_end_the_span_all_the_same(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    stream = CompletionStream(UntellableSource([WHOLE, END])).attach(telemetry.sink())

    assert (await stream).text == "Hello"

    assert telemetry.span.status.description == "the span could not be described"
    assert described(telemetry.span)["gen_ai.usage.output_tokens"] == 5
    [record] = caplog.records
    assert "not to be told" in caplog.text
    assert record.name == "streamkit.listeners"


# --- arguments and extras -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"provider": ""}, "provider must be a name"),
        ({"provider": None}, "provider must be a name"),
        ({"server_port": 443}, "server_port needs server_address"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        OTelSink(**arguments)


@pytest.mark.parametrize(
    ("sink", "extra", "package"),
    [("OTelSink", "otel", "opentelemetry"), ("PrometheusSink", "prometheus", "prometheus_client")],
)
def test_missing_extra_is_named_with_what_to_install(sink: str, extra: str, package: str) -> None:
    """And everything else in `streamkit.sinks`, `*` included, is there without it."""
    code = f"""
import sys
sys.modules[{package!r}] = None
from streamkit.sinks import *
LogSink()
try:
    from streamkit.sinks import {sink}
except ImportError as error:
    print(error)
"""

    result = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=False)

    assert result.stderr == ""
    assert result.stdout == f"{sink} needs an extra: pip install 'streamkit-asyncio[{extra}]'\n"


# --- over the wire --------------------------------------------------------------------------------------------------------


async def test_a_collector_receives_spans_and_metrics_over_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE, "SPAN_ONLY")
    odd = sse({**chunk("h\ud800i", finish_reason="stop"), "id": "a\ud800"})
    async with otlp_receiver() as (receiver, url):
        tracers, meters = (
            TracerProvider(),
            MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"))]),
        )
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
        sink = OTelSink(tracer_provider=tracers, meter_provider=meters)
        async with driver_for(WHOLE, [Send(PART), Reset()], odd, sinks=[sink], retries=0) as driver:
            await driver.stream("hi", model="whole")
            with pytest.raises(StreamError):
                await driver.stream("hi", model="reset")
            await driver.stream("hi", model="odd")
        await asyncio.to_thread(tracers.shutdown)  # sends what is left
        await asyncio.to_thread(meters.shutdown)

    spans, metrics = {span.name: span for span in receiver.spans()}, receiver.histograms()
    tokens = {each.key: each.value.int_value for each in spans["chat whole"].attributes if ".usage." in each.key}
    assert spans.keys() == {"chat whole", "chat reset", "chat odd"}
    assert spans["chat whole"].kind == spans["chat whole"].SPAN_KIND_CLIENT
    assert (spans["chat whole"].status.code, spans["chat reset"].status.code) == (0, 2)  # unset, error
    assert tokens["gen_ai.usage.input_tokens"] == 21
    assert metrics.keys() == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.token.usage",
    }
    assert metrics["gen_ai.client.operation.duration"].unit == "s"
    assert sum(point.count for point in metrics["gen_ai.client.operation.duration"].histogram.data_points) == 3
    times = metrics["gen_ai.client.operation.time_per_output_chunk"].histogram.data_points
    models = {
        next(each.value.string_value for each in point.attributes if each.key == "gen_ai.request.model")
        for point in times
    }
    assert models == {"whole", "reset"}  # the odd one had a single chunk
    assert sorted(point.count for point in times) == [1, 3]
    for point in times:
        assert sum(point.bucket_counts) == point.count
        assert len(point.explicit_bounds) + 1 == len(point.bucket_counts) == 15
        assert 0 <= point.min <= point.max <= point.sum
