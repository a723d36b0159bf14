"""Does the candidate have more than its share of what went wrong? Bets on counts, stratum by stratum.

A stratum is a moment and a route: m things went wrong, x of them on the candidate, which had the share ρ of the
requests. Without harm the x are drawn from the m as the requests were, and for every ω

    E = ∏ ω^x / B^m,   B = 1 + ρ(ω − 1)

is worth at most 1 on average, at any error rate and however it drifts: given m, x is hypergeometric, whose convex means
the binomial bounds (Hoeffding 1963, theorem 4). It is the one-sided, stratified form of Lindon & Malek (NeurIPS 2022).
Nothing may be mixed inside a stratum, neither routes nor weights: that is Simpson's paradox.

The same product answers three questions more. With ω < 1 it grows where the candidate has *less* than its share. With
ρ a limit and m = n requests it tells whether a share of x among n exceeds the limit, without any baseline. And with ρ
the weight and n keys it tells whether the split is the configured one.
"""

from __future__ import annotations

from functools import lru_cache
from math import log, log1p
from typing import Final

Bets = tuple[float, ...]
"""The logarithms of bets of equal stakes, one for each ω."""

OVER: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Bets on more than the share."""
UNDER: Final = (0.9, 0.75, 0.5, 0.25, 0.1)
"""Bets on less."""
ASIDE: Final = (0.5, 0.8, 1.25, 2.0)
"""Bets on another share, in either direction."""


def tolerated(share: float, ratio: float) -> float:
    """The candidate's share of what goes wrong if it may go wrong `ratio` times as often on it."""
    return share * ratio / (1.0 - share + share * ratio)


@lru_cache(maxsize=256)
def _odds(omegas: tuple[float, ...], share: float) -> tuple[tuple[float, float, float], ...]:
    """By ω: log ω, log B, ω/B − 1."""
    bounds = [1.0 + share * (omega - 1.0) for omega in omegas]
    return tuple(
        (log(omega), log1p(share * (omega - 1.0)), omega / bound - 1.0)
        for omega, bound in zip(omegas, bounds, strict=True)
    )


def gains(omegas: tuple[float, ...], mine: int, every: int, share: float, excused: float = 0.0) -> Bets:
    """What one stratum adds to the bets: `mine` of `every` that went wrong, of which a `share` is expected.

    `excused` is how many of the candidate's are expected beyond that and tolerated (an absolute floor times its
    requests): four errors against a baseline of none are nothing as long as four are excused. As a Poisson number of
    them bounds the binomial one, the product stays worth at most 1.
    """
    return tuple(
        [mine * at - every * bound - excused * beyond for at, bound, beyond in _odds(omegas, share)],
    )
