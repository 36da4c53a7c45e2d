"""`OTelSink`: streams as OpenTelemetry spans and metrics, by the conventions for generative AI."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

try:
    from opentelemetry.context import get_current
    from opentelemetry.metrics import get_meter
    from opentelemetry.util.genai.completion_hook import load_completion_hook
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.types import Error
except ImportError as _missing:
    raise ImportError("OTelSink needs an extra: pip install 'streamkit-asyncio[otel]'") from _missing

from ..version import __version__
from .otel_attributes import (
    describe_chunk,
    describe_completion,
    describe_request,
    encodable,
    error_of,
    is_counted_elsewhere,
    metric_attributes,
    split_server,
)
from .otel_chunks import ChunkTimes, chunk_time_histogram
from .otel_messages import input_messages, output_messages, tool_definitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.genai.completion_hook import CompletionHook
    from opentelemetry.util.genai.invocation import InferenceInvocation
    from opentelemetry.util.types import AttributeValue

    from ..errors import StreamAborted, StreamError
    from ..model import Chunk, Completion, StreamStart
    from ..stream import CompletionStream

__all__ = ["OTelSink"]


class OTelSink:
    """One client span a stream, `chat {model}`, and the four client metrics. Needs `pip install 'streamkit-asyncio[otel]'`.

    Args:
        tracer_provider: where spans go; the process's own (global) one if None.
        meter_provider: where metrics go; likewise.
        logger_provider: where events go, if the environment asks for any; likewise.
        provider: `gen_ai.provider.name`: whose API it is, as the conventions write it ("openai", "azure.ai.openai",
            "deepseek", …). It names the flavour, so "openai" is right for the many servers that imitate it.
        server_address: the host name of the server, where it is another than the one that the request goes to, as behind a
            proxy; None: that one.
        server_port: its port, beside its address.
        attributes: more attributes for every span; not for metrics.
        per_chunk: whether `gen_ai.client.operation.time_per_output_chunk` is recorded: one value for each chunk but the first,
            by the stamps of the socket reads. That costs some 8 µs a chunk, which is what the SDK takes for each value; they
            are recorded a second's worth at a time, so that little of it comes between two chunks.
        completion_hook: gets the content of each stream; by default the one that OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK
            names, if any.

    The conventions are those of https://github.com/open-telemetry/semantic-conventions-genai, as opentelemetry-util-genai
    writes them. Prompts, answers and tool arguments are left out unless OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT
    says SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT when the sink is made.

    The span's parent is what was current where the sink was attached (for a driver's sinks: where `driver.stream` was
    called), whatever task or thread the stream then runs in. It begins with `start`, before the request leaves, and ends
    with `end`, retries included, however that comes about; a stream that is collected without an end ends its span too.
    (Attached to a stream that runs already, the span begins there.) The
    status is left unset for an answer that was whole, also where the reader left after its last piece, and is ERROR otherwise,
    with `error.type`: an HTTP status ("429"), or a class ("streamkit.errors.ConnectionLost"). What a server wrote into an
    error, which may quote the prompt, is shown only where content is.

    Nothing is counted twice: usage is the server's last word, and not recorded where it gave none; a stream inside another
    GenAI client's span gives its figures to that one (opentelemetry-util-genai sees to it). The span is not current while the
    request is sent: spans of an HTTP instrumentation become its siblings.

    Raises:
        TypeError, ValueError: an argument that makes no sense.

    >>> import asyncio
    >>> from opentelemetry.sdk.trace import TracerProvider
    >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> spans, provider = InMemorySpanExporter(), TracerProvider()
    >>> provider.add_span_processor(SimpleSpanProcessor(spans))
    >>> async def main():
    ...     sinks = [OTelSink(tracer_provider=provider)]
    ...     async with (
    ...         replay_server(demo_tape(), speed=0) as server,
    ...         StreamDriver(server.base_url, sinks=sinks) as driver,
    ...     ):
    ...         await driver.stream("Write a poem", model="m")
    >>> asyncio.run(main())
    >>> [span] = spans.get_finished_spans()
    >>> span.name, span.attributes["gen_ai.usage.output_tokens"], span.status.status_code.name
    ('chat m', 127, 'UNSET')
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        provider: str = "openai",
        server_address: str | None = None,
        server_port: int | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        per_chunk: bool = True,
        completion_hook: CompletionHook | None = None,
    ) -> None:
        if type(provider) is not str or not provider:
            raise ValueError(f'provider must be a name such as "openai", not {provider!r}')
        if server_port is not None and server_address is None:
            raise ValueError("server_port needs server_address too")
        self._handler = TelemetryHandler(
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
            logger_provider=logger_provider,
            completion_hook=load_completion_hook() if completion_hook is None else completion_hook,
            instrumentation_scope_name="streamkit",
            instrumentation_scope_version=__version__,
        )
        self._chunk_times = chunk_time_histogram(get_meter("streamkit", __version__, meter_provider))
        self._provider = provider
        self._server_address = server_address
        self._server_port = server_port
        self._attributes = dict(attributes or {})
        self._per_chunk = per_chunk

    def __call__(self, stream: CompletionStream) -> None:
        """Trace a stream."""
        parent = get_current()
        per_chunk = self._per_chunk and not is_counted_elsewhere(parent)
        request: Mapping[str, Any] = {}
        invocation: InferenceInvocation | None = None
        finalizer: weakref.finalize[[Error], CompletionStream] | None = None
        failure: StreamError | StreamAborted | None = None
        times: ChunkTimes | None = None
        # Of a stream that has begun already, the first chunk heard here need not be the first.
        is_late = stream.running and bool(stream.completion.choices)

        def start(start: StreamStart) -> None:
            nonlocal request, invocation, finalizer
            request = start.request
            address, port = self._server_address, self._server_port
            if address is None:
                address, port = split_server(start.server)
            invocation = self._handler.inference(
                self._provider,
                request_model=None if start.model is None else encodable(start.model),
                server_address=address,
                server_port=port,
                context=parent,
            )
            # It made its span the current one of this call; whoever takes it back later might do so in another context.
            invocation.suspend()
            # Its latest chunk times are left out then: a collector of garbage may run inside a `record`, which holds a lock.
            finalizer = weakref.finalize(stream, invocation.fail, _LOST)
            invocation.attributes.update({"openai.api.type": "chat_completions", **self._attributes})
            describe_request(invocation, request)

        def first_chunk(chunk: Chunk) -> None:
            nonlocal times
            if invocation is None:
                return
            stream.off("chunk", first_chunk)
            describe_chunk(invocation, chunk)
            invocation.record_stream_chunk()
            if per_chunk:
                attributes = metric_attributes(invocation)
                times = ChunkTimes(self._chunk_times, attributes, invocation.context, stream.read_at)
                add = times.add
                stream.on("chunk", lambda _: add(stream.read_at))

        def begin_round(_: object) -> None:
            if times is not None:
                times.begin_round()

        def failed(reason: StreamError | StreamAborted) -> None:
            nonlocal failure
            failure = reason

        def end(completion: Completion) -> None:
            if invocation is None or finalizer is None or finalizer.detach() is None:
                return
            with_content = invocation.should_capture_content
            error: Error | None = _BUG
            try:
                if times is not None:
                    times.flush()
                describe_completion(invocation, completion)
                if with_content:
                    invocation.input_messages = input_messages(request)
                    invocation.output_messages = output_messages(completion)
                    invocation.tool_definitions = tool_definitions(request)
                error = None if failure is None else error_of(failure, completion, with_content=with_content)
            finally:
                # Whatever happens, the span ends.
                if error is None:
                    invocation.stop()
                else:
                    invocation.fail(error)

        stream.on("start", start, replay=True)
        if not is_late:
            stream.on("chunk", first_chunk)
        if stream.has_event("round"):
            on: Any = stream.on  # its types know the events of every stream
            on("round", begin_round)
        stream.on("error", failed, replay=True)
        stream.on("abort", failed, replay=True)
        stream.on("end", end, replay=True)


_LOST: Final = Error(message="the stream was collected before it had ended", type="_OTHER")
_BUG: Final = Error(message="the span could not be described", type="_OTHER")
