"""Series that wander without a trend or with one, and when rules call it one."""

from __future__ import annotations

from math import log, sqrt
from random import Random

from shadowproxy.evidence import trend

ENOUGH = log(100.0)


def wandering(draw: Random, n: int, phi: float, rise: float = 0.0) -> list[tuple[float, float]]:
    """An autoregressive series around a line, of variance 1."""
    x, found = draw.gauss(0.0, 1.0), []
    for t in range(n):
        x = phi * x + sqrt(1.0 - phi * phi) * draw.gauss(0.0, 1.0)
        found.append((float(t), x + rise * t))
    return found


def alarm(points: list[tuple[float, float]], least: float, seed: int) -> int | None:
    """After how many points the rise is evident and steeper than nothing, looked at once per block."""
    every = max(round(least), 1)
    lots = Random(seed)
    lot = [lots.random() for _ in range(len(points))]
    for upto in range(every, len(points) + 1, every):
        blocks = trend.blocks(points[:upto], least)
        if len(blocks) < trend.FEWEST:
            continue
        if trend.log_e([value for _, value in blocks], lot.__getitem__) >= ENOUGH and trend.slope(blocks).lower > 0.0:
            return upto
    return None


def kendall(points: list[tuple[float, float]]) -> bool:
    """Whether Mann and Kendall's test says at one of its looks that it rises."""
    score = 0
    for j in range(1, len(points)):
        score += sum((points[j][1] > v) - (points[j][1] < v) for _, v in points[:j])
        n = j + 1
        if n >= trend.FEWEST and score / sqrt(n * (n - 1) * (2 * n + 5) / 18) > 1.645:
            return True
    return False
