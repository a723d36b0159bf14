"""Is the candidate slower on the same request? Pairs that a common quantile splits, in strata.

In a stratum of pairs take a quantile of all durations pooled. The pairs that it splits, one duration above and one not,
are fair coins as long as the two arms are alike: given the two durations of each pair, which is whose is a toss, and
the pooled quantile does not depend on it. That holds however the traffic drifts, with ties and heavy tails, and
whatever a request costs. The sign of the difference would be a fair coin as well, but it is blind in the tail: two
requests in a hundred that take ten times as long move it by one percent.

The candidate's duration is first made shorter by the tolerance, so that what counts is slower by more than a fifth
and by more than 5 ms. The proxy's own bias (a primary's duration begins a little before a copy's) lies within that.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from shadowproxy.model.terms import QUANTILES

TOLERATED_SHARE: Final = 0.2
TOLERATED_SECONDS: Final = 0.005
_SHARE_FROM: Final = TOLERATED_SECONDS * (1.0 + TOLERATED_SHARE) / TOLERATED_SHARE
"""From here on (30 ms) the share is the larger of the two."""
SMALLEST: Final = 20
"""Pairs of a stratum, at least."""
LARGEST: Final = 256
"""At most: of so many pairs five values lie above the p99."""
_GROWTH: Final = 2
"""A stratum takes half as many pairs as all before it: the first ones speak soon, the later ones see the tail."""


def stratum_size(before: int) -> int:
    """How many pairs the next stratum takes after `before` pairs in all."""
    return min(max(SMALLEST, before // _GROWTH), LARGEST)


def reduced(durations: Sequence[float]) -> list[float]:
    """The candidate's durations less the tolerance; below zero what was too short to be called slow."""
    whole, part, limit = TOLERATED_SECONDS, 1.0 + TOLERATED_SHARE, _SHARE_FROM
    return [seconds / part if seconds > limit else seconds - whole for seconds in durations]


def splits(candidate: Sequence[float], reference: Sequence[float]) -> list[tuple[int, int]]:
    """By quantile of one stratum: how many pairs it splits with the candidate above it, and with the reference above.

    The durations are seconds, those of a pair at the same index, at least one pair; the candidate's as they were
    measured.
    """
    ours = reduced(candidate)
    pool = sorted([*ours, *reference])
    above = list(zip(ours, reference, strict=True))
    found = []
    for q in QUANTILES.values():  # rising: what is above one quantile is all that can be above the next
        limit = pool[ceil(q * len(pool)) - 1]
        above = [pair for pair in above if pair[0] > limit or pair[1] > limit]
        slow = len([1 for _, theirs in above if theirs <= limit])
        fast = len([1 for mine, _ in above if mine <= limit])
        found.append((slow, fast))
    return found
