"""Turn counters, policy and what control holds into Prometheus metric families.

One `Scrape` is the state at one moment; collecting it touches no lock and no data plane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from shadowproxy.metrics import layout as at
from shadowproxy.metrics import series
from shadowproxy.metrics.counters import Counters
from shadowproxy.metrics.fields import FieldTable
from shadowproxy.metrics.reading import captures, routes, upstreams, workers
from shadowproxy.metrics.series import Series
from shadowproxy.metrics.text import Family, number, render
from shadowproxy.model.policy import Policy, Registry
from shadowproxy.model.rollout import HOLD_REASONS, PHASES
from shadowproxy.model.terms import CANDIDATE, LEARNED, OPENAPI
from shadowproxy.model.totals import (
    CaptureTotals,
    Distribution,
    FlagFigures,
    Isolation,
    MirrorTotals,
    RolloutFigures,
    RouteTotals,
    StoreFigures,
    UpstreamTotals,
    WorkerTotals,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[tuple[str, ...], float]
"""Label values in the order of the series, and the value."""


class Scrape(Struct, frozen=True):
    """Everything that a scrape reads. `now` is CLOCK_MONOTONIC, seconds; `incomparable` by (service, route, reason)."""

    counters: Counters
    registry: Registry
    policy: Policy
    fields: FieldTable
    incomparable: Mapping[tuple[str, str, str], int]
    suppressed: Mapping[str, int]
    store: StoreFigures
    version: str
    now: float
    isolation: Mapping[str, Isolation] = {}
    learned: Mapping[str, tuple[int, int]] = {}
    """By service: how many fields regressed, and how many are noisy."""
    accepted: Mapping[str, tuple[int, Mapping[str, int]]] = {}
    """By service: pairs that accepted differences covered, and entries by state."""
    rollouts: Mapping[str, RolloutFigures] = {}
    flags: FlagFigures = FlagFigures()
    """By service."""


def collect(scrape: Scrape) -> Iterator[Family]:
    """Every family, with its samples."""
    rows = list(routes(scrape.counters, scrape.registry, scrape.policy))
    yield from _per_route(rows)
    yield from _second_answers(rows)
    yield _family(series.FIELD_MISMATCHES, ((tuple(_words(key)), n) for key, n in scrape.fields.exported()))
    yield _family(series.INCOMPARABLE, scrape.incomparable.items())
    yield _family(series.REGRESSED_FIELDS, (((name,), fields[0]) for name, fields in scrape.learned.items()))
    yield _family(series.NOISY_FIELDS, (((name,), fields[1]) for name, fields in scrape.learned.items()))
    yield _family(series.ACCEPTED_PAIRS, (((name,), found[0]) for name, found in scrape.accepted.items()))
    yield _family(
        series.ACCEPTED_ENTRIES,
        (((name, state), n) for name, found in scrape.accepted.items() for state, n in found[1].items()),
    )
    yield _family(series.TEMPLATES, _templates(scrape.policy))
    yield from _per_upstream(list(upstreams(scrape.counters, scrape.policy)))
    yield from _captures(list(captures(scrape.counters, scrape.policy)))
    yield from _isolation(scrape.isolation)
    yield from _rollouts({(service, found.name): found for service, found in scrape.rollouts.items()})
    yield from _flags(scrape.flags)
    yield from _per_process(workers(scrape.counters, scrape.now))
    yield _family(series.EXAMPLES_SUPPRESSED, (((reason,), n) for reason, n in scrape.suppressed.items()))
    yield from _store(scrape.store)
    yield from _instance(scrape.counters.supervisor, scrape.version)


def expose(scrape: Scrape) -> bytes:
    """The text format, version 0.0.4."""
    return render(collect(scrape))


def _words(key: Struct) -> Iterator[str]:
    return (getattr(key, name) for name in key.__struct_fields__)


def _family(of: Series, samples: Iterable[Sample]) -> Family:
    labelled = [(of.name, dict(zip(of.labels, values, strict=True)), value) for values, value in samples]
    return Family(of.name, of.help, of.kind, labelled)


def _one(of: Series, value: float) -> Family:
    return _family(of, [((), value)])


def _histogram(of: Series, buckets: tuple[float, ...], rows: Iterable[tuple[tuple[str, ...], Distribution]]) -> Family:
    family = Family(of.name, of.help, of.kind, [])
    add = family.samples.append
    for values, distribution in rows:
        labels = dict(zip(of.labels, values, strict=True))
        below = 0
        for edge, below in distribution.cumulative(buckets):
            add((f"{of.name}_bucket", {**labels, "le": number(edge)}, below))
        add((f"{of.name}_count", labels, below))
        add((f"{of.name}_sum", labels, distribution.sum))
    return family


def _per_route(rows: list[RouteTotals]) -> Iterator[Family]:
    yield _family(
        series.REQUESTS,
        (
            ((row.service, row.route, arm, code), n)
            for row in rows
            for arm, codes in row.codes.items()
            for code, n in codes.items()
        ),
    )
    yield _histogram(
        series.REQUEST_DURATION,
        at.DURATION_BUCKETS,
        (((row.service, row.route, arm), values) for row in rows for arm, values in row.durations.items()),
    )
    yield _family(
        series.FALLBACKS,
        (((row.service, row.route, reason), n) for row in rows for reason, n in row.fallbacks.items() if n),
    )
    books = [((row.service, row.route, arm), mirror) for row in rows for arm, mirror in row.mirrors.items()]
    yield from _books(books)
    candidates = [(place[:2], mirror) for place, mirror in books if place[2] == CANDIDATE]
    yield _family(
        series.MISMATCHES,
        (((*place, kind), n) for place, mirror in candidates for kind, n in mirror.mismatches.items()),
    )
    yield _histogram(series.LATENCY_DELTA, at.DELTA_BUCKETS, ((place, mirror.delta) for place, mirror in candidates))
    yield _family(series.PAIRED_DURATIONS, ((place, mirror.judged) for place, mirror in candidates))
    yield _family(
        series.PAIRED_SPLITS,
        (
            ((*place, quantile, slow), n)
            for place, mirror in candidates
            for quantile, counts in mirror.splits.items()
            for slow, n in zip((CANDIDATE, "reference"), counts, strict=True)
        ),
    )


def _second_answers(rows: list[RouteTotals]) -> Iterator[Family]:
    yield _family(series.SECOND_ANSWERS, (((row.service, row.route), row.triples) for row in rows))
    yield _family(
        series.RESAMPLES,
        (((row.service, row.route, result), n) for row in rows for result, n in row.resamples.items() if n),
    )


def _books(books: list[tuple[tuple[str, str, str], MirrorTotals]]) -> Iterator[Family]:
    yield _family(series.ELIGIBLE, ((place, mirror.eligible) for place, mirror in books))
    yield _family(series.SAMPLED_OUT, ((place, mirror.sampled_out) for place, mirror in books))
    yield _family(series.SENT, ((place, mirror.sent) for place, mirror in books))
    yield _family(series.IN_FLIGHT, ((place, mirror.in_flight) for place, mirror in books))
    columns: tuple[tuple[Series, Callable[[MirrorTotals], dict[str, int]]], ...] = (
        (series.DROPPED, lambda mirror: mirror.dropped),
        (series.LOST, lambda mirror: mirror.lost),
        (series.COMPARISONS, lambda mirror: mirror.verdicts),
        (series.PAIRED_OUTCOMES, lambda mirror: mirror.outcomes),
    )
    for of, column in columns:
        yield _family(of, (((*place, word), n) for place, mirror in books for word, n in column(mirror).items()))


def _templates(policy: Policy) -> Iterator[Sample]:
    for service in policy.services:
        for origin in (OPENAPI, LEARNED):
            yield (service.name, origin), sum(route.origin == origin for route in service.routes)


def _per_upstream(rows: list[UpstreamTotals]) -> Iterator[Family]:
    yield _family(
        series.UPSTREAM_CONNECTIONS,
        (((row.service, row.arm, state), n) for row in rows for state, n in row.connections.items()),
    )
    yield _family(series.UPSTREAM_HEALTHY, (((row.service, row.arm), row.healthy) for row in rows))
    yield _family(series.UPSTREAM_URLS, (((row.service, row.arm), row.endpoints) for row in rows))
    yield _family(
        series.BREAKER_OPEN, (((row.service, row.arm), row.breaker_open) for row in rows if row.arm != "primary")
    )


def _captures(rows: list[CaptureTotals]) -> Iterator[Family]:
    yield _family(series.CAPTURED, (((row.service,), row.written) for row in rows))
    yield _family(
        series.CAPTURE_DROPPED, (((row.service, reason), n) for row in rows for reason, n in row.dropped.items())
    )


def _isolation(services: Mapping[str, Isolation]) -> Iterator[Family]:
    yield _family(
        series.ISOLATION_DELTA,
        (
            ((service, percentile, bound), seconds)
            for service, found in services.items()
            for percentile, interval in found.added.items()
            for bound in ("lower", "estimate", "upper")
            if (seconds := getattr(interval, bound)) is not None
        ),
    )
    yield _family(series.ISOLATION_SLOTS, (((service,), found.slots) for service, found in services.items()))


def _rollouts(rollouts: Mapping[tuple[str, str], RolloutFigures]) -> Iterator[Family]:
    singles: tuple[tuple[Series, Callable[[RolloutFigures], float]], ...] = (
        (series.ROLLOUT_WEIGHT, lambda found: found.weight),
        (series.ROLLOUT_STAGE, lambda found: found.stage),
        (series.ROLLOUT_STEP, lambda found: found.seconds),
        (series.ROLLOUT_UNSETTLED, lambda found: not found.settled),
        (series.ROLLOUT_OVERRIDDEN, lambda found: found.overridden),
    )
    for of, value in singles:
        yield _family(of, ((place, value(found)) for place, found in rollouts.items()))
    tables: tuple[tuple[Series, Callable[[RolloutFigures], Mapping[str, float]]], ...] = (
        (series.ROLLOUT_PHASE, lambda found: {phase: phase == found.phase for phase in PHASES}),
        (series.ROLLOUT_HOLD, lambda found: {reason: reason in found.holds for reason in HOLD_REASONS}),
        (series.ROLLOUT_BAKE, lambda found: found.baked),
        (series.ROLLOUT_FLAG, lambda found: found.flags),
        (series.ANALYSIS_EVIDENCE, lambda found: found.evidence),
    )
    for of, table in tables:
        yield _family(
            of, (((*place, word), n) for place, found in rollouts.items() for word, n in table(found).items())
        )


def _flags(found: FlagFigures) -> Iterator[Family]:
    yield _family(series.FLAG_EVALUATIONS, found.evaluations.items())
    yield _one(series.FLAGS_VERSION, found.version)
    yield _one(series.FLAGS_LOADED, found.is_loaded)


def _per_process(rows: tuple[WorkerTotals, ...]) -> Iterator[Family]:
    reasons = at.REJECT_INDEX
    yield _family(series.REJECTED, (((reason,), sum(row.rejected[reason] for row in rows)) for reason in reasons))
    yield _one(series.CLIENT_CONNECTIONS, sum(row.connections for row in rows))
    yield _one(series.ACCEPTED, sum(row.accepted for row in rows))
    yield _one(series.TUNNELS, sum(row.tunnels for row in rows))
    yield _one(series.TUNNELS_OPEN, sum(row.tunnels_open for row in rows))
    yield _one(series.COPIES_RECEIVED, sum(row.copies_received for row in rows))
    yield _one(series.HELD, sum(row.held_bytes for row in rows))
    yield _one(series.LOOP_LAG, max((row.loop_lag for row in rows), default=0))
    yield _one(series.OVERLOADED, sum(row.overloaded for row in rows))
    yield _one(series.WORKERS_READY, sum(row.is_fresh for row in rows))
    yield _one(series.LOG_DROPPED, sum(row.log_dropped for row in rows))
    yield _one(series.EXAMPLES_SKIPPED, sum(row.examples_skipped for row in rows))


def _store(store: StoreFigures) -> Iterator[Family]:
    yield _one(series.STORE_EXAMPLES, store.examples)
    yield _one(series.STORE_BYTES, store.bytes)
    yield _one(series.STORE_AVAILABLE, store.available)
    yield _family(series.STORE_DROPPED, (((reason,), n) for reason, n in store.dropped.items()))
    yield _one(series.STORE_EVICTED, store.evicted)


def _instance(page: memoryview, version: str) -> Iterator[Family]:
    yield _family(series.RELOADS, [(("success",), page[at.RELOADS_OK]), (("failure",), page[at.RELOADS_FAILED])])
    yield _one(series.LAST_RELOAD_OK, page[at.LAST_RELOAD_OK])
    yield _one(series.LAST_RELOAD_AT, page[at.LAST_RELOAD_AT] / 1000)
    yield _family(series.BUILD_INFO, [((version,), 1)])
    yield _one(series.START_TIME, page[at.STARTED_AT] / 1000)
    yield _family(series.RESTARTS, (((role,), page[word]) for role, word in at.RESTARTS.items()))
