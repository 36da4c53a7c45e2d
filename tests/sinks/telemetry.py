"""Spans and metrics in memory, and a driver for what a server is to say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamkit import StreamDriver
from streamkit.sinks import OTelSink
from streamkit.testing import Script, answer, chunk, completion_server, sse

__all__ = ["BUSY", "CAPTURE", "PART", "WHOLE", "Telemetry", "described", "driver_for"]

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 5,
    "total_tokens": 26,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
WHOLE = sse(
    {**chunk("Hel", role="assistant"), "service_tier": "default", "system_fingerprint": "fp_1"},
    chunk("lo"),
    chunk(finish_reason="stop"),
    chunk(usage=USAGE),
)
PART = sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)
BUSY = answer(429, {"error": {"message": "slow down, you who asked: a canary prompt"}}, {"retry-after": "0"})


@asynccontextmanager
async def driver_for(*scripts: Script, **settings: Any) -> AsyncIterator[StreamDriver]:
    """A driver on a server of its own."""
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, **settings) as driver:
        yield driver


def described(span: ReadableSpan) -> dict[str, Any]:
    """The attributes of a span."""
    return dict(span.attributes or {})


class Telemetry:
    """Providers that keep what they are told."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    def sink(self, **settings: Any) -> OTelSink:
        return OTelSink(tracer_provider=self.tracers, meter_provider=self.meters, **settings)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        [span] = self.spans
        return span

    def metrics(self) -> dict[str, list[Any]]:
        """The data points by the name of their metric."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def shutdown(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()
