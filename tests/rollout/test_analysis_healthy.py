"""The promise: a healthy candidate is taken back in one of a hundred rollouts at most, however often one looks.

Seeds are fixed; `benchmarks/rollout_proof.py` runs the same releases at length, its table is in docs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from shadowproxy.model.rollout import Check
from shadowproxy.rollout.values import Facts, KeyCounts, PairCounts, RouteCounts
from tests.rollout import releases
from tests.rollout.releases import ALPHA, ERRORS, EXACT, Moment, Watched, alarm, plan, step, ztest

RUNS = 2000
TICKS = 12


def equal(_: int) -> Iterator[Moment]:
    return releases.steady(TICKS, 0.1, 18_000, 0.01, 0.01)


def drifting(seed: int) -> Iterator[Moment]:
    return releases.drifting(TICKS, Random(-seed))


def ramping(_: int) -> Iterator[Moment]:
    return releases.ramping(TICKS)


def simpson(_: int) -> Iterator[Moment]:
    return releases.simpson(TICKS)


@pytest.mark.parametrize("release", [equal, drifting, ramping, simpson])
def test_a_healthy_candidate_stays(release: Callable[[int], Iterator[Moment]]) -> None:
    exact = plan(EXACT)
    assert sum(alarm(release(seed), seed, exact) is not None for seed in range(RUNS)) <= ALPHA * RUNS


def test_so_does_one_that_is_as_much_worse_as_tolerated() -> None:
    usual = plan(ERRORS)
    edge = [alarm(releases.steady(TICKS, 0.1, 18_000, 0.01, 0.012), seed, usual) is not None for seed in range(RUNS)]
    assert sum(edge) <= ALPHA * RUNS


def test_the_harness_finds_out_who_must_not_look_at_every_tick() -> None:
    wrong = sum(ztest(releases.steady(360, 0.1, 1000, 0.01, 0.01), seed) for seed in range(200))
    assert wrong > 0.1 * 200
    mixed = sum(ztest(releases.simpson(TICKS), seed) for seed in range(200))
    assert mixed > 0.9 * 200


# -- sticky users


def told(watched: Watched, draw: Random, them: releases.Users, weight: float, ticks: int) -> bool:
    """An epoch in which users are told; whether the candidate is taken back in it."""
    requests = releases.split(3000, weight)
    for keys in releases.keys_by_tick(them, ticks, 60.0):
        facts = Facts(watched.at, 60.0, routes=(RouteCounts("item", requests, (0, 0)),), keys=keys)
        if watched.see(facts, step(weight)):
            return True
    return False


def test_sticky_users_count_once() -> None:
    """Also over four epochs, in each of which the same users are told again with the arm that they have."""
    exact, wrong = plan(EXACT, sticky=True), 0
    for seed in range(RUNS // 4):
        draw, watched = Random(seed), Watched(exact, seed)
        chosen = releases.users(draw, 250, 0.2).chosen
        for epoch in range(4):
            if epoch:
                watched.begin_epoch()
            them = releases.users(Random(seed), 250, 0.2)._replace(chosen=chosen)
            if told(watched, draw, them, 0.2, 10):
                wrong += 1
                break
    assert wrong <= ALPHA * RUNS // 4


def test_sticky_users_of_any_activity_are_no_harm() -> None:
    exact = plan(EXACT, sticky=True)
    wrong = 0
    for seed in range(RUNS):
        draw = Random(seed)
        wrong += told(Watched(exact, seed), draw, releases.users(draw, 200, 0.1), 0.1, 15)
    assert wrong <= ALPHA * RUNS


def test_counted_by_request_they_would_be() -> None:
    """The same users, each request a coin of its own: what fails for a busy user fails for one arm."""
    exact, wrong = plan(EXACT), 0
    for seed in range(150):
        draw, watched = Random(seed), Watched(exact, seed)
        them = releases.users(draw, 250, 0.1)
        rates = [0.0, 0.0]
        for failing, chosen in zip(them.failing, them.chosen, strict=True):
            rates[chosen] += failing * 60.0
        requests = releases.split(900, 0.1)
        for _ in range(30):
            failed = [releases.binomial(draw, 100_000, round(rate / 100_000, 7)) for rate in rates]
            busy = (max(requests[0], failed[0]), max(requests[1], failed[1]))
            facts = Facts(0.0, 60.0, routes=(RouteCounts("item", busy, (failed[0], failed[1])),))
            if watched.see(facts, step(0.1)):
                wrong += 1
                break
    assert wrong > 0.1 * 150


# -- the other sources and checks


def pairs(draw: Random, n: int, alone: float, both: float, slow: float) -> PairCounts:
    """Of n pairs: a share fails on either side alone, one on both; p95 splits a share to either side."""
    ours, theirs, shared = (releases.binomial(draw, n, p) for p in (alone, alone, both))
    splits = releases.binomial(draw, n, slow), releases.binomial(draw, n, slow)
    return PairCounts("item", n - ours - theirs - shared, ours, theirs, shared, {"p95": splits})


def test_mirrored_pairs_of_two_alike_are_no_harm() -> None:
    exact = plan(EXACT, Check("latency_p95", "latency_p95"))
    wrong = 0
    for seed in range(RUNS):
        draw, watched = Random(seed), Watched(exact, seed)
        for _ in range(12):
            facts = Facts(0.0, 60.0, pairs=(pairs(draw, 1000, 0.003, 0.007, 0.02),))
            if watched.see(facts, step(0.0)):
                wrong += 1
                break
    assert wrong <= ALPHA * RUNS


LATENCIES = tuple(Check(name, name, max_relative=0.0, max_absolute=0.0) for name in ("latency_p50", "latency_p99"))


def answers(draw: Random, n: int, bins: list[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for index in draw.choices(bins, k=n):
        found[index] = found.get(index, 0) + 1
    return found


def test_latencies_that_drift_for_both_arms_are_no_harm() -> None:
    """Heavy tails, unequal numbers, and a service that gets slower by and by."""
    exact, wrong = plan(*LATENCIES), 0
    shape = sorted(int(200 + Random(0).expovariate(0.05)) for _ in range(300))
    for seed in range(RUNS // 2):
        draw, watched = Random(seed), Watched(exact, seed)
        for t in range(15):
            bins = [index + 2 * t for index in shape]
            latency = answers(draw, 180, bins), answers(draw, 20, bins)
            if watched.see(Facts(0.0, 60.0, latency=latency), step(0.1)):
                wrong += 1
                break
    assert wrong <= ALPHA * RUNS // 2


def test_the_split_is_not_doubted_in_one_of_a_thousand() -> None:
    this, doubted = plan(Check("sample_ratio", "sample_ratio"), sticky=True), 0
    for seed in range(RUNS):
        draw, watched = Random(seed), Watched(this, seed)
        for _ in range(15):
            mine = releases.binomial(draw, 200, 0.1)
            watched.see(Facts(0.0, 60.0, keys=KeyCounts(seen=(200 - mine, mine))), step(0.1))
        doubted += watched.judged(step(0.1))["sample_ratio"].verdict == "fail"
    assert doubted <= 0.001 * RUNS
