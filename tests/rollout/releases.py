"""Releases that are simulated: an hour of 100 requests a second in ticks of any length, drawn from exact tables."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, repeat
from math import exp, inf, lgamma, log, log1p, pi, sin, sqrt
from random import Random
from typing import NamedTuple

from shadowproxy.model.bins import FINE_EDGES
from shadowproxy.rollout.facts import Both, KeyCounts, PairCounts

HOUR = 3600.0
RATE = 100
"""Requests a second."""


@lru_cache(maxsize=4096)
def _table(n: int, p: float) -> tuple[int, list[float]]:
    """The distribution function from a first value on, without what is rarer than a billionth."""
    spread = 8.0 * sqrt(n * p * (1.0 - p)) + 12.0
    first, last = max(0, int(n * p - spread)), min(n, int(n * p + spread))
    whole = lgamma(n + 1)
    yes, no = log(p), log1p(-p)
    mass = [exp(whole - lgamma(x + 1) - lgamma(n - x + 1) + x * yes + (n - x) * no) for x in range(first, last + 1)]
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


def errors(draw: Random, moment: Moment) -> Both:
    primary, candidate = (binomial(draw, n, p) for n, p in zip(moment.requests, moment.failing, strict=True))
    return primary, candidate


def steady(ticks: int, weight: float, every: int, primary: float, candidate: float) -> Iterator[Moment]:
    """`every` requests in each tick."""
    return repeat(Moment(weight, split(every, weight), (primary, candidate)), ticks)


def of_an_hour(ticks: int) -> int:
    """Requests of a tick."""
    return round(HOUR * RATE / ticks)


def equal(ticks: int, _: Random) -> Iterator[Moment]:
    return steady(ticks, 0.1, of_an_hour(ticks), 0.01, 0.01)


def edge(ticks: int, _: Random) -> Iterator[Moment]:
    """As much worse as the usual tolerance allows."""
    return steady(ticks, 0.1, of_an_hour(ticks), 0.01, 0.012)


def drifting(ticks: int, draw: Random) -> Iterator[Moment]:
    """A baseline that moves between 0.2 and 5 % in waves of any length and phase, twice as busy at its worst."""
    length, phase = draw.uniform(0.3, 3.0), draw.random()
    for t in range(ticks):
        wave = (1.0 + sin(2.0 * pi * (length * t / ticks + phase))) / 2.0
        p = round(0.002 * 25.0**wave, 4)
        yield Moment(0.1, split(round(of_an_hour(ticks) * (0.7 + 0.6 * wave), -2), 0.1), (p, p))


def ramping(ticks: int, _: Random) -> Iterator[Moment]:
    """1, 2, 5, 10, 25, 50 %, each a stage."""
    weights = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
    for t in range(ticks):
        stage, first = divmod(t, ticks // len(weights))
        weight = weights[min(stage, len(weights) - 1)]
        yield Moment(weight, split(of_an_hour(ticks), weight), (0.01, 0.01), begins=first == 0 and t > 0)


def simpson(ticks: int, _: Random) -> Iterator[Moment]:
    """The weight rises and the service gets worse at the same time, for everybody, within one epoch."""
    for t in range(ticks):
        done = t / ticks
        weight, p = round(0.05 + 0.45 * done, 2), round(0.005 + 0.045 * done, 3)
        yield Moment(weight, split(of_an_hour(ticks), weight), (p, p))


class Users(NamedTuple):
    """Of each sticky user: requests and failing requests a second, and whether the candidate's."""

    rates: list[float]
    failing: list[float]
    chosen: list[bool]


def users(draw: Random, n: int, weight: float) -> Users:
    """Zipf's activity, from 2 requests a second down; one in twenty has something that breaks a part of the requests,
    whichever arm answers.
    """
    rates = [2.0 / rank for rank in range(1, n + 1)]
    failing = [rate * (draw.uniform(0.05, 1.0) if draw.random() < 0.05 else 0.0005) for rate in rates]
    return Users(rates, failing, [draw.random() < weight for _ in rates])


def told(draw: Random, them: Users, ticks: int, tick: float) -> list[KeyCounts]:
    """What becomes known of users in each tick of one epoch."""
    seen, failed = ([[0, 0] for _ in range(ticks)] for _ in range(2))
    for rate, failing, chosen in zip(*them, strict=True):
        fails = draw.expovariate(failing)
        comes = min(fails, draw.expovariate(rate - failing) if rate > failing else inf)
        for at, counts in ((comes, seen), (fails, failed)):
            if at < ticks * tick:
                counts[int(at / tick)][chosen] += 1
    return [KeyCounts((a, b), (c, d)) for (a, b), (c, d) in zip(seen, failed, strict=True)]


def pairs(draw: Random, n: int, primary: float, candidate: float, shared: float, slow: float = 0.0) -> PairCounts:
    """Of n pairs; a `shared` part of the primary's failures is the candidate's as well, p95 splits a share `slow` to
    either side.
    """
    both = shared * primary
    ours, theirs, common = (binomial(draw, n, round(p, 6)) for p in (candidate - both, primary - both, both))
    splits = binomial(draw, n, slow), binomial(draw, n, slow)
    return PairCounts("item", n - ours - theirs - common, ours, theirs, common, {"p95": splits})


def answers(draw: Random, n: int, bins: list[int]) -> dict[int, int]:
    """A histogram of n of them."""
    found: dict[int, int] = {}
    for index in draw.choices(bins, k=n):
        found[index] = found.get(index, 0) + 1
    return found


def lognormal(draw: Random, n: int, times: float = 1.0, share: float = 1.0) -> dict[int, int]:
    """About 50 ms; a share of the answers takes so many times as long."""
    return answers(
        draw, n, [bin_of(draw.lognormvariate(-3.0, 0.5) * (times if draw.random() < share else 1.0)) for _ in range(n)]
    )
