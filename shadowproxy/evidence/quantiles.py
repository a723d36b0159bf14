"""Quantiles with intervals that hold at any moment, from a histogram.

The interval is the confidence sequence of Howard & Ramdas 2022 ("Sequential estimation of quantiles"), in closed form:
with probability 1 − α the quantile lies between the sample's at p − f(n) and p + f(n) for all n at once, however often
one looks and whenever one stops. Bounds are edges of bins, outwards. The values are taken to be alike over time:
under drift the interval is about their mixture.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import log, sqrt

from msgspec import Struct

from shadowproxy.model.totals import Distribution


class Bounds(Struct, frozen=True):
    """An estimate and the bounds around it; None: too few values to bound it on that side."""

    estimate: float
    lower: float | None
    upper: float | None


def reach(p: float, count: int, alpha: float) -> float:
    """f(n): how far beside p the quantiles lie that bound the one at p, after `count` values (at least one)."""
    spread = (1.4 * log(max(log(2.1 * count), 1.0)) + log(10.0 / alpha)) / count
    return 1.5 * sqrt(p * (1.0 - p) * spread) + 0.8 * spread


def bounds(values: Distribution, p: float, alpha: float) -> Bounds | None:
    """The quantile at p with its bounds, which hold with probability 1 − α; None without values."""
    estimate = values.quantile(p)
    if estimate is None:
        return None
    by = reach(p, values.count, alpha)
    return Bounds(estimate, _lower_edge(values, p - by), _upper_edge(values, p + by))


def difference(one: Bounds, other: Bounds) -> Bounds:
    """Of two quantiles. Its bounds hold where both hold."""
    lower = None if one.lower is None or other.upper is None else one.lower - other.upper
    upper = None if one.upper is None or other.lower is None else one.upper - other.lower
    return Bounds(one.estimate - other.estimate, lower, upper)


def _lower_edge(values: Distribution, p: float) -> float | None:
    """An edge that at most a share p of the values lie below."""
    if p <= 0.0:
        return None
    index = _bin(values, p)
    return values.edges[index - 1] if index else None


def _upper_edge(values: Distribution, p: float) -> float | None:
    """An edge that at least a share p of the values do not lie above."""
    if p >= 1.0:
        return None
    index = _bin(values, p)
    return values.edges[index] if index < len(values.edges) else None


def _bin(values: Distribution, p: float) -> int:
    """The first bin up to which a share p (more than 0) of the values lie."""
    return bisect_left(list(accumulate(values.bins)), p * values.count)
