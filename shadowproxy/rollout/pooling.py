"""Strata while users are split: what comes in a tick waits until there is enough of it to compare. Pure.

A tick of one second brings a quiet route a request or none. Compared alone with nothing it would say nothing, whatever
became of it; what came at the same weight may be compared together, however the traffic drifts, as each request was
drawn alike. When a stratum is full depends on how many requests came, never on whose they were or how they went.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from shadowproxy.evidence import histograms, latency
from shadowproxy.evidence.histograms import NONE, Bins
from shadowproxy.rollout.facts import Both, RouteCounts
from shadowproxy.rollout.ledger import Histograms, Pool

EXPECTED: Final = 3.0
"""Requests of a route that the arm with the smaller share is to have in a stratum: more bring no more evidence, only
later; with fewer a dead candidate takes longer to be found.
"""


class Strata(NamedTuple):
    """Those that are full: of the answers of all routes together, and of the counts of routes.

    `usual` are the primary's answers of the strata before.
    """

    answers: Histograms | None = None
    routes: tuple[RouteCounts, ...] = ()
    usual: Bins = NONE


def pooled(pool: Pool, answers: Histograms, routes: Sequence[RouteCounts], weight: float) -> tuple[Pool, Strata]:
    """The pool after a tick at this weight, above 0 and below 1. What waited at another weight is left out."""
    if pool.weight != weight:
        pool = Pool(weight=weight, before=pool.before, usual=pool.usual)
    waiting, full = _routes(pool.routes, routes, EXPECTED / min(weight, 1.0 - weight))
    stratum = pool.answers.joined(answers)
    size = sum(stratum.counts)
    if size < latency.stratum_size(pool.before):
        return Pool(stratum, weight, pool.before, waiting, pool.usual), Strata(None, full)
    usual = histograms.summed(pool.usual, stratum.primary)
    after = Pool(weight=weight, before=pool.before + size, routes=waiting, usual=usual)
    return after, Strata(stratum if all(stratum.counts) else None, full, pool.usual)


def _routes(
    before: dict[str, RouteCounts], more: Sequence[RouteCounts], size: float
) -> tuple[dict[str, RouteCounts], tuple[RouteCounts, ...]]:
    """The routes that wait on, and those of at least `size` requests that can be compared."""
    waiting, full = dict(before), []
    for route in more:
        earlier = waiting.pop(route.route, None)
        counts = route if earlier is None else _joined(earlier, route)
        if sum(counts.requests) < size:
            waiting[route.route] = counts
        elif all(counts.requests):
            full.append(counts)
    return waiting, tuple(full)


def _joined(one: RouteCounts, other: RouteCounts) -> RouteCounts:
    return RouteCounts(
        one.route,
        _sum(one.requests, other.requests),
        _sum(one.failed, other.failed),
        _sum(one.client_errors, other.client_errors),
    )


def _sum(one: Both, other: Both) -> Both:
    return one[0] + other[0], one[1] + other[1]
