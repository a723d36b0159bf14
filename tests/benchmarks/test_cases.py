from collections import Counter
from itertools import pairwise

from benchmarks.cases import CASES, FULL, LAW_STATES, QUICK, Candidate, Scale, estimated_seconds, interleaved, law_pairs
from benchmarks.contestants import AGAIN, ENGINES, engine_of

ROUNDS = {case.name: case.rounds for case in CASES}
ENTRIES = [(case, name) for case in CASES for name in ENGINES if ENGINES[name].mirrors or not case.mirrors]


def test_each_round_takes_every_contestant_of_a_case_once() -> None:
    steps = interleaved(ENTRIES, ROUNDS)
    counted = Counter((step.case.name, step.contestant, step.round) for step in steps)
    assert set(counted.values()) == {1}
    assert len(counted) == sum(ROUNDS[case.name] for case, _ in ENTRIES)


def test_rounds_come_one_after_the_other_in_orders_that_differ() -> None:
    steps = interleaved(ENTRIES, ROUNDS)
    assert [step.round for step in steps] == sorted(step.round for step in steps)
    orders = [[step.contestant for step in steps if step.round == n and step.case.name == "forward"] for n in (0, 1)]
    assert orders[0] != orders[1]


def test_the_order_is_the_same_in_every_run() -> None:
    assert interleaved(ENTRIES, ROUNDS) == interleaved(ENTRIES, ROUNDS)


def test_a_case_without_rounds_is_left_out() -> None:
    assert interleaved(ENTRIES, dict.fromkeys(ROUNDS, 0)) == []


def test_law_1_takes_every_state_in_each_round_and_alternates_who_goes_first() -> None:
    pairs = law_pairs(10)
    for state in LAW_STATES:
        of_state = [pair for pair in pairs if pair.state is state]
        assert [pair.number for pair in of_state] == list(range(10))
        assert {first.off_first is second.off_first for first, second in pairwise(of_state)} == {False}


def test_a_full_run_has_at_least_ten_pairs_and_ten_seconds_after_a_freeze() -> None:
    assert FULL.pairs >= 10
    assert FULL.after_freeze_seconds >= 10
    assert FULL.frozen_minute_seconds >= 60


def test_a_full_run_stays_under_35_minutes_and_a_quick_one_under_4() -> None:
    def minutes(scale: Scale) -> float:
        with_again = ENTRIES + [(case, "shadowproxy" + AGAIN) for case in CASES if case.noise]
        steps = interleaved(with_again, {case.name: scale.rounds(case) for case in CASES})
        return estimated_seconds(steps, scale, scale.pairs) / 60

    assert minutes(FULL) < 35
    assert minutes(QUICK) < 4


def test_the_second_name_of_the_noise_line_is_the_same_engine() -> None:
    assert engine_of("shadowproxy" + AGAIN) is engine_of("shadowproxy")


def test_only_an_absent_candidate_mirrors_nothing() -> None:
    assert {case.candidate for case in CASES if not case.mirrors} == {Candidate.ABSENT}
