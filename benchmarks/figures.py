"""What the sections of a results file say: medians, ratios, and the targets with what was found."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

from .concurrent import median_of
from .fanout import RIVALS
from .imports import LIMIT as IMPORT_LIMIT
from .memory import growth

__all__ = ["OURS", "Target", "medians", "targets", "times"]

OURS = "streamkit: chunk + text listener"
EMITTER = 'openai-node .stream().on("content")'
HELPER = "openai-python .stream()"

# The text of the long feed is ASCII: a byte a character, a quarter more that a growing buffer keeps in reserve, and what
# the pools of the allocator do meanwhile. To keep a chunk would take hundreds.
BYTES_A_CHARACTER = 2.0


class Target(NamedTuple):
    """What was promised, what was found, and whether that keeps it."""

    promise: str
    found: str
    kept: bool


def rounds_of(cpu: dict[str, Any]) -> dict[str, dict[str, list[float]]]:
    """The microseconds of every round, by contender and mode."""
    return {
        row["name"]: {mode: figures["microseconds"] for mode, figures in row["modes"].items()}
        for row in cpu["contenders"]
        if row["modes"]
    }


def medians(cpu: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The median microseconds an event, by contender and mode; without those that were not installed."""
    return {
        name: {mode: statistics.median(rounds) for mode, rounds in modes.items()}
        for name, modes in rounds_of(cpu).items()
    }


def times(cpu: dict[str, Any], name: str, base: str, mode: str) -> float | None:
    """How many times what `base` took `name` took: the median of the ratios, round by round."""
    rounds = rounds_of(cpu)
    own, its = rounds.get(name, {}).get(mode), rounds.get(base, {}).get(mode)
    return statistics.median(a / b for a, b in zip(own, its, strict=True)) if own and its else None


def targets(results: dict[str, Any]) -> Iterator[Target]:
    """Each target whose figures are in the results."""
    if "cpu" in results:
        yield from _cpu_targets(results["cpu"])
    if "concurrent" in results:
        yield from _delay_targets(results["concurrent"])
    if "fanout" in results:
        yield from _fanout_targets(results["fanout"])
    if "memory" in results:
        yield from _memory_targets(results["memory"])
    if "imports" in results:
        added = statistics.median(results["imports"]["added_seconds"])
        yield Target(
            f"`import streamkit` adds less than {IMPORT_LIMIT:g} s of CPU to its dependencies' import",
            f"{added:.3f} s",
            added < IMPORT_LIMIT,
        )
        foreign = results["imports"]["foreign"]
        yield Target("`import streamkit` imports no extra", ", ".join(foreign) or "none", not foreign)


def _cpu_targets(cpu: dict[str, Any]) -> Iterator[Target]:
    for rival, factor in ((EMITTER, 5), (HELPER, 40)):
        for mode in ("blocks", "single"):
            if (ratio := times(cpu, rival, OURS, mode)) is not None:
                promise = f"{factor} times less CPU an event than {rival}, `{mode}`"
                yield Target(promise, f"{ratio:.1f} times", ratio >= factor)


def _delay_targets(concurrent: dict[str, Any]) -> Iterator[Target]:
    rounds = concurrent["ways"].get("streamkit", {}).get("1000", [])
    p99, rate = median_of(rounds, "p99_ms"), median_of(rounds, "events_a_second")
    if p99 is not None and rate is not None:
        wanted = 1000 * concurrent["rate"]
        yield Target(
            f"1,000 streams at {concurrent['rate']} events/s on one core, p99 delay under 100 ms",
            f"{p99:.0f} ms, {rate / wanted:.0%} of the events",
            p99 < 100 and rate > 0.98 * wanted,
        )


def _fanout_targets(fanout: dict[str, Any]) -> Iterator[Target]:
    for way, rivals in RIVALS.items():
        for rival in rivals:
            for figure, what in (
                ("microseconds_an_event", "CPU a delivered event"),
                ("resident_a_reader", "memory a reader"),
            ):
                mine, other = (median_of(fanout["ways"].get(name, []), figure) for name in (way, rival))
                if mine is not None and other is not None:
                    yield Target(f"{way}: less {what} than {rival}", f"{mine / other:.2f} times", mine < other)


def _memory_targets(memory: dict[str, Any]) -> Iterator[Target]:
    if (resident := memory["idle"].get("streamkit", {}).get("resident")) is not None:
        yield Target(
            f"{memory['streams']:,} open idle streams, under 60 KB each", f"{resident / 1000:.1f} KB", resident < 60_000
        )
    if (samples := memory["long"].get("streamkit", {}).get("samples")) is not None:
        characters, grown = growth(samples)
        yield Target(
            f"a stream of {memory['chunks']:,} chunks does not grow beyond its text",
            f"{grown / characters:.2f} bytes a character",
            grown <= BYTES_A_CHARACTER * characters,
        )
