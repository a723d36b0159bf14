from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.report.advice import advice
from shadowproxy.report.values import FieldReport, RouteReport
from tests.report.reports import accepted, cause, errors, evidence, knowledge, latency, rich, routes

NO_ANSWER = FieldReport("", "candidate_timeout", 2, 0.01, None)


def calm(**changes: Any) -> RouteReport:
    return replace(routes()[1], **changes)


def said(*seen: RouteReport, **changes: Any) -> list[str]:
    values: dict[str, Any] = {
        "routes": list(seen) or [calm()],
        "causes": [],
        "causes_left_out": 0,
        "accepted": [],
        "mismatches": 0,
    }
    return advice(rich(**{**values, **changes}))


def lossy(lost: int) -> RouteReport:
    books = routes()[1].books["candidate"]
    return calm(
        books={"candidate": replace(books, eligible=100, sent=100, compared=100 - lost, lost={"channel_full": lost})}
    )


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (said(), ["Nothing: no check found anything."]),
        (said(upstreams={"primary": ["http://a"]}), ["Configure a candidate: there is nothing to compare."]),
        (said(compared=20), ["Wait for 30 more comparable requests: 20 compared pairs of 50 so far."]),
        (
            said(causes=[cause(1, suggestion="")], causes_left_out=2),
            ["Look at 3 causes of mismatches, largest first: the first is behind 10.0% of all pairs."],
        ),
        (said(mismatches=4), ["Look at the fields in which 4 pairs differ."]),
        (
            said(mismatches=4, knowledge=None),
            [
                "Look at the fields in which 4 pairs differ.",
                "Configure a secondary, or noise.resample: without second answers noise counts as a difference.",
            ],
        ),
        (
            said(*(calm(name=f"r{i}", paired=latency()) for i in range(5))),
            ["Find out why the candidate is slower on r0, r1, r2 and 2 more routes."],
        ),
        (said(calm(errors=errors())), ["Find out why the candidate fails more often on calm."]),
        (
            said(calm(failures=[NO_ANSWER])),
            ["See whether the candidate is up and fast enough: it gave no whole answer on calm."],
        ),
        (
            said(calm(evidence=[evidence("$.a", "open", more=40), evidence("$.b", "open", more=90)])),
            ["Wait for about 90 more pairs to know what the open fields are."],
        ),
        (said(calm(evidence=[evidence("$.a", "open", more=None)])), ["Nothing: no check found anything."]),
        (
            said(accepted=[accepted(), accepted("dead")]),
            ["Renew or delete accepted differences that are expired or dead: 1."],
        ),
        (said(lossy(5)), ["Nothing: no check found anything."]),
        (said(lossy(6)), ["See why 6.0% of the copies were given up (channel_full 6)."]),
    ],
)
def test_what_to_do(found: list[str], says: list[str]) -> None:
    assert found == says


def test_what_is_urgent_comes_first() -> None:
    worst = rich(causes=[cause(1)], knowledge=knowledge(source=""))
    found = advice(worst)
    assert found[0].startswith("Look at")
    assert found[-1].startswith("Renew or delete")
    assert "for 1 there is a rule that would settle it" in found[0]
