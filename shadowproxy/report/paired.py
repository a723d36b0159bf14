"""Latency and errors of the same request, as a report says them: from counts and e-values to values. Pure.

Errors and latency of all routes of a service are one list of hypotheses under e-BH: at most the stated share of what
is listed is there by chance, at any moment, however many routes there are. A fixed threshold for each would have to be
as high for the tenth regressed route as for the first. Its capacity is fixed as well (256 routes, two checks each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log
from typing import Final

from shadowproxy.evidence import coin
from shadowproxy.evidence.ebh import regressed, threshold
from shadowproxy.evidence.paired import ERRORS, PRIMARY_ERRORS, SECONDARY_ERRORS, slower
from shadowproxy.evidence.quantiles import Bounds, bounds, difference
from shadowproxy.model.terms import CANDIDATE, QUANTILES, SECONDARY
from shadowproxy.model.totals import Distribution, Interval, MirrorTotals, RouteTotals
from shadowproxy.report.plain import number, seconds
from shadowproxy.report.values import PairedErrors, PairedLatency

CAPACITY: Final = 512
INTERVAL_ALPHA: Final = 0.05
"""Intervals are 95 % ones; a difference of two quantiles takes half of it for each."""
_LATENCY: Final = "latency"
_LN10: Final = log(10.0)

Paired = tuple[PairedErrors | None, PairedLatency | None]


def judge(
    rows: Sequence[RouteTotals], evidence: Mapping[tuple[str, str], Mapping[str, float]], alpha: float
) -> dict[str, Paired]:
    """By route of one service. `evidence` has logarithms of e-values by check, `alpha` is the false discovery rate."""
    checks = {row.route: evidence.get((row.service, row.route), {}) for row in rows if CANDIDATE in row.mirrors}
    weights = {(route, ERRORS): found.get(ERRORS, 0.0) for route, found in checks.items()}
    weights |= {(route, _LATENCY): slower(found) for route, found in checks.items()}
    capacity = max(CAPACITY, len(weights))
    listed = regressed(weights, alpha, capacity)

    def needed(key: tuple[str, str]) -> float:
        return threshold(len(listed) + (key not in listed), alpha, capacity)

    found: dict[str, Paired] = {}
    for row in rows:
        if row.route in checks:
            one, other = (row.route, ERRORS), (row.route, _LATENCY)
            found[row.route] = (
                _errors(row.mirrors, checks[row.route], needed(one), one in listed),
                _latency(row.mirrors, checks[row.route], needed(other), other in listed),
            )
    return found


def _errors(
    mirrors: Mapping[str, MirrorTotals], checks: Mapping[str, float], needed: float, listed: bool
) -> PairedErrors | None:
    table = mirrors[CANDIDATE].outcomes
    pairs = sum(table.values())
    if not pairs:
        return None
    evidence = checks.get(ERRORS, 0.0)
    secondary = mirrors[SECONDARY].outcomes if SECONDARY in mirrors else {}
    return PairedErrors(
        neither=table["neither"],
        candidate_only=table["shadow_only"],
        primary_only=table["primary_only"],
        both=table["both"],
        evidence=evidence / _LN10,
        needed=needed / _LN10,
        regressed=listed,
        more=None if listed else _more(coin.gain(*mirrors[CANDIDATE].alone, pairs), needed - evidence),
        primary_worse=checks.get(PRIMARY_ERRORS, 0.0) >= needed,
        secondary=secondary if any(secondary.values()) else {},
        secondary_worse=checks.get(SECONDARY_ERRORS, 0.0) >= needed,
    )


def _latency(
    mirrors: Mapping[str, MirrorTotals], checks: Mapping[str, float], needed: float, listed: bool
) -> PairedLatency | None:
    candidate = mirrors[CANDIDATE]
    if not candidate.delta.count:
        return None
    evidence = slower(checks)
    quantiles = _bounds(candidate.delta, INTERVAL_ALPHA)
    secondary = mirrors[SECONDARY].delta if SECONDARY in mirrors else None
    baseline = _bounds(secondary, INTERVAL_ALPHA) if secondary else {}
    calibrated: dict[str, Bounds] = {}
    if secondary and baseline:
        one, other = (_bounds(values, INTERVAL_ALPHA / 2) for values in (candidate.delta, secondary))
        calibrated = {name: difference(one[name], other[name]) for name in QUANTILES}
    missing = needed - evidence
    gain = max((coin.gain(*split, candidate.judged) for split in candidate.splits.values()), default=0.0)
    return PairedLatency(
        pairs=candidate.delta.count,
        quantiles=_intervals(quantiles),
        baseline=_intervals(baseline),
        calibrated=_intervals(calibrated),
        evidence=evidence / _LN10,
        needed=needed / _LN10,
        slower=listed,
        why=_why(candidate, quantiles, checks) if listed else "",
        more=None if listed else _more(gain, missing),
    )


def _bounds(values: Distribution, alpha: float) -> dict[str, Bounds]:
    found = {name: bounds(values, q, alpha) for name, q in QUANTILES.items()}
    return {name: each for name, each in found.items() if each is not None}


def _intervals(found: Mapping[str, Bounds]) -> dict[str, Interval]:
    return {name: Interval(each.estimate, each.lower, each.upper) for name, each in found.items()}


def _why(candidate: MirrorTotals, quantiles: Mapping[str, Bounds], checks: Mapping[str, float]) -> str:
    """The quantile at which it shows most, and by how much."""
    name = max(QUANTILES, key=lambda each: checks.get(each, 0.0))
    found = quantiles[name]
    least = "" if found.lower is None or found.lower <= 0 else f" (at least {seconds(found.lower, sign=True)})"
    ours, theirs = candidate.splits[name]
    return (
        f"{name} of the paired difference {seconds(found.estimate, sign=True)}{least}; of"
        f" {number(ours + theirs, 'pair')} that the common {name} splits the candidate is the slow side in {ours:,}"
    )


def _more(gain: float, missing: float) -> int | None:
    """About how many more pairs bring the missing evidence at this gain per pair; None: it points nowhere."""
    if gain <= 1e-9:
        return None
    pairs = ceil(missing / gain)
    return round(pairs, min(0, 2 - len(str(pairs))))  # two digits: it is an estimate
