from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from shadowproxy.model.pair import FieldCount
from shadowproxy.model.totals import FieldExample
from shadowproxy.report import build
from tests.report.facts import CURL, facts, mirror, route, service

DRAW = random.Random(5)
USUAL = [DRAW.lognormvariate(-5, 0.5) for _ in range(400)]
JITTER = [DRAW.lognormvariate(-5, 0.5) - DRAW.lognormvariate(-5, 0.5) for _ in range(400)]


@pytest.mark.parametrize(
    ("pairs", "mismatches", "verdict", "code"),
    [
        (0, 0, "inconclusive", 3),
        (49, 0, "inconclusive", 3),
        (49, 49, "inconclusive", 3),
        (50, 0, "pass", 0),
        (50, 1, "fail", 1),
        (10_000, 0, "pass", 0),
    ],
)
def test_the_exit_code_takes_fifty_pairs(pairs: int, mismatches: int, verdict: str, code: int) -> None:
    report = build(facts(route(mirror(match=pairs - mismatches, mismatch=mismatches))))
    assert (report.verdict, report.exit_code) == (verdict, code)


def test_pairs_that_could_not_be_compared_are_no_evidence() -> None:
    report = build(facts(route(mirror(match=49, incomparable=1000))))
    assert report.exit_code == 3
    assert "49 compared pairs, 50 are needed" in report.conclusion


def test_noise_and_what_rules_ignore_is_no_regression() -> None:
    assert build(facts(route(mirror(match=10, noise=30, ignored=30)))).exit_code == 0


def test_without_a_candidate_nothing_can_be_said() -> None:
    report = build(facts(route(None, USUAL), services=[service(arms=["primary"])]))
    assert report.exit_code == 3
    assert "no candidate is configured" in report.conclusion


def test_several_services_fail_if_one_does_and_pass_if_all_do() -> None:
    good, bad = mirror(match=60), mirror(match=59, mismatch=1)
    services = [service("a"), service("b")]

    def overall(first: object, second: object) -> int:
        rows = [route(m, service=name) for name, m in (("a", first), ("b", second)) if m]  # type: ignore[arg-type]
        return build(facts(*rows, services=services)).exit_code

    assert overall(good, good) == 0
    assert overall(good, bad) == 1
    assert overall(None, bad) == 1
    assert overall(good, None) == 3


def test_one_service_can_be_asked_for() -> None:
    rows = [route(mirror(match=60), service="a"), route(mirror(mismatch=60), service="b")]
    report = build(facts(*rows, services=[service("a"), service("b")]), "a")
    assert [each.name for each in report.services] == ["a"]
    assert report.exit_code == 0


def test_routes_that_nobody_asked_for_are_left_out_and_the_worst_comes_first() -> None:
    rows = [
        route(mirror(), name="idle"),
        route(mirror(match=90), name="calm"),
        route(mirror(match=80, mismatch=10), name="bad"),
    ]
    assert [each.name for each in build(facts(*rows)).services[0].routes] == ["bad", "calm"]


def test_fields_come_with_their_share_and_one_example_each() -> None:
    counted = [
        FieldCount("shop", "item", "$.b", "body_value", 1),
        FieldCount("shop", "item", "$.a", "body_type", 25),
        FieldCount("shop", "else", "$.z", "body_type", 9),
    ]
    shown = [
        FieldExample("shop", "item", "$.a", "body_type", "id1", "1", '"1"', CURL),
        FieldExample("shop", "item", "", "candidate_error", "id2", "200", None, CURL),
        FieldExample("mail", "item", "$.b", "body_value", "id3", "1", "2", CURL),
    ]
    candidate = mirror(match=70, mismatch=30, kinds={"body_type": 25, "candidate_error": 4})
    found = build(facts(route(candidate), fields=counted, examples=shown)).services[0].routes[0]
    assert [(each.field, each.pairs, each.share) for each in found.fields] == [("$.a", 25, 0.25), ("$.b", 1, 0.01)]
    assert found.fields[0].example is not None
    assert found.fields[0].example.candidate == '"1"'
    assert found.fields[1].example is None
    assert [(each.kind, each.pairs) for each in found.failures] == [("candidate_error", 4)]
    assert found.failures[0].example is not None
    assert found.kinds == {"body_type": 25, "candidate_error": 4}


def test_books_that_do_not_balance_say_by_how_much() -> None:
    off = replace(mirror(match=60), eligible=63, in_flight=1)
    assert build(facts(route(off))).services[0].routes[0].books["candidate"].unaccounted == (3, -1)


def test_reasons_belong_to_their_route() -> None:
    reasons = {("shop", "item", "depth"): 2, ("shop", "else", "time"): 3}
    found = build(facts(route(mirror(match=50, incomparable=2)), incomparable=reasons)).services[0].routes[0]
    assert found.incomparable == {"depth": 2}


@pytest.mark.parametrize(
    ("delta", "slower"),
    [
        ([0.0] * 400, False),
        (JITTER, False),
        ([0.004] * 400, False),
        ([0.05] * 16, False),
        ([0.05] * 50, True),
        ([-0.05] * 400, False),
        ([0.0] * 360 + [0.25] * 40, True),
        ([0.001] * 399 + [0.25], False),
    ],
    ids=["equal", "jitter", "small", "few pairs", "all", "faster", "a tenth", "one outlier"],
)
def test_a_route_is_slower_when_the_evidence_of_its_pairs_says_so(delta: list[float], slower: bool) -> None:
    report = build(facts(route(mirror(delta, usual=USUAL, match=100), USUAL)))
    found = report.services[0].routes[0]
    assert found.slower is slower
    assert bool(found.slower_why) is slower
    assert found.paired is not None
    assert (found.paired.slower, found.paired.why) == (slower, found.slower_why)
    assert report.exit_code == int(slower), "a slower route is a regression"


def test_slower_is_measured_against_what_is_usual() -> None:
    assert build(facts(route(mirror([0.05] * 200, usual=[0.5], match=200)))).exit_code == 0
    assert build(facts(route(mirror([0.05] * 200, usual=[0.2], match=200)))).exit_code == 1


def test_latency_is_there_only_where_something_was_measured() -> None:
    found = build(facts(route(mirror(match=60)))).services[0].routes[0]
    assert found.latency == {}
    assert found.delta is None
