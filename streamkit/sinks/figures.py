"""How fast a stream was: the figures, and the arithmetic behind them. Pure: times come in as numbers."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from ..model import Completion, EndedBy

__all__ = ["GapFigures", "Gaps", "StreamStats", "Tally", "figures_of"]

EXACT_GAPS: Final = 1024
"""So many gaps are kept as they are (8 kB); with one more they go into buckets."""

# DDSketch (https://arxiv.org/abs/1908.10693): the bucket of a value is the rounded-up logarithm to the base γ = (1+α)/(1-α);
# what a bucket stands for is then within the factor 1 ± α of every value in it.
_ERROR: Final = 0.01
_GAMMA: Final = (1 + _ERROR) / (1 - _ERROR)
_PER_LOG: Final = 1 / math.log(_GAMMA)
_SHORTEST: Final = 1e-7
"""Shorter gaps count as 0 (chunks of one read, and the resolution of clocks): so there are at most some 1,500 buckets."""


class GapFigures(msgspec.Struct, frozen=True):
    """The times between one chunk with content and the next, in seconds.

    Attributes:
        count: how many gaps: one less than there were chunks with content.
        p50, p90, p99: percentiles, interpolated between neighbours (NumPy's default). With more than 1,024 gaps they are
            those of a sketch, and within 1 % of a gap that occurred.
        mean, max: exact.
    """

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


class Gaps:
    """Gaps as they come, in bounded memory.

    >>> gaps = Gaps()
    >>> for gap in (0.25, 0.5, 0.25, 1.0):
    ...     gaps.add(gap)
    >>> gaps.figures()
    GapFigures(count=4, mean=0.5, p50=0.375, p90=0.85, p99=0.985, max=1.0)
    """

    def __init__(self) -> None:
        self._recent = array("d")
        """As they are: all of them, or those that are not in the buckets yet."""
        self._buckets: dict[int, int] = {}
        self._count = 0
        self._sum = 0.0
        self._max = 0.0

    def add(self, gap: float) -> None:
        """Take in one more, in seconds."""
        recent = self._recent
        recent.append(gap)
        if len(recent) > EXACT_GAPS:
            self._put_recent()

    def figures(self) -> GapFigures | None:
        """What they come to; None where there is no gap."""
        if self._buckets:
            self._put_recent()
            p50, p90, p99 = self._roughly()
            return GapFigures(self._count, self._sum / self._count, p50, p90, p99, self._max)
        recent = self._recent
        if not recent:
            return None
        p50, p90, p99 = self._exactly()
        return GapFigures(len(recent), math.fsum(recent) / len(recent), p50, p90, p99, max(recent))

    def _put_recent(self) -> None:
        recent, self._recent = self._recent, array("d")
        self._count += len(recent)
        self._sum = math.fsum((self._sum, *recent))
        self._max = max(self._max, *recent, 0.0)
        buckets = self._buckets
        for gap in recent:
            bucket = math.ceil(math.log(gap) * _PER_LOG) if gap > _SHORTEST else _ZERO
            buckets[bucket] = buckets.get(bucket, 0) + 1

    def _exactly(self) -> tuple[float, float, float]:
        ordered = sorted(self._recent)
        last = len(ordered) - 1

        def percentile(percent: int) -> float:
            # In whole numbers, so that no rounding moves a percentile that falls on a value.
            below, rest = divmod(last * percent, 100)
            low, high = ordered[below], ordered[min(below + 1, last)]
            return low + (high - low) * (rest / 100)

        return percentile(50), percentile(90), percentile(99)

    def _roughly(self) -> tuple[float, float, float]:
        ordered = sorted(self._buckets.items())

        def percentile(percent: int) -> float:
            rank, seen = (self._count - 1) * percent // 100, 0
            for bucket, count in ordered:
                seen += count
                if seen > rank:
                    return 0.0 if bucket == _ZERO else min(2 * _GAMMA**bucket / (_GAMMA + 1), self._max)
            raise AssertionError("a rank is below the count")

        return percentile(50), percentile(90), percentile(99)


_ZERO: Final = math.floor(math.log(_SHORTEST) * _PER_LOG) - 1
"""The bucket of what counts as 0: below all others."""


class StreamStats(msgspec.Struct, frozen=True, kw_only=True):
    """How fast one stream was. Seconds are counted from `start`, before the request left, retries included; None: unknown.

    Times are those of the socket read that brought the bytes, by the loop's clock, so that a slow listener does not distort
    them. With t0 the start, c_1 … c_k the times of the chunks with content (text, refusal, reasoning or a fragment of a tool
    call, of any choice), and n `usage.completion_tokens`:

    | here | is | elsewhere |
    |---|---|---|
    | `ttfb` | headers - t0 | |
    | `ttfc` | first read with a data line - t0 (a bare role counts) | OTel `time_to_first_chunk`; vLLM bench's `ttft` |
    | `ttft` | c_1 - t0 | guidellm's, AIPerf's TTFT. genai-perf's is the first response, as `ttfc` |
    | `ttfo` | first content that is no reasoning - t0 | AIPerf's TTFO, guidellm's TTFOT, llmperf's TTFT |
    | `inter_chunk` | c_i - c_(i-1) | vLLM bench's ITL, AIPerf's ICL |
    | `tpot` | (c_k - c_1) / (n - 1) | vLLM's TPOT, guidellm's ITL, genai-perf's and AIPerf's ITL: (e2e - ttft) / (n - 1) |
    | `e2e` | c_k - t0 | vLLM's, genai-perf's latency; guidellm's TPOT is e2e / n, llmperf's ITL too |
    | `wall` | end of the stream - t0 | OTel `operation.duration` |
    | `tokens_per_second` | (n - 1) / (c_k - c_1) | 1 / `tpot`: decoding alone, without the prompt |
    | `e2e_tokens_per_second` | n / e2e | guidellm's, llmperf's throughput of a request |
    | `chunks_per_second` | (k - 1) / (c_k - c_1) | |

    Of a stream of several rounds (`run_tools`), the time from the last content of one to the first of the next is neither a gap
    nor a part of c_k - c_1, and the first token of each is left out of n - 1: rates are those of the model, not of the tools.

    A chunk is not a token: servers join tokens, and speculative decoding makes several at once. So what is told by chunks says
    so, and what is told by tokens needs the server's own count.

    Of a stream that had content before anyone asked for its figures, `ttfc` is None, so is `ttfo` if not all of that was
    reasoning, and `chunks`, `inter_chunk`, `chunks_per_second`, `stalls`, `retries` and `warnings` are of what came after.

    Attributes:
        chunks: all of them, with content or without.
        stalls: how often half of the idle limit passed without content.
        error: the name of the error's class, None where there was none.
        ended_by, finish_reason: as in the completion.
        prompt_tokens, completion_tokens: as the server reported them.
    """

    model: str | None = None
    ended_by: EndedBy | None = None
    finish_reason: str | None = None
    error: str | None = None
    chunks: int = 0
    ttfb: float | None = None
    ttfc: float | None = None
    ttft: float | None = None
    ttfo: float | None = None
    inter_chunk: GapFigures | None = None
    tpot: float | None = None
    e2e: float | None = None
    wall: float | None = None
    chunks_per_second: float | None = None
    tokens_per_second: float | None = None
    e2e_tokens_per_second: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    stalls: int = 0
    retries: int = 0
    warnings: int = 0

    def __str__(self) -> str:
        return " · ".join(figures_of(self))


def figures_of(stats: StreamStats) -> list[str]:
    """What a person wants to see of it.

    >>> print(StreamStats(ttft=0.42, completion_tokens=87, tokens_per_second=61.3, chunks=80))
    ttft 0.42 s · 87 tok · 61 tok/s
    >>> print(StreamStats(chunks=1, error="ConnectionLost", ended_by="error"))
    1 chunk · ConnectionLost
    """
    figures = [f"ttft {stats.ttft:.2f} s"] if stats.ttft is not None else []
    if stats.completion_tokens is not None:
        figures.append(f"{stats.completion_tokens} tok")
    else:
        figures.append(f"{stats.chunks} chunk{'s'[: stats.chunks != 1]}")
    if stats.tokens_per_second is not None:
        figures.append(f"{stats.tokens_per_second:.0f} tok/s")
    elif stats.chunks_per_second is not None:
        figures.append(f"{stats.chunks_per_second:.0f} chunks/s")
    if stats.error is not None:
        figures.append(stats.error)
    elif stats.ended_by in {"abort", "cancel"}:
        figures.append("aborted" if stats.ended_by == "abort" else "cancelled")
    return figures


class Tally:
    """What has been seen of one stream so far; a chunk costs it well under a microsecond.

    The times are absolute, by one clock.
    """

    def __init__(self) -> None:
        self.started: float | None = None
        self.first_data: float | None = None
        self.first_token: float | None = None
        self.first_output: float | None = None
        self.missed_output = False
        """The first output came before anyone counted."""
        self.last_token: float | None = None
        """Of the running round."""
        self._round_end: float | None = None
        """When the last content of the round before came."""
        self._between = 0.0
        self._rounds_before = 0
        self.chunks = 0
        self.stalls = self.retries = self.warnings = 0
        self.gaps = Gaps()

    def take_up(self, missed: Completion, read_at: float) -> None:
        """Begin in the middle of a stream, whose start is known: `missed` is what it had said before, by the latest read."""
        assert self.started is not None
        first = missed.timings.first_chunk
        # The timings are those of whole reads: where they know of none, all of it came with the latest.
        self.first_token = read_at if first is None else self.started + first
        messages = [choice.message for choice in missed.choices]
        self.missed_output = any(each.content or each.refusal or each.tool_calls for each in messages)

    def begin_round(self) -> None:
        """What comes next is another completion of the same stream, and the time until then is not the model's."""
        if self.last_token is not None:
            self._round_end, self.last_token = self.last_token, None

    def first_of_round(self, at: float) -> None:
        """The first content of a stream, or of one of its rounds."""
        if self.first_token is None:
            self.first_token = at
        elif self._round_end is not None:
            self._between += at - self._round_end
            self._rounds_before += 1

    def stats(self, completion: Completion, error: str | None = None) -> StreamStats:
        """The figures, given how the stream stands or ended."""

        def since_start(at: float | None) -> float | None:
            return None if at is None or self.started is None else at - self.started

        ttft = since_start(self.first_token)
        last_token = self._round_end if self.last_token is None else self.last_token
        e2e = since_start(last_token)
        seconds = (
            None if self.first_token is None or last_token is None else last_token - self.first_token - self._between
        )
        gaps = self.gaps.figures()
        usage = completion.usage
        tokens = None if usage is None else usage.completion_tokens
        first_tokens = 1 + self._rounds_before
        # One token has no rate, and neither has what came in a single read: then a rate would be that of the loop.
        later_tokens = tokens - first_tokens if tokens is not None and tokens > first_tokens else None
        return StreamStats(
            model=completion.model,
            ended_by=completion.ended_by,
            finish_reason=completion.finish_reason,
            error=error,
            chunks=self.chunks,
            ttfb=completion.timings.connect,
            ttfc=since_start(self.first_data),
            ttft=ttft,
            ttfo=None if self.missed_output else since_start(self.first_output),
            inter_chunk=gaps,
            tpot=None if later_tokens is None or seconds is None else seconds / later_tokens,
            e2e=e2e,
            wall=completion.timings.end,
            chunks_per_second=1 / gaps.mean if gaps is not None and gaps.mean > 0 else None,
            tokens_per_second=later_tokens / seconds if later_tokens is not None and seconds else None,
            e2e_tokens_per_second=tokens / e2e if tokens is not None and e2e else None,
            prompt_tokens=None if usage is None else usage.prompt_tokens,
            completion_tokens=tokens,
            stalls=self.stalls,
            retries=self.retries,
            warnings=self.warnings,
        )
