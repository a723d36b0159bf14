"""How much mirroring adds to quantiles of the primary's latency, with an interval, from matched windows. Pure.

A window in which nothing is mirrored comes with one of the same length just before it and one just after it. Were
mirroring without effect, nothing would tell the three apart, whatever load does. So the estimate is the mean of

    (quantile before + quantile after) / 2 - quantile inside

over groups of such windows. The two sides are not pooled: twice as many requests see a burst twice as often, and it
would bend their upper quantiles alone. Here that, and what interpolating inside bins and small numbers do to a
quantile, is the same three times and cancels; so does a steady drift.

The interval is Student's over the groups (batch means: windows that follow each other stay together, so what lasts for
minutes disturbs few groups). It is the one for a look at any one moment: looked at all day, it misses now and then.

Memory is constant: at most 24 batches are kept. When they are full neighbours are merged, up to 64 windows a batch;
then the oldest is forgotten, so that what is said stays about the recent past.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, sqrt
from operator import add
from statistics import fmean, stdev
from typing import Final

from shadowproxy.metrics import layout as at
from shadowproxy.model.totals import Distribution, Interval

MOST_BATCHES: Final = 24
MOST_WINDOWS: Final = 64
LEAST_GROUPS: Final = 8
LEAST_REQUESTS: Final = 40
"""In each of the three windows."""

PERCENTILES: Final = {"p50": (0.5, LEAST_REQUESTS), "p95": (0.95, 100), "p99": (0.99, 500)}
"""The share, and how many requests each part of a group needs: five beyond the quantile."""

_T: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)
_T_ON: Final = (2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069)
STUDENT: Final = (*_T, *_T_ON)
"""Two-sided 95 % points of Student's t for 1, 2, … degrees of freedom."""

Windows = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Histograms over `FINE_EDGES`: before, inside, after."""


class Estimate:
    """`add` windows, ask what is `added`."""

    def __init__(self) -> None:
        self.count = 0
        self._batches: list[Windows] = []
        self._size = 1
        self._open: list[Windows] = []
        self._fewest = 0
        self._added: dict[str, Interval] | None = None

    def add(self, windows: Windows) -> None:
        """`windows` have at least LEAST_REQUESTS each."""
        self.count += 1
        self._added = None
        self._fewest += fewest(windows)
        self._open.append(windows)
        if len(self._open) < self._size:
            return
        if len(self._batches) == MOST_BATCHES:
            if self._size < MOST_WINDOWS:
                self._batches = [pooled(self._batches[i : i + 2]) for i in range(0, MOST_BATCHES, 2)]
                self._size *= 2
                return  # what is open is half of a batch now
            del self._batches[0]
        self._batches.append(pooled(self._open))
        self._open = []

    def added(self) -> dict[str, Interval]:
        """By percentile, seconds, with both bounds. Those that lack groups are missing."""
        if self._added is not None:
            return self._added
        found = self._added = {}
        for name, (share, needed) in PERCENTILES.items():
            differences = [_difference(group, share) for group in _groups(self._batches, needed)]
            if len(differences) >= LEAST_GROUPS:
                found[name] = interval(differences)
        return found

    def more(self, expected: float) -> dict[str, int]:
        """About how many more windows each missing percentile needs. `expected`: requests in one, if none is known."""
        each = self._fewest / self.count if self.count else max(expected, LEAST_REQUESTS)
        known = self.added()
        return {
            name: max(1, LEAST_GROUPS * ceil(needed / each) - self.count)
            for name, (_, needed) in PERCENTILES.items()
            if name not in known
        }


def fewest(windows: Windows) -> int:
    """The requests in that of the three with fewest: a rule that looked at one alone would favour it."""
    return min(sum(bins) for bins in windows)


def pooled(batches: Sequence[Windows]) -> Windows:
    """Each of the three parts summed over the batches."""
    whole = batches[0]
    for batch in batches[1:]:
        before, inside, after = (list(map(add, *parts)) for parts in zip(whole, batch, strict=True))
        whole = before, inside, after
    return whole


def interval(differences: Sequence[float]) -> Interval:
    """Mean and 95 % interval of at least two differences."""
    n = len(differences)
    mean = fmean(differences)
    half = STUDENT[n - 2] * stdev(differences, mean) / sqrt(n)
    return Interval(mean, mean - half, mean + half)


def _groups(batches: Sequence[Windows], needed: int) -> Iterator[Windows]:
    """Neighbouring batches together until each part has `needed` requests. A rest that has not is left out."""
    waiting: list[Windows] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(fewest, waiting)) >= needed:
            yield pooled(waiting)
            waiting = []


def _difference(windows: Windows, share: float) -> float:
    before, inside, after = (Distribution(at.FINE_EDGES, tuple(bins)).quantile(share) or 0.0 for bins in windows)
    return (before + after) / 2 - inside
