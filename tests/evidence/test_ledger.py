"""The ledger: what the bits of many fields come to, and what it says while it is not sure."""

from __future__ import annotations

from math import inf, log, nan
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.evidence import FieldLedger, FieldRow
from shadowproxy.evidence.ledger import NOISE, OPEN, REGRESSED, RESTART_EVERY, UNTOLD

WEEK = 7 * 86400.0
PRICE = ("item", "$.price", "body_value")
TIME = ("item", "$.at", "body_value")


def ledger(share: float = 0.0, capacity: int = 1024, triples: int = 1000) -> FieldLedger:
    made = FieldLedger(0.0, 0.05, share, capacity)
    made.triples["item"] = triples
    return made


def test_a_field_that_only_the_candidate_changes_is_found_after_about_twenty_times() -> None:
    book = ledger()
    found = []
    while not found:
        book.add(PRICE, 1, 0, 0, 0, 1.0)
        found = list(book.listed(1.0))
    assert (found, book.rows[PRICE].candidate) == ([PRICE], 19)


def test_a_field_that_differs_as_much_by_itself_is_noise() -> None:
    book = ledger()
    book.add(TIME, 40, 41, 900, 0, 1.0)
    verdict = book.judge(TIME, 1.0, WEEK)
    assert (verdict.state, verdict.more, list(book.noisy(1.0, WEEK))) == (NOISE, None, [TIME])


def test_what_differs_too_rarely_to_tell_is_open_and_says_how_many_more_pairs_it_needs() -> None:
    book = ledger(triples=500)
    book.add(PRICE, 5, 0, 0, 0, 1.0)
    verdict = book.judge(PRICE, 1.0, WEEK)
    assert verdict.state == OPEN
    assert verdict.more is not None
    assert 1000 < verdict.more < 4000
    book.triples["item"] += verdict.more
    book.add(PRICE, verdict.more // 100, 0, 0, 0, 1.0)
    assert book.judge(PRICE, 1.0, WEEK).state == REGRESSED


def test_noise_that_doubles_on_the_candidate_is_no_longer_called_noise() -> None:
    book = ledger(triples=2000)
    book.add(TIME, 30, 15, 5, 0, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == NOISE
    book.add(TIME, 90, 45, 5, 0, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == OPEN
    book.add(TIME, 300, 120, 50, 0, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == REGRESSED
    assert list(book.noisy(1.0, WEEK)) == []


def test_a_field_of_which_second_answers_mostly_say_nothing_is_not_told_apart() -> None:
    book = ledger()
    book.add(TIME, 0, 0, 0, 0, 1.0, missed=2)
    assert book.judge(TIME, 1.0, WEEK).state == OPEN
    book.add(TIME, 0, 0, 0, 0, 1.0, missed=1)
    verdict = book.judge(TIME, 1.0, WEEK)
    assert (verdict.state, verdict.evidence) == (UNTOLD, 0.0)
    book.add(PRICE, 1, 0, 2, 90, 1.0, missed=3)
    assert book.judge(PRICE, 1.0, WEEK).state == OPEN
    book.add(TIME, 0, 0, 5, 0, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == NOISE


def test_before_twenty_second_answers_nothing_is_noise() -> None:
    book = ledger(triples=19)
    book.add(TIME, 0, 0, 19, 0, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == OPEN
    book.triples["item"] = 20
    assert book.judge(TIME, 1.0, WEEK).state == NOISE


def test_noise_that_was_not_seen_for_long_is_forgotten() -> None:
    book = ledger()
    book.add(TIME, 10, 10, 100, 0, 1.0)
    book.add(TIME, 1, 0, 0, 0, WEEK)
    assert list(book.noisy(WEEK, WEEK)) == [TIME]
    assert list(book.noisy(WEEK + 2, WEEK)) == []


def test_what_was_not_resampled_counts_as_well() -> None:
    """Of the differing answers the share of the candidate's is expected to be that of requests not resampled."""
    book = ledger(share=0.02, triples=60)
    book.add(PRICE, 8, 0, 0, 367, 1.0)
    alone = ledger(share=0.02, triples=60)
    alone.add(PRICE, 8, 0, 0, 0, 1.0)
    assert book.judge(PRICE, 1.0, WEEK).evidence > alone.judge(PRICE, 1.0, WEEK).evidence
    book.add(PRICE, 2, 0, 0, 300, 1.0)
    assert PRICE in book.listed(1.0)


@pytest.mark.parametrize("lost", [0.0, 0.5, 1.0])
def test_resamples_that_come_to_nothing_are_no_evidence(lost: float) -> None:
    """A field that always differs, seen in 50,000 requests of which a tenth was drawn."""
    book = ledger(share=0.1, triples=round(5000 * (1 - lost)))
    missed = round(5000 * lost)
    book.add(TIME, 0, 0, 5000 - missed, 45_000, 1.0, missed=missed)
    assert book.evidence(book.rows[TIME]) < 0.5
    forgotten = ledger(share=0.1)
    forgotten.add(TIME, 0, 0, 5000 - missed, 45_000, 1.0)
    assert (TIME in forgotten.listed(1.0)) == (lost > 0), "what happened when they were not counted"


def test_when_all_are_resampled_nothing_is_spared_and_the_triples_tell() -> None:
    book = ledger(share=1.0)
    book.add(PRICE, 5, 0, 0, 0, 1.0)
    verdict = book.judge(PRICE, 1.0, WEEK)
    assert verdict.more is not None
    assert 2000 < verdict.more < 8000


def test_another_promise_is_kept_at_once() -> None:
    book = ledger()
    book.add(PRICE, 17, 0, 0, 0, 1.0)
    assert book.listed(1.0) == set()
    book.promise(0.5)
    assert book.listed(1.0) == {PRICE}
    book.promise(0.05)
    assert book.listed(2.0) == set()


def test_a_small_table_asks_for_less() -> None:
    book = ledger(capacity=1)
    book.add(PRICE, 8, 0, 0, 0, 1.0)
    assert book.listed(1.0) == {PRICE}
    assert book.judge(PRICE, 1.0, WEEK).needed == pytest.approx(log(20))


def test_what_is_a_tenth_more_often_on_the_candidate_is_never_listed() -> None:
    book = ledger()
    book.add(TIME, 1_100_000, 1_000_000, 0, 0, 1.0)
    assert book.evidence(book.rows[TIME]) < 0
    book.add(PRICE, 1_150_000, 1_000_000, 0, 0, 1.0)
    assert book.listed(1.0) == {PRICE}


def test_noise_is_noise_without_a_secondary_too() -> None:
    book = ledger(share=0.02, triples=100)
    book.add(TIME, 1, 1, 98, 4900, 1.0)
    assert book.judge(TIME, 1.0, WEEK).state == NOISE


def test_when_a_field_was_listed_is_remembered() -> None:
    book = ledger()
    book.add(PRICE, 10, 0, 0, 0, 1.0)
    assert book.listed(1.0) == set()
    book.add(PRICE, 30, 0, 0, 0, 7.0)
    assert book.listed(7.5) == {PRICE}
    book.add(PRICE, 1, 0, 0, 0, 9.0)
    assert book.listed(9.0) == {PRICE}
    row = book.rows[PRICE]
    assert (row.first_at, row.last_at, row.listed_at) == (1.0, 9.0, 7.5)


def test_a_field_that_recovers_leaves_the_list() -> None:
    book = ledger()
    book.add(PRICE, 25, 0, 0, 0, 1.0)
    assert book.listed(1.0) == {PRICE}
    book.add(PRICE, 0, 200, 0, 0, 2.0)
    assert book.listed(2.0) == set()
    assert book.rows[PRICE].listed_at == 0.0


def test_a_field_whose_bets_begin_anew_keeps_its_place_and_is_found_again() -> None:
    book = ledger(capacity=1)
    book.add(PRICE, 300, 0, 0, 0, 1.0)
    assert book.listed(1.0) == {PRICE}
    book.take_changed()
    book.restart(PRICE, 2.0)
    assert book.listed(2.0) == set()
    assert (book.rows[PRICE].is_blank, book.rows[PRICE].first_at) == (True, 2.0)
    assert [key for key, _ in book.take_changed()] == [PRICE]
    book.add(TIME, 300, 0, 0, 0, 3.0)
    assert (book.listed(3.0), book.untracked) == (set(), 300)
    book.add(PRICE, 300, 0, 0, 0, 3.0)
    assert book.listed(3.0) == {PRICE}
    assert not book.rows[PRICE].is_blank


def test_the_table_is_never_larger_than_its_capacity_and_says_what_it_does_not_follow() -> None:
    book = ledger(capacity=2)
    for number in range(5):
        book.add(("item", f"$.f{number}", "body_value"), 1, 0, 0, 0, 1.0)
    assert (len(book.rows), book.untracked) == (2, 3)
    book.add(("item", "$.f0", "body_value"), 1, 0, 0, 0, 1.0)
    assert book.untracked == 3


def test_a_regression_after_a_day_of_noise_is_found_as_fast_as_one_at_once() -> None:
    book = ledger()
    for hour in range(24):
        book.advance(hour * 3600.0)
        book.add(TIME, 400, 400, 50, 0, hour * 3600.0)
    now = 24 * 3600.0
    for more in range(1, 200):
        book.advance(now + more * RESTART_EVERY / 10)
        book.add(TIME, 1, 0, 0, 0, now)
        if TIME in book.listed(now):
            break
    assert more < 70


def test_time_that_runs_backwards_changes_nothing() -> None:
    book = ledger()
    book.advance(86400.0)
    book.add(PRICE, 25, 0, 0, 0, 86400.0)
    before = book.evidence(book.rows[PRICE])
    book.advance(0.0)
    assert book.evidence(book.rows[PRICE]) == before
    book.add(PRICE, 1, 0, 0, 0, 0.0)
    assert book.evidence(book.rows[PRICE]) > before


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_what_was_kept_goes_on_where_it_was(share: float) -> None:
    book = ledger(share)
    book.advance(5000.0)
    book.add(PRICE, 12, 2, 1, 30, 5000.0)
    kept = dict(book.take_changed())
    assert book.take_changed() == []
    again = ledger(share)
    again.restore(kept)
    for each in (book, again):
        each.advance(9000.0)
        each.add(PRICE, 9, 0, 0, 8, 9000.0)
    assert again.judge(PRICE, 9000.0, WEEK) == book.judge(PRICE, 9000.0, WEEK)


def test_what_is_inherited_is_bounded_and_the_latest() -> None:
    book = ledger(capacity=3)
    book.inherited = {("item", f"$.old{n}", "body_value"): 10.0 + n for n in range(3)}
    for number in range(2):
        book.add(("item", f"$.new{number}", "body_value"), 0, 10, 10, 0, 20.0 + number)
    assert {key[1]: at for key, at in book.inheritance(30.0, WEEK).items()} == {
        "$.new1": 21.0,
        "$.new0": 20.0,
        "$.old2": 12.0,
    }
    assert book.inheritance(WEEK + 20.5, WEEK).keys() == {("item", "$.new1", "body_value")}


@pytest.mark.parametrize(
    "changes",
    [{"paired": [0.0] * 5}, {"lone": []}, {"lone": [nan] * 8}, {"restarts": 0}, {"missed": -1}, {"last_at": inf}],
)
def test_a_row_that_no_ledger_wrote_is_not_sound(changes: dict[str, Any]) -> None:
    row = FieldRow([0.0] * 6, [0.0] * 8, 1)
    assert row.is_sound
    assert not replace(row, **changes).is_sound


def test_more_rows_than_there_is_room_for_are_left_out() -> None:
    book = ledger(capacity=1)
    row = FieldRow([0.0] * 6, [0.0] * 8, 1)
    book.restore({PRICE: row, TIME: row})
    assert list(book.rows) == [PRICE]


def test_the_mean_of_all_fields_stands_at_one_until_something_speaks() -> None:
    book = ledger(capacity=4)
    assert book.log_mean(0.0) == 0.0
    book.add(("item", "$.price", "body_value"), 40, 0, 0, 0, 0.0)
    assert book.log_mean(0.0) == pytest.approx(
        book.evidence(book.rows["item", "$.price", "body_value"]) - log(4), abs=0.01
    )
    book.add(("item", "$.other", "body_value"), 0, 40, 0, 0, 0.0)
    full = book.log_mean(0.0)
    for field in ("$.a", "$.b"):
        book.add(("item", field, "body_value"), 0, 1, 0, 0, 0.0)
    assert book.log_mean(0.0) <= full
