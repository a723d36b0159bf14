"""How the fields and routes of a report stand: what counts, what is open, what is noise. Pure."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shadowproxy.evidence.ledger import OPEN, REGRESSED, UNTOLD
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.report import knowing
from shadowproxy.report.values import FieldEvidence, RouteReport, ServiceReport, Shown

DIFFERS: Final = UNTOLD
"""A field of which no second answer says whether it is noise."""
COUNT: Final = frozenset({REGRESSED, DIFFERS})
"""States that make a report fail."""
ERRORS: Final = "errors"
LATENCY: Final = "latency"


class Row(Struct, frozen=True):
    """A field or a failure of a route, with what is known of it. `state` is `regressed`, `differs`, `open` or `noise`.

    `pairs` and `share` are None where the field was never the reason of a mismatch.
    """

    name: str
    kind: str
    state: str
    pairs: int | None
    share: float | None
    example: Shown | None
    evidence: FieldEvidence | None


def is_known(service: ServiceReport, route: RouteReport) -> bool:
    """Whether second answers tell noise from regressions here; else whatever differs counts (contract, meaning 10)."""
    return knowing.is_known(service.knowledge, route.second_answers)


def fields(service: ServiceReport, route: RouteReport) -> list[Row]:
    """The fields of a route: what counts before what is open, and noise last."""
    known = {(each.field, each.kind): each for each in route.evidence}
    # Where no pair counts as a mismatch, as when all of them are accepted, no field can.
    undecided = DIFFERS if route.mismatches and not is_known(service, route) else OPEN
    unsettled = {OPEN} if route.mismatches else {OPEN, DIFFERS}
    found: list[Row] = []
    for each in route.fields:
        evidence = known.pop((each.field, each.kind), None)
        state = undecided if evidence is None or evidence.state in unsettled else evidence.state
        example = each.example or (evidence.example if evidence else None)
        found.append(Row(each.field, each.kind, state, each.pairs, each.share, example, evidence))
    for left in filter(_is_about_the_candidate, known.values()):
        state = undecided if left.state in unsettled else left.state
        found.append(Row(left.field, left.kind, state, None, None, left.example, left))
    return sorted(found, key=rank)


def _is_about_the_candidate(found: FieldEvidence) -> bool:
    """What only the primary's own version ever showed says nothing of the candidate."""
    return bool(found.candidate_only or found.both or found.spared or found.missed)


def rank(row: Row) -> int:
    """Where a row stands by its state: what counts comes first."""
    order = knowing.ORDER
    return order.index(row.state) if row.state in order else len(order)


def rows(service: ServiceReport, route: RouteReport) -> list[Row]:
    """The failures of a route, then its fields."""
    failures = [
        Row("no response", each.kind, DIFFERS, each.pairs, each.share, each.example, None) for each in route.failures
    ]
    return failures + fields(service, route)


def regressions(service: ServiceReport) -> list[tuple[RouteReport, Row | str]]:
    """Failures and fields that regressed or of which nothing is known; then ERRORS and LATENCY where they did."""
    found: list[tuple[RouteReport, Row | str]] = []
    for route in service.routes:
        found += [(route, row) for row in rows(service, route) if row.state in COUNT]
        if route.errors and route.errors.regressed:
            found.append((route, ERRORS))
        if is_slower(route):
            found.append((route, LATENCY))
    return found


def is_calm(route: RouteReport) -> bool:
    """Whether there is nothing on a route that anyone has to look at."""
    return not (
        route.mismatches
        or route.failures
        or is_slower(route)
        or (route.errors and route.errors.regressed)
        or any(each.state == REGRESSED for each in route.evidence)
        or any(any(books.unaccounted) for books in route.books.values())
    )


def is_slower(route: RouteReport) -> bool:
    return route.slower or bool(route.paired and route.paired.slower)


def slower_why(route: RouteReport) -> str:
    return (route.paired.why if route.paired and route.paired.slower else "") or route.slower_why


def compared(route: RouteReport) -> int:
    """Pairs of the candidate that say something."""
    verdicts = route.verdicts.get(CANDIDATE, {})
    return sum(verdicts.values()) - verdicts.get("incomparable", 0)
