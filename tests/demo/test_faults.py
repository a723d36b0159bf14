"""What the demo looks for in a report, and when it looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from shadowproxy.demo.faults import FAULTS, at_rest, learned, search
from shadowproxy.demo.run import settle
from shadowproxy.report import Report
from shadowproxy.report.values import Books, Cause, FieldEvidence, FieldReport, RouteReport, ServiceReport


def route(name: str, **more: Any) -> RouteReport:
    empty: dict[str, Any] = {
        "requests": 100, "codes": {}, "books": {"candidate": books()}, "verdicts": {}, "kinds": {}, "failures": [],
        "fields": [], "incomparable": {}, "latency": {}, "delta": None, "slower": False, "slower_why": "",
        "mismatches": 0,
    }  # fmt: skip
    return RouteReport(name=name, **(empty | more))


def books(in_flight: int = 0, unaccounted: tuple[int, int] = (0, 0)) -> Books:
    return Books(100, 0, {}, 100, 100 - in_flight, {}, in_flight, unaccounted)


def cause(route: str, field: str, kind: str) -> Cause:
    return Cause(
        f"c-{route}", route, [("$.a", "body_value"), (field, kind)], 200, 200, "", 9, 0.1, 0.0, 0.0, "", "", None
    )


def report(*routes: RouteReport, causes: Sequence[Cause] | None = None) -> Report:
    """Of these routes, with a cause for every field of theirs unless others are given."""
    found = [cause(each.name, row.field, row.kind) for each in routes for row in each.fields]
    service = ServiceReport(
        "shop", {}, 100, 100, 0, list(routes), "fail", 1, "", causes=list(found if causes is None else causes)
    )
    return Report("0", "", 0, 0.0, 0.0, [service], "fail", 1, "")


def field(path: str, kind: str) -> FieldReport:
    return FieldReport(path, kind, 40, 0.4, None)


SHOWN = {
    "changed type": route("item", fields=[field("$.name", "body_value"), field("$.stock", "body_type")]),
    "lost field": route("user", fields=[field("$.contact.phone", "body_missing")]),
    "changed value": route("price", fields=[field("$.discount_percent", "body_value")]),
    "slow route": route("recommendations", slower=True, slower_why="p50 of the paired difference +80 ms"),
    "server error": route(
        "order", fields=[field("status", "status")], codes={"primary": {"2xx": 100}, "candidate": {"5xx": 40}}
    ),
}


def test_every_fault_is_found_where_the_report_shows_it() -> None:
    findings = search(report(*SHOWN.values()))
    assert [finding.name for finding in findings] == [fault.name for fault in FAULTS] == list(SHOWN)
    assert all(finding.found and finding.evidence for finding in findings)
    assert [finding.cause for finding in findings] == ["c-item", "c-user", "c-price", "", "c-order"]


def test_a_fault_without_a_cause_is_not_found() -> None:
    findings = search(
        report(*SHOWN.values(), causes=[cause("item", "$.stock", "body_type"), cause("item", "status", "status")])
    )
    assert [finding.name for finding in findings if finding.found] == ["changed type", "slow route"]


@pytest.mark.parametrize("missing", SHOWN)
def test_a_fault_that_is_not_shown_is_not_found(missing: str) -> None:
    rest = [shown for name, shown in SHOWN.items() if name != missing]
    hidden = route(SHOWN[missing].name, codes={"candidate": {"5xx": 40}}, fields=[field("$.stock", "body_value")])
    assert [f.name for f in search(report(*rest)) if not f.found] == [missing]
    assert [f.name for f in search(report(*rest, hidden)) if not f.found] == [missing]


def test_rest_is_nothing_in_flight_and_balanced_books() -> None:
    assert at_rest(report(route("item")))
    assert not at_rest(report(route("item"), route("user", books={"candidate": books(in_flight=1)})))
    assert not at_rest(report(route("item", books={"candidate": books(unaccounted=(1, 0))})))
    assert not at_rest(report())


def reader(*reports: Report) -> Iterator[Report]:
    yield from reports


def test_the_report_is_read_until_it_rests_and_stays_the_same() -> None:
    moving = report(route("item", books={"candidate": books(in_flight=3)}))
    early, last = report(route("item")), report(route("item", mismatches=4))
    pauses: list[None] = []
    readings = reader(moving, early, last, last)
    assert settle(lambda: next(readings), lambda: pauses.append(None), 10) == last
    assert len(pauses) == 3


def test_what_does_not_come_to_rest_is_reported_as_it_is() -> None:
    moving = report(route("item", books={"candidate": books(in_flight=3)}))
    assert settle(lambda: moving, lambda: None, 2) == moving


def test_the_fields_that_turned_out_to_be_noise_are_named_once() -> None:
    def row(field: str, state: str) -> FieldEvidence:
        return FieldEvidence(field, "body_value", 0, 0, 9, 0, state, 0.0, 4.0, None, 0.0, 0.0, None)

    rows = [row("$.trace_id", "noise"), row("$.stock", "regressed")]
    both = report(route("item", evidence=rows), route("user", evidence=rows))
    assert learned(both) == ["$.trace_id"]
