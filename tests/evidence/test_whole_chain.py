"""The promise through the whole chain: bytes are compared, bits weighed, lessons taught and fed back, a verdict."""

from __future__ import annotations

from random import Random

import pytest

from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import found
from tests.evidence.chain import Body, Chain, item
from tests.evidence.rules import Diffy

pytestmark = pytest.mark.no_cover  # simulations: millions of lines, all of which other tests see as well


def dearer(draw: Random, body: Body) -> None:
    """A noisy field that differs more often: from 4 % to 16 %."""
    if draw.random() < 0.12:
        body["price"] += 5.0


def careless(draw: Random, body: Body) -> None:
    """Five kinds of faults at a time."""
    dearer(draw, body)
    if draw.random() < 0.5:
        body["request"] = "N/A"  # garbage in a field that always differs
    if draw.random() < 0.03:
        del body["currency"]
    if draw.random() < 0.05:
        body["stock"]["count"] = str(body["stock"]["count"])
    if draw.random() < 0.25:
        body["tier"] = "none"  # not one of the three that a tier ever is


FAULTS = {
    ("$.price", "body_value"),
    ("$.request", "body_shape"),
    ("$.currency", "body_missing"),
    ("$.stock.count", "body_type"),
    ("$.tier", "body_shape"),
    ("$.tier", "body_value"),
}


def test_pure_noise_is_never_listed_is_learned_and_passes() -> None:
    for seed in range(20):
        chain = Chain(seed)
        chain.ask(200)
        assert chain.first == {}, "at no look"
        assert {("$.request", "body_value"), ("$.at", "body_value"), ("$.tags", "body_order")} <= chain.noisy
        assert chain.report().exit_code == 0
        mismatches = chain.verdicts["mismatch"]
        chain.ask(50)
        assert chain.verdicts["mismatch"] - mismatches <= 5, "what is known to be noise is no mismatch"


def test_with_resamples_pure_noise_is_never_listed_either() -> None:
    for seed in range(4):
        chain = Chain(seed, share=0.1)
        chain.ask(1000)
        assert chain.first == {}
        assert chain.report().exit_code == 0


def test_new_fields_that_keep_appearing_are_noise_as_well() -> None:
    chain = Chain(3)

    def make(draw: Random, number: int) -> Body:
        """In blocks of 40 pairs three further members, which are there or not and never twice the same."""
        names = (f"f{3 * (chain.pairs // 40) + place}" for place in range(3))
        return {**item(draw, number), **{name: draw.random() for name in names if draw.random() < 0.7}}

    chain.make = make
    chain.ask(600)
    assert chain.first == {}
    assert len({field for field, _ in chain.noisy} & {f"$.f{number}" for number in range(45)}) > 35


def test_what_regressed_is_found_whole_and_nothing_else() -> None:
    for seed in range(3):
        chain = Chain(seed)
        chain.ask(300)
        chain.ask(900, careless)
        assert chain.listed == FAULTS
        report = chain.report()
        assert (report.verdict, report.exit_code) == ("fail", 1)
        assert report.conclusion.startswith("regression: 6 fields regressed: ")


def test_without_a_secondary_it_is_found_as_well() -> None:
    chain = Chain(1, share=0.1)
    chain.ask(500)
    chain.ask(4500, careless)
    assert chain.listed == FAULTS
    assert chain.report().exit_code == 1


def test_garbage_in_a_noisy_field_is_found_within_pairs_and_diffy_never_shows_it() -> None:
    def garbage(draw: Random, body: Body) -> None:
        body["request"] = "N/A"

    chain = Chain(5)
    chain.ask(100)
    chain.ask(50, garbage)
    assert chain.listed == {("$.request", "body_shape")}
    draw, diffy = Random(5), Diffy()
    for number in range(150):
        primary, second, candidate = (item(draw, number) for _ in range(3))
        garbage(draw, candidate)
        diffy.count(found(primary, candidate), found(primary, second))
    key = ("$.request", "body_value")
    assert (diffy.raw[key], diffy.noise[key], diffy.shows(key)) == (150, 150, False)


def test_noise_stays_noise_while_second_answers_fail_now_and_then() -> None:
    """A secondary that is overloaded, a primary that limits how often it is asked: an error page shows no field."""

    def make(draw: Random, number: int) -> Body:
        chain.made += 1
        return {"error": "try later"} if chain.made % 3 == 2 and draw.random() < 0.4 else item(draw, number)

    for share in (0.0, 0.2):
        chain = Chain(9, share)
        chain.make = make
        chain.ask(1500)
        assert chain.listed == set()
        assert ("$.request", "body_value") in chain.noisy


def test_when_the_secondary_dies_what_differs_counts_again() -> None:
    chain = Chain(12)
    chain.ask(100)
    chain.second = False
    chain.ask(300, dearer)
    assert chain.listed == set()
    report = chain.report()
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert report.conclusion.startswith("regression: second answers say nothing of ")
    assert "$.price (body_value) on item" in report.conclusion


def test_a_field_that_is_null_in_half_of_all_answers_and_then_in_all_is_found() -> None:
    def half(draw: Random, number: int) -> Body:
        return {**item(draw, number), "code": draw.choice((None, f"C{draw.randrange(10**6)}"))}

    def empty(draw: Random, body: Body) -> None:
        body["code"] = None

    chain = Chain(10)
    chain.make = half
    chain.ask(300)
    assert chain.listed == set()
    chain.ask(300, empty)
    assert chain.listed == {("$.code", "body_null")}


def test_a_candidate_that_died_fails_and_diffy_shows_nothing() -> None:
    """Who counts a request only where all three have answered has nothing to count."""
    chain = Chain(6)
    chain.ask(100, answers=False)
    report = chain.report()
    assert (report.verdict, report.exit_code) == ("fail", 1)
    assert "100 of 100 pairs differ" in report.conclusion
    diffy = Diffy()
    assert (diffy.total, {key for key in diffy.raw if diffy.shows(key)}) == (0, set())


def test_what_a_rule_ignores_is_evidence_of_nothing() -> None:
    chain = Chain(7, rules=ComparePolicy(ignore=("$.request", "$.at", "$.served_at"), unordered=("$.tags",)))
    chain.ask(150, careless)
    assert not {field for field, _ in chain.noisy | chain.listed} & {"$.request", "$.at", "$.served_at", "$.tags"}


def test_a_field_that_recovers_is_noise_again() -> None:
    chain = Chain(8)
    chain.ask(200)
    chain.ask(500, dearer)
    assert ("$.price", "body_value") in chain.listed
    for _ in range(40):
        chain.ask(100)
        if not chain.listed:
            break
    assert chain.listed == set()
    assert ("$.price", "body_value") in chain.noisy
