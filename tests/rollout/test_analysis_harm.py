"""How soon harm is found: medians over seeded releases, looked at every ten seconds of 100 requests each second."""

from __future__ import annotations

from math import inf
from random import Random
from statistics import median

import pytest

from shadowproxy.model.rollout import FAIL, PASS, Check, Plan
from shadowproxy.rollout.facts import Facts, KeyCounts, RouteCounts
from tests.rollout import alarms
from tests.rollout.alarms import EXACT, USUAL, Watched, plan, step
from tests.rollout.releases import bin_of, binomial, steady

RUNS = 40
OTHERS = tuple(
    Check(name, name) for name in ("client_error_rate", "latency_p50", "latency_p95", "latency_p99", "regressed_fields")
)


def minutes(this: Plan, weight: float, primary: float, candidate: float) -> float:
    moments = [steady(120, weight, 1000, primary, candidate) for _ in range(RUNS)]
    found = [alarms.of_errors(each, seed, this, 10.0) for seed, each in enumerate(moments)]
    return median(inf if at is None else at for at in found) / 60.0


@pytest.mark.parametrize(
    ("weight", "primary", "candidate", "exact", "usual"),
    [(0.1, 0.01, 0.02, 4.2, 8.0), (0.1, 0.01, 0.05, 0.7, 0.8), (0.05, 0.001, 0.01, 2.8, 4.0)],
    ids=["1 to 2 %", "1 to 5 %", "0.1 to 1 % at 5 %"],
)
def test_how_long_errors_take(weight: float, primary: float, candidate: float, exact: float, usual: float) -> None:
    """Without a tolerance, and with the usual one."""
    assert minutes(plan(EXACT), weight, primary, candidate) <= exact
    assert minutes(plan(USUAL), weight, primary, candidate) <= usual


@pytest.mark.parametrize(("shared", "most"), [(0.9, 1600), (0.8, 1900), (0.5, 2700), (0.0, 5600)])
def test_how_many_pairs_errors_take(shared: float, most: int) -> None:
    assert median(alarms.pairs_until(seed, plan(EXACT), (0.01, 0.02), shared) for seed in range(RUNS)) <= most


@pytest.mark.parametrize(("hours", "most"), [(24, 8.0), (29, 18.0)], ids=["an epoch begins", "the epoch is old"])
def test_what_begins_after_a_healthy_day_is_found_as_bets_begin_anew(hours: int, most: float) -> None:
    assert median(alarms.minutes_late(seed, plan(EXACT), hours) for seed in range(12)) <= most


def test_a_dead_candidate_is_found_within_ten_requests_whatever_else_is_checked() -> None:
    watched = Watched(plan(USUAL, *OTHERS))
    dead = Facts(0.0, 1.0, routes=(RouteCounts("item", (19, 1), (0, 1)),))
    assert any(watched.see(dead, step(0.05)) for _ in range(10))


def test_many_checks_share_the_budget_and_one_that_carries_it_is_named() -> None:
    watched = Watched(plan(USUAL, *OTHERS))
    facts = Facts(0.0, 10.0, routes=(RouteCounts("item", (900, 100), (9, 6)),))
    assert any(watched.see(facts, step(0.1)) for _ in range(100))
    failing = [name for name, result in watched.judged(step(0.1)).items() if result.verdict == FAIL]
    assert failing == ["error_rate"]


@pytest.mark.parametrize(
    ("name", "times", "share", "most"),
    [("latency_p99", 10.0, 0.02, 120), ("latency_p50", 1.5, 1.0, 30)],
    ids=["2 % ten times slower", "half as slow again"],
)
def test_how_long_latencies_take(name: str, times: float, share: float, most: float) -> None:
    assert median(alarms.seconds_slow(seed, Check(name, name), times, share) for seed in range(9)) <= most


def test_within_the_tolerance_no_latency_is_harm() -> None:
    check = Check("latency_p50", "latency_p50")
    assert all(alarms.seconds_slow(seed, check, 1.15, 1.0) == inf for seed in range(3))


def test_a_candidate_that_breaks_for_one_user_in_five_is_found_among_a_few_hundred() -> None:
    draw, watched = Random(1), Watched(plan(USUAL, sticky=True))
    users, harm = 0, False
    while not harm:
        mine = binomial(draw, 20, 0.2)
        keys = KeyCounts((20 - mine, mine), (0, binomial(draw, mine, 0.2)))
        users += 20
        harm = watched.see(Facts(0.0, 1.0, keys=keys), step(0.2))
    assert users < 400


@pytest.mark.parametrize("kind", ["error_rate", "latency_p99"])
def test_a_limit_holds_where_nobody_is_left_to_compare_with(kind: str) -> None:
    watched = Watched(plan(Check(kind, kind, max=0.05)))
    good = Facts(
        0.0, 1.0, routes=(RouteCounts("item", (0, 100), (0, 5)),), latency=({}, {bin_of(0.01): 99, bin_of(0.2): 1})
    )
    bad = Facts(
        0.0, 1.0, routes=(RouteCounts("item", (0, 100), (0, 30)),), latency=({}, {bin_of(0.01): 90, bin_of(0.2): 10})
    )
    assert not any(watched.see(good, step(1.0)) for _ in range(30))
    assert watched.judged(step(1.0))[kind].verdict == PASS
    assert any(watched.see(bad, step(1.0)) for _ in range(40))
