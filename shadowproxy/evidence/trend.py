"""Does something creep up? A series of points, cut into blocks, and bets on the rank of each new block.

Without a trend the median of a block is as likely to be of any rank among all blocks so far: R of j. With a lot V,
uniform in [0, 1), u = (R − V)/j is uniform however the values are distributed, and each factor 1 + λ(2u − 1) is worth
1 on average (sequential ranks, as in the conformal martingales of Vovk et al. 2005). Looking again is free, unlike
with the test of Mann and Kendall. Blocks have to be independent: they are made ten autocorrelation times long.

How steep it is is another question: the slope of Theil and Sen with its interval (Sen 1968).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from math import ceil, log, log1p, sqrt
from statistics import fmean, median
from typing import Final, NamedTuple

from shadowproxy.evidence.coin import log_mean

LAMBDAS: Final = (0.2, 0.4, 0.6, 0.9)
FEWEST: Final = 8
"""Blocks before anything is said."""
MOST: Final = 48
"""At most: all of them are compared with each other."""
TIMES: Final = 10
"""Autocorrelation times in a block, at least."""
_Z: Final = 1.96
_CHANCE: Final = 2.0
"""Standard errors of an autocorrelation that are put down to chance."""

Points = Sequence[tuple[float, float]]
"""(time in seconds, value), rising and evenly spaced."""


class Slope(NamedTuple):
    """Per second, with its interval of 95 %."""

    estimate: float
    lower: float
    upper: float


def blocks(points: Points, least: float) -> list[tuple[float, float]]:
    """Mean time and median value of whole blocks, which are at least `least` seconds and ten autocorrelation times
    long. Where they have to be longer than `least` they are so by a power of two: their cut hardly ever changes.
    """
    if len(points) < 2:
        return []
    spacing = (points[-1][0] - points[0][0]) / (len(points) - 1)
    size = max(ceil(least / spacing - 1e-6), 1)
    wanted = max(TIMES * correlation(points), len(points) / MOST)
    while size < wanted:
        size *= 2
    cut = [points[at : at + size] for at in range(0, len(points) - size + 1, size)]
    return [(fmean(t for t, _ in each), median(v for _, v in each)) for each in cut]


def correlation(points: Points) -> float:
    """The autocorrelation time, in points, of what a straight line leaves; 0 if chance explains it."""
    n = len(points)
    if n < 4:
        return 0.0
    rest = _residuals(points)
    power = sum(x * x for x in rest)
    if power <= 0.0:
        return 0.0
    first = sum(x * y for x, y in pairwise(rest)) / power
    return -1.0 / log(min(first, 0.999)) if first > _CHANCE / sqrt(n) else 0.0


def log_e(values: Sequence[float], lot: Callable[[int], float]) -> float:
    """The logarithm of the evidence that they rise. `lot` draws the V of a block, by its number from 0."""
    bets = [0.0] * len(LAMBDAS)
    for j in range(1, len(values)):
        below = sum(value < values[j] for value in values[:j])
        equal = 1 + sum(value == values[j] for value in values[:j])
        u = (below + equal * (1.0 - lot(j))) / (j + 1)
        bets = [bet + log1p(x * (2.0 * u - 1.0)) for bet, x in zip(bets, LAMBDAS, strict=True)]
    return log_mean(bets)


def slope(points: Points) -> Slope:
    """Of at least two points."""
    n = len(points)
    slopes = sorted((w - v) / (t - s) for (s, v), (t, w) in combinations(points, 2))
    reach = _Z * sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low, high = int((len(slopes) - reach) / 2), ceil((len(slopes) + reach) / 2)
    return Slope(median(slopes), slopes[max(low, 0)], slopes[min(high, len(slopes) - 1)])


def _residuals(points: Points) -> list[float]:
    t0, v0 = fmean(t for t, _ in points), fmean(v for _, v in points)
    spread = sum((t - t0) ** 2 for t, _ in points)
    rise = sum((t - t0) * (v - v0) for t, v in points) / spread
    return [v - v0 - rise * (t - t0) for t, v in points]
