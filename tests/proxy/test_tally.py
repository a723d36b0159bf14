"""Counts of a split, and the firsts of sticky keys."""

from __future__ import annotations

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.proxy import tally as module
from shadowproxy.proxy.tally import Tally


def tally(index: int = 3, slot: int = 0, workers: int = 1) -> tuple[Tally, memoryview]:
    words = Counters(1).block(0)
    return Tally(index, words, slot, workers), words


def ring(words: memoryview) -> list[tuple[float, int, int]]:
    return [at.key_of(words[at.KEYS_AT + i % at.KEY_RING]) for i in range(words[at.KEYS_WRITTEN])]


def test_requests_count_under_the_arm_that_was_drawn() -> None:
    t, words = tally()
    row = at.route_row(7)
    t.count(row, 0, failed=False, client_error=True)
    t.count(row, 1, failed=True, client_error=False)
    t.count_chosen(row, failed=True)
    assert words[at.split_word(row, 0, 0) : at.split_word(row, 0, 0) + 8].tolist() == [1, 0, 1, 1, 1, 0, 1, 1]


def test_durations_go_to_fine_bins_of_the_arm() -> None:
    t, words = tally(index=3)
    t.count_duration(1, 0.0, first=True)
    t.count_duration(1, 1000.0, first=False)
    every, firsts = at.split_fine_word(3, 1), at.first_fine_word(3, 1)
    assert (words[every], words[every + at.FINE_WORDS - 1]) == (1, 1)
    assert words[firsts] == 1
    assert sum(words[at.SPLIT_FINE_AT : at.KEYS_AT]) == 3


def test_a_key_is_told_once_for_each_thing_that_it_does() -> None:
    t, words = tally(index=3)
    for what in (at.KEY_SEEN, at.KEY_SEEN, at.KEY_FAILED, at.KEY_FAILED, at.KEY_CLIENT_ERROR):
        t.note(0.25, what, once=False)
    t.note(0.5, at.KEY_SEEN, once=False)
    assert ring(words) == [
        (0.25, 3, at.KEY_SEEN),
        (0.25, 3, at.KEY_FAILED),
        (0.25, 3, at.KEY_CLIENT_ERROR),
        (0.5, 3, at.KEY_SEEN),
    ]


def test_a_new_epoch_begins_with_nobody_known() -> None:
    t, words = tally(index=3)
    page = Counters(1).control
    t.hear(page)
    t.note(0.25, at.KEY_SEEN, once=False)
    t.hear(page)
    t.note(0.25, at.KEY_SEEN, once=False)
    assert len(ring(words)) == 1
    page[at.SPLIT_EPOCHS + 3] += 1
    t.hear(page)
    t.note(0.25, at.KEY_SEEN, once=False)
    assert len(ring(words)) == 2


def test_keys_past_the_bound_are_left_out_and_known_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 2)
    t, words = tally()
    for h in (0.1, 0.2, 0.3):
        t.note(h, at.KEY_SEEN, once=False)
    t.note(0.2, at.KEY_FAILED, once=False)
    t.note(0.3, at.KEY_FAILED, once=False)
    assert [(round(h, 3), what) for h, _, what in ring(words)] == [
        (0.1, at.KEY_SEEN),
        (0.2, at.KEY_SEEN),
        (0.2, at.KEY_FAILED),
    ]


def test_keys_of_one_request_are_told_and_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 1)
    t, words = tally()
    for i in range(at.KEY_RING + 5):
        t.note(i / (at.KEY_RING + 5), at.KEY_SEEN, once=True)
    assert words[at.KEYS_WRITTEN] == at.KEY_RING + 5
    t.note(0.5, at.KEY_SEEN, once=False)
    assert at.key_of(words[at.KEYS_AT + 4])[2] == at.KEY_SEEN | at.KEY_ONCE
    assert at.key_of(words[at.KEYS_AT + 5])[0] == 0.5


def test_the_first_answer_of_a_key_is_taken_by_one_worker() -> None:
    shares = [i / 1000 + 1e-7 for i in range(1000)]
    workers = [tally(slot=slot, workers=3)[0] for slot in range(3)]
    takers = [[w.takes_duration(h, once=False) for w in workers] for h in shares]
    assert all(sum(taken) == 1 for taken in takers)
    assert all(250 < sum(taken[slot] for taken in takers) < 420 for slot in range(3))
    assert not any(w.takes_duration(h, once=False) for w in workers for h in shares)
    assert all(any(w.takes_duration(h, once=True) for w in workers) for h in shares)
