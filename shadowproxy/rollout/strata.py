"""What one tick adds to the bets of each check, source by source.

Sources are *unpaired* counts of users who are split, *pairs* that were mirrored, and the candidate's own counts
against a *limit*. A check's evidence is the mean over its sources, never the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from shadowproxy.evidence import tolerant, unpaired
from shadowproxy.evidence.tolerant import Pairs
from shadowproxy.evidence.unpaired import OVER, UNDER, Bets
from shadowproxy.model.rollout import CLIENT_ERROR_RATE, ERROR_RATE, Check
from shadowproxy.rollout.values import Both, Facts, KeyCounts, PairCounts, RouteCounts

UNPAIRED: Final = "unpaired"
PAIRED: Final = "paired"
LIMIT: Final = "limit"
FLOOR: Final = "floor"
"""Bets only on its being no worse: fewer than the absolute tolerance, whatever the primary does."""

RATES: Final = {ERROR_RATE: "failed", CLIENT_ERROR_RATE: "client_errors"}
"""By kind of check what is counted."""
RELATIVE: Final = 0.1
ABSOLUTE: Final = 0.001
"""The tolerance of rates unless said otherwise."""


class Tolerance(NamedTuple):
    """`ratio` times the primary's and `absolute` beyond it are tolerated, twice the difference is called worse."""

    ratio: float
    absolute: float

    @property
    def bad(self) -> float:
        return 2.0 * self.ratio - 1.0


class Gain(NamedTuple):
    """What `source` adds to bets on harm and to bets on no harm; empty: it has none of these."""

    source: str
    worse: Bets
    better: Bets


def compares(check: Check) -> bool:
    """Whether it looks at the primary at all; with nothing but `max` it does not."""
    return check.max is None or check.max_relative is not None or check.max_absolute is not None


def tolerance(check: Check) -> Tolerance:
    """Of a check of rates."""
    relative = RELATIVE if check.max_relative is None else check.max_relative
    return Tolerance(1.0 + relative, ABSOLUTE if check.max_absolute is None else check.max_absolute)


def sources(check: Check) -> tuple[str, ...]:
    """Those that bet on harm."""
    if check.kind not in RATES:
        return ()
    both = (UNPAIRED, PAIRED) if check.kind == ERROR_RATE else (UNPAIRED,)
    return (both if compares(check) else ()) + ((LIMIT,) if check.max is not None else ())


def of_rates(check: Check, facts: Facts, weight: float, sticky: bool) -> Iterator[Gain]:
    """`weight` is the one in force."""
    what = RATES[check.kind]
    if compares(check):
        limits = tolerance(check)
        if 0.0 < weight < 1.0:
            if sticky and facts.keys is not None:
                yield _of_keys(facts.keys, what, weight, limits)
            elif not sticky:
                yield from (_of_route(route, what, limits) for route in facts.routes if all(route.requests))
        if check.kind == ERROR_RATE:
            yield from (_of_pairs(pairs, limits) for pairs in facts.pairs)
        if limits.absolute:
            n, x = _own(facts, what)
            yield Gain(FLOOR, (), unpaired.gains(UNDER, x, n, limits.absolute))
    if check.max is not None:
        n, x = _own(facts, what)
        yield Gain(LIMIT, unpaired.gains(OVER, x, n, check.max), ())


def _own(facts: Facts, what: str) -> Both:
    """Requests of the candidate, and how many of them went wrong; those of chosen users are its own as well."""
    n = sum(route.requests[1] for route in facts.routes)
    x = sum(getattr(route, what)[1] for route in facts.routes)
    return (n + facts.chosen[0], x + facts.chosen[1]) if what == RATES[ERROR_RATE] else (n, x)


def _of_route(route: RouteCounts, what: str, limits: Tolerance) -> Gain:
    primary, candidate = getattr(route, what)
    share = route.requests[1] / sum(route.requests)
    return _of_counts(candidate, primary + candidate, share, route.requests[1], limits)


def _of_keys(keys: KeyCounts, what: str, weight: float, limits: Tolerance) -> Gain:
    """Each user counts once, by the arm that the hash drew: their requests do not fail independently."""
    primary, candidate = getattr(keys, what)
    return _of_counts(candidate, primary + candidate, weight, keys.seen[1], limits)


def _of_counts(mine: int, every: int, share: float, trials: int, limits: Tolerance) -> Gain:
    harm = unpaired.tolerated(share, limits.ratio)
    bad = unpaired.tolerated(share, limits.bad)
    return Gain(
        UNPAIRED,
        unpaired.gains(OVER, mine, every, harm, trials * limits.absolute),
        unpaired.gains(UNDER, mine, every, bad),
    )


def _of_pairs(pairs: PairCounts, limits: Tolerance) -> Gain:
    counted = Pairs(pairs.neither, pairs.candidate_only, pairs.primary_only, pairs.both)
    return Gain(
        PAIRED,
        tolerant.worse(counted, limits.ratio, limits.absolute),
        tolerant.better(counted, limits.bad),
    )
