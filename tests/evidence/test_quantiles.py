"""Intervals of quantiles hold whenever one looks; what cannot be bounded is not."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from shadowproxy.evidence.quantiles import Bounds, bounds, difference, reach
from shadowproxy.metrics.layout import DELTA_EDGES
from shadowproxy.model.totals import Distribution
from tests.report.facts import distribution


@pytest.mark.parametrize("p", [0.5, 0.95, 0.99])
def test_an_interval_holds_at_all_moments_at_once(p: float) -> None:
    """Over 400 runs, looked at after each of 1,500 values, at most the stated share ever misses."""
    draw, missed = random.Random(round(p * 100)), 0
    reaches = [0.0, *(reach(p, n, 0.05) for n in range(1, 1_501))]
    for _ in range(400):
        below = 0
        for n in range(1, 1_501):
            below += draw.random() < p
            if abs(below - p * n) > reaches[n] * n:
                missed += 1
                break
    assert missed <= 400 * 0.05


def test_the_true_quantile_lies_between_the_bounds_of_a_histogram() -> None:
    draw = random.Random(11)
    truth = {0.5: 0.02, 0.95: 0.02 * 2.718281828 ** (0.8 * 1.6448536), 0.99: 0.02 * 2.718281828 ** (0.8 * 2.3263479)}
    missed, bounded = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(100):
        bins, lost = [0] * (len(DELTA_EDGES) + 1), set()
        for n in range(1, 3_501):
            bins[bisect_left(DELTA_EDGES, draw.lognormvariate(-3.912023, 0.8))] += 1
            if n % 250 == 0:
                for p, value in truth.items():
                    found = bounds(Distribution(DELTA_EDGES, tuple(bins)), p, 0.05)
                    assert found is not None
                    lower, upper = found.lower or -1.0, float("inf") if found.upper is None else found.upper
                    if not lower <= value <= upper:
                        lost.add(p)
        for p in truth:
            missed[p] += p in lost
            last = bounds(Distribution(DELTA_EDGES, tuple(bins)), p, 0.05)
            bounded[p] += last is not None and last.upper is not None
    assert max(missed.values()) <= 5
    assert bounded == dict.fromkeys(truth, 100), "3,500 values bound even the p99"


def test_few_values_bound_nothing_and_none_say_nothing() -> None:
    assert bounds(distribution(DELTA_EDGES, []), 0.5, 0.05) is None
    found = bounds(distribution(DELTA_EDGES, [0.01] * 5), 0.5, 0.05)
    assert found is not None
    assert (found.lower, found.upper) == (None, None)
    found = bounds(distribution(DELTA_EDGES, [0.01] * 100), 0.95, 0.05)
    assert found is not None
    assert (found.lower, found.upper) == (0.007, None)


def test_bounds_are_the_edges_around_and_narrow_with_what_is_seen() -> None:
    found = bounds(distribution(DELTA_EDGES, [0.08] * 1_000), 0.5, 0.05)
    assert found == Bounds(pytest.approx(0.085), 0.07, 0.1)
    widths = [reach(0.5, n, 0.05) for n in (10, 100, 1_000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert reach(0.5, 1_000, 0.01) > reach(0.5, 1_000, 0.05)


def test_beyond_the_last_edge_and_below_the_first_nothing_is_bounded() -> None:
    far = bounds(distribution(DELTA_EDGES, [60.0] * 1_000), 0.5, 0.05)
    near = bounds(distribution(DELTA_EDGES, [-60.0] * 1_000), 0.5, 0.05)
    assert far is not None
    assert near is not None
    assert (far.lower, far.upper) == (DELTA_EDGES[-1], None)
    assert (near.lower, near.upper) == (None, DELTA_EDGES[0])


def test_a_difference_holds_where_both_hold() -> None:
    assert difference(Bounds(5.0, 4.0, 7.0), Bounds(1.0, 0.5, 2.0)) == Bounds(4.0, 2.0, 6.5)
    assert difference(Bounds(5.0, None, 7.0), Bounds(1.0, None, 2.0)) == Bounds(4.0, None, None)
    assert difference(Bounds(5.0, 4.0, None), Bounds(1.0, 0.5, None)) == Bounds(4.0, None, None)
