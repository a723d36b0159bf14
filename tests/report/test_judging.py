from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from shadowproxy.model.pair import FieldCount
from shadowproxy.model.terms import VERDICTS
from shadowproxy.report import Report, build, judge, render_json
from shadowproxy.report.judging import DEFAULT, WORDS, UnknownWordError, parse
from shadowproxy.report.values import FieldReport, RouteReport, ServiceReport
from tests.report.facts import facts, mirror, route, service
from tests.report.reports import accepted, errors, evidence, field, knowledge, latency, of, rich, routes


def clean(**changes: Any) -> RouteReport:
    """A route on which nothing is the matter."""
    verdicts = {"candidate": {**dict.fromkeys(VERDICTS, 0), "match": 1200}}
    values: dict[str, Any] = {"name": "item", "verdicts": verdicts, "second_answers": 1200}
    return replace(routes()[1], **{**values, **changes})


def one(route: RouteReport | None = None, **changes: Any) -> ServiceReport:
    values: dict[str, Any] = {
        "routes": [route or clean()],
        "verdict": "pass",
        "exit_code": 0,
        "conclusion": "no regression in 1,260 compared pairs",
        "accepted": [],
        "causes": [],
    }
    return rich(**{**values, **changes})


NO_ANSWER = FieldReport("", "candidate_timeout", 2, 0.01, None)
INCOMPARABLE = {"candidate": {**dict.fromkeys(VERDICTS, 0), "match": 1200, "incomparable": 3}}
FEW: dict[str, Any] = {
    "compared": 12,
    "verdict": "inconclusive",
    "exit_code": 3,
    "conclusion": "not enough to say: 12 compared pairs, 50 are needed",
}
UNKNOWN: dict[str, Any] = {"knowledge": None}

CASES = {
    "nothing": (one(), set()),
    "a field that regressed": (
        one(clean(fields=[field("$.a")], evidence=[evidence("$.a")], mismatches=42)),
        {"fields", "mismatches"},
    ),
    "a field that is open": (one(clean(fields=[field("$.a")], evidence=[evidence("$.a", "open")])), {"open"}),
    "a field without evidence where there are second answers": (one(clean(fields=[field("$.a")])), {"open"}),
    "a field that is noise": (one(clean(fields=[field("$.a")], evidence=[evidence("$.a", "noise")])), set()),
    "a field of which nothing is known": (
        one(clean(fields=[field("$.a")], mismatches=42), **UNKNOWN),
        {"fields", "open", "mismatches"},
    ),
    "a field before there are enough second answers": (
        one(
            clean(fields=[field("$.a")], evidence=[evidence("$.a", "open")], mismatches=42),
            knowledge=knowledge(answers=19),
        ),
        {"fields", "open", "mismatches"},
    ),
    "a field of a route that is never asked twice": (
        one(clean(fields=[field("$.a")], second_answers=0, mismatches=42)),
        {"fields", "open", "mismatches"},
    ),
    "a field of which nothing is known, all of it accepted since": (
        one(clean(fields=[field("$.a")]), **UNKNOWN),
        {"open"},
    ),
    "pairs whose fields were lost": (one(clean(mismatches=4), **UNKNOWN), {"fields", "mismatches"}),
    "no answer": (one(clean(failures=[NO_ANSWER], mismatches=2), **UNKNOWN), {"failures", "mismatches"}),
    "errors": (one(clean(errors=errors())), {"errors"}),
    "errors without enough evidence": (one(clean(errors=errors(regressed=False))), set()),
    "slower": (one(clean(paired=latency())), {"latency"}),
    "slower by the old rule": (one(clean(slower=True, slower_why="p50")), {"latency"}),
    "not slower": (one(clean(paired=latency(slower=False))), set()),
    "incomparable": (one(clean(verdicts=INCOMPARABLE)), {"incomparable"}),
    "expired": (one(accepted=[accepted("expired"), accepted()]), {"expired"}),
    "dead": (one(accepted=[accepted("dead")]), {"expired"}),
    "few pairs": (
        one(clean(fields=[field("$.a")], mismatches=1, failures=[NO_ANSWER], slower=True), **FEW),
        {"inconclusive"},
    ),
    "few pairs, all incomparable": (one(clean(verdicts=INCOMPARABLE), **FEW), {"inconclusive", "incomparable"}),
    "few pairs and an entry that expired": (one(accepted=[accepted("expired")], **FEW), {"inconclusive", "expired"}),
    "few pairs and an entry that could not match yet": (one(accepted=[accepted("dead")], **FEW), {"inconclusive"}),
}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("case", CASES)
def test_each_word_finds_what_it_says_and_nothing_else(case: str, word: str) -> None:
    service, found = CASES[case]
    judged = judge(of(service), [word])
    few = service.exit_code == 3
    assert judged.exit_code == (1 if word in found else 3 if few else 0)
    assert judged.verdict == {0: "pass", 1: "fail", 3: "inconclusive"}[judged.exit_code]
    assert judged.services[0].exit_code == judged.exit_code
    assert {each.word for each in judged.services[0].failed} == {word} & found


def test_without_words_a_report_is_as_it_was() -> None:
    report = of(one(**FEW))
    assert judge(report, ()) is report


def test_the_conclusion_says_what_failed_by_which_word() -> None:
    route = clean(fields=[field("$.a"), field("$.b")], evidence=[evidence("$.a"), evidence("$.b")], paired=latency())
    judged = judge(of(one(route, mismatches=42)), parse(["latency,fields"]))
    assert judged.conclusion == (
        "failed by fields: $.a body_type and 1 more field on item;"
        " latency: p50 of the paired difference +50 ms, primary p50 10 ms on item"
    )
    assert judged.fail_on == ["fields", "latency"]
    assert [(each.word, each.route) for each in judged.services[0].failed] == [("fields", "item"), ("latency", "item")]


def test_what_passes_although_the_report_does_not_is_said() -> None:
    failing = one(clean(fields=[field("$.a")]), verdict="fail", exit_code=1, conclusion="regression: x")
    assert judge(of(failing), ["latency"]).conclusion == (
        "no latency in 1,260 compared pairs; without --fail-on: regression: x"
    )
    assert judge(of(failing), ["none"]).conclusion == (
        "nothing fails in 1,260 compared pairs; without --fail-on: regression: x"
    )
    assert judge(of(one()), ["latency", "errors"]).conclusion == "no latency or errors in 1,260 compared pairs"


@pytest.mark.parametrize(
    ("services", "code"),
    [
        ([one(), one(clean(paired=latency()))], 1),
        ([one(**FEW), one(clean(paired=latency()))], 1),
        ([one(**FEW), one()], 3),
        ([one(), one()], 0),
    ],
)
def test_of_several_services_the_worst_counts(services: list[ServiceReport], code: int) -> None:
    named = [replace(each, name=f"s{place}") for place, each in enumerate(services)]
    judged = judge(of(*named), ["latency"])
    assert judged.exit_code == code
    assert judged.conclusion.count("s1: ") == 1


def test_a_report_without_services_says_nothing() -> None:
    assert judge(replace(of(one()), services=[]), ["latency"]).exit_code == 3


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ([], ()),
        (["latency,fields", "errors"], ("fields", "errors", "latency")),
        ([" fields , fields "], ("fields",)),
        (["none"], ("none",)),
    ],
)
def test_lists_are_parsed(lists: list[str], words: tuple[str, ...]) -> None:
    assert parse(lists) == words


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("field", "'field' is not one of fields, errors, latency"),
        ("", "'' is not one of fields"),
        ("fields,", "'' is not one of"),
        ("none,fields", "'none' stands alone, not with fields"),
    ],
)
def test_a_wrong_list_is_explained(text: str, says: str) -> None:
    with pytest.raises(UnknownWordError, match=says):
        parse([text])


def test_a_judged_report_travels() -> None:
    judged = judge(of(rich()), ["fields"])
    assert msgspec.json.decode(render_json(judged), type=Report) == judged


FIELD = FieldCount("shop", "item", "$.price", "body_type", 5)
BUILT = {
    "nothing": facts(route(mirror(match=60))),
    "a field differs": facts(route(mirror(kinds={"body_type": 5}, match=55, mismatch=5)), fields=[FIELD]),
    "fields were lost": facts(route(mirror(kinds={"body_type": 5}, match=55, mismatch=5))),
    "no answer": facts(route(mirror(kinds={"candidate_timeout": 5}, match=55, mismatch=5))),
    "only differences that a rule ignores": facts(route(mirror(ignored=60))),
    "too few": facts(route(mirror(match=3, mismatch=3))),
    "nothing comparable": facts(route(mirror(incomparable=90))),
    "no candidate": facts(services=[service(arms=("primary",))]),
}


@pytest.mark.parametrize("case", BUILT)
def test_the_default_words_say_what_the_reports_own_verdict_says(case: str) -> None:
    report = build(BUILT[case])
    judged = judge(report, DEFAULT)
    assert (judged.verdict, judged.exit_code) == (report.verdict, report.exit_code)
