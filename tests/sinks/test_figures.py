from __future__ import annotations

import math
import statistics
import tracemalloc
from random import Random

from hypothesis import given, settings, strategies as st

from streamkit.sinks.figures import EXACT_GAPS, Gaps

GAPS = st.lists(st.floats(0, 100, allow_nan=False), min_size=2, max_size=200)


def filled(gaps: list[float]) -> Gaps:
    result = Gaps()
    for gap in gaps:
        result.add(gap)
    return result


def test_no_gap_has_no_figures() -> None:
    assert Gaps().figures() is None


@settings(max_examples=100, deadline=None)
@given(GAPS)
def test_few_gaps_have_the_percentiles_of_the_standard_library(gaps: list[float]) -> None:
    figures = filled(gaps).figures()

    cuts = statistics.quantiles(gaps, n=100, method="inclusive")
    assert figures is not None
    for own, expected in ((figures.p50, cuts[49]), (figures.p90, cuts[89]), (figures.p99, cuts[98])):
        assert math.isclose(own, expected, rel_tol=1e-9, abs_tol=1e-9)
    assert figures.max == max(gaps)
    assert figures.count == len(gaps)
    assert math.isclose(figures.mean, statistics.fmean(gaps), rel_tol=1e-9, abs_tol=1e-9)


@settings(max_examples=30, deadline=None)
@given(GAPS, st.randoms(use_true_random=False))
def test_many_gaps_have_percentiles_within_one_percent_of_gaps_that_occurred(gaps: list[float], random: Random) -> None:
    many = (gaps * (EXACT_GAPS // len(gaps) + 2))[: 2 * EXACT_GAPS]
    random.shuffle(many)

    figures = filled(many).figures()

    assert figures is not None
    ordered = sorted(many)
    for percent, own in ((50, figures.p50), (90, figures.p90), (99, figures.p99)):
        exact = ordered[(len(ordered) - 1) * percent // 100]
        assert math.isclose(own, exact, rel_tol=0.0101, abs_tol=1e-7)
    assert figures.max == max(many)


def test_a_million_gaps_take_little_memory() -> None:
    gaps, rng = Gaps(), Random(1)
    samples = [rng.lognormvariate(-4, 2) for _ in range(10_000)]
    tracemalloc.start()
    for _ in range(20):
        for gap in samples:
            gaps.add(gap)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size < 200_000
    assert len(gaps._buckets) < 1_500
