"""`shadowproxy status`: whether everything runs, and what it has done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from shadowproxy.cli.client import DEFAULT_ADMIN, Admin, Output, OutputOption, Service, Token, ask, print_json

if TYPE_CHECKING:
    from shadowproxy.admin.values import ServiceStatus, Status
    from shadowproxy.model.totals import RolloutFigures


def status(
    admin: Admin = DEFAULT_ADMIN, token: Token = None, service: Service = None, output: OutputOption = Output.text
) -> None:
    """Show the processes, the upstreams and the counts. Exits 1 while not every worker is ready."""
    from shadowproxy.admin.values import Status

    found, body = ask(Status, admin, token, "/api/v1/status", service=service)
    if output is Output.json:
        print_json(body)
    else:
        print(*render(found), sep="\n")
    raise typer.Exit(0 if found.ready else 1)


def render(status: Status) -> Iterator[str]:
    from shadowproxy.report.plain import duration, seconds

    ready = "ready" if status.ready else "NOT READY"
    up = duration(status.at - status.started_at)
    yield f"shadowproxy {status.version} · {ready} · up {up} · policy {status.policy} ({status.fingerprint})"
    yield ""
    for service in status.services:
        yield from _service(service)
    for worker in status.workers:
        state = "fresh" if worker.fresh else f"silent for {worker.age or 0:.0f} s"
        marks = "".join(
            f" · {mark}" for mark, on in (("draining", worker.draining), ("shedding", worker.overloaded)) if on
        )
        yield (
            f"worker {worker.block}   {state} · policy {worker.policy} · {worker.connections:,} connections"
            f" · {worker.held_bytes / 1024:,.0f} KiB held · lag {seconds(worker.loop_lag)}{marks}"
        )
    yield f"restarts   {' · '.join(f'{role} {n}' for role, n in status.restarts.items())}"
    reloads = status.reloads
    yield f"reloads    {reloads.succeeded} taken · {reloads.failed} refused"
    if not reloads.last_ok:
        yield "           the last one was refused; the configuration before it is in force"
        yield from (f"           {problem}" for problem in reloads.problems)
    store = status.store
    dropped = sum(store.dropped.values())
    yield (
        f"store      examples {store.examples:,} · {store.bytes / 1024:,.0f} KiB"
        + (f" · {dropped:,} given up" if dropped else "")
        + ("" if store.available else f" · cannot be written: {store.why}")
    )


def _service(service: ServiceStatus) -> Iterator[str]:
    from shadowproxy.report import isolation_words

    yield (
        f"{service.name}  {service.match}  {service.requests:,} requests · {service.compared:,} compared"
        f" · {service.differ:,} differ · {service.in_flight:,} in flight"
    )
    for arm, upstream in service.upstreams.items():
        connections = " · ".join(f"{n} {state}" for state, n in upstream.connections.items() if n)
        yield (
            f"  {arm:<9}  {', '.join(upstream.urls)}  {upstream.healthy} of {len(upstream.urls)} in rotation"
            + (f" · {connections}" if connections else "")
            + (" · BREAKER OPEN" if upstream.breaker_open else "")
        )
    if service.rollout is not None:
        yield f"  rollout    {_rollout(service.rollout)}"
    if service.isolation is not None:
        yield f"  isolation  {isolation_words(service.isolation)}"
    yield ""


def _rollout(found: RolloutFigures) -> str:
    """`checkout-v2 · running · 5% to the candidate · held by approval`; the rest is told by `rollout status`."""
    from shadowproxy.report.plain import plain
    from shadowproxy.rollout.phrases import percent

    held = f" · held by {', '.join(found.holds)}" if found.holds else ""
    return f"{plain(found.name)} · {found.phase.replace('_', ' ')} · {percent(found.weight)} to the candidate{held}"
