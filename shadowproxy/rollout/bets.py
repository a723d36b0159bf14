"""What one tick adds to the bets of each check, source by source.

Sources are *unpaired* counts of users who are split, *pairs* that were mirrored, and the candidate's own counts
against a *limit*. A check's evidence is the mean over its sources, never the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from shadowproxy.evidence import coin, histograms, latency, tolerant, unpaired
from shadowproxy.evidence.tolerant import Pairs
from shadowproxy.evidence.unpaired import OVER, UNDER, Bets
from shadowproxy.model.rollout import CLIENT_ERROR_RATE, ERROR_RATE, LATENCY_P50, LATENCY_P95, LATENCY_P99, Check
from shadowproxy.model.terms import QUANTILES
from shadowproxy.rollout.facts import Both, Facts, KeyCounts, PairCounts, RouteCounts
from shadowproxy.rollout.pooling import Strata

UNPAIRED: Final = "unpaired"
PAIRED: Final = "paired"
LIMIT: Final = "limit"
FLOOR: Final = "floor"
"""Bets only on its being no worse: fewer than the absolute tolerance, whatever the primary does."""

RATES: Final = {ERROR_RATE: "failed", CLIENT_ERROR_RATE: "client_errors"}
"""By kind of check what is counted."""
LATENCIES: Final = {LATENCY_P50: "p50", LATENCY_P95: "p95", LATENCY_P99: "p99"}
MEASURED: Final = frozenset({*RATES, *LATENCIES})
"""Kinds that bet on what users and copies met. They alone can show that the candidate is not worse."""


class Tolerance(NamedTuple):
    """Of a rate: `relative` more than the primary's, and `absolute` beyond that. Of a latency the larger of the two.

    What is shown not to be worse is shown to lie within twice that.
    """

    relative: float
    absolute: float


RATE: Final = Tolerance(0.1, 0.001)
LATENCY: Final = Tolerance(latency.TOLERATED_SHARE, latency.TOLERATED_SECONDS)


class Gain(NamedTuple):
    """What `source` adds to bets on harm and to bets on no harm; empty: it has none of these."""

    source: str
    worse: Bets
    better: Bets


def compares(check: Check) -> bool:
    """Whether it looks at the primary at all; with nothing but `max` it does not."""
    return check.max is None or check.max_relative is not None or check.max_absolute is not None


def tolerance(check: Check) -> Tolerance:
    """What is not said is 10 % and 0.1 percentage points of rates, 20 % and 5 ms of latencies."""
    usual = RATE if check.kind in RATES else LATENCY
    return Tolerance(
        usual.relative if check.max_relative is None else check.max_relative,
        usual.absolute if check.max_absolute is None else check.max_absolute,
    )


def sources(check: Check) -> tuple[str, ...]:
    """Those that bet on harm; none of a check that does not bet."""
    if check.kind not in MEASURED:
        return ()
    found: list[str] = []
    if compares(check):
        found.append(UNPAIRED)
        if has_pairs(check):
            found.append(PAIRED)
    if check.max is not None:
        found.append(LIMIT)
    return tuple(found)


def proofs(check: Check) -> tuple[str, ...]:
    """Those that bet on its being no worse than the primary; where nothing is compared, within the limit."""
    if not compares(check):
        return (LIMIT,)
    beside = tuple(source for source in sources(check) if source != LIMIT)
    return (*beside, FLOOR) if check.kind in RATES else beside


def has_pairs(check: Check) -> bool:
    """Whether mirrored pairs say something of it. Workers weigh their durations with a tolerance of their own, which
    is evidence only where nothing more is tolerated; client errors of pairs are fields that differ.
    """
    if check.kind in LATENCIES:
        return all(mine <= theirs for mine, theirs in zip(tolerance(check), LATENCY, strict=True))
    return check.kind == ERROR_RATE


def gains(check: Check, facts: Facts, full: Strata, weight: float, sticky: bool) -> Iterator[Gain]:
    """`weight` is the one in force, `full` are the strata of users who are split that are compared now."""
    if check.kind in RATES:
        return _of_rates(check, facts, full, weight, sticky)
    return _of_latencies(check, facts, full) if check.kind in LATENCIES else iter(())


def _of_rates(check: Check, facts: Facts, full: Strata, weight: float, sticky: bool) -> Iterator[Gain]:
    what = RATES[check.kind]
    if compares(check):
        limits = tolerance(check)
        if sticky and facts.keys is not None and 0.0 < weight < 1.0:
            yield _of_keys(facts.keys, what, weight, limits)
        yield from (_of_route(route, what, limits) for route in full.routes)
        if has_pairs(check) and facts.pairs:
            yield _of_pairs(facts.pairs, limits)
        if limits.absolute:
            n, x = _met(facts, what) if sticky else _own(facts, what)
            yield Gain(FLOOR, (), unpaired.gains(UNDER, x, n, limits.absolute))
    if check.max is not None:
        n, x = _own(facts, what)
        yield Gain(LIMIT, unpaired.gains(OVER, x, n, check.max), unpaired.gains(UNDER, x, n, check.max))


def _own(facts: Facts, what: str) -> Both:
    """Requests of the candidate, and how many of them went wrong. That chosen users' and mirrored ones failed is known
    as well.
    """
    n = sum(route.requests[1] for route in facts.routes)
    x = sum(getattr(route, what)[1] for route in facts.routes)
    if what == RATES[ERROR_RATE]:
        n += facts.chosen[0] + sum(pairs.number for pairs in facts.pairs)
        x += facts.chosen[1] + sum(pairs.failed[1] for pairs in facts.pairs)
    return n, x


def _met(facts: Facts, what: str) -> Both:
    """As `_own` where users are sticky: each counts once, and as failed whichever of its requests failed. That is more
    than its first request says, so that what is shown of users holds for requests that are independent. Of mirrored
    requests each counts, as for PAIRED.
    """
    n, x = (facts.keys.seen[1], getattr(facts.keys, what)[1]) if facts.keys else (0, 0)
    if what == RATES[ERROR_RATE]:
        n += sum(pairs.number for pairs in facts.pairs)
        x += sum(pairs.failed[1] for pairs in facts.pairs)
    return n, x


def _of_route(route: RouteCounts, what: str, limits: Tolerance) -> Gain:
    primary, candidate = getattr(route, what)
    share = route.requests[1] / sum(route.requests)
    return _of_counts(candidate, primary + candidate, share, route.requests[1], limits)


def _of_keys(keys: KeyCounts, what: str, weight: float, limits: Tolerance) -> Gain:
    """Each user counts once, by the arm that the hash drew: their requests do not fail independently."""
    primary, candidate = getattr(keys, what)
    return _of_counts(candidate, primary + candidate, weight, keys.seen[1], limits)


def _of_counts(mine: int, every: int, share: float, trials: int, limits: Tolerance) -> Gain:
    harm = unpaired.tolerated(share, 1.0 + limits.relative)
    bad = unpaired.tolerated(share, 1.0 + 2.0 * limits.relative)
    return Gain(
        UNPAIRED,
        unpaired.gains(OVER, mine, every, harm, trials * limits.absolute),
        unpaired.gains(UNDER, mine, every, bad),
    )


def _of_pairs(pairs: Sequence[PairCounts], limits: Tolerance) -> Gain:
    """Each pair is a stratum of its own, so that those of all routes can be added up."""
    counted = Pairs(
        sum(each.neither for each in pairs),
        sum(each.candidate_only for each in pairs),
        sum(each.primary_only for each in pairs),
        sum(each.both for each in pairs),
    )
    return Gain(
        PAIRED,
        tolerant.worse(counted, 1.0 + limits.relative, limits.absolute),
        tolerant.better(counted, 1.0 + 2.0 * limits.relative),
    )


def _of_latencies(check: Check, facts: Facts, full: Strata) -> Iterator[Gain]:
    name, stratum = LATENCIES[check.kind], full.answers
    q = QUANTILES[name]
    if compares(check):
        more, absolute = tolerance(check)
        if stratum is not None:
            arms = stratum.primary, stratum.candidate
            slow = histograms.above(*arms, q, more, absolute, full.usual)
            late = histograms.above(*arms, q, 2.0 * more, 2.0 * absolute, full.usual)
            yield Gain(UNPAIRED, unpaired.gains(OVER, *slow), unpaired.gains(UNDER, *late))
        if has_pairs(check) and facts.pairs:
            splits = [each.splits.get(name, (0, 0)) for each in facts.pairs]
            yield _of_splits(sum(slow for slow, _ in splits), sum(fast for _, fast in splits))
    if check.max is not None:
        own = facts.latency[1]
        counts = histograms.longer(own, check.max), sum(own.values()), 1.0 - q
        yield Gain(LIMIT, unpaired.gains(OVER, *counts), unpaired.gains(UNDER, *counts))


def _of_splits(slow: int, fast: int) -> Gain:
    """Of pairs that a quantile splits: the candidate above it, and the primary above it."""
    fresh = [0.0] * len(coin.LAMBDAS)
    return Gain(PAIRED, tuple(coin.bet_on_pairs(fresh, slow, fast)), tuple(coin.bet_on_pairs(fresh, fast, slow)))
