"""The status of the whole tree, from the counters and the policy in force."""

from __future__ import annotations

from collections.abc import Iterable

from shadowproxy import __version__
from shadowproxy.admin.values import (
    ReloadStatus,
    RouteStatus,
    ServiceStatus,
    Status,
    UpstreamStatus,
    WorkerStatus,
)
from shadowproxy.control.state import State
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.reading import is_ready, routes, upstreams, workers
from shadowproxy.model.policy import RoutePolicy, ServicePolicy, fingerprint
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.model.totals import Isolation, RolloutFigures, RouteTotals, UpstreamTotals, WorkerTotals


def status(state: State, monotonic: float, now: float, service: str | None = None) -> Status:
    """Of all services, or of one. `monotonic` is CLOCK_MONOTONIC, `now` Unix time, both in seconds."""
    blocks = workers(state.counters, monotonic)
    page = state.counters.supervisor
    return Status(
        version=__version__,
        epoch=state.policy.epoch,
        policy=state.policy.sequence,
        fingerprint=fingerprint(state.policy),
        ready=is_ready(blocks, state.launch.workers),
        started_at=state.started_at,
        at=now,
        services=[each for each in services(state) if service in {None, each.name}],
        workers=[_worker(block) for block in blocks if block.age is not None],
        restarts={role: page[word] for role, word in at.RESTARTS.items()},
        reloads=ReloadStatus(
            succeeded=page[at.RELOADS_OK],
            failed=page[at.RELOADS_FAILED],
            last_ok=bool(page[at.LAST_RELOAD_OK]),
            last_at=page[at.LAST_RELOAD_AT] / 1000,
            problems=list(state.problems),
        ),
        store=state.store.figures(),
    )


def services(state: State) -> list[ServiceStatus]:
    counted = list(routes(state.counters, state.registry, state.policy))
    arms = list(upstreams(state.counters, state.policy))
    isolation = state.isolation.figures()
    rollouts = state.rollouts.figures()
    return [
        _service(
            service,
            [row for row in counted if row.service == service.name],
            {row.arm: row for row in arms if row.service == service.name},
            isolation.get(service.name),
            rollouts.get(service.name),
        )
        for service in state.policy.services
    ]


def route_list(state: State, service: str | None) -> list[RouteStatus]:
    """Every route of the policy, `other` included."""
    counted = {(row.service, row.route): row for row in routes(state.counters, state.registry, state.policy)}
    return [
        _route(each.name, route, counted[each.name, route.name])
        for each in state.policy.services
        if service in {None, each.name}
        for route in (*each.routes, each.other)
    ]


def _worker(block: WorkerTotals) -> WorkerStatus:
    return WorkerStatus(
        block=block.block,
        fresh=block.is_fresh,
        age=block.age,
        policy=block.sequence,
        connections=block.connections,
        tunnels=block.tunnels_open,
        held_bytes=block.held_bytes,
        loop_lag=block.loop_lag,
        draining=block.draining,
        overloaded=block.overloaded,
    )


def _service(
    policy: ServicePolicy,
    rows: list[RouteTotals],
    arms: dict[str, UpstreamTotals],
    isolation: Isolation | None,
    rollout: RolloutFigures | None,
) -> ServiceStatus:
    mirrors = [row.mirrors[CANDIDATE] for row in rows if CANDIDATE in row.mirrors]
    return ServiceStatus(
        name=policy.name,
        match=f"{policy.host or '*'}{policy.path}",
        upstreams={
            arm: UpstreamStatus(
                urls=[endpoint.url for endpoint in upstream.endpoints],
                healthy=arms[arm].healthy,
                connections=arms[arm].connections,
                breaker_open=arms[arm].breaker_open,
            )
            for arm, upstream in policy.upstreams.items()
        },
        routes=[route.name for route in (*policy.routes, policy.other)],
        requests=_requests(rows),
        sent=sum(mirror.sent for mirror in mirrors),
        in_flight=sum(mirror.in_flight for mirror in mirrors),
        compared=sum(mirror.compared for mirror in mirrors),
        differ=sum(mirror.verdicts["mismatch"] for mirror in mirrors),
        isolation=isolation,
        rollout=rollout,
    )


def _route(service: str, policy: RoutePolicy, row: RouteTotals) -> RouteStatus:
    candidate = row.mirrors.get(CANDIDATE)
    return RouteStatus(
        service=service,
        name=policy.name,
        origin=policy.origin,
        path=policy.path,
        methods=None if policy.methods is None else list(policy.methods),
        sample=policy.shadow.sample,
        mirrored_methods=list(policy.shadow.methods),
        max_body=policy.shadow.max_body,
        requests=_requests([row]),
        compared=candidate.compared if candidate else 0,
        differ=candidate.verdicts["mismatch"] if candidate else 0,
    )


def _requests(rows: Iterable[RouteTotals]) -> int:
    return sum(sum(row.codes.get(PRIMARY, {}).values()) for row in rows)
