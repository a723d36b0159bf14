"""Releases that are simulated: what a tick of traffic brings, drawn from exact binomial tables.

Everything is coarse: a tick may be ten seconds or a minute, which no rule here takes notice of.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate, repeat
from math import exp, inf, lgamma, log, log1p, pi, sin, sqrt
from random import Random
from typing import NamedTuple

from shadowproxy.model.bins import FINE_EDGES
from shadowproxy.model.rollout import Bake, Check, Plan, Step, Sticky
from shadowproxy.rollout import analysis
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.values import Both, CheckResult, Facts, KeyCounts, PairCounts, RouteCounts

ALPHA = 0.01
Z = 2.326
"""Of a one-sided test at the level of ALPHA."""


@lru_cache(maxsize=4096)
def _table(n: int, p: float) -> tuple[int, list[float]]:
    """The distribution function from a first value on, without what is rarer than a billionth."""
    spread = 8.0 * sqrt(n * p * (1.0 - p)) + 12.0
    first, last = max(0, int(n * p - spread)), min(n, int(n * p + spread))
    whole = lgamma(n + 1)
    mass = [
        exp(whole - lgamma(x + 1) - lgamma(n - x + 1) + x * log(p) + (n - x) * log1p(-p))
        for x in range(first, last + 1)
    ]
    return first, list(accumulate(mass))


def binomial(draw: Random, n: int, p: float) -> int:
    """How many of n come true."""
    if n <= 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    first, upto = _table(n, p)
    return first + min(bisect_left(upto, draw.random()), len(upto) - 1)


def bin_of(seconds: float) -> int:
    return bisect_left(FINE_EDGES, seconds)


class Moment(NamedTuple):
    """One tick: the weight, the requests of the primary and of the candidate, the chance of each to fail, and whether
    a stage begins with it.
    """

    weight: float
    requests: Both
    failing: tuple[float, float]
    begins: bool = False


def split(every: int, weight: float) -> Both:
    mine = round(every * weight)
    return every - mine, mine


def steady(ticks: int, weight: float, every: int, primary: float, candidate: float) -> Iterator[Moment]:
    """`every` requests in each tick."""
    return repeat(Moment(weight, split(every, weight), (primary, candidate)), ticks)


def drifting(ticks: int, draw: Random) -> Iterator[Moment]:
    """A baseline that moves between 0.2 and 5 % in waves of any length and phase, twice as busy at its worst."""
    length, phase = draw.uniform(0.3, 3.0), draw.random()
    for t in range(ticks):
        wave = (1.0 + sin(2.0 * pi * (length * t / ticks + phase))) / 2.0
        p = round(0.002 * 25.0**wave, 4)
        yield Moment(0.1, split(round(18_000 * (1.0 + wave), -2), 0.1), (p, p))


def ramping(ticks: int) -> Iterator[Moment]:
    """1, 2, 5, 10, 25, 50 %, each a stage."""
    weights = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
    for t in range(ticks):
        stage, first = divmod(t, ticks // len(weights))
        weight = weights[min(stage, len(weights) - 1)]
        yield Moment(weight, split(18_000, weight), (0.01, 0.01), begins=first == 0 and t > 0)


def simpson(ticks: int) -> Iterator[Moment]:
    """The weight rises and the service gets worse at the same time, for everybody, within one epoch."""
    for t in range(ticks):
        done = t / ticks
        weight, p = round(0.05 + 0.45 * done, 2), round(0.005 + 0.045 * done, 3)
        yield Moment(weight, split(18_000, weight), (p, p))


def plan(*checks: Check, sticky: bool = False) -> Plan:
    return Plan("v2", (), checks=checks, false_rollback=ALPHA, sticky=Sticky(header="x-user") if sticky else None)


def step(weight: float, stage: int = 0, seconds: float = 600.0) -> Step:
    return Step(stage, 0, "canary", "canary", weight, Bake(seconds))


ERRORS = Check("error_rate", "error_rate")
EXACT = Check("error_rate", "error_rate", max_relative=0.0, max_absolute=0.0)
"""Without any tolerance: what is healthy is as near to harm as it can be."""


class Watched:
    """A rollout of which nothing but the analysis runs: told everything, asked after each tick."""

    def __init__(self, this: Plan, seed: int = 0) -> None:
        self.plan = this
        self.at = 0.0
        self.ledger: Ledger = analysis.begin(this, f"shop:{seed}")

    def see(self, facts: Facts, where: Step) -> bool:
        """Whether the candidate is taken back now."""
        self.at += facts.elapsed
        self.ledger = analysis.observe(self.ledger, self.plan, where, facts, where.weight)
        return analysis.overall(self.ledger, self.plan, where, self.at).harm

    def judged(self, where: Step) -> dict[str, CheckResult]:
        return {result.name: result for result in analysis.judge(self.ledger, self.plan, where, self.at)}

    def begin_epoch(self) -> None:
        self.ledger = analysis.new_epoch(self.ledger)


def errors(draw: Random, moment: Moment) -> Both:
    primary, candidate = (binomial(draw, n, p) for n, p in zip(moment.requests, moment.failing, strict=True))
    return primary, candidate


def alarm(moments: Iterable[Moment], seed: int, this: Plan, tick: float = 60.0) -> float | None:
    """After how many seconds the candidate is taken back for its errors; None: it is not."""
    draw, watched = Random(seed), Watched(this, seed)
    for moment in moments:
        if moment.begins:
            watched.begin_epoch()
        route = RouteCounts("item", moment.requests, errors(draw, moment))
        if watched.see(Facts(watched.at, tick, routes=(route,)), step(moment.weight)):
            return watched.at
    return None


def ztest(moments: Iterable[Moment], seed: int) -> bool:
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


class Users(NamedTuple):
    """When each sticky user is first seen and first fails, seconds; how often one fails, and who is the candidate's."""

    seen: list[float]
    failed: list[float]
    failing: list[float]
    chosen: list[bool]


def users(draw: Random, n: int, weight: float) -> Users:
    """Zipf's activity, from 2 requests a second down; one in twenty has something that breaks a part of the requests,
    whichever arm answers.
    """
    found = Users([], [], [], [])
    for rank in range(1, n + 1):
        rate = 2.0 / rank
        failing = rate * (draw.uniform(0.05, 1.0) if draw.random() < 0.05 else 0.0005)
        fine = rate - failing
        failed = draw.expovariate(failing)
        found.seen.append(min(failed, draw.expovariate(fine) if fine > 0.0 else inf))
        found.failed.append(failed)
        found.failing.append(failing)
        found.chosen.append(draw.random() < weight)
    return found


def keys_by_tick(them: Users, ticks: int, tick: float) -> list[KeyCounts]:
    """What becomes known of users in each tick."""
    seen, failed = ([[0, 0] for _ in range(ticks)] for _ in range(2))
    for times, counts in ((them.seen, seen), (them.failed, failed)):
        for at, chosen in zip(times, them.chosen, strict=True):
            if at < ticks * tick:
                counts[int(at / tick)][chosen] += 1
    return [KeyCounts((a, b), (c, d)) for (a, b), (c, d) in zip(seen, failed, strict=True)]


def pairs_until(seed: int, this: Plan, rates: tuple[float, float], shared: float, portion: int = 50) -> float:
    """How many mirrored pairs it takes, where a `shared` part of the primary's failures is the candidate's as well."""
    draw, watched = Random(seed), Watched(this, seed)
    both = shared * rates[0]
    chances = [round(each, 6) for each in (rates[1] - both, rates[0] - both, both)]
    for n in range(portion, 20_000, portion):
        ours, theirs, common = (binomial(draw, portion, p) for p in chances)
        counted = PairCounts("item", portion - ours - theirs - common, ours, theirs, common)
        if watched.see(Facts(watched.at, 1.0, pairs=(counted,)), step(0.0)):
            return n
    return inf


def late(seed: int, this: Plan, epochs: bool, rate: int = 200) -> float:
    """Minutes until errors that go from 1 to 2 % after a healthy day are found, at 5 % and `rate` requests a second."""
    draw, watched = Random(seed), Watched(this, seed)
    for half_hour in range(48):
        if epochs and half_hour and half_hour % 12 == 0:
            watched.begin_epoch()
        moment = Moment(0.05, split(1800 * rate, 0.05), (0.01, 0.01))
        watched.see(
            Facts(watched.at, 1800.0, routes=(RouteCounts("item", moment.requests, errors(draw, moment)),)), step(0.05)
        )
    began = watched.at
    if epochs:
        watched.begin_epoch()
    for moment in steady(1200, 0.05, 10 * rate, 0.01, 0.02):
        route = RouteCounts("item", moment.requests, errors(draw, moment))
        if watched.see(Facts(watched.at, 10.0, routes=(route,)), step(0.05)):
            return (watched.at - began) / 60.0
    return inf
