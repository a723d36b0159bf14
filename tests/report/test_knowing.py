"""What a ledger says, as a report says it, and what follows for the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.evidence import FieldLedger
from shadowproxy.model.pair import FieldCount
from shadowproxy.report import Report, build
from shadowproxy.report.judging import judge
from shadowproxy.report.knowing import MAX_FIELDS, Learned, evidence_of, is_known, knowledge_of
from shadowproxy.report.phrases import evidence as evidence_in_words
from shadowproxy.report.phrases import knowledge as in_words
from shadowproxy.report.values import ServiceReport, Shown
from tests.report.facts import facts, mirror, route, service

NOW = 1090.0
DAY = 86400.0
ARMS = ("primary", "candidate", "secondary")


def ledger(answers: int = 400, share: float = 0.0, **bits: tuple[int, int, int, int]) -> FieldLedger:
    """Of fields by name: the candidate's alone, the second answer's alone, both, spared."""
    book = FieldLedger(1000.0, 0.05, share)
    book.triples["item"] = answers
    for name, counts in bits.items():
        book.add(("item", f"$.{name}", "body_value"), *counts, now=1050.0)
    return book


def learned(book: FieldLedger, source: str = "secondary", **changes: Any) -> Learned:
    values: dict[str, Any] = {"versions": {"primary": "v1"}, "beside": {}, "max_age": DAY, **changes}
    return Learned(book, source, **values)


def report(book: FieldLedger, mismatches: int = 0, *, source: str = "secondary", **changes: Any) -> Report:
    counted = route(mirror(match=1000 - mismatches, mismatch=mismatches))
    return build(facts(counted, services=[service(arms=ARMS)], learned={"shop": learned(book, source)}, **changes))


def shop(made: Report) -> ServiceReport:
    return made.services[0]


QUIET = (20, 21, 300, 0)
WORSE = (40, 0, 0, 0)
RARE = (5, 0, 0, 0)


def test_fields_come_with_the_regressed_first_then_by_evidence() -> None:
    book = ledger(noise=QUIET, worst=(90, 0, 0, 0), worse=WORSE, rare=RARE, rarer=(2, 0, 0, 0))
    found = evidence_of(learned(book), "item", {("$.worse", "body_value"): Shown("x1", "1", "2", "curl")}, NOW)
    assert [(each.field, each.state) for each in found] == [
        ("$.worst", "regressed"),
        ("$.worse", "regressed"),
        ("$.rare", "open"),
        ("$.rarer", "open"),
        ("$.noise", "noise"),
    ]
    worse = found[1]
    assert (worse.candidate_only, worse.second_only, worse.both, worse.first_at, worse.since) == (40, 0, 0, 1050.0, NOW)
    assert worse.example is not None
    assert worse.evidence > worse.needed > 4
    assert found[2].more is not None
    assert found[4].more is None
    assert evidence_of(learned(book), "elsewhere", {}, NOW) == []


def test_the_fields_of_a_route_are_bounded_and_the_regressed_stay() -> None:
    book = ledger(**{f"noise{n}": QUIET for n in range(MAX_FIELDS + 5)}, worse=WORSE)
    found = evidence_of(learned(book), "item", {}, NOW)
    assert (len(found), found[0].field) == (MAX_FIELDS, "$.worse")


def test_what_is_known_is_counted() -> None:
    book = ledger(noise=QUIET, worse=WORSE)
    book.untracked = 7
    known = knowledge_of(learned(book, beside={"candidate": ["v3"]}), NOW)
    assert (known.answers, known.regressed, known.noisy, known.untracked, known.fdr) == (400, 1, 1, 7, 0.05)
    said = in_words(known, NOW)
    assert "400 second answers from the secondary" in said
    assert "1 field regressed, 1 noisy, 7 untracked" in said
    assert said.endswith("; the candidate answers as v3 too")


@pytest.mark.parametrize(
    ("source", "answers", "here", "known"),
    [
        ("secondary", 20, 1, True),
        ("secondary", 19, 19, False),
        ("secondary", 400, 0, False),
        ("resample", 400, 20, True),
        ("resample", 400, 19, False),
    ],
)
def test_noise_is_told_where_there_are_second_answers_enough(source: str, answers: int, here: int, known: bool) -> None:
    """Of all routes, and with resamples of the route itself."""
    assert is_known(knowledge_of(learned(ledger(answers), source), NOW), here) == known


def test_without_knowledge_nothing_is_known() -> None:
    assert not is_known(None, 1000)


def test_a_secondary_of_another_version_tells_nothing() -> None:
    both = {"primary": "v1", "secondary": "v2\x1b[31m"}
    known = knowledge_of(learned(ledger(noise=QUIET), versions=both, is_alike=False), NOW)
    assert not is_known(known, 400)
    assert "the secondary runs v2" in in_words(known, NOW)
    assert "\x1b" not in in_words(known, NOW)


# -- the verdict


def test_noise_however_much_of_it_passes() -> None:
    made = report(ledger(noise=QUIET), mismatches=300)
    assert (made.verdict, made.exit_code) == ("pass", 0)
    assert made.conclusion == "no regression in 1,000 compared pairs"


def test_a_regressed_field_fails_and_is_named() -> None:
    made = report(ledger(noise=QUIET, worse=WORSE), mismatches=40)
    assert (made.verdict, made.exit_code) == ("fail", 1)
    assert made.conclusion == "regression: 1 field regressed: $.worse (body_value) on item"


def test_what_is_not_decided_yet_passes_and_is_said() -> None:
    made = report(ledger(rare=RARE), mismatches=5)
    assert (made.verdict, made.conclusion) == (
        "pass",
        "no regression in 1,000 compared pairs; 1 field is not decided yet",
    )
    assert report(ledger(rare=RARE, other=RARE)).conclusion.endswith("2 fields are not decided yet")


def test_what_second_answers_say_nothing_of_counts_as_if_there_were_none() -> None:
    book = ledger(noise=QUIET, at=(0, 0, 0, 0), by=(0, 0, 0, 0))
    book.add(("item", "$.at", "body_value"), 0, 0, 1, 0, 1050.0, missed=9)
    found = shop(report(book, mismatches=9))
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert found.conclusion == (
        "regression: second answers say nothing of a field that differs: $.at (body_value) on item"
    )
    assert judge(report(book, mismatches=9), ["fields"]).exit_code == 1
    assert shop(report(book)).verdict == "pass"
    assert judge(report(book), ["fields"]).exit_code == 0
    book.add(("item", "$.by", "body_value"), 0, 0, 0, 0, 1050.0, missed=9)
    assert "2 fields that differ: $.at (body_value) on item, $.by (body_value) on item" in report(book, 9).conclusion
    assert "one that says nothing of it 9" in evidence_in_words(shop(report(book)).routes[0].evidence[0], NOW)


@pytest.mark.parametrize("source", ["secondary", "resample", ""])
def test_before_enough_second_answers_whatever_differs_fails(source: str) -> None:
    made = report(ledger(0 if not source else 19, noise=(0, 0, 19, 0)), mismatches=1, source=source)
    assert (made.exit_code, "1 of 1,000 pairs differ" in made.conclusion) == (1, True)


def test_differences_that_nobody_follows_are_no_pass_and_no_excuse() -> None:
    book = ledger(noise=QUIET)
    book.untracked = 1200
    made = report(book, mismatches=3)
    assert (made.verdict, made.exit_code) == ("inconclusive", 3)
    assert made.conclusion == "cannot say: 1,200 differences are in fields beyond the 1,024 that are followed"
    book.add(("item", "$.worse", "body_value"), *WORSE, now=NOW)
    assert report(book, mismatches=3).verdict == "fail"


def test_words_that_do_not_look_at_fields_do_not_need_them_followed() -> None:
    book = ledger(noise=QUIET)
    book.untracked = 1200
    made = report(book, mismatches=3)
    codes = {word: judge(made, (word,)).exit_code for word in ("fields", "latency", "mismatches", "inconclusive")}
    assert codes == {"fields": 3, "latency": 0, "mismatches": 1, "inconclusive": 1}


def test_a_dead_candidate_fails_though_no_field_differs() -> None:
    dead = mirror(kinds={"candidate_timeout": 60}, failed=(60, 0, 0), match=0, mismatch=60)
    made = build(
        facts(route(dead), services=[service(arms=ARMS)], learned={"shop": learned(ledger(answers=60))}),
    )
    assert made.exit_code == 1
    assert "60 times the candidate gave no whole answer" in made.conclusion


def test_a_route_that_only_the_ledger_remembers_is_shown() -> None:
    """After a restart counts begin anew; what was learned does not."""
    book = ledger(worse=WORSE)
    made = build(
        facts(
            route(mirror()),
            route(mirror(match=60), name="calm"),
            services=[service(arms=ARMS)],
            learned={"shop": learned(book)},
        ),
    )
    names = {each.name: each for each in shop(made).routes}
    assert [each.state for each in names["item"].evidence] == ["regressed"]
    assert made.exit_code == 1


def test_fields_that_were_counted_before_they_were_known_to_be_noise_do_not_count() -> None:
    made = report(ledger(noise=QUIET), mismatches=20, fields=[FieldCount("shop", "item", "$.noise", "body_value", 20)])
    assert made.exit_code == 0
