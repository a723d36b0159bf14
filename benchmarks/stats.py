"""Medians, spreads and intervals. Pure; the bootstrap has a fixed seed: the same samples give the same report."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 4000
SEED = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some samples between their quartiles; `count` samples."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with the interval that holds it in `level` of the resamples."""

    median: float
    low: float
    high: float
    level: float = 0.95


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of values already in ascending order: a value that was really observed.

    Raises ValueError when there are none or `share` is outside [0, 1].
    """
    if not ordered:
        raise ValueError("a percentile of no values")
    if not 0 <= share <= 1:
        raise ValueError(f"a percentile needs a share within [0, 1], not {share}")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles (linear between ranks, so that few rounds still show a width)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a spread of no values")
    return Spread(median(ordered), _quantile(ordered, 0.25), _quantile(ordered, 0.75), len(ordered))


def median_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The median and its percentile-bootstrap interval (Efron and Tibshirani 1993, chapter 13)."""
    if not values:
        raise ValueError("an interval of no values")
    draw = random.Random(SEED)
    medians = sorted(median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    tail = (1 - level) / 2
    return Interval(median(values), _quantile(medians, tail), _quantile(medians, 1 - tail), level)


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The ratio of the medians of two sets of rounds, each resampled on its own."""
    if not numerators or not denominators:
        raise ValueError("a ratio of no values")
    draw = random.Random(SEED)
    ratios = sorted(
        median(draw.choices(numerators, k=len(numerators))) / median(draw.choices(denominators, k=len(denominators)))
        for _ in range(RESAMPLES)
    )
    return Interval(median(numerators) / median(denominators), _quantile(ratios, 0.025), _quantile(ratios, 0.975))


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
