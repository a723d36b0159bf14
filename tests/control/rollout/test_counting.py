"""Counters only grow; facts are what came since the ones before, each thing once."""

from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.control.rollout.counting import NOTHING, Bases, Keys, read, since
from shadowproxy.metrics import layout as at
from shadowproxy.model.rollout import Split
from shadowproxy.rollout.facts import KeyCounts, PairCounts, RouteCounts
from tests.metrics.world import World

SPLIT = Split("checkout-v2", weight=0.25)
PRIMARY, CANDIDATE = 0, 1
REQUESTS, FAILED, CLIENT_ERRORS = 0, 1, 2


NONE = (0, 0)
"""Nothing had been written to the rings."""


def bases(world: World, split: Split | None = SPLIT) -> Bases:
    return read(world.counters, world.registry, "shop", 0, "epoch1", split)


def split_counts(world: World, arm: int, requests: int, failed: int = 0, errors: int = 0, block: int = 0) -> None:
    for what, count in ((REQUESTS, requests), (FAILED, failed), (CLIENT_ERRORS, errors)):
        world.add(at.split_word(world.row(), arm, what), count, block)


def note(world: World, h: float, kind: int, block: int = 0, service: int = 0) -> None:
    words = world.counters.block(block)
    words[at.KEYS_AT + words[at.KEYS_WRITTEN] % at.KEY_RING] = at.key_entry(h, service, kind)
    words[at.KEYS_WRITTEN] += 1


def test_requests_of_both_arms_over_all_workers() -> None:
    world = World()
    split_counts(world, PRIMARY, 100, 7)
    before = bases(world)
    split_counts(world, PRIMARY, 10, 1, 2)
    split_counts(world, CANDIDATE, 3, 2, 1, block=1)
    world.add(world.row() + at.CHOSEN, 5)
    world.add(world.row() + at.CHOSEN + 1, 4)
    counted = since(bases(world), before)
    assert counted.routes == (RouteCounts("item", (10, 3), (1, 2), (2, 1)),)
    assert counted.chosen == (5, 4)


def test_a_route_that_is_new_counts_from_its_first_request() -> None:
    world = World()
    before = bases(world)
    split_counts(world, CANDIDATE, 3)
    assert since(bases(world), before).routes == (RouteCounts("item", (0, 3)),)


def test_pairs_by_who_failed_and_by_who_was_slow() -> None:
    world = World()
    before = bases(world)
    world.mirrored(10, mismatches=4)
    for outcome, count in enumerate((5, 3, 2, 1)):
        world.add(at.outcome_word(world.row(), 0) + outcome, count)
    world.add(at.compared_word(world.row(), 0, "incomparable"), 6)
    world.add(at.judged_word(world.row(), 1), 8)
    world.add(at.judged_word(world.row(), 1) + 1, 9)
    counted = since(bases(world), before)
    assert counted.pairs == (PairCounts("item", 5, 3, 2, 1, {"p50": (0, 0), "p95": (9, 8), "p99": (0, 0)}),)
    assert counted.compared == 10
    assert counted.routes == ()


def test_durations_by_bin_and_arm() -> None:
    world = World()
    world.add(at.split_fine_word(0, CANDIDATE) + 7, 2)
    before = bases(world)
    world.add(at.split_fine_word(0, CANDIDATE) + 7, 3, block=1)
    world.add(at.split_fine_word(0, PRIMARY) + 9, 1)
    world.add(at.first_fine_word(0, CANDIDATE) + 7, 1)
    counted = since(bases(world), before)
    assert (counted.latency, counted.firsts) == (({9: 1}, {7: 3}), ({}, {7: 1}))


def test_what_another_split_or_another_instance_counted_is_no_evidence() -> None:
    world = World()
    before = bases(world)
    split_counts(world, CANDIDATE, 3)
    now = bases(world)
    assert since(now, before).routes
    for other in (replace(before, epoch="epoch0"), replace(before, split=None), Bases()):
        assert since(now, other) == NOTHING


def test_other_services_are_left_out() -> None:
    world = World()
    before = bases(world)
    world.add(at.split_word(world.row("mail", "other"), CANDIDATE, REQUESTS), 3)
    note(world, 0.1, at.KEY_SEEN, service=1)
    assert since(bases(world), before) == NOTHING
    assert Keys(world.counters, 0).take(bases(world), before, NONE, 0.5) == KeyCounts()


def test_each_key_counts_once_whichever_workers_saw_it() -> None:
    world = World()
    keys = Keys(world.counters, 0)
    before = bases(world)
    for block in (0, 1):
        note(world, 0.1, at.KEY_SEEN, block)
        note(world, 0.1, at.KEY_FAILED, block)
        note(world, 0.25, at.KEY_SEEN, block)
    note(world, 0.3, at.KEY_CLIENT_ERROR)
    now = bases(world)
    assert keys.take(now, before, NONE, 0.25) == KeyCounts((1, 1), (0, 1), (1, 0))
    note(world, 0.1, at.KEY_SEEN)
    note(world, 0.1, at.KEY_CLIENT_ERROR)
    assert keys.take(bases(world), now, NONE, 0.25) == KeyCounts((0, 0), (0, 0), (0, 1))


def test_a_key_that_is_no_other_requests_is_not_remembered() -> None:
    world = World()
    keys = Keys(world.counters, 0)
    before = bases(world)
    for h in (0.1, 0.1, 0.3):
        note(world, h, at.KEY_FAILED | at.KEY_ONCE)
    assert keys.take(bases(world), before, NONE, 0.25).failed == (1, 2)


def test_in_a_new_epoch_each_counts_again() -> None:
    world = World()
    keys = Keys(world.counters, 0)
    before = bases(world)
    note(world, 0.1, at.KEY_SEEN)
    now = bases(world)
    keys.take(now, before, NONE, 0.25)
    keys.forget()
    note(world, 0.1, at.KEY_SEEN)
    assert keys.take(bases(world), now, NONE, 0.25).seen == (0, 1)


def test_a_process_that_takes_over_knows_what_the_rings_hold() -> None:
    world = World()
    before = bases(world)
    note(world, 0.1, at.KEY_SEEN)
    now = bases(world)
    Keys(world.counters, 0).take(now, before, NONE, 0.25)
    note(world, 0.1, at.KEY_SEEN, block=1)
    note(world, 0.2, at.KEY_SEEN, block=1)
    assert Keys(world.counters, 0).take(bases(world), now, NONE, 0.25).seen == (0, 1)


def test_what_they_hold_of_an_epoch_before_is_not_of_this_one() -> None:
    world = World()
    note(world, 0.1, at.KEY_SEEN)
    began = bases(world).written
    note(world, 0.2, at.KEY_SEEN)
    now = bases(world)
    for h in (0.1, 0.2):
        note(world, h, at.KEY_SEEN, block=1)
    assert Keys(world.counters, 0).take(bases(world), now, began, 0.25).seen == (0, 1)


def test_what_was_overwritten_is_not_read() -> None:
    world = World()
    before = bases(world)
    for number in range(at.KEY_RING + 100):
        note(world, number / 10_000, at.KEY_SEEN)
    seen = sum(Keys(world.counters, 0).take(bases(world), before, NONE, 0.25).seen)
    assert seen == at.KEY_RING - 256
