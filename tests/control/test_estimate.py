"""The estimate by simulation: load that drifts and comes in bursts, and a latency that follows it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from math import exp, sin, sqrt
from random import Random
from statistics import fmean, stdev

import pytest

from shadowproxy.control import estimate as estimating
from shadowproxy.control.estimate import LEAST_GROUPS, STUDENT, Estimate, Windows, fewest, interval
from shadowproxy.metrics import layout as at
from shadowproxy.model.totals import Distribution, Interval

MS = 0.001
RUNS = 100


_random = Random(1)
FACTORS = [exp(_random.gauss(0, 0.5)) * (10 if _random.random() < 0.02 else 1) for _ in range(20_000)]
"""Of single requests, around the median of the moment."""


def histogram(values: Sequence[float]) -> list[int]:
    bins = [0] * at.FINE_WORDS
    for value in values:
        bins[bisect_left(at.FINE_EDGES, value)] += 1
    return bins


def quantile(bins: Sequence[int], share: float) -> float:
    return Distribution(at.FINE_EDGES, tuple(bins)).quantile(share) or 0.0


def trial(random: Random, slot: int, effect: float) -> Windows:
    """Three neighbouring windows of a service at 70 to 300 requests a second, 2 ms at the median, tails of 20 ms.

    Load swings by half within a quarter of an hour and doubles in bursts of some seconds; latency follows it.
    """
    windows = []
    burst, mood = random.random() < 0.25, random.gauss(0, 0.1)
    for place in range(3):
        burst = random.random() < (0.7 if burst else 0.1)
        mood = 0.7 * mood + random.gauss(0, 0.1)
        load = (1 + 0.5 * sin((slot * 40 + place * 2) / 140)) * (2 if burst else 1)
        requests = max(40, round(random.gauss(70 * load, sqrt(70 * load))))
        median = 2 * MS * (0.7 + 0.3 * load) * exp(mood)
        added = 0.0 if place == 1 else effect
        windows.append(histogram([added + median * factor for factor in random.choices(FACTORS, k=requests)]))
    before, inside, after = windows
    return before, inside, after


@cache
def simulated(effect: float) -> list[dict[str, Interval]]:
    """What is found in each of some runs."""
    runs = []
    for seed in range(10 if effect else RUNS):
        random, estimate = Random(seed), Estimate()
        for slot in range(90 if effect else 20):
            estimate.add(trial(random, slot + seed * 7, effect))
        runs.append(estimate.added())
    return runs


@pytest.mark.parametrize("percentile", ["p50", "p95"])
def test_without_an_effect_the_interval_is_around_nothing_in_nineteen_of_twenty_runs(percentile: str) -> None:
    found = [run[percentile] for run in simulated(0.0)]
    covered = sum((each.lower or 0) <= 0 <= (each.upper or 0) for each in found) / RUNS
    assert 0.9 <= covered <= 0.99
    means = [each.estimate for each in found]
    assert abs(fmean(means)) < 2.5 * stdev(means) / sqrt(RUNS)  # no bias


@pytest.mark.parametrize("percentile", ["p50", "p95"])
def test_a_millisecond_is_found(percentile: str) -> None:
    found = [run[percentile] for run in simulated(MS)]
    assert sum((each.lower or 0) > 0 for each in found) >= (10 if percentile == "p50" else 8)
    assert sum((each.lower or 0) <= MS <= (each.upper or 0) for each in found) >= 8
    assert fmean(each.estimate for each in found) == pytest.approx(MS, abs=0.2 * MS)


def test_a_burst_that_may_come_in_any_window_shows_nothing_and_pooled_ones_would() -> None:
    """Every place of the burst once: the reason for taking the quantiles before and after apart."""
    calm, burst = flat(100), [10 * each for each in flat(20, at_bin=300)]
    places = [(burst, calm, calm), (calm, burst, calm), (calm, calm, burst)]
    apart = [(quantile(b, 0.95) + quantile(a, 0.95)) / 2 - quantile(i, 0.95) for b, i, a in places]
    together = [quantile([x + y for x, y in zip(b, a, strict=True)], 0.95) - quantile(i, 0.95) for b, i, a in places]
    assert fmean(apart) == pytest.approx(0.0, abs=1e-12)
    assert fmean(together) > MS
    estimate = Estimate()
    for _ in range(4):
        for before, inside, after in places:
            estimate.add((before, inside, after))
    assert estimate.added()["p95"].estimate == pytest.approx(0.0, abs=1e-12)


def test_small_differences_are_not_lost_inside_bins() -> None:
    """All of a service's latencies may fall into two or three of the bins that a report reads."""
    random = Random(3)
    estimate = Estimate()
    for _ in range(LEAST_GROUPS):
        inside, before, after = (
            histogram([added + 2 * MS * exp(random.gauss(0, 0.03)) for _ in range(300)])
            for added in (0.0, 0.03 * MS, 0.03 * MS)
        )
        estimate.add((before, inside, after))
    assert estimate.added()["p50"].estimate == pytest.approx(0.03 * MS, abs=0.008 * MS)


def flat(requests: int, at_bin: int = 200) -> list[int]:
    bins = [0] * at.FINE_WORDS
    bins[at_bin] = requests
    return bins


def windows(requests: int, inside: int = 0, at_bin: int = 200) -> Windows:
    return flat(requests, at_bin), flat(inside or requests), flat(requests, at_bin)


def test_upper_percentiles_wait_for_enough_requests() -> None:
    estimate = Estimate()
    assert estimate.more(75.0) == {"p50": 8, "p95": 16, "p99": 56}
    for _ in range(7):
        estimate.add(windows(60))
    assert estimate.added() == {}
    assert estimate.more(75.0) == {"p50": 1, "p95": 9, "p99": 65}
    estimate.add(windows(60))
    assert set(estimate.added()) == {"p50"}
    for _ in range(8):
        estimate.add(windows(60))
    assert set(estimate.added()) == {"p50", "p95"}
    assert estimate.more(75.0) == {"p99": 56}


def test_a_busy_service_knows_everything_after_eight_slots() -> None:
    estimate = Estimate()
    for _ in range(8):
        estimate.add(windows(500))
    assert set(estimate.added()) == {"p50", "p95", "p99"}
    assert estimate.more(1.0) == {}


def test_the_window_with_fewest_requests_counts() -> None:
    assert fewest(windows(500, inside=30)) == 30
    estimate = Estimate()
    for _ in range(8):
        estimate.add(windows(500, inside=99))
    assert set(estimate.added()) == {"p50"}


def test_memory_is_bounded_and_what_is_long_past_is_forgotten() -> None:
    estimate = Estimate()
    shifted = flat(50, at_bin=300)
    for _ in range(estimating.MOST_BATCHES * estimating.MOST_WINDOWS):
        estimate.add((shifted, flat(50), shifted))
    assert estimate.added()["p50"].estimate > MS
    for _ in range(estimating.MOST_BATCHES * estimating.MOST_WINDOWS):
        estimate.add(windows(50))
        assert len(estimate._batches) <= estimating.MOST_BATCHES
        assert len(estimate._open) <= estimating.MOST_WINDOWS
    assert estimate.added()["p50"].estimate == 0.0


def test_no_window_is_lost_when_batches_are_merged() -> None:
    estimate = Estimate()
    for count in range(1, 200):
        estimate.add(windows(40))
        kept = sum(sum(batch[1]) for batch in estimate._batches) + 40 * len(estimate._open)
        assert kept == 40 * count
        assert len(estimate._batches) >= min(count, LEAST_GROUPS)


def test_the_interval_is_students() -> None:
    found = interval([1.0, 2.0, 3.0, 4.0])
    assert found.estimate == 2.5
    assert found.upper == pytest.approx(2.5 + 3.182 * stdev([1, 2, 3, 4]) / 2)
    assert found.lower == pytest.approx(5.0 - (found.upper or 0))
    assert len(STUDENT) == estimating.MOST_BATCHES - 1
    assert list(STUDENT) == sorted(STUDENT, reverse=True)
