"""Pairs split by a pooled quantile are fair coins without harm, whatever the traffic does; and they see the tail."""

from __future__ import annotations

from itertools import product

import pytest

from shadowproxy.evidence.latency import LARGEST, SMALLEST, reduced, splits, stratum_size


@pytest.mark.parametrize(
    ("seconds", "less"), [(0.012, 0.007), (0.03, 0.025), (0.06, 0.05), (1.2, 1.0), (0.004, -0.001)]
)
def test_slower_is_past_a_fifth_and_past_five_milliseconds(seconds: float, less: float) -> None:
    assert reduced([seconds]) == [pytest.approx(less)]


def test_the_tolerance_is_no_slowness() -> None:
    usual = [0.001 * i for i in range(1, 200)]
    assert all(slow == 0 for slow, _ in splits([x * 1.2 for x in usual], usual))
    assert all(slow == 0 for slow, _ in splits([x + 0.005 for x in usual], usual))


def raised(seconds: float) -> float:
    """What `reduced` takes back to `seconds`."""
    return max(seconds * 1.2, seconds + 0.005)


@pytest.mark.parametrize(
    "pairs",
    [
        [(1.0, 2.0)],
        [(1.0, 1.0), (2.0, 2.0)],
        [(1.0, 2.0), (2.0, 3.0), (1.5, 9.0), (4.0, 4.0)],
        [(float(i), float(i * i % 11)) for i in range(12)],
        [(1.0, 50.0)] * 5 + [(2.0, 3.0)] * 5,
    ],
)
def test_given_both_durations_of_each_pair_which_is_whose_is_a_fair_toss(pairs: list[tuple[float, float]]) -> None:
    """Exactly: over all ways to hand the two durations of each pair out, every split pair is each arm's as often."""
    factor = [0.0, 0.0, 0.0]
    ways = list(product((False, True), repeat=len(pairs)))
    for swapped in ways:
        dealt = [(b, a) if swap else (a, b) for swap, (a, b) in zip(swapped, pairs, strict=True)]
        for q, (slow, fast) in enumerate(splits([raised(c) for c, _ in dealt], [r for _, r in dealt])):
            factor[q] += 1.6**slow * 0.4**fast / len(ways)
    assert factor == pytest.approx([1.0, 1.0, 1.0])


def test_ties_are_nobodys() -> None:
    assert splits([raised(1.0)] * 50, [1.0] * 50) == [(0, 0)] * 3


def test_one_pair_has_a_median_and_no_tail() -> None:
    assert splits([5.0], [1.0]) == [(1, 0), (0, 0), (0, 0)]
    assert splits([1.0], [5.0]) == [(0, 1), (0, 0), (0, 0)]


def test_a_slow_tail_is_seen_at_the_tail() -> None:
    usual = [0.01 + 0.0001 * i for i in range(200)]
    slow = [x * 10 if i % 50 == 0 else x for i, x in enumerate(usual)]
    (at_p50, _), (at_p95, _), (at_p99, other) = splits(slow, usual)
    assert (at_p99, other) == (4, 0)
    assert at_p95 == 4
    assert at_p50 == 2, "the two of the four whose usual duration is below the median"


def test_sizes_stay_within_their_bounds() -> None:
    assert [stratum_size(n) for n in (0, 39, 40, 100, 512, 10**9)] == [SMALLEST, SMALLEST, 20, 50, LARGEST, LARGEST]
