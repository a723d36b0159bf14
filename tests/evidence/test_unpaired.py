"""Counts in strata: no single increment is worth more than 1 on average, whatever the rates; counted out exactly."""

from __future__ import annotations

from itertools import product
from math import comb, exp

import pytest

from shadowproxy.evidence import unpaired
from shadowproxy.evidence.unpaired import ASIDE, OVER, UNDER

ALMOST = 1.0 + 1e-9


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)]


def expected(
    omegas: tuple[float, ...], chances: list[tuple[int, int, float]], share: float, excused: float = 0.0
) -> float:
    """The largest mean of a factor; `chances` are (candidate's, of both, probability)."""
    means = [0.0] * len(omegas)
    for mine, every, chance in chances:
        for k, gain in enumerate(unpaired.gains(omegas, mine, every, share, excused)):
            means[k] += chance * exp(gain)
    return max(means)


def hypergeometric(candidate: int, primary: int, wrong: int) -> list[tuple[int, int, float]]:
    every = comb(candidate + primary, wrong)
    return [
        (x, wrong, comb(candidate, x) * comb(primary, wrong - x) / every)
        for x in range(max(0, wrong - primary), min(candidate, wrong) + 1)
    ]


def independent(candidate: int, primary: int, p: float, q: float) -> list[tuple[int, int, float]]:
    """Errors of two arms that fail with chances of their own: p the primary, q the candidate."""
    ours, theirs = binomial(candidate, q), binomial(primary, p)
    return [(x, x + y, ours[x] * theirs[y]) for x, y in product(range(candidate + 1), range(primary + 1))]


@pytest.mark.parametrize("omegas", [OVER, UNDER, ASIDE], ids=["more", "less", "aside"])
def test_given_how_many_went_wrong_no_bet_is_worth_more_than_it_costs(omegas: tuple[float, ...]) -> None:
    for candidate, primary in product(range(1, 8), range(1, 8)):
        share = candidate / (candidate + primary)
        for wrong in range(candidate + primary + 1):
            assert expected(omegas, hypergeometric(candidate, primary, wrong), share) <= ALMOST


@pytest.mark.parametrize("ratio", [1.0, 1.1, 1.5, 3.0])
def test_neither_is_it_where_the_candidate_fails_as_often_as_tolerated(ratio: float) -> None:
    for candidate, primary, p in product((1, 3, 6), (1, 4, 7), (0.0, 0.01, 0.1, 0.3)):
        share = unpaired.tolerated(candidate / (candidate + primary), ratio)
        assert expected(OVER, independent(candidate, primary, p, p * ratio), share) <= ALMOST
        assert expected(OVER, hypergeometric(candidate, primary, min(3, primary)), share) <= ALMOST


@pytest.mark.parametrize("floor", [0.001, 0.05, 0.3])
def test_nor_where_it_fails_by_the_floor_more(floor: float) -> None:
    for candidate, primary, p, ratio in product((1, 3, 6), (1, 4, 7), (0.0, 0.02, 0.2), (1.0, 1.1)):
        share = unpaired.tolerated(candidate / (candidate + primary), ratio)
        chances = independent(candidate, primary, p, p * ratio + floor)
        assert expected(OVER, chances, share, candidate * floor) <= ALMOST


def test_beyond_what_is_tolerated_it_is() -> None:
    share = unpaired.tolerated(0.5, 1.1)
    assert expected(OVER, independent(6, 6, 0.1, 0.2), share) > 1.05


def test_that_it_is_no_worse_is_not_shown_of_one_that_is() -> None:
    for candidate, primary, p in product((1, 3, 6), (1, 4, 7), (0.01, 0.1, 0.3)):
        share = unpaired.tolerated(candidate / (candidate + primary), 1.2)
        assert expected(UNDER, independent(candidate, primary, p, 1.2 * p), share) <= ALMOST
        assert expected(UNDER, independent(candidate, primary, p, 1.5 * p), share) <= ALMOST


@pytest.mark.parametrize("limit", [0.001, 0.05, 0.5, 0.9])
def test_a_limit_needs_no_baseline(limit: float) -> None:
    at = [(x, 8, chance) for x, chance in enumerate(binomial(8, limit))]
    below = [(x, 8, chance) for x, chance in enumerate(binomial(8, limit / 2))]
    assert expected(OVER, at, limit) == pytest.approx(1.0)
    assert expected(OVER, below, limit) < 1.0
    assert expected(ASIDE, at, limit) == pytest.approx(1.0)


def test_an_arm_without_requests_says_nothing() -> None:
    for share in (0.0, 1.0):
        wrong = (0, 5) if share == 0.0 else (5, 5)
        assert unpaired.gains(OVER, *wrong, share, 3.0 * share) == pytest.approx((0.0,) * len(OVER))


def test_what_is_tolerated_moves_the_share() -> None:
    assert unpaired.tolerated(0.1, 1.0) == pytest.approx(0.1)
    assert unpaired.tolerated(0.5, 3.0) == pytest.approx(0.75)
