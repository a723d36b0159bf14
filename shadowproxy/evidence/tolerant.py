"""Bets on pairs that leave a tolerance: the same request went to both arms, and who failed is known for each.

With C and P the bits of one pair (1: the arm failed), no harm is E[C] ≤ r·E[P] + δ, r a tolerated ratio and δ a floor:
every factor 1 + λ(C − r·P − δ) is worth at most 1 on average as long as 0 ≤ λ < 1/(r + δ). Requests that fail on both
arms hardly move it: that is why pairs need fewer requests than two independent samples (Waudby-Smith & Ramdas 2024).

The other way around, 1 + λ(r·P − C) is worth at most 1 where the candidate fails at least r times as often.
"""

from __future__ import annotations

from functools import lru_cache
from math import log1p
from typing import Final, NamedTuple

from shadowproxy.evidence.coin import LAMBDAS
from shadowproxy.evidence.unpaired import Bets


class Pairs(NamedTuple):
    """Pairs by who failed."""

    neither: float
    candidate: float
    primary: float
    both: float


_Factors = tuple[tuple[float, float, float, float], ...]
_UNDER: Final = (0.2, 0.4, 0.6, 0.8, 0.9)


@lru_cache(maxsize=64)
def _over(ratio: float, floor: float) -> _Factors:
    """By λ the logarithms of the four factors, in the order of `Pairs`."""
    bets = [each / (ratio + floor) for each in LAMBDAS]
    return tuple(
        (log1p(-x * floor), log1p(x * (1 - floor)), log1p(-x * (ratio + floor)), log1p(x * (1 - ratio - floor)))
        for x in bets
    )


@lru_cache(maxsize=64)
def _under(ratio: float) -> _Factors:
    return tuple((0.0, log1p(-x), log1p(x * ratio), log1p(x * (ratio - 1))) for x in _UNDER)


def _gains(factors: _Factors, pairs: Pairs) -> Bets:
    return tuple([sum([n * log for n, log in zip(pairs, each, strict=True)]) for each in factors])


def worse(pairs: Pairs, ratio: float, floor: float) -> Bets:
    """What these pairs add to bets on a candidate that fails more than `ratio` times as often, and by more than
    `floor`.
    """
    return _gains(_over(ratio, floor), pairs)


def better(pairs: Pairs, ratio: float) -> Bets:
    """What they add to bets on a candidate that fails less than `ratio` times as often."""
    return _gains(_under(ratio), pairs)
