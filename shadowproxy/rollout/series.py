"""Values over time of the checks that look for a slope: differences of median latencies, and scraped values.

A series never grows beyond `MOST` points: neighbours are joined, and further points take as many values.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import Bake
from shadowproxy.rollout.ledger import Cell, Histograms, Series

MOST: Final = 240
BLOCKS: Final = 24
"""Blocks of a bake, by its planned length."""
_CELLS: Final = 10
"""Points of a block, where ticks are short enough."""
_FEWEST: Final = 10
"""Answers of each arm that a point is made of, at least."""


def added(series: Series, at: float, value: float, level: float) -> Series:
    """With one more value. `at` are seconds, later than all before."""
    t, v, own, n = series.gathered
    t, v, own, n = t + at, v + value, own + level, n + 1
    if n < series.every:
        return replace(series, gathered=(t, v, own, n))
    points = (*series.points, (t / n, v / n, own / n))
    if len(points) < MOST:
        return Series(points, series.every)
    pairs = zip(points[::2], points[1::2], strict=True)
    joined = tuple(((a + d) / 2, (b + e) / 2, (c + f) / 2) for (a, b, c), (d, e, f) in pairs)
    return Series(joined, series.every * 2)


def block_seconds(bake: Bake) -> float:
    return bake.seconds / BLOCKS


def gathered(cell: Cell, answers: Histograms, seconds: float) -> Cell:
    return Cell(cell.answers.joined(answers), cell.seconds + seconds)


def is_full(cell: Cell, bake: Bake) -> bool:
    """Whether it makes a point. A moment without any length makes none: points follow each other in time."""
    enough = cell.seconds > 0.0 and cell.seconds * BLOCKS * _CELLS >= bake.seconds
    return enough and min(cell.answers.counts) >= _FEWEST
