"""What `streamkit chat` writes down of its streams: --log, --transcript, --stats, --prometheus, --otel."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from ..sinks import LogSink, StatsSink, TranscriptSink
from ..version import __version__
from .console import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    from ..sinks import StreamStats
    from ..stream import CompletionStream
    from .console import Console

__all__ = ["report_of", "sinks_of"]


@contextmanager
def sinks_of(options: Namespace, console: Console) -> Iterator[list[Callable[[CompletionStream], object]]]:
    """The sinks that the options ask for, while it is entered.

    Raises:
        UsageError: a file that cannot be written, a port that is taken, an extra that is missing.
    """
    sinks: list[Callable[[CompletionStream], object]] = []
    with ExitStack() as stack:
        if options.log is not None:
            sinks.append(LogSink(stack.enter_context(_log_file(options.log, verbose=options.verbose))))
        if options.transcript is not None:
            stack.enter_context(_told(console, "streamkit.sinks.transcript"))
            try:
                sinks.append(TranscriptSink(options.transcript))
            except (OSError, ValueError) as error:  # ValueError: a null character in the path
                raise UsageError(str(error)) from None
        if options.stats:
            sinks.append(StatsSink(lambda stats: console.note(report_of(stats))))
        if options.prometheus is not None:
            sinks.append(stack.enter_context(_prometheus(options.prometheus, console)))
        if options.otel:
            sinks.append(stack.enter_context(_otel(console)))
        yield sinks


def report_of(stats: StreamStats) -> str:
    """All figures that are known, in a few lines.

    >>> from streamkit.sinks import StreamStats, GapFigures
    >>> gaps = GapFigures(count=3, mean=0.02, p50=0.02, p90=0.03, p99=0.03, max=0.031)
    >>> print(
    ...     report_of(StreamStats(ended_by="done", chunks=5, ttft=0.25, e2e=0.5, inter_chunk=gaps, completion_tokens=8))
    ... )
    ended_by done, chunks 5, completion_tokens 8
    ttft 0.250 s, e2e 0.500 s
    inter_chunk p50 0.020 s, p90 0.030 s, p99 0.030 s, max 0.031 s
    """
    known = {name: value for name, value in msgspec.structs.asdict(stats).items() if value not in {None, 0}}
    gaps = known.pop("inter_chunk", None)
    seconds = {name: value for name, value in known.items() if isinstance(value, float) and "_per_" not in name}
    lines = [
        [f"{name} {value}" for name, value in known.items() if not isinstance(value, float)],
        [f"{name} {value:.3f} s" for name, value in seconds.items()],
        [] if gaps is None else [f"{name} {getattr(gaps, name):.3f} s" for name in ("p50", "p90", "p99", "max")],
        [f"{name} {value:.1f}" for name, value in known.items() if isinstance(value, float) and name not in seconds],
    ]
    if gaps is not None:
        lines[2][0] = f"inter_chunk {lines[2][0]}"
    return "\n".join(", ".join(line) for line in lines if line)


@contextmanager
def _log_file(name: str, *, verbose: bool) -> Iterator[logging.Logger]:
    try:
        handler = logging.FileHandler(name, encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"cannot write {name!r}: {reason}; choose another place") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logging.DEBUG if verbose else logging.INFO
    logger = logging.Logger("streamkit.chat", level)  # noqa: LOG001 - outside the tree: nobody else is to write to this file
    logger.addHandler(handler)
    try:
        yield logger
    finally:
        handler.close()


@contextmanager
def _told(console: Console, name: str) -> Iterator[None]:
    """Show what a logger of streamkit has to say, which is silent unless somebody listens."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.note(f"streamkit: {record.getMessage()}")

    logger, handler = logging.getLogger(name), Notes()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _prometheus(port: int, console: Console) -> Iterator[Callable[[CompletionStream], object]]:
    """Serve metrics on loopback, from a thread of prometheus-client's own."""
    try:
        from ..sinks.prometheus import PrometheusSink
    except ImportError as error:
        raise UsageError(str(error)) from None
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    sink = PrometheusSink(registry)
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UsageError(
            f"cannot serve metrics on port {port}: {reason}; choose another, or 0 for a free one"
        ) from None
    console.note(f"metrics at http://127.0.0.1:{server.server_port}/metrics")
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def _otel(console: Console) -> Iterator[Callable[[CompletionStream], object]]:
    """Send traces and metrics where OTEL_EXPORTER_OTLP_ENDPOINT says, unless the process has providers of its own already."""
    try:
        from ..sinks.otel import OTelSink
    except ImportError as error:
        raise UsageError(str(error)) from None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError("--otel needs an exporter: pip install opentelemetry-exporter-otlp-proto-http") from None
    from opentelemetry.trace import get_tracer_provider

    if isinstance(get_tracer_provider(), TracerProvider):  # opentelemetry-instrument has been here
        yield OTelSink()
        return
    resource = Resource.create()
    if str(resource.attributes.get("service.name")).startswith("unknown_service"):  # OTEL_SERVICE_NAME says nothing
        resource = resource.merge(Resource({"service.name": "streamkit", "service.version": __version__}))
    tracers = TracerProvider(resource=resource)
    # By default they would try for ten seconds each, and the prompt of the shell would not come back.
    timeout = None if os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") else 2.0
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(timeout=timeout))], resource=resource)
    with _export_failures() as failures:
        try:
            yield OTelSink(tracer_provider=tracers, meter_provider=meters)
        finally:
            tracers.shutdown()  # sends what is left
            meters.shutdown()
    if failures:
        console.note("streamkit: traces or metrics could not be sent: is a collector at OTEL_EXPORTER_OTLP_ENDPOINT?")


@contextmanager
def _export_failures() -> Iterator[list[str]]:
    """What could not be sent; the exporters' own account of every attempt is not for who only wants an answer."""
    failures: list[str] = []

    class Failures(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                failures.append(record.getMessage())

    logger, handler = logging.getLogger("opentelemetry.exporter"), Failures()
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield failures
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
