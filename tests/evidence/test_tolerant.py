"""Pairs with a tolerance: at its edge no bet gains, whatever the two arms have in common."""

from __future__ import annotations

from itertools import product
from math import exp

import pytest

from shadowproxy.evidence import tolerant
from shadowproxy.evidence.tolerant import Pairs

ONE = [Pairs(1, 0, 0, 0), Pairs(0, 1, 0, 0), Pairs(0, 0, 1, 0), Pairs(0, 0, 0, 1)]


def chances(primary: float, candidate: float, shared: float) -> list[float]:
    """Of the four kinds of pair, where a `shared` part of the smaller rate fails on both."""
    both = shared * min(primary, candidate)
    return [1 - primary - candidate + both, candidate - both, primary - both, both]


@pytest.mark.parametrize(("ratio", "floor"), [(1.0, 0.0), (1.1, 0.0), (1.1, 0.001), (2.0, 0.05), (1.0, 0.3)])
def test_at_the_edge_of_the_tolerance_nothing_is_gained(ratio: float, floor: float) -> None:
    for primary, shared in product((0.001, 0.02, 0.2), (0.0, 0.5, 1.0)):
        weights = chances(primary, primary * ratio + floor, shared)
        for k in range(6):
            mean = sum(p * exp(tolerant.worse(pair, ratio, floor)[k]) for p, pair in zip(weights, ONE, strict=True))
            assert mean == pytest.approx(1.0)


@pytest.mark.parametrize("ratio", [1.0, 1.2, 2.0])
def test_no_worse_is_not_shown_at_the_edge_and_less_beyond(ratio: float) -> None:
    for primary, shared, more in product((0.001, 0.02, 0.2), (0.0, 0.5, 1.0), (1.0, 1.5)):
        weights = chances(primary, primary * ratio * more, shared)
        for k in range(5):
            mean = sum(p * exp(tolerant.better(pair, ratio)[k]) for p, pair in zip(weights, ONE, strict=True))
            assert mean <= 1.0 + 1e-9


def test_counts_add_up() -> None:
    once = tolerant.worse(Pairs(90, 4, 2, 3), 1.1, 0.001)
    parts = [
        tolerant.worse(Pairs(*(n * (here == k) for here, n in enumerate((90, 4, 2, 3)))), 1.1, 0.001) for k in range(4)
    ]
    assert once == pytest.approx([sum(each) for each in zip(*parts, strict=True)])


def test_failures_in_common_hardly_move_it() -> None:
    assert abs(max(tolerant.worse(Pairs(0, 0, 0, 10), 1.1, 0.0))) < 0.2
    assert max(tolerant.worse(Pairs(0, 10, 0, 0), 1.1, 0.0)) > 5.0
