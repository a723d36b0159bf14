from __future__ import annotations

import msgspec

from shadowproxy.compare.admission import BUDGET, FRESH, MAX_CAUSES, MAX_PENDING, PERIOD, Admission, Pending
from tests.compare.builders import Clock, example, pair, response


def test_the_first_few_are_taken_then_each_time_their_number_doubled() -> None:
    admission = Admission(Clock())
    taken = [seen for seen, why in (admission.admit("a") for _ in range(40)) if not why]
    assert taken == [1, 2, 3, 4, 8, 16, 32]


def test_causes_are_counted_apart() -> None:
    admission = Admission(Clock())
    for _ in range(10):
        admission.admit("often")
    assert admission.admit("often") == (11, "repeated")
    assert admission.admit("rare") == (1, "")


def test_a_cause_that_keeps_coming_gets_a_fresh_example_a_minute() -> None:
    clock = Clock()
    admission = Admission(clock)
    for _ in range(33):
        admission.admit("a")
    assert admission.admit("a")[1] == "repeated"
    clock.now += FRESH
    assert admission.admit("a")[1] == ""
    assert admission.admit("a")[1] == "repeated"


def test_the_budget_runs_out_and_refills() -> None:
    clock = Clock()
    admission = Admission(clock)
    admission.spend(BUDGET)
    assert admission.admit("a") == (1, "budget")
    clock.now += PERIOD / 2
    assert admission.admit("b") == (1, "")
    admission.spend(BUDGET / 2)
    assert admission.admit("c") == (1, "budget")
    clock.now += 1000 * PERIOD
    admission.admit("d")
    admission.spend(BUDGET)
    assert admission.admit("e") == (1, "budget")


def test_causes_that_were_not_seen_for_long_are_forgotten() -> None:
    admission = Admission(Clock())
    for n in range(MAX_CAUSES + 1):
        admission.admit(n)
    assert admission.admit(MAX_CAUSES)[0] == 2
    assert admission.admit(0)[0] == 1


def test_when_full_the_commonest_and_oldest_gives_way() -> None:
    made = example(pair(response({"a": 1}), response({"a": 2})))
    pending = Pending()
    for n in range(MAX_PENDING):
        assert pending.add(2 if n in (3, 5) else 1, msgspec.structs.replace(made, id=str(n)))
    assert not pending.add(1, msgspec.structs.replace(made, id="new"))
    kept = [each.id for each in pending.harvest()]
    assert len(kept) == MAX_PENDING
    assert "3" not in kept
    assert {"5", "new"} <= set(kept)
    assert pending.harvest() == []


def test_what_is_smaller_is_wanted_within_the_budget() -> None:
    admission = Admission(Clock())
    for _ in range(6):
        admission.admit("a")
    assert admission.admit("a")[1] == "repeated"
    assert admission.admit("a", smaller=True) == (8, "")
    assert admission.admit("a", smaller=True) == (9, "")
    admission.spend(BUDGET)
    assert admission.admit("a", smaller=True)[1] == "budget"
