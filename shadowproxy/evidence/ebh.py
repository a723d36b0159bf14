"""Which of many hypotheses to report: e-BH (Wang & Ramdas 2022, "False discovery rate control with e-values").

Sort the e-values falling and report the k largest, k the largest number with e_(k) ≥ K/(α k). The expected share of
false ones among those reported is at most α under any dependence, at any moment. K is the capacity of the table,
fixed: one that grows with what was seen breaks the promise.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import log
from typing import Final, TypeVar

CAPACITY: Final = 1024
K = TypeVar("K", bound=Hashable)


def threshold(rank: int, alpha: float, capacity: int = CAPACITY) -> float:
    """The logarithm of what the e-value of this rank (from 1) must reach."""
    return log(capacity / (alpha * rank))


def regressed(log_e: Mapping[K, float], alpha: float, capacity: int = CAPACITY) -> set[K]:
    """The reported keys. `log_e` are logarithms of e-values, of at most `capacity` hypotheses."""
    ranked = sorted(log_e, key=lambda key: log_e[key], reverse=True)
    found = 0
    for rank, key in enumerate(ranked, 1):
        if log_e[key] >= threshold(rank, alpha, capacity):
            found = rank
    return set(ranked[:found])
