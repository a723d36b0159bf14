"""Is a coin heavier on one side? Bets on it over a grid of strengths, begun anew again and again.

*Paired*: of the requests in which exactly one of two answers differs from the primary's, b times it was the
candidate's and c times the second answer of the primary's own version. Without harm each is a fair coin:
E = Σ_k π_k (1 + λ_k)^b (1 − λ_k)^c (evidence from discordant pairs, as in McNemar's test, in betting form:
Waudby-Smith & Ramdas 2024).

*Spared*: chance decides which requests are resampled, and spares a share ρ of them. Look at one further answer of each:
the candidate's of a spared request, the second one of a resampled request, and the candidate's again where a resample
came to nothing. Without harm all differ as often, so that a share ρ of those that differ is of spared requests, however
many resamples come to nothing: E = Σ_k π_k ω_k^x / B_k^m with B_k = 1 + ρ(ω_k − 1), x the spared and m all of them
(Lindon & Malek 2022, with a known ρ).

The smallest bets leave room for arms that are not quite alike: whatever differs at most a tenth more often on the
candidate (of the discordant pairs 52.5 %) never wins one.

*Restarts*: a bet that was lost for a day takes a day to win again. So a share w_j = 1/(j(j+1)) of the stake is kept
back until restart j: the sum of e-processes that begin later, each worth 1 until then, is an e-process itself
(as the e-detectors of Shin, Ramdas & Rinaldo 2024), and a late start costs 2 ln j instead of everything lost before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import exp, inf, log, log1p
from typing import Final

LAMBDAS: Final = (0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
OMEGAS: Final = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 300.0)
_HEADS: Final = tuple(log1p(x) for x in LAMBDAS)
_TAILS: Final = tuple(log1p(-x) for x in LAMBDAS)
_LOG_OMEGAS: Final = tuple(map(log, OMEGAS))


@lru_cache(maxsize=64)
def _log_bounds(share: float) -> tuple[float, ...]:
    """log B_k."""
    return tuple(log1p(share * (omega - 1.0)) for omega in OMEGAS)


def log_sum(values: list[float]) -> float:
    """log Σ exp(values)."""
    largest = max(values)
    if largest == -inf:
        return -inf
    return largest + log(sum([exp(value - largest) for value in values]))


def log_mean(values: Sequence[float]) -> float:
    """The logarithm of the mean of e-values, from their logarithms; of at least one."""
    return log_sum(list(values)) - log(len(values))


def staked(restarts: int) -> float:
    """The share of the stake that is in play after so many restarts (at least 1): Σ w_j for j up to it."""
    return 1.0 - 1.0 / (restarts + 1)


def new_bets(grid: int, restarts: int) -> list[float]:
    """The logarithms of `grid` bets that have seen nothing."""
    return [log(staked(restarts))] * grid


def restarted(bets: list[float], before: int, now: int) -> list[float]:
    """`bets` with the stakes of the restarts after `before` up to `now`, between which nothing was seen."""
    if now <= before:
        return bets
    fresh = log(1.0 / (before + 1) - 1.0 / (now + 1))
    return [log_sum([bet, fresh]) for bet in bets]


def bet_on_pairs(bets: list[float], candidate: int, second: int) -> list[float]:
    """Paired bets after further discordant pairs: `candidate` times the candidate's, `second` times the other."""
    return [bet + candidate * heads + second * tails for bet, heads, tails in zip(bets, _HEADS, _TAILS, strict=True)]


def bet_on_spared(bets: list[float], candidate: int, every: int, share: float) -> list[float]:
    """Spared bets after further differing answers: `candidate` of `every`, of which a `share` is expected."""
    return [
        bet + candidate * at - every * bound
        for bet, at, bound in zip(bets, _LOG_OMEGAS, _log_bounds(share), strict=True)
    ]


def log_e(bets: list[float], restarts: int) -> float:
    """The logarithm of the e-value: the mean of the bets, and the stake that is not in play yet."""
    spread = log(len(bets))
    return log_sum([*bets, spread - log(restarts + 1)]) - spread


def growth(share: float) -> float:
    """By how much the best paired bet's logarithm grows per discordant pair, when a `share` of them is the
    candidate's; not above 0 where no bet wins.
    """
    return max(share * heads + (1.0 - share) * tails for heads, tails in zip(_HEADS, _TAILS, strict=True))


def gain(candidate: int, second: int, trials: int) -> float:
    """By how much the best paired bet's logarithm grows per trial, if what was seen in so many of them goes on.

    One more is counted on each side: nobody bets on a coin that was thrown three times.
    """
    discordant = candidate + second
    return discordant / trials * growth((candidate + 1) / (discordant + 2)) if trials else 0.0


def spared_growth(share: float, expected: float) -> float:
    """The same for spared bets: `share` of the differing answers is the candidate's where `expected` is fair."""
    return max(share * at - bound for at, bound in zip(_LOG_OMEGAS, _log_bounds(expected), strict=True))
