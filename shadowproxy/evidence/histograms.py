"""Is the candidate slower, other requests on each side? Two histograms of the same bins, stratum by stratum.

In a stratum the answers of both arms are pooled, and those strictly above a quantile of the pool are counted by arm:
what goes above is drawn from all as errors are (`evidence.unpaired`), exactly so with unequal numbers and ties, and
however the traffic drifts. Of a candidate that is slow throughout the pool's p99 shows one answer in a hundred; so
where the primary's own quantile is known from the strata before, it is the limit. It was there first, so that the
counts are drawn as before. The candidate's are first made shorter by the tolerance, down to the lower end of their
bin: within a bin the doubt is the candidate's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple

from shadowproxy.model.bins import FINE_EDGES
from shadowproxy.model.totals import Distribution

Bins = Mapping[int, int]
"""How many values lie in the bins of `FINE_EDGES` that have any."""
NONE: Final[Bins] = {}
FEWEST: Final = 20
"""Earlier answers of the primary from which its quantile is taken."""
_DRIFT: Final = 3.0
"""Times as many of the primary's answers as usual above its quantile: then it is not what it was."""


class Above(NamedTuple):
    """Of a stratum: the candidate's values above the quantile, those of both arms, and the candidate's share of all."""

    candidate: int
    both: int
    share: float


@lru_cache(maxsize=64)
def _reduced(relative: float, absolute: float) -> tuple[int, ...]:
    """By bin the one that its lower end falls into when the larger of both tolerances is taken off."""
    lower = (0.0, *FINE_EDGES)
    return tuple(bisect_right(FINE_EDGES, min(edge / (1.0 + relative), edge - absolute)) for edge in lower)


def summed(one: Bins, other: Bins) -> dict[int, int]:
    found = dict(one)
    for index, count in other.items():
        found[index] = found.get(index, 0) + count
    return found


def quantile(values: Bins, q: float) -> float | None:
    """Seconds; None without values."""
    bins = [0] * (len(FINE_EDGES) + 1)
    for index, count in values.items():
        bins[index] = count
    return Distribution(FINE_EDGES, tuple(bins)).quantile(q)


def above(primary: Bins, candidate: Bins, q: float, relative: float, absolute: float, usual: Bins = NONE) -> Above:
    """`relative` and `absolute` (seconds): the candidate may take longer by the larger of the two. Of one value at
    least. `usual` are earlier answers of the primary.
    """
    shorter = _reduced(relative, absolute)
    ours: dict[int, int] = {}
    for index, count in candidate.items():
        ours[shorter[index]] = ours.get(shorter[index], 0) + count
    mine = sum(ours.values())
    every = mine + sum(primary.values())
    pool = summed(ours, primary)
    limit = _bin(pool, q)
    if sum(usual.values()) >= FEWEST:
        known = _bin(usual, q)
        # If far more lies above than a slow candidate puts there, the traffic has changed, and tells nothing there.
        if _beyond(pool, known) <= mine + _DRIFT * (1.0 - q) * (every - mine):
            limit = min(limit, known)
    return Above(_beyond(ours, limit), _beyond(pool, limit), mine / every)


def _bin(values: Bins, q: float) -> int:
    """The bin of a quantile."""
    number, below = ceil(q * sum(values.values())), 0
    for index in sorted(values):
        below += values[index]
        if below >= number:
            return index
    return 0


def _beyond(values: Bins, limit: int) -> int:
    return sum(count for index, count in values.items() if index > limit)


def longer(values: Bins, seconds: float) -> int:
    """How many values are surely longer."""
    first = bisect_left(FINE_EDGES, seconds) + 1
    return sum(count for index, count in values.items() if index >= first)
