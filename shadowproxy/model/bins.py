"""The bins that durations are counted in, by their upper edges in seconds."""

from __future__ import annotations

from typing import Final


def decades(steps: tuple[float, ...], first: float, last: float) -> list[float]:
    """Edges at `steps` (1..10) of every power of ten from `first` up to `last`."""
    edges: list[float] = []
    unit = first
    while unit <= last:
        edges += [round(unit * step, 9) for step in steps if unit * step <= last * 1.0001]
        unit *= 10
    return edges


def _split(edges: tuple[float, ...], parts: int, first_parts: int) -> tuple[float, ...]:
    """Every bin in equal parts; the first one begins at 0."""
    fine: list[float] = []
    low = 0.0
    for high in edges:
        n = parts if fine else first_parts
        fine += [round(low + (high - low) * part / n, 10) for part in range(1, n)] + [high]
        low = high
    return tuple(fine)


DURATION_EDGES: Final = tuple(decades((1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8), 0.0001, 60.0))
"""Of the counters; one more bin takes what is longer."""
FINE_EDGES: Final = _split(DURATION_EDGES, 10, 50)
"""Upper edges of bins of about 2 % (2 µs below 0.1 ms): a difference of a fiftieth is not lost inside one."""
