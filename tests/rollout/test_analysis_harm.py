"""How soon harm is found: medians over seeded releases, looked at every ten seconds of 100 requests each second."""

from __future__ import annotations

from math import inf
from random import Random
from statistics import median

import pytest

from shadowproxy.model.rollout import Check, Plan
from shadowproxy.rollout.values import Facts, KeyCounts, RouteCounts
from tests.rollout import releases
from tests.rollout.releases import ERRORS, EXACT, Watched, alarm, bin_of, late, pairs_until, plan, steady, step

RUNS = 40


def minutes(this: Plan, weight: float, primary: float, candidate: float) -> float:
    found = (alarm(steady(120, weight, 1000, primary, candidate), seed, this, 10.0) for seed in range(RUNS))
    return median(inf if at is None else at for at in found) / 60.0


@pytest.mark.parametrize(
    ("weight", "primary", "candidate", "exact", "usual"),
    [(0.1, 0.01, 0.02, 4.2, 8.0), (0.1, 0.01, 0.05, 0.7, 0.8), (0.05, 0.001, 0.01, 2.8, 4.0)],
    ids=["1 to 2 %", "1 to 5 %", "0.1 to 1 % at 5 %"],
)
def test_how_long_errors_take(weight: float, primary: float, candidate: float, exact: float, usual: float) -> None:
    """Without a tolerance, and with the usual one."""
    assert minutes(plan(EXACT), weight, primary, candidate) <= exact
    assert minutes(plan(ERRORS), weight, primary, candidate) <= usual


@pytest.mark.parametrize(("shared", "most"), [(0.9, 1600), (0.8, 1900), (0.5, 2700), (0.0, 5600)])
def test_how_many_pairs_errors_take(shared: float, most: int) -> None:
    assert median(pairs_until(seed, plan(EXACT), (0.01, 0.02), shared) for seed in range(RUNS)) <= most


def test_what_begins_after_a_healthy_day_is_found_as_epochs_begin_anew() -> None:
    with_epochs = median(late(seed, plan(EXACT), True) for seed in range(12))
    without = median(late(seed, plan(EXACT), False) for seed in range(12))
    assert with_epochs <= 8.0
    assert without > 60.0


def test_a_dead_candidate_is_found_within_ten_requests_whatever_else_is_checked() -> None:
    names = ("client_error_rate", "latency_p50", "latency_p95", "latency_p99", "regressed_fields")
    watched = Watched(plan(ERRORS, *(Check(name, name) for name in names)))
    dead = Facts(0.0, 1.0, routes=(RouteCounts("item", (19, 1), (0, 1)),))
    assert any(watched.see(dead, step(0.05)) for _ in range(10))


def test_many_checks_share_the_budget_and_one_that_carries_it_is_named() -> None:
    names = ("client_error_rate", "latency_p50", "latency_p95", "latency_p99", "regressed_fields")
    watched = Watched(plan(ERRORS, *(Check(name, name) for name in names)))
    facts = Facts(0.0, 10.0, routes=(RouteCounts("item", (900, 100), (9, 6)),))
    harm = False
    while not harm:
        harm = watched.see(facts, step(0.1))
    failing = [name for name, result in watched.judged(step(0.1)).items() if result.verdict == "fail"]
    assert failing == ["error_rate"]


def slow(draw: Random, n: int, times: float, share: float) -> dict[int, int]:
    found: dict[int, int] = {}
    for _ in range(n):
        seconds = draw.lognormvariate(-3.0, 0.5) * (times if draw.random() < share else 1.0)
        found[bin_of(seconds)] = found.get(bin_of(seconds), 0) + 1
    return found


@pytest.mark.parametrize(
    ("name", "times", "share", "most"),
    [("latency_p99", 10.0, 0.02, 180), ("latency_p50", 1.5, 1.0, 60), ("latency_p50", 1.1, 1.0, inf)],
    ids=["2 % ten times slower", "half as slow again", "within the tolerance"],
)
def test_how_long_latencies_take(name: str, times: float, share: float, most: float) -> None:
    """Seconds, of 100 requests each at 20 %."""
    found = []
    for seed in range(5):
        draw, watched = Random(seed), Watched(plan(Check(name, name)))
        at = inf
        for second in range(200):
            latency = slow(draw, 80, 1.0, 0.0), slow(draw, 20, times, share)
            if watched.see(Facts(0.0, 1.0, latency=latency), step(0.2)):
                at = second
                break
        found.append(at)
    assert (median(found) <= most) if most < inf else (min(found) == inf)


def test_a_candidate_that_breaks_for_one_user_in_five_is_found_among_a_few_hundred() -> None:
    draw, watched = Random(1), Watched(plan(ERRORS, sticky=True))
    users, harm = 0, False
    while not harm:
        mine = releases.binomial(draw, 20, 0.2)
        broken = releases.binomial(draw, mine, 0.2)
        keys = KeyCounts((20 - mine, mine), (0, broken))
        users += 20
        harm = watched.see(Facts(0.0, 1.0, keys=keys), step(0.2))
    assert users < 400


@pytest.mark.parametrize("kind", ["error_rate", "latency_p99"])
def test_a_limit_holds_where_nobody_is_left_to_compare_with(kind: str) -> None:
    watched = Watched(plan(Check(kind, kind, max=0.05)))
    good = {bin_of(0.01): 99, bin_of(0.2): 1}, {bin_of(0.01): 99, bin_of(0.2): 1}
    bad = {}, {bin_of(0.01): 90, bin_of(0.2): 10}
    for facts in 30 * [Facts(0.0, 1.0, routes=(RouteCounts("item", (0, 100), (0, 5)),), latency=good)]:
        assert not watched.see(facts, step(1.0))
    assert watched.judged(step(1.0))[kind].verdict == "pass"
    found = [
        watched.see(facts, step(1.0))
        for facts in 40 * [Facts(0.0, 1.0, routes=(RouteCounts("item", (0, 100), (0, 30)),), latency=bad)]
    ]
    assert any(found)
