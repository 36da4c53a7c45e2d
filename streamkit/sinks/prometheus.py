"""`PrometheusSink`: streams as Prometheus metrics."""

from __future__ import annotations

import inspect
import logging
import re
import weakref
from typing import TYPE_CHECKING, Final

try:
    from prometheus_client import REGISTRY
except ImportError as _missing:
    raise ImportError("PrometheusSink needs an extra: pip install 'streamkit-asyncio[prometheus]'") from _missing

from .meter import meter_of
from .prometheus_metrics import Metrics, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    from ..errors import StreamError
    from ..model import Chunk, Completion, Retry, Stall, StreamStart, StreamWarning
    from ..stream import CompletionStream

__all__ = ["PrometheusSink"]

log = logging.getLogger("streamkit.sinks.prometheus")

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*")
_OWN_LABELS: Final = frozenset({"ended_by", "error", "kind", "reason", "le", "quantile"})
_OTHER: Final = "other"


class PrometheusSink:
    """Counts and measures streams in a Prometheus registry. Needs `pip install 'streamkit-asyncio[prometheus]'`.

    Args:
        registry: where the metrics live; prometheus-client's default registry if None.
        labels: what tells the series of each metric apart: names, each with its value or a function that makes it of the
            `StreamStart` (in the context in which the sink was attached, so that context variables are those of the
            caller). By default `{"model": <the model asked for>}`; `{}` for none.
        namespace: what the names of the metrics begin with.
        max_label_sets: how many combinations of label values may have series of their own. What comes after them is
            counted under "other", so that an unforeseen value does no harm.

    One sink serves any number of streams. Its metrics, seconds by the stamps of the socket reads:

    | metric | kind | labels beside yours |
    |---|---|---|
    | `streamkit_streams_in_flight` | gauge | |
    | `streamkit_streams_total` | counter | `ended_by`: done, eof, error, abort, cancel; `error`: the class, "" if none |
    | `streamkit_stream_duration_seconds` | histogram | `ended_by` |
    | `streamkit_time_to_first_token_seconds` | histogram: start to first content, reasoning included | |
    | `streamkit_inter_chunk_seconds` | histogram: one chunk with content to the next | |
    | `streamkit_prompt_tokens_total`, `streamkit_completion_tokens_total` | counters, of reported usage only | |
    | `streamkit_streams_without_usage_total` | counter: had content, and no usage | |
    | `streamkit_retries_total`, `streamkit_stalls_total` | counters | |
    | `streamkit_warnings_total` | counter | `kind` |
    | `streamkit_labels_replaced_total` | counter, without your labels | `reason`: limit, function_failed |

    A label function that raises, or returns no text, does not harm the stream: the label becomes "other", that is counted,
    and the first time is logged. Nothing that was said gets into a metric, unless a label function puts it there.

    Raises:
        TypeError, ValueError: an argument that makes no sense, or metrics of these names in the registry already.

    >>> import asyncio
    >>> from prometheus_client import CollectorRegistry
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     registry = CollectorRegistry()
    ...     sink = PrometheusSink(registry, labels={"team": "poetry"})
    ...     async with (
    ...         replay_server(demo_tape(), speed=0) as server,
    ...         StreamDriver(server.base_url, sinks=[sink]) as driver,
    ...     ):
    ...         await driver.stream("Write a poem", model="m")
    ...     return registry.get_sample_value("streamkit_completion_tokens_total", {"team": "poetry"})
    >>> asyncio.run(main())
    127.0
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        labels: Mapping[str, str | Callable[[StreamStart], str | None]] | None = None,
        namespace: str = "streamkit",
        max_label_sets: int = 100,
    ) -> None:
        if not _NAME.fullmatch(str(namespace)):
            raise ValueError(f"namespace must be a word that begins with a letter, not {namespace!r}")
        if type(max_label_sets) is not int or max_label_sets < 1:
            raise ValueError(f"max_label_sets must be a whole number, 1 or more, not {max_label_sets!r}")
        self._labels = _checked_labels({"model": _model} if labels is None else labels)
        self._metrics = Metrics(REGISTRY if registry is None else registry, namespace, tuple(self._labels))
        self._max_label_sets = max_label_sets
        self._series: dict[tuple[str, ...], Series] = {}
        self._failed: set[str] = set()

    def __call__(self, stream: CompletionStream) -> None:
        """Count and measure a stream."""
        series: Series | None = None
        finalizer: weakref.finalize[[], CompletionStream] | None = None
        meter = meter_of(stream)
        failure = ""

        def start(start: StreamStart) -> None:
            nonlocal series, finalizer
            series = self._series_of(start)
            series.in_flight.inc()
            # The loop may be given up with the stream on it, and then there is no `end`.
            finalizer = weakref.finalize(stream, series.lost)

        def first_token(chunk: Chunk) -> None:
            # The meter has heard it before.
            if series is not None and (ttft := meter.ttft) is not None:
                series.first_token.observe(ttft)
                stream.off("chunk", first_token)

        def gaps(gaps: list[float]) -> None:
            if series is not None:
                observe = series.inter_chunk.observe
                for gap in gaps:
                    observe(gap)

        def retry(retry: Retry) -> None:
            if series is not None:
                series.retries.inc()

        def stall(stall: Stall) -> None:
            if series is not None:
                series.stalls.inc()

        def warning(warning: StreamWarning) -> None:
            if series is not None:
                series.warnings(warning.kind).inc()

        def error(error: StreamError) -> None:
            nonlocal failure
            failure = type(error).__name__

        def end(completion: Completion) -> None:
            if finalizer is not None and finalizer.detach() is not None and series is not None:
                series.end(completion, failure)

        stream.on("start", start, replay=True)
        meter.follow(gaps)
        # Of a stream that has begun already, the first content heard here would not be the first.
        if not stream.completion.choices:
            stream.on("chunk", first_token)
        stream.on("retry", retry)
        stream.on("stall", stall)
        stream.on("warning", warning)
        stream.on("error", error, replay=True)
        stream.on("end", end, replay=True)

    def _series_of(self, start: StreamStart) -> Series:
        values = tuple(self._value(name, value, start) for name, value in self._labels.items())
        series = self._series.get(values)
        if series is None:
            if len(self._series) >= self._max_label_sets:
                self._metrics.replaced.labels("limit").inc()
                values = tuple(_OTHER if callable(value) else value for value in self._labels.values())
                if (series := self._series.get(values)) is not None:
                    return series
            series = self._series[values] = Series(self._metrics, values)
        return series

    def _value(self, name: str, value: str | Callable[[StreamStart], str | None], start: StreamStart) -> str:
        if isinstance(value, str):
            return value
        try:
            made: object = value(start)
            problem = "" if made is None or isinstance(made, str) else f"returned {type(made).__name__}, not text"
        except Exception as error:  # noqa: BLE001 - the user's function; its message may hold what was asked
            made, problem = None, f"raised {type(error).__name__}"
        if not problem:
            return _encodable(str(made or ""))
        self._metrics.replaced.labels("function_failed").inc()
        if name not in self._failed:
            self._failed.add(name)
            log.warning(
                "the function of label %r %s: the label becomes %r; further times are counted only",
                name,
                problem,
                _OTHER,
            )
        return _OTHER


def _model(start: StreamStart) -> str | None:
    return start.model


def _encodable(value: str) -> str:
    # Half of a surrogate pair in one label would make every later scrape fail.
    return value.encode("utf-8", "replace").decode()


def _checked_labels(
    labels: Mapping[str, str | Callable[[StreamStart], str | None]],
) -> dict[str, str | Callable[[StreamStart], str | None]]:
    if not hasattr(labels, "items"):
        raise TypeError(
            f"labels must map each name to its value, or to a function of the StreamStart, not be a {type(labels).__name__}"
        )
    checked: dict[str, str | Callable[[StreamStart], str | None]] = {}
    for name, value in labels.items():
        if not _NAME.fullmatch(str(name)):
            raise ValueError(f"label {name!r}: a name is letters, digits and underscores, and begins with a letter")
        if name in _OWN_LABELS:
            raise ValueError(f"label {name!r} is one of the sink's own, or of Prometheus: choose another name")
        if inspect.iscoroutinefunction(value):
            raise TypeError(f"the function of label {name!r} is async: it must return the text itself")
        if isinstance(value, str):
            checked[name] = _encodable(value)
        elif callable(value):
            checked[name] = value
        else:
            raise TypeError(
                f"label {name!r} must be text, or a function of the StreamStart, not {type(value).__name__}"
            )
    return checked
