"""What creeps up is found, what only wanders is not, however often one looks."""

from __future__ import annotations

from itertools import permutations, product
from math import exp
from random import Random

import pytest

from shadowproxy.evidence import trend
from tests.evidence.wandering import alarm, kendall, wandering

pytestmark = pytest.mark.no_cover  # simulations: millions of lines, all of which other tests see as well


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8, 0.95])
def test_what_only_wanders_is_no_trend(phi: float) -> None:
    runs = 500
    wrong = sum(alarm(wandering(Random(seed), 120, phi), 5.0, seed) is not None for seed in range(runs))
    assert wrong <= 0.01 * runs


def test_neither_in_a_short_bake_with_a_block_in_each_tick() -> None:
    wrong = sum(alarm(wandering(Random(seed), 24, 0.3), 1.0, seed) is not None for seed in range(2000))
    assert wrong <= 0.01 * 2000


def test_the_harness_finds_out_who_must_not_look_again_and_again() -> None:
    assert sum(kendall(wandering(Random(seed), 60, 0.0)) for seed in range(200)) > 0.1 * 200


@pytest.mark.parametrize(("n", "least"), [(24, 1.0), (240, 10.0)])
def test_a_steep_rise_is_found_within_the_bake(n: int, least: float) -> None:
    found = [alarm(wandering(Random(seed), n, 0.0, rise=20.0 / n), least, seed) for seed in range(40)]
    assert sum(each is not None for each in found) >= 38


@pytest.mark.parametrize(
    "values", [(1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 2.0, 2.0), (1.0,) * 4], ids=["distinct", "ties", "equal"]
)
def test_each_rank_is_a_fair_bet(values: tuple[float, ...]) -> None:
    """Over all orders and, as every factor is linear in its lot, over two lots of each block."""
    worth = [
        exp(trend.log_e(order, lots.__getitem__))
        for order in permutations(values)
        for lots in product((0.25, 0.75), repeat=4)
    ]
    assert sum(worth) / len(worth) == pytest.approx(1.0)


def test_a_slope_has_an_interval() -> None:
    draw = Random(3)
    found = trend.slope(wandering(draw, 40, 0.0, rise=0.2))
    assert found.lower < 0.2 < found.upper
    assert found.lower > 0.0
    assert trend.slope([(0.0, 1.0), (1.0, 3.0)]) == (2.0, 2.0, 2.0)


def test_blocks_are_ten_autocorrelation_times_long() -> None:
    points = wandering(Random(1), 240, 0.8)
    time = trend.correlation(points)
    assert 3.0 < time < 7.0
    blocks = trend.blocks(points, 1.0)
    assert blocks[1][0] - blocks[0][0] >= trend.TIMES * time
    assert len(trend.blocks(wandering(Random(1), 240, 0.0), 10.0)) == 24
    assert len(trend.blocks(wandering(Random(1), 240, 0.0), 0.0)) == 30


def test_a_straight_line_is_no_correlation() -> None:
    assert trend.correlation([(float(t), 3.0 * t) for t in range(50)]) == 0.0
    assert trend.blocks([(0.0, 1.0)], 1.0) == []
