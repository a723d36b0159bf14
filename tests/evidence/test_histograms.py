"""Latencies in two histograms: exact under exchange, also with ties and unequal numbers; doubts are the candidate's."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import exp
from random import Random

import pytest

from shadowproxy.evidence import histograms, unpaired
from shadowproxy.evidence.unpaired import OVER, UNDER
from shadowproxy.model.bins import FINE_EDGES

QUANTILES = (0.5, 0.95, 0.99)


def bin_of(seconds: float) -> int:
    return next((i for i, edge in enumerate(FINE_EDGES) if seconds <= edge), len(FINE_EDGES))


@pytest.mark.parametrize("values", [[5, 6, 7, 8, 9, 10], [5, 5, 5, 6, 6, 9], [4] * 6, [3, 3, 8, 8, 8, 300, 500]])
@pytest.mark.parametrize("mine", [1, 2, 4])
@pytest.mark.parametrize("usual", [{}, {4: 20}, {6: 30}, {2: 10, 7: 10}])
def test_whoever_is_drawn_for_the_candidate_no_bet_gains(values: list[int], mine: int, usual: dict[int, int]) -> None:
    draws = list(combinations(range(len(values)), mine))
    for q in QUANTILES:
        for omegas in (OVER, UNDER):
            mean = [0.0] * len(omegas)
            for chosen in draws:
                ours = Counter(values[i] for i in chosen)
                theirs = Counter(values[i] for i in range(len(values)) if i not in chosen)
                found = histograms.above(theirs, ours, q, 0.0, 0.0, usual)
                for k, gain in enumerate(unpaired.gains(omegas, *found)):
                    mean[k] += exp(gain) / len(draws)
            assert max(mean) <= 1.0 + 1e-9


def test_what_is_above_a_quantile_of_the_pool_is_counted_by_arm() -> None:
    primary = {100: 90, 200: 5}
    candidate = {100: 4, 200: 1}
    assert histograms.above(primary, candidate, 0.5, 0.0, 0.0) == (1, 6, 0.05)
    assert histograms.above(primary, candidate, 0.95, 0.0, 0.0) == (0, 0, 0.05)


@pytest.mark.parametrize(("relative", "absolute"), [(0.0, 0.0), (0.2, 0.005), (0.5, 0.0), (0.0, 0.1)])
def test_less_the_tolerance_no_value_is_made_longer_than_it_is(relative: float, absolute: float) -> None:
    draw = Random(1)
    for _ in range(200):
        seconds = draw.lognormvariate(-3.0, 2.0)
        shorter = min(seconds / (1.0 + relative), seconds - absolute)
        alone = {bin_of(max(shorter, 0.0)): 1}
        slow = histograms.above(alone, {bin_of(seconds): 1}, 0.5, relative, absolute)
        assert slow.candidate == 0


def test_a_difference_within_the_tolerance_is_none_and_one_beyond_it_is() -> None:
    primary = {bin_of(0.1): 50}
    assert histograms.above(primary, {bin_of(0.115): 50}, 0.5, 0.2, 0.005).candidate == 0
    assert histograms.above(primary, {bin_of(0.135): 50}, 0.5, 0.2, 0.005).candidate == 50
    assert histograms.above({bin_of(0.002): 50}, {bin_of(0.006): 50}, 0.5, 0.2, 0.005).candidate == 0


def test_only_what_is_surely_longer_breaks_a_limit() -> None:
    values = {bin_of(0.09): 3, bin_of(0.1): 2, bin_of(0.2): 4, len(FINE_EDGES): 1}
    assert histograms.longer(values, 0.1) == 5
    assert histograms.longer(values, 0.101) == 5
    assert histograms.longer({bin_of(0.1): 1}, 0.0999) == 0


def test_a_candidate_that_is_slow_throughout_is_above_what_the_primary_usually_is() -> None:
    primary, candidate = {100: 95, 110: 5}, {200: 100}
    assert histograms.above(primary, candidate, 0.95, 0.0, 0.0).candidate == 0, "of its own values"
    assert histograms.above(primary, candidate, 0.95, 0.0, 0.0, {100: 19, 105: 1}) == (100, 105, 0.5)
    assert histograms.above(primary, candidate, 0.95, 0.0, 0.0, {100: 19}).candidate == 0, "too few are known"


def test_where_all_traffic_became_slower_what_was_usual_is_no_limit() -> None:
    slow = {200: 100}
    assert histograms.above(slow, slow, 0.95, 0.0, 0.0, {100: 50}) == (0, 0, 0.5)
