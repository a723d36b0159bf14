from __future__ import annotations

import math
import random
import statistics
from bisect import bisect_left

import pytest

from shadowproxy.metrics.layout import DELTA_BUCKETS, DELTA_EDGES, DURATION_BUCKETS, DURATION_EDGES
from shadowproxy.model.totals import Distribution, WorkerTotals


def filled(edges: tuple[float, ...], values: list[float]) -> Distribution:
    bins = [0] * (len(edges) + 1)
    for value in values:
        bins[bisect_left(edges, value)] += 1
    return Distribution(edges, tuple(bins), sum(values))


def test_without_values_there_is_no_quantile() -> None:
    assert filled(DURATION_EDGES, []).quantile(0.5) is None


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95, 0.99])
def test_quantiles_are_within_a_bin_of_the_true_ones(q: float) -> None:
    draw = random.Random(7)
    values = [draw.lognormvariate(-4, 0.8) for _ in range(20_000)]
    true = statistics.quantiles(values, n=100)[round(q * 100) - 1]
    found = filled(DURATION_EDGES, values).quantile(q)
    assert found == pytest.approx(true, rel=0.05)


def test_quantiles_of_differences_keep_their_sign() -> None:
    draw = random.Random(3)
    values = [draw.gauss(-0.02, 0.004) for _ in range(5_000)]
    found = filled(DELTA_EDGES, values)
    assert found.quantile(0.5) == pytest.approx(-0.02, rel=0.1)
    assert found.count == 5_000


@pytest.mark.parametrize(("value", "edges", "end"), [(1e9, DURATION_EDGES, 60.0), (-1e9, DELTA_EDGES, -10.0)])
def test_what_lies_beyond_the_edges_is_taken_to_lie_on_them(value: float, edges: tuple[float, ...], end: float) -> None:
    assert filled(edges, [value]).quantile(0.5) == pytest.approx(end)


def test_the_smallest_durations_lie_between_zero_and_the_first_edge() -> None:
    assert 0 < (filled(DURATION_EDGES, [0.00001]).quantile(0.5) or 0) <= DURATION_EDGES[0]


def test_the_last_quantile_is_the_largest_value_even_when_rounding_asks_for_more() -> None:
    assert filled(DURATION_EDGES, [0.001]).quantile(1.0000001) == DURATION_EDGES[-1]


@pytest.mark.parametrize(("edges", "buckets"), [(DURATION_EDGES, DURATION_BUCKETS), (DELTA_EDGES, DELTA_BUCKETS)])
def test_exported_buckets_count_exactly_what_is_at_most_their_edge(
    edges: tuple[float, ...], buckets: tuple[float, ...]
) -> None:
    draw = random.Random(1)
    values = [draw.choice([-1, 1]) * draw.lognormvariate(-4, 2) for _ in range(500)] + [*buckets]
    found = list(filled(edges, values).cumulative(buckets))
    assert [edge for edge, _ in found] == [*buckets, math.inf]
    for edge, count in found:
        assert count == sum(value <= edge for value in values)


@pytest.mark.parametrize(("age", "fresh"), [(None, False), (0.0, True), (5.0, True), (5.1, False)])
def test_a_worker_is_fresh_while_its_heart_beats(age: float | None, fresh: bool) -> None:
    worker = WorkerTotals(0, age, 1, 0.0, 0, 0, 0, 0, 0, False, False, 0, 0, 0, {})
    assert worker.is_fresh is fresh
