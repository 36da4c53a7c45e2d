"""The metrics of streams in a Prometheus registry, and the series of one combination of label values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ..model import Completion

__all__ = ["Metrics", "Series"]

# vLLM's (vllm/v1/metrics/loggers.py), so that what the client and what the server saw can be laid over each other; chunks come
# in finer steps than tokens, so theirs begin lower.
_FIRST_TOKEN: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
    *(160.0, 640.0),
)
_INTER_CHUNK: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0),
    *(40.0, 80.0),
)
_DURATION: Final = (
    *(0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0),
    *(960.0, 1920.0),
)


class Metrics:
    """The metrics of one sink in its registry."""

    def __init__(self, registry: CollectorRegistry, namespace: str, labels: tuple[str, ...]) -> None:
        made: list[Any] = []

        def add(kind: Any, name: str, text: str, names: tuple[str, ...] = labels, **options: Any) -> Any:  # noqa: ANN401 - a metric
            made.append(kind(name, text, names, namespace=namespace, registry=registry, **options))
            return made[-1]

        try:
            self.in_flight: Gauge = add(
                Gauge, "streams_in_flight", "Streams that have started and not ended.", multiprocess_mode="livesum"
            )
            self.streams: Counter = add(
                Counter, "streams_total", "Streams that ended, by how they did.", (*labels, "ended_by", "error")
            )
            self.duration: Histogram = add(
                Histogram,
                "stream_duration_seconds",
                "From the start, before the request left, to the end of a stream.",
                (*labels, "ended_by"),
                buckets=_DURATION,
            )
            self.first_token: Histogram = add(
                Histogram,
                "time_to_first_token_seconds",
                "From the start to the first content, reasoning included.",
                buckets=_FIRST_TOKEN,
            )
            self.inter_chunk: Histogram = add(
                Histogram,
                "inter_chunk_seconds",
                "From one chunk with content to the next, by the reads from the socket.",
                buckets=_INTER_CHUNK,
            )
            self.prompt_tokens: Counter = add(
                Counter, "prompt_tokens_total", "Prompt tokens, as servers reported them."
            )
            self.completion_tokens: Counter = add(
                Counter, "completion_tokens_total", "Completion tokens, as servers reported them."
            )
            self.without_usage: Counter = add(
                Counter, "streams_without_usage_total", "Streams that had content and reported no usage."
            )
            self.retries: Counter = add(
                Counter, "retries_total", "Attempts that failed before anything came, and were made again."
            )
            self.stalls: Counter = add(
                Counter, "stalls_total", "Times that half of the idle limit passed without content."
            )
            self.warnings: Counter = add(
                Counter, "warnings_total", "What was skipped or mended in a feed.", (*labels, "kind")
            )
            self.replaced: Counter = add(
                Counter,
                "labels_replaced_total",
                "Labels that became 'other': over max_label_sets, or because their function failed.",
                ("reason",),
            )
            for reason in ("limit", "function_failed"):
                self.replaced.labels(reason)
        except ValueError as error:
            for metric in made:
                registry.unregister(metric)
            raise ValueError(
                f"the registry has metrics of these names already ({error}): "
                "use one PrometheusSink for all streams, or give each a namespace of its own"
            ) from None


class Series:
    """The series of one combination of label values: found once, for that costs more than to count."""

    def __init__(self, metrics: Metrics, values: tuple[str, ...]) -> None:
        self._metrics = metrics
        self._values = values

        def of(metric: Any) -> Any:  # noqa: ANN401 - a metric; one without labels is its own only series
            return metric.labels(*values) if values else metric

        self.in_flight: Gauge = of(metrics.in_flight)
        self.first_token: Histogram = of(metrics.first_token)
        self.inter_chunk: Histogram = of(metrics.inter_chunk)
        self.retries: Counter = of(metrics.retries)
        self.stalls: Counter = of(metrics.stalls)
        self._prompt_tokens: Counter = of(metrics.prompt_tokens)
        self._completion_tokens: Counter = of(metrics.completion_tokens)
        self._without_usage: Counter = of(metrics.without_usage)
        # Series that begin at 0: a rate cannot see the step to a first value. And the finalizer that counts one of them may
        # run where prometheus-client holds the lock that finding takes.
        metrics.streams.labels(*values, "done", "")
        metrics.streams.labels(*values, "abort", "")
        self._cancelled: Counter = metrics.streams.labels(*values, "cancel", "")

    def warnings(self, kind: str) -> Counter:
        """The counter of one kind of warning."""
        return self._metrics.warnings.labels(*self._values, kind)

    def end(self, completion: Completion, error: str) -> None:
        """A stream has ended."""
        self.in_flight.dec()
        ended_by, seconds, usage = completion.ended_by or "error", completion.timings.end, completion.usage
        self._metrics.streams.labels(*self._values, ended_by, error).inc()
        if seconds is not None:
            self._metrics.duration.labels(*self._values, ended_by).observe(seconds)
        if usage is not None:
            self._prompt_tokens.inc(max(usage.prompt_tokens or 0, 0))
            self._completion_tokens.inc(max(usage.completion_tokens or 0, 0))
        elif completion.choices:
            self._without_usage.inc()

    def lost(self) -> None:
        """A stream was collected without having ended."""
        self.in_flight.dec()
        self._cancelled.inc()
