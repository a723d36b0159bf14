"""What to do next about a service, in sentences, the most urgent first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from shadowproxy.evidence.ledger import OPEN
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import ENOUGH_PAIRS
from shadowproxy.report import phrases, standing
from shadowproxy.report.plain import bracketed, number, percent
from shadowproxy.report.values import RouteReport, ServiceReport

MANY_GIVEN_UP: Final = 0.05
"""A share of the copies from which it is worth a sentence that they were given up."""
_NAMED: Final = 3


def advice(service: ServiceReport) -> list[str]:
    """At least one sentence."""
    if CANDIDATE not in service.upstreams:
        return ["Configure a candidate: there is nothing to compare."]
    said = [*_missing(service), *_wrong(service), *_later(service)]
    return said or ["Nothing: no check found anything."]


def _missing(service: ServiceReport) -> Iterator[str]:
    if service.compared < ENOUGH_PAIRS:
        wanted = number(ENOUGH_PAIRS - service.compared, "more comparable request")
        yield f"Wait for {wanted}: {number(service.compared, 'compared pair')} of {ENOUGH_PAIRS} so far."


def _wrong(service: ServiceReport) -> Iterator[str]:
    causes = len(service.causes) + service.causes_left_out
    if causes:
        first = f"the first is behind {percent(service.causes[0].share)} of all pairs" if service.causes else ""
        settled = sum(bool(cause.suggestion) for cause in service.causes)
        rules = (
            f"; for {settled:,} there is a rule that would settle it, if the difference is wanted" if settled else ""
        )
        yield f"Look at {number(causes, 'cause')} of mismatches, largest first: {first}{rules}."
    elif service.mismatches:
        yield f"Look at the fields in which {number(service.mismatches, 'pair')} differ."
    failing = [route for route in service.routes if route.failures]
    if failing:
        yield f"See whether the candidate is up and fast enough: it gave no whole answer on {_named(failing)}."
    errors = [route for route in service.routes if route.errors and route.errors.regressed]
    if errors:
        yield f"Find out why the candidate fails more often on {_named(errors)}."
    slower = [route for route in service.routes if standing.is_slower(route)]
    if slower:
        yield f"Find out why the candidate is slower on {_named(slower)}."


def _later(service: ServiceReport) -> Iterator[str]:
    waiting = [each.more for route in service.routes for each in route.evidence if each.state == OPEN and each.more]
    if waiting:
        yield f"Wait for about {number(max(waiting), 'more pair')} to know what the open fields are."
    if service.mismatches and not (service.knowledge and service.knowledge.source):
        yield "Configure a secondary, or noise.resample: without second answers noise counts as a difference."
    due = sum(map(phrases.is_due, service.accepted))
    if due:
        yield f"Renew or delete accepted differences that are expired or dead: {due:,}."
    copies = sum(books.eligible - books.sampled_out for route in service.routes for books in route.books.values())
    reasons: dict[str, int] = {}
    for route in service.routes:
        for books in route.books.values():
            for reason, pairs in (*books.dropped.items(), *books.lost.items()):
                reasons[reason] = reasons.get(reason, 0) + pairs
    given_up = sum(reasons.values())
    if copies and given_up / copies > MANY_GIVEN_UP:
        yield f"See why {percent(given_up / copies)} of the copies were given up{bracketed(reasons)}."


def _named(routes: Sequence[RouteReport]) -> str:
    names = ", ".join(route.name for route in routes[:_NAMED])
    left = len(routes) - _NAMED
    return f"{names} and {number(left, 'more route')}" if left > 0 else names
