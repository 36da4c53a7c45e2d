"""`ChunkTimes`: the times between the chunks of a stream, for OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context

from .pending import PendingValues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.util.types import AttributeValue

__all__ = ["ChunkTimes", "chunk_time_histogram"]

# https://github.com/open-telemetry/semantic-conventions-genai: those of all durations of clients.
_BOUNDARIES: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_NO_SPAN: Final = Context()


def chunk_time_histogram(meter: Meter) -> Histogram:
    """`gen_ai.client.operation.time_per_output_chunk`, as the conventions have it."""
    return meter.create_histogram(
        name="gen_ai.client.operation.time_per_output_chunk",
        unit="s",
        description="Time per output chunk: from the end of the previous chunk to the end of this one.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )


class ChunkTimes:
    """Times between the chunks of one stream, each a value of a histogram.

    The SDK has no way to record several values at once, so there is one `record` a chunk, made in batches.

    Args:
        histogram: where to.
        attributes: what all of them are recorded with.
        context: with the stream's span, for exemplars: the longest time of each batch has it, which is the one to look into.
        first: when the first chunk came.
    """

    def __init__(
        self, histogram: Histogram, attributes: Mapping[str, AttributeValue], context: Context, first: float
    ) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._context = context
        self._latest: float | None = first
        self._pending = PendingValues(self._record, since=first)

    def add(self, at: float) -> None:
        """A later chunk came: seconds, by the clock of `first`."""
        latest, self._latest = self._latest, at
        if latest is not None:
            self._pending.add(at - latest, at)

    def begin_round(self) -> None:
        """The next chunk is the first of another completion."""
        self._latest = None

    def flush(self) -> None:
        """Record what has not been recorded yet."""
        self._pending.flush()

    def _record(self, times: list[float]) -> None:
        times.sort()  # the SDK keeps the latest exemplar of each bucket: the longest has to come last
        longest = times.pop()
        record, attributes = self._histogram.record, self._attributes
        for seconds in times:
            record(seconds, attributes, _NO_SPAN)
        record(longest, attributes, self._context)
