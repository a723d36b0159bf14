from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest

from shadowproxy.model.slots import MOST, SECONDS, held_out_from, slot_at

MANY = range(20_000)


def held(share: float, epoch: str = "0123456789abcdef") -> list[int]:
    return [slot for slot in MANY if held_out_from(epoch, slot) < share]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, MOST])
def test_the_share_of_slots_is_what_was_asked_for(share: float) -> None:
    assert len(held(share)) / len(MANY) == pytest.approx(share, rel=0.1)


def test_every_slot_has_neighbours_of_its_own() -> None:
    assert min(later - earlier for earlier, later in pairwise(held(MOST))) == 3


def test_a_larger_share_only_adds_slots() -> None:
    assert set(held(0.01)) < set(held(0.05)) < set(held(MOST))
    assert held(0.0) == []


def test_instances_hold_out_at_other_times_and_processes_of_one_at_the_same() -> None:
    here, there = set(held(0.1)), set(held(0.1, "another"))
    assert len(here & there) < len(here) / 4
    held_out_from.cache_clear()
    assert set(held(0.1)) == here


def test_times_between_slots_follow_no_pattern() -> None:
    gaps = [later - earlier for earlier, later in pairwise(held(0.1))]
    assert len(set(gaps)) > 20


def test_slots_follow_each_other_without_a_gap() -> None:
    assert [slot_at(now) for now in (0.0, 1.999, 2.0, 3.9, 1e9 + 0.5)] == [0, 0, 1, 1, 500_000_000]
    assert SECONDS == 2.0


def test_most_slots_are_never_held_out() -> None:
    assert sum(held_out_from("e", slot) == inf for slot in MANY) > len(MANY) * 0.75
