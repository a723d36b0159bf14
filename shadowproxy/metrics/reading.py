"""Read the shared-memory counters into the values of `model.totals`. Only reads; the clock is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import Policy, Registry
from shadowproxy.model.terms import (
    ARMS,
    CANDIDATE,
    CODES,
    DROP_REASONS,
    FALLBACK_REASONS,
    KINDS,
    LOSS_REASONS,
    MIRRORED_ARMS,
    OUTCOMES,
    QUANTILES,
    RESAMPLE_RESULTS,
    VERDICTS,
)
from shadowproxy.model.totals import (
    CaptureTotals,
    Distribution,
    MirrorTotals,
    RouteTotals,
    UpstreamTotals,
    WorkerTotals,
)

_MICROSECOND = 1e-6
_CANDIDATE = at.MIRRORED_INDEX[CANDIDATE]


def routes(counters: Counters, registry: Registry, policy: Policy, based: bool = False) -> Iterator[RouteTotals]:
    """Every route of the policy, and every former one that has counts, in the order of their rows.

    `based`: of pairs only what came since their evidence began, and how many came before.
    """
    arms = {service.name: tuple(arm for arm in ARMS if arm in service.upstreams) for service in policy.services}
    current = {(service.name, route.name) for service in policy.services for route in (*service.routes, service.other)}
    for key, index in registry.routes.items():
        service, _, name = key.partition("\n")
        words = every = counters.totals(at.route_row(index), at.ROUTE_WORDS)
        if based:
            words = counters.since_base(index, every)
        if (service, name) in current:
            yield _route(service, name, words, every, arms[service])
        elif any(every):
            yield _route(service, name, words, every, ())


def _route(service: str, name: str, words: Sequence[int], every: Sequence[int], arms: tuple[str, ...]) -> RouteTotals:
    """`every` has what `words` has and what was before."""
    codes = {
        arm: {code: words[at.requests_word(0, a, c)] for c, code in enumerate(CODES)} for a, arm in enumerate(ARMS)
    }
    durations = {
        arm: _distribution(at.DURATION_EDGES, words, at.duration_word(0, a), at.DURATION_WORDS)
        for a, arm in enumerate(ARMS)
    }
    mirrors = {arm: _mirror(words, every, m) for m, arm in enumerate(MIRRORED_ARMS)}
    return RouteTotals(
        service=service,
        route=name,
        codes={arm: counts for arm, counts in codes.items() if arm in arms or any(counts.values())},
        durations={arm: values for arm, values in durations.items() if arm in arms or values.count},
        mirrors={arm: mirror for arm, mirror in mirrors.items() if arm in arms or mirror.eligible},
        fallbacks={reason: words[at.fallback_word(0, reason)] for reason in FALLBACK_REASONS},
        triples=words[at.TRIPLES],
        resamples={result: words[at.resample_word(0, result)] for result in RESAMPLE_RESULTS},
    )


def _mirror(words: Sequence[int], every: Sequence[int], m: int) -> MirrorTotals:
    verdicts = {verdict: at.compared_word(0, m, verdict) for verdict in VERDICTS}
    return MirrorTotals(
        eligible=words[at.ELIGIBLE + m],
        sampled_out=words[at.SAMPLED_OUT + m],
        sent=words[at.SENT + m],
        in_flight=words[at.IN_FLIGHT + m],
        dropped={reason: words[at.dropped_word(0, m, reason)] for reason in DROP_REASONS},
        lost={reason: words[at.lost_word(0, m, reason)] for reason in LOSS_REASONS},
        verdicts={verdict: words[word] for verdict, word in verdicts.items()},
        mismatches={kind: words[at.mismatch_word(0, m, kind)] for kind in KINDS},
        delta=_distribution(at.DELTA_EDGES, words, at.delta_word(0, m), at.DELTA_WORDS),
        outcomes={outcome: words[at.outcome_word(0, m) + i] for i, outcome in enumerate(OUTCOMES)},
        judged=words[at.JUDGED] if m == _CANDIDATE else 0,
        splits=_splits(words) if m == _CANDIDATE else {},
        earlier=sum(every[word] - words[word] for word in verdicts.values()),
    )


def _splits(words: Sequence[int]) -> dict[str, tuple[int, int]]:
    firsts = {name: at.judged_word(0, q) for q, name in enumerate(QUANTILES)}
    return {name: (words[first + 1], words[first]) for name, first in firsts.items()}


def _distribution(edges: tuple[float, ...], words: Sequence[int], first: int, size: int) -> Distribution:
    """The bins of a histogram and, in its last word, the sum in microseconds."""
    return Distribution(edges, tuple(words[first : first + size - 1]), words[first + size - 1] * _MICROSECOND)


def captures(counters: Counters, policy: Policy) -> Iterator[CaptureTotals]:
    """Every service that is recorded, or was."""
    for service in policy.services:
        words = counters.totals(at.service_row(service.index), at.SERVICE_WORDS)
        dropped = {reason: words[word] for reason, word in at.CAPTURE_INDEX.items()}
        if service.capture is not None or words[at.CAPTURED] or any(dropped.values()):
            yield CaptureTotals(service.name, words[at.CAPTURED], dropped)


def upstreams(counters: Counters, policy: Policy) -> Iterator[UpstreamTotals]:
    """Every arm of every service of the policy."""
    for service in policy.services:
        words = counters.totals(at.service_row(service.index), at.SERVICE_WORDS)
        for a, arm in enumerate(ARMS):
            if arm in service.upstreams:
                yield _upstream(counters, service.name, service.index, words, a)


def _upstream(counters: Counters, service: str, index: int, words: Sequence[int], a: int) -> UpstreamTotals:
    """Connections add up over the workers; health and breaker are each worker's own view of the same URLs."""
    row = at.service_row(index)
    blocks = [block for block in map(counters.block, range(counters.slots)) if block[at.HEARTBEAT]]
    return UpstreamTotals(
        service=service,
        arm=ARMS[a],
        connections={
            "active": words[at.CONNECTIONS_ACTIVE + a],
            "idle": words[at.CONNECTIONS_IDLE + a],
            "connecting": words[at.CONNECTIONS_CONNECTING + a],
        },
        healthy=min((block[row + at.HEALTHY + a] for block in blocks), default=0),
        endpoints=max((block[row + at.ENDPOINTS + a] for block in blocks), default=0),
        breaker_open=any(block[row + at.BREAKER_OPEN + a] for block in blocks),
    )


def workers(counters: Counters, now: float) -> tuple[WorkerTotals, ...]:
    """Every block. `now` is CLOCK_MONOTONIC in seconds."""
    return tuple(_worker(index, counters.block(index), now) for index in range(counters.slots))


def is_ready(blocks: Sequence[WorkerTotals], slots: int) -> bool:
    """Whether every worker slot has a worker that listens and does not drain.

    A slot owns the blocks `slot`, `slot + slots` and so on, so that a successor never shares its predecessor's.
    """
    serving = {worker.block % slots for worker in blocks if worker.is_fresh and not worker.draining}
    return len(serving) == slots


def _worker(index: int, block: Sequence[int], now: float) -> WorkerTotals:
    beat = block[at.HEARTBEAT]
    return WorkerTotals(
        block=index,
        age=max(0.0, now - beat / 1000) if beat else None,
        sequence=block[at.SEQUENCE],
        loop_lag=block[at.LOOP_LAG] * _MICROSECOND,
        connections=block[at.CLIENT_CONNECTIONS],
        accepted=block[at.ACCEPTED],
        tunnels=block[at.TUNNELS],
        tunnels_open=block[at.TUNNELS_OPEN],
        held_bytes=block[at.HELD_BYTES],
        draining=bool(block[at.DRAINING]),
        overloaded=bool(block[at.OVERLOADED]),
        log_dropped=block[at.LOG_DROPPED],
        copies_received=block[at.COPIES_RECEIVED],
        examples_skipped=block[at.EXAMPLES_SKIPPED],
        flags=block[at.FLAGS_VERSION],
        rejected={reason: block[word] for reason, word in at.REJECT_INDEX.items()},
    )
