"""PromQL answers: limits that are broken by three values in a row; what is not there is inconclusive."""

from __future__ import annotations

from math import nan

import pytest

from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, Check
from shadowproxy.rollout import promql
from shadowproxy.rollout.facts import Answer
from shadowproxy.rollout.ledger import Scraped

LIMIT = Check("memory", "promql", max=100.0, step=60.0)
BESIDE = Check("memory", "promql", max_relative=0.1, max_absolute=1.0, against="primary", step=60.0)


def series(*values: float, start: float = 0.0) -> tuple[tuple[float, float], ...]:
    return tuple((start + 60.0 * i, value) for i, value in enumerate(values))


def seen(check: Check, *answers: Answer) -> Scraped:
    found = Scraped(at=-1.0)
    for answer in answers:
        found = promql.scraped(found, check, answer)
    return found


@pytest.mark.parametrize(
    ("values", "verdict", "words"),
    [
        ((90, 91, 92), PASS, "candidate 92, at most 100 allowed: passes"),
        ((90, 91), INCONCLUSIVE, "2 of 3 values"),
        ((90, 101, 102), INCONCLUSIVE, "over it 2 of 3 times in a row"),
        ((101, 102, 103), FAIL, "over it 3 times in a row: fails"),
        ((101, 102, 99, 103), INCONCLUSIVE, "over it 1 of 3"),
        ((nan, nan), INCONCLUSIVE, "no data"),
        ((), INCONCLUSIVE, "no data"),
    ],
)
def test_a_limit_is_broken_by_three_values_in_a_row(values: tuple[float, ...], verdict: str, words: str) -> None:
    found = promql.verdict(LIMIT, seen(LIMIT, Answer(series(*values))), 60.0 * len(values))
    assert found[0] == verdict
    assert words in found[1]


@pytest.mark.parametrize(("candidate", "verdict"), [(110.9, PASS), (111.1, FAIL)])
def test_beside_the_primary_both_tolerances_are_allowed(candidate: float, verdict: str) -> None:
    answer = Answer(series(*[candidate] * 3), series(*[100.0] * 3))
    assert promql.verdict(BESIDE, seen(BESIDE, answer), 120.0)[0] == verdict


def test_values_of_other_times_are_not_compared() -> None:
    answer = Answer(series(500.0, 500.0, 500.0), series(100.0, 100.0, 100.0, start=30.0))
    assert promql.verdict(BESIDE, seen(BESIDE, answer), 120.0) == (
        INCONCLUSIVE,
        "no data: no value that can be compared",
    )


def test_a_failing_or_late_query_says_nothing_and_a_later_answer_goes_on() -> None:
    over = Answer(series(101.0, 102.0))
    failing = seen(LIMIT, over, Answer(why="Prometheus did not answer within 10 s"))
    assert promql.verdict(LIMIT, failing, 130.0) == (INCONCLUSIVE, "Prometheus did not answer within 10 s")
    again = promql.scraped(failing, LIMIT, Answer(series(103.0, start=120.0)))
    assert promql.verdict(LIMIT, again, 130.0)[0] == FAIL
    assert promql.verdict(LIMIT, again, 900.0) == (INCONCLUSIVE, "late: the newest value is 13 min old")
    assert promql.verdict(LIMIT, None, 0.0) == (INCONCLUSIVE, "no answer yet")


def test_a_value_counts_once_however_often_it_is_told() -> None:
    same = Answer(series(101.0))
    assert seen(LIMIT, same, same, same).over == 1
