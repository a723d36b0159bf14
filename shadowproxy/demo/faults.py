"""The five faults of version 2, and how each shows in a report. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from shadowproxy.evidence.ledger import NOISE
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.report import Report
from shadowproxy.report.values import RouteReport

Evidence = Callable[[RouteReport], str]
"""What a report says about the fault, in words; empty where it says nothing."""


class Fault(Struct, frozen=True):
    """A fault that `shop` has in version 2 of `route`. `key`: a field and kind of its cause; a slow route has none."""

    name: str
    route: str
    says: str
    key: tuple[str, str] | None
    evidence: Evidence


class Finding(Struct, frozen=True):
    """Whether the report shows a fault, and by what. What `demo -o json` lists under `faults`.

    `cause` is the id of the largest cause that shows it, for `shadowproxy diffs show`.
    """

    name: str
    route: str
    says: str
    found: bool
    evidence: str
    cause: str = ""


def _field(field: str, kind: str) -> Evidence:
    def evidence(route: RouteReport) -> str:
        for row in route.fields:
            if row.field == field and row.kind == kind:
                return f"{field} {kind} in {row.pairs:,} pairs ({row.share:.0%})"
        return ""

    return evidence


def _slower(route: RouteReport) -> str:
    return route.slower_why


def _failing(route: RouteReport) -> str:
    """A 5xx of the candidate counts as found where the comparison saw that the primary's status was another."""
    codes = route.codes.get(CANDIDATE, {})
    differs = _field("status", "status")(route)
    return f"{differs}, {codes['5xx']:,} answers 5xx" if differs and codes.get("5xx") else ""


def _fault(name: str, route: str, says: str, field: str, kind: str) -> Fault:
    return Fault(name, route, says, (field, kind), _field(field, kind))


FAULTS: Final = (
    _fault("changed type", "item", "stock is a string instead of a number", "$.stock", "body_type"),
    _fault("lost field", "user", "contact.phone is gone", "$.contact.phone", "body_missing"),
    _fault(
        "changed value",
        "price",
        "the largest discount is 10 instead of 15 percent, for one price in eight",
        "$.discount_percent",
        "body_value",
    ),
    Fault("slow route", "recommendations", "80 ms slower", None, _slower),
    Fault("server error", "order", "500 for one order in ten", ("status", "status"), _failing),
)


def search(report: Report) -> list[Finding]:
    """Look for every seeded fault in a report: among the causes, and in what it says of the route."""
    routes = {route.name: route for service in report.services for route in service.routes}
    causes = [cause for service in report.services for cause in service.causes]
    findings = []
    for fault in FAULTS:
        route = routes.get(fault.route)
        evidence = fault.evidence(route) if route else ""
        cause = next((each.id for each in causes if each.route == fault.route and fault.key in each.keys), "")
        found = bool(evidence) and (bool(cause) or fault.key is None)
        findings.append(Finding(fault.name, fault.route, fault.says, found, evidence, cause))
    return findings


def learned(report: Report) -> list[str]:
    """The fields that turned out to be noise."""
    routes = [route for service in report.services for route in service.routes]
    return sorted({row.field for route in routes for row in route.evidence if row.state == NOISE})


def at_rest(report: Report) -> bool:
    """Nothing in flight, and the books of every route balance."""
    books = [each for service in report.services for route in service.routes for each in route.books.values()]
    return bool(books) and all(each.in_flight == 0 and each.unaccounted == (0, 0) for each in books)
