"""When a rule takes a candidate back: ours, told everything and asked at every tick, and rules not to be used."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, sqrt
from random import Random

from shadowproxy.model.rollout import FAIL, Bake, Check, Plan, Step, Sticky
from shadowproxy.rollout import analysis
from shadowproxy.rollout.facts import Facts, KeyCounts, RouteCounts
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.values import CheckResult
from tests.rollout.releases import (
    HOUR,
    Moment,
    answers,
    binomial,
    errors,
    lognormal,
    pairs,
    split,
    steady,
    told,
    users,
)

ALPHA = 0.01
Z = 2.326
"""Of a one-sided test at the level of ALPHA."""

USUAL = Check("error_rate", "error_rate")
EXACT = Check("error_rate", "error_rate", max_relative=0.0, max_absolute=0.0)
"""Without any tolerance: what is healthy is as near to harm as it can be."""
LATENCIES = tuple(Check(name, name, max_relative=0.0, max_absolute=0.0) for name in ("latency_p50", "latency_p99"))


def plan(*checks: Check, sticky: bool = False) -> Plan:
    return Plan("v2", (), checks=checks, false_rollback=ALPHA, sticky=Sticky(header="x-user") if sticky else None)


def step(weight: float, seconds: float = 600.0) -> Step:
    return Step(0, 0, "canary", "canary", weight, Bake(seconds))


class Watched:
    """A rollout of which nothing but the analysis runs."""

    def __init__(self, this: Plan, seed: int = 0) -> None:
        self.plan = this
        self.at = 0.0
        self.ledger: Ledger = analysis.begin(this, f"shop:{seed}")

    def see(self, facts: Facts, where: Step) -> bool:
        """Whether the candidate is taken back now."""
        self.at += facts.elapsed
        self.ledger = analysis.observe(self.ledger, self.plan, where, facts, where.weight)
        return bool(analysis.overall(self.ledger, self.plan, where, self.at).checks)

    def judged(self, where: Step) -> dict[str, CheckResult]:
        return {result.name: result for result in analysis.judge(self.ledger, self.plan, where, self.at)}

    def begin_epoch(self) -> None:
        self.ledger = analysis.new_epoch(self.ledger)


def of_errors(moments: Iterable[Moment], seed: int, this: Plan, tick: float = 1.0) -> float | None:
    """After how many seconds the candidate is taken back for its errors; None: it is not."""
    draw, watched = Random(seed), Watched(this, seed)
    for moment in moments:
        if moment.begins:
            watched.begin_epoch()
        route = RouteCounts("item", moment.requests, errors(draw, moment))
        if watched.see(Facts(watched.at, tick, routes=(route,)), step(moment.weight)):
            return watched.at
    return None


def of_ztest(moments: Iterable[Moment], seed: int) -> bool:
    """Whether a test of two proportions, at the level of ALPHA, fails the candidate at any of its looks."""
    draw = Random(seed)
    n, x = [0, 0], [0, 0]
    for moment in moments:
        for arm, failed in enumerate(errors(draw, moment)):
            n[arm] += moment.requests[arm]
            x[arm] += failed
        p = sum(x) / sum(n)
        spread = sqrt(p * (1.0 - p) * (1.0 / n[0] + 1.0 / n[1]))
        if spread and (x[1] / n[1] - x[0] / n[0]) / spread > Z:
            return True
    return False


def of_users(seed: int, this: Plan, n: int = 200, weight: float = 0.1, epochs: int = 1, ticks: int = 15) -> bool:
    """Sticky users, told once per epoch; in each epoch the same ones, with the arm that they have."""
    draw, watched = Random(seed), Watched(this, seed)
    them = users(draw, n, weight)
    for epoch in range(epochs):
        if epoch:
            watched.begin_epoch()
        for keys in told(draw, them, ticks, 60.0):
            if watched.see(Facts(watched.at, 60.0, keys=keys), step(weight)):
                return True
    return False


def of_their_requests(seed: int, this: Plan, n: int = 200, weight: float = 0.1, ticks: int = 30) -> bool:
    """The same users, each request a coin of its own."""
    draw, watched = Random(seed), Watched(this, seed)
    them = users(draw, n, weight)
    rates, failing = [0.0, 0.0], [0.0, 0.0]
    for rate, bad, chosen in zip(*them, strict=True):
        rates[chosen] += rate * 60.0
        failing[chosen] += bad * 60.0
    for _ in range(ticks):
        failed = [binomial(draw, 100_000, round(rate / 100_000, 7)) for rate in failing]
        requests = [max(round(rate), bad) for rate, bad in zip(rates, failed, strict=True)]
        route = RouteCounts("item", (requests[0], requests[1]), (failed[0], failed[1]))
        if watched.see(Facts(watched.at, 60.0, routes=(route,)), step(weight)):
            return True
    return False


def of_pairs(seed: int, this: Plan, ticks: int = 12) -> bool:
    """A thousand mirrored pairs in each tick, of two arms that are alike."""
    draw, watched = Random(seed), Watched(this, seed)
    return any(
        watched.see(Facts(watched.at, 60.0, pairs=(pairs(draw, 1000, 0.01, 0.01, 0.7, 0.02),)), step(0.0))
        for _ in range(ticks)
    )


def of_latencies(seed: int, this: Plan, shape: list[int], ticks: int = 15) -> bool:
    """A service that gets slower by and by for both arms; `shape` are bins."""
    draw, watched = Random(seed), Watched(this, seed)
    for t in range(ticks):
        bins = [index + 2 * t for index in shape]
        if watched.see(Facts(watched.at, 60.0, latency=(answers(draw, 180, bins), answers(draw, 20, bins))), step(0.1)):
            return True
    return False


def of_split(seed: int, share: float, ticks: int = 15) -> bool:
    """Whether a split of 10 % is doubted that has this share."""
    this = plan(Check("sample_ratio", "sample_ratio"), sticky=True)
    draw, watched = Random(seed), Watched(this, seed)
    for _ in range(ticks):
        mine = binomial(draw, 200, share)
        watched.see(Facts(watched.at, 60.0, keys=KeyCounts(seen=(200 - mine, mine))), step(0.1))
        if watched.judged(step(0.1))["sample_ratio"].verdict == FAIL:
            return True
    return False


def pairs_until(seed: int, this: Plan, rates: tuple[float, float], shared: float, portion: int = 50) -> float:
    """How many mirrored pairs it takes."""
    draw, watched = Random(seed), Watched(this, seed)
    for n in range(portion, 20_000, portion):
        if watched.see(Facts(watched.at, 1.0, pairs=(pairs(draw, portion, *rates, shared),)), step(0.0)):
            return n
    return inf


def minutes_late(seed: int, this: Plan, hours: int, rate: int = 200) -> float:
    """Minutes until errors that go from 1 to 2 % after healthy hours are found, at 5 % and `rate` requests a second."""
    draw, watched = Random(seed), Watched(this, seed)
    for part, moment in enumerate(steady(6 * hours, 0.05, 600 * rate, 0.01, 0.01)):
        if part and part % 36 == 0:
            watched.begin_epoch()
        route = RouteCounts("item", moment.requests, errors(draw, moment))
        watched.see(Facts(watched.at, HOUR / 6, routes=(route,)), step(0.05))
    began = watched.at
    if hours % 6 == 0:
        watched.begin_epoch()
    for moment in steady(1200, 0.05, 10 * rate, 0.01, 0.02):
        route = RouteCounts("item", moment.requests, errors(draw, moment))
        if watched.see(Facts(watched.at, 10.0, routes=(route,)), step(0.05)):
            return (watched.at - began) / 60.0
    return inf


def seconds_slow(seed: int, check: Check, times: float, share: float, most: int = 200) -> float:
    """Seconds until a share of the answers that takes so many times as long is found, 100 a second at 20 %."""
    draw, watched = Random(seed), Watched(plan(check), seed)
    requests = split(100, 0.2)
    for second in range(1, most + 1):
        latency = lognormal(draw, requests[0]), lognormal(draw, requests[1], times, share)
        if watched.see(Facts(watched.at, 1.0, latency=latency), step(0.2)):
            return second
    return inf
