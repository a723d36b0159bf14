"""`shadowproxy status`: everything at a glance, as on the dashboard's first page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import typer

from shadowproxy.cli.client import (
    DEFAULT_ADMIN,
    Admin,
    Output,
    OutputOption,
    Service,
    Token,
    ask,
    columns,
    print_json,
    wants_color,
)

if TYPE_CHECKING:
    from shadowproxy.admin.rollout_values import FreezeStatus, RolloutStatus
    from shadowproxy.admin.values import ServiceStatus, Status
    from shadowproxy.report.terminal import Paint
    from shadowproxy.report.values import ServiceReport

NARROW: Final = 60
"""Columns below which lines are no shorter."""
_VERDICTS: Final = {"pass": ("✓", "green"), "fail": ("✗", "red"), "inconclusive": ("?", "yellow")}


def status(
    admin: Admin = DEFAULT_ADMIN, token: Token = None, service: Service = None, output: OutputOption = Output.text
) -> None:
    """Show where rollouts are and why, what differs, the books, the upstreams, the processes and what holds.

    Exits 1 while not every worker is ready.
    """
    from shadowproxy.admin.rollout_values import FreezeStatus, RolloutStatus
    from shadowproxy.admin.values import Status
    from shadowproxy.report import Report
    from shadowproxy.report.terminal import WIDTH, Paint

    found, body = ask(Status, admin, token, "/api/v1/status", service=service)
    freezes, _ = ask(list[FreezeStatus], admin, token, "/api/v1/freeze", service=service)
    reports = {each.name: each for each in ask(Report, admin, token, "/api/v1/report", service=service)[0].services}
    rollouts = {
        each.name: ask(RolloutStatus, admin, token, "/api/v1/rollout", service=each.name)[0]
        for each in found.services
        if each.rollout is not None
    }
    if output is Output.json:
        print_json(_whole(body, rollouts, freezes, reports))
    else:
        width = columns(NARROW, WIDTH, WIDTH)
        print(*render(found, rollouts, freezes, reports, Paint(wants_color()), width), sep="\n")
    raise typer.Exit(0 if found.ready else 1)


def _whole(
    body: bytes,
    rollouts: dict[str, RolloutStatus],
    freezes: list[FreezeStatus],
    reports: dict[str, ServiceReport],
) -> dict[str, Any]:
    """What `/api/v1/status` says, and what else is shown, by service."""
    import msgspec

    verdicts = {
        name: {
            "verdict": each.verdict,
            "conclusion": each.conclusion,
            "compared": each.compared,
            "mismatches": each.mismatches,
            "books": _sums(each),
        }
        for name, each in reports.items()
    }
    return {**msgspec.json.decode(body), "rollouts": rollouts, "freezes": freezes, "verdicts": verdicts}


def render(
    status: Status,
    rollouts: dict[str, RolloutStatus],
    freezes: list[FreezeStatus],
    reports: dict[str, ServiceReport],
    paint: Paint,
    width: int,
) -> Iterator[str]:
    from shadowproxy.cli.rollout_text import banner
    from shadowproxy.report.plain import duration
    from shadowproxy.report.terminal import paragraph

    ready = paint("green", "ready") if status.ready else paint("red", "NOT READY")
    up = duration(status.at - status.started_at)
    yield f"shadowproxy {status.version} · {ready} · up {up} · policy {status.policy} ({status.fingerprint})"
    for line in banner(freezes, status.at):
        yield from paragraph("freeze", line, paint, "yellow", width)
    yield ""
    for service in status.services:
        yield from _service(service, rollouts.get(service.name), reports.get(service.name), paint, width)
        yield ""
    yield from _processes(status, paint, width)


def _service(
    service: ServiceStatus, rollout: RolloutStatus | None, report: ServiceReport | None, paint: Paint, width: int
) -> Iterator[str]:
    from shadowproxy.cli.rollout_text import glance
    from shadowproxy.report import isolation_words
    from shadowproxy.report.plain import plain
    from shadowproxy.report.terminal import paragraph

    yield (
        f"{paint('bold', plain(service.name))}  {service.match}  {service.requests:,} requests"
        f" · {service.compared:,} compared · {service.differ:,} differ · {service.in_flight:,} in flight"
    )
    if rollout is not None:
        yield from glance(rollout, paint, width)
    else:
        yield from paragraph("rollout", "none in the configuration: it mirrors and compares", paint, "dim", width)
    if report is not None:
        mark, style = _VERDICTS[report.verdict]
        yield from paragraph("verdict", f"{mark} {report.conclusion}", paint, style, width)
        yield from paragraph("books", _books(_sums(report)), paint, "", width)
    if service.isolation is not None:
        yield from paragraph("isolation", isolation_words(service.isolation), paint, "", width)
    for arm, upstream in service.upstreams.items():
        connections = " · ".join(f"{n} {state}" for state, n in upstream.connections.items() if n)
        said = (
            f"{', '.join(upstream.urls)}  {upstream.healthy} of {len(upstream.urls)} in rotation"
            + (f" · {connections}" if connections else "")
            + (" · BREAKER OPEN" if upstream.breaker_open else "")
        )
        well = upstream.healthy == len(upstream.urls) and not upstream.breaker_open
        yield from paragraph(arm, said, paint, "" if well else "red" if not upstream.healthy else "yellow", width)


def _sums(report: ServiceReport) -> dict[str, int]:
    """The books of the candidate's copies over all routes; `unaccounted` is 0 at rest, and small in motion."""
    books = [route.books["candidate"] for route in report.routes if "candidate" in route.books]
    return {
        "eligible": sum(each.eligible for each in books),
        "sampled_out": sum(each.sampled_out for each in books),
        "dropped": sum(sum(each.dropped.values()) for each in books),
        "sent": sum(each.sent for each in books),
        "compared": sum(each.compared for each in books),
        "lost": sum(sum(each.lost.values()) for each in books),
        "in_flight": sum(each.in_flight for each in books),
        "unaccounted": sum(abs(each.unaccounted[0]) + abs(each.unaccounted[1]) for each in books),
    }


def _books(sums: dict[str, int]) -> str:
    if not sums["eligible"]:
        return "nothing was mirrored yet"
    off = sums["unaccounted"]
    return (
        "eligible {eligible:,} = sampled out {sampled_out:,} + dropped {dropped:,} + sent {sent:,};"
        " sent = compared {compared:,} + lost {lost:,} + in flight {in_flight:,}"
    ).format(**sums) + (f"; {off:,} in motion" if off else " ✓")


def _processes(status: Status, paint: Paint, width: int) -> Iterator[str]:
    from shadowproxy.report.plain import seconds
    from shadowproxy.report.terminal import paragraph

    for worker in status.workers:
        state = "fresh" if worker.fresh else f"silent for {worker.age or 0:.0f} s"
        marks = "".join(
            f" · {mark}" for mark, on in (("draining", worker.draining), ("shedding", worker.overloaded)) if on
        )
        said = (
            f"{state} · policy {worker.policy} · {worker.connections:,} connections"
            f" · {worker.held_bytes / 1024:,.0f} KiB held · lag {seconds(worker.loop_lag)}{marks}"
        )
        style = "" if worker.fresh and not marks else "yellow"
        yield from paragraph(f"worker {worker.block}", said, paint, style, width)
    restarts = " · ".join(f"{role} {n}" for role, n in status.restarts.items())
    yield from paragraph("restarts", restarts, paint, "", width)
    reloads = status.reloads
    yield from paragraph("reloads", f"{reloads.succeeded} taken · {reloads.failed} refused", paint, "", width)
    if not reloads.last_ok:
        refused = "the last one was refused; the configuration before it is in force: mend it, then SIGHUP"
        yield from paragraph("", refused, paint, "red", width)
        for problem in reloads.problems:
            yield from paragraph("", problem, paint, "red", width)
    store = status.store
    dropped = sum(store.dropped.values())
    kept = (
        f"examples {store.examples:,} · {store.bytes / 1024:,.0f} KiB"
        + (f" · {dropped:,} given up" if dropped else "")
        + ("" if store.available else f" · cannot be written: {store.why}")
    )
    yield from paragraph("store", kept, paint, "" if store.available else "red", width)
