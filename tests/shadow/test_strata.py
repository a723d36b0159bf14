"""What a worker spends on durations is bounded; what it counts is what the quantiles split."""

from __future__ import annotations

from itertools import pairwise

import pytest

from shadowproxy.evidence.latency import LARGEST, SMALLEST
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.shadow.strata import PATIENCE, Strata

ROWS = [at.route_row(index) for index in range(40)]


@pytest.fixture(name="counters")
def _counters() -> Counters:
    return Counters(1)


@pytest.fixture(name="words")
def _words(counters: Counters) -> memoryview:
    return counters.block(0)


@pytest.fixture(name="strata")
def _strata(counters: Counters) -> Strata:
    return Strata(counters.block(0), counters.control)


def judged(words: memoryview, row: int = ROWS[0]) -> int:
    return words[row + at.JUDGED]


def fill(strata: Strata, row: int, pairs: int) -> None:
    for _ in range(pairs):
        strata.of(row, 0).add(0.2, 0.1)


def test_strata_grow_with_what_was_seen(words: memoryview, strata: Strata) -> None:
    sizes = []
    for _ in range(2000):
        before = judged(words)
        strata.of(ROWS[0], 0).add(0.2, 0.1)
        strata.tick(1.0)
        if judged(words) > before:
            sizes.append(judged(words) - before)
    assert sizes[:3] == [SMALLEST, SMALLEST, SMALLEST]
    assert sizes[-1] == LARGEST
    assert all(a <= b for a, b in pairwise(sizes))


def test_a_quiet_route_is_weighed_with_what_there_is_once_it_has_waited(words: memoryview, strata: Strata) -> None:
    fill(strata, ROWS[0], 200)
    strata.tick(1.0)
    assert judged(words) == 200
    fill(strata, ROWS[0], SMALLEST)
    strata.tick(2.0)
    strata.tick(2.0 + PATIENCE - 0.1)
    assert judged(words) == 200, "a hundred are wanted next"
    strata.tick(2.0 + PATIENCE)
    assert judged(words) == 200 + SMALLEST


def test_fewer_than_the_least_wait_for_more_however_long_it_takes(words: memoryview, strata: Strata) -> None:
    fill(strata, ROWS[0], SMALLEST - 1)
    strata.tick(1.0)
    strata.tick(1e6)
    assert judged(words) == 0
    strata.close()
    assert judged(words) == SMALLEST - 1, "at the end of the worker nothing is thrown away"


def test_a_tick_weighs_one_stratum_and_every_route_has_its_turn(words: memoryview, strata: Strata) -> None:
    for row in ROWS:
        fill(strata, row, SMALLEST if row % 2 else 1)
    ready = [row for row in ROWS if row % 2]
    for done in range(1, 4 * len(ROWS)):
        strata.tick(1.0)
        assert sum(judged(words, row) for row in ROWS) <= done * SMALLEST
    assert [row for row in ROWS if judged(words, row)] == ready


def test_what_comes_while_a_full_stratum_waits_is_left_out(words: memoryview, strata: Strata) -> None:
    fill(strata, ROWS[0], 10_000)
    strata.tick(1.0)
    assert judged(words) == LARGEST
    strata.tick(2.0)
    assert judged(words) == LARGEST


def test_sides_are_counted_under_their_quantile(words: memoryview, strata: Strata) -> None:
    for i in range(40):
        strata.of(ROWS[0], 0).add(*((0.001, 0.5) if i < 3 else (0.9 + i / 100, 0.1)))
    strata.tick(1.0)
    counts = [words[at.judged_word(ROWS[0], q) + side] for q in range(3) for side in (0, 1)]
    assert counts == [3, 37, 0, 4, 0, 0]


def test_what_was_collected_before_the_evidence_began_anew_is_forgotten(
    counters: Counters, words: memoryview, strata: Strata
) -> None:
    fill(strata, ROWS[0], SMALLEST)
    strata.of(ROWS[1], 1).add(0.2, 0.1)
    counters.control[at.EVIDENCE] += 1
    strata.tick(1.0)
    assert judged(words) == 0
    fill(strata, ROWS[0], SMALLEST)
    strata.tick(1.0)
    assert judged(words) == SMALLEST
    strata.close()
    assert judged(words, ROWS[1]) == 1, "another service goes on"
    fill(strata, ROWS[0], SMALLEST)
    counters.control[at.EVIDENCE] += 1
    strata.close()
    assert judged(words) == SMALLEST
