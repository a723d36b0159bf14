"""The bets: fair to begin with, additive in any order, and restarts cost what they should."""

from __future__ import annotations

from math import exp, isclose, log

import pytest

from shadowproxy.evidence import coin


def fresh(restarts: int = 1) -> list[float]:
    return coin.new_bets(len(coin.LAMBDAS), restarts)


def fresh_spared(restarts: int = 1) -> list[float]:
    return coin.new_bets(len(coin.OMEGAS), restarts)


@pytest.mark.parametrize("restarts", [1, 2, 50])
def test_nothing_seen_is_no_evidence(restarts: int) -> None:
    assert isclose(coin.log_e(fresh(restarts), restarts), 0.0, abs_tol=1e-9)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 1), (20, 40), (500, 3)])
def test_a_fair_throw_leaves_the_expected_value_where_it_is(b: int, c: int) -> None:
    """Of the evidence after one more discordant pair, under the null: half of each outcome."""
    bets = coin.bet_on_pairs(fresh(), b, c)
    after = [coin.log_e(coin.bet_on_pairs(bets, *one), 1) for one in ((1, 0), (0, 1))]
    assert isclose(sum(map(exp, after)) / 2, exp(coin.log_e(bets, 1)), rel_tol=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
@pytest.mark.parametrize(("x", "m"), [(0, 0), (30, 30), (90, 100)])
def test_a_fair_assignment_leaves_the_expected_value_where_it_is(share: float, x: int, m: int) -> None:
    bets = coin.bet_on_spared(fresh_spared(), x, m, share)
    mine = exp(coin.log_e(coin.bet_on_spared(bets, 1, 1, share), 1))
    theirs = exp(coin.log_e(coin.bet_on_spared(bets, 0, 1, share), 1))
    assert isclose(share * mine + (1 - share) * theirs, exp(coin.log_e(bets, 1)), rel_tol=1e-9)


def test_it_does_not_matter_in_which_portions_pairs_come() -> None:
    once = coin.bet_on_pairs(fresh(), 7, 3)
    often = fresh()
    for step in ((2, 0), (0, 3), (5, 0)):
        often = coin.bet_on_pairs(often, *step)
    assert once == pytest.approx(often)


@pytest.mark.parametrize(("before", "now"), [(1, 2), (1, 40), (7, 9)])
def test_a_restart_leaves_the_evidence_as_it_was(before: int, now: int) -> None:
    """It only puts more of the stake into play."""
    bets = coin.bet_on_pairs(fresh(before), 5, 9)
    later = coin.restarted(bets, before, now)
    assert coin.log_e(later, now) == pytest.approx(coin.log_e(bets, before))
    assert coin.restarted(bets, now, before) == bets


def test_a_day_of_noise_costs_a_late_regression_little() -> None:
    restarts = 144
    lost = coin.bet_on_pairs(fresh(), 50_000, 50_000)
    anew = coin.restarted(lost, 1, restarts)
    assert coin.log_e(coin.bet_on_pairs(lost, 60, 0), 1) < 1
    assert coin.log_e(coin.bet_on_pairs(anew, 60, 0), restarts) > log(1024 / 0.05)


def test_astronomic_counts_do_not_overflow() -> None:
    assert coin.log_e(coin.bet_on_pairs(fresh(), 10**9, 0), 1) > 1e8
    assert coin.log_e(coin.bet_on_pairs(fresh(), 0, 10**9), 1) == pytest.approx(log(0.5))


def test_the_forecast_is_the_growth_that_happens() -> None:
    b, c = 800, 200
    gained = max(coin.bet_on_pairs(fresh(), b, c)) - max(fresh())
    assert gained == pytest.approx(coin.growth(0.8) * (b + c))
    assert coin.growth(0.5) < 0
    gained = max(coin.bet_on_spared(fresh_spared(), 990, 1000, 0.95)) - max(fresh_spared())
    assert gained == pytest.approx(coin.spared_growth(0.99, 0.95) * 1000)
    assert coin.spared_growth(0.95, 0.95) < 0
