"""What changed since an earlier report: what a report leaves behind, and how the next one differs from it. Pure.

Only what can be said is said. A cause has stopped when it would have been seen again with 99 % among the pairs since it
was last seen, at the rate it had; what a restart forgot is not called better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.model.terms import CANDIDATE
from shadowproxy.report import phrases, standing
from shadowproxy.report.build import FAIL, INCONCLUSIVE, PASS
from shadowproxy.report.judging import is_few
from shadowproxy.report.plain import clip, number
from shadowproxy.report.values import Cause, Change, Changes, Report, RouteReport, ServiceReport

MAX_FIELDS: Final = 300
MAX_CAUSES: Final = 100
MAX_CHANGES: Final = 100
SURELY: Final = 4.6
"""Expected pairs of a cause of which none came: e^-4.6 is 1 %."""
_LONGEST: Final = 160
_RANK: Final = {PASS: 0, INCONCLUSIVE: 1, FAIL: 2}
_WORSE, _BETTER, _OTHER = "worse", "better", "other"
_ORDER: Final = (_WORSE, _OTHER, _BETTER)


class SeenCause(Struct, frozen=True, array_like=True):
    """`share` of its route's compared pairs, of which `quiet` came since its last one.

    `live`: not said to have stopped.
    """

    id: str
    route: str
    what: str
    share: float
    quiet: int = 0
    live: bool = True


class SeenField(Struct, frozen=True, array_like=True):
    """A field that counted, in this share of the service's compared pairs."""

    route: str
    field: str
    kind: str
    share: float


class Memory(Struct, frozen=True):
    """What one report of one service leaves behind; lists are bounded."""

    at: float
    epoch: str
    policy: int
    verdict: str
    compared: int
    versions: dict[str, str] = {}
    earlier: int = 0
    """Pairs that a new version had left out by then."""
    fields: list[SeenField] = []
    causes: list[SeenCause] = []
    slower: list[str] = []
    errors: list[str] = []
    failures: list[str] = []
    due: list[str] = []
    routes: dict[str, int] = {}
    """Compared pairs by route."""


def remember(report: Report, service: ServiceReport, before: Memory | None) -> Memory:
    """What to keep of a report, which was compared with `before`."""
    return Memory(
        at=report.generated_at,
        epoch=report.epoch,
        policy=report.policy,
        verdict=service.verdict,
        compared=service.compared,
        earlier=_earlier(service),
        versions=service.knowledge.versions if service.knowledge else {},
        fields=_fields(service)[:MAX_FIELDS],
        causes=[_seen(report, service, cause, before) for cause in service.causes[:MAX_CAUSES]],
        slower=[route.name for route in service.routes if standing.is_slower(route)],
        errors=[route.name for route in service.routes if route.errors and route.errors.regressed],
        failures=[route.name for route in service.routes if route.failures],
        due=[_accepted(entry.id, entry.state) for entry in service.accepted if phrases.is_due(entry)],
        routes={clip(route.name, _LONGEST): _compared(route) for route in service.routes},
    )


def memories(report: Report) -> dict[str, Memory]:
    """By service, of a report that was not compared with any."""
    return {service.name: remember(report, service, None) for service in report.services}


def compare(report: Report, before: Mapping[str, Memory]) -> Report:
    """The report with what changed in each service of which there is a memory."""
    return replace(
        report,
        services=[
            replace(each, changes=_changes(report, each, before[each.name]) if each.name in before else None)
            for each in report.services
        ],
    )


def _changes(report: Report, service: ServiceReport, before: Memory) -> Changes:
    items = sorted(
        (
            *_verdict(service, before),
            *_context(report, service, before),
            *_causes(report, service, before),
            *_regressions(report, service, before),
        ),
        key=lambda change: _ORDER.index(change.direction),
    )
    restarted = report.epoch != before.epoch
    return Changes(
        since=before.at,
        before=before.verdict,
        after=service.verdict,
        pairs=_grown(report, service, before),
        restarted=restarted,
        items=items[:MAX_CHANGES],
        left_out=max(0, len(items) - MAX_CHANGES),
    )


def _earlier(service: ServiceReport) -> int:
    return sum(route.earlier for route in service.routes)


def _goes_on(report: Report, service: ServiceReport, before: Memory) -> bool:
    """Whether counts grew from those of then: after a restart, and with a new version, they began anew."""
    return report.epoch == before.epoch and _earlier(service) == before.earlier


def _grown(report: Report, service: ServiceReport, before: Memory) -> int:
    """Pairs compared since; where counts began anew all that were."""
    return max(0, service.compared - (before.compared if _goes_on(report, service, before) else 0))


def _compared(route: RouteReport) -> int:
    verdicts = route.verdicts.get(CANDIDATE, {})
    return sum(verdicts.values()) - verdicts.get("incomparable", 0)


def _compared_on(service: ServiceReport, name: str) -> int:
    return sum(_compared(route) for route in service.routes if clip(route.name, _LONGEST) == name)


def _grown_on(report: Report, service: ServiceReport, before: Memory, name: str) -> int:
    """Pairs of a route compared since: where nobody asks for it any more, nothing shows that a cause is gone."""
    known = before.routes.get(name, 0) if _goes_on(report, service, before) else 0
    return max(0, _compared_on(service, name) - known)


def _verdict(service: ServiceReport, before: Memory) -> Iterator[Change]:
    rise = _RANK.get(service.verdict, 1) - _RANK.get(before.verdict, 1)
    if rise:
        yield Change(_WORSE if rise > 0 else _BETTER, "verdict", "", f"{before.verdict} → {service.verdict}")


def _context(report: Report, service: ServiceReport, before: Memory) -> Iterator[Change]:
    """What else may explain a change."""
    if report.epoch != before.epoch:
        yield Change(_OTHER, "restart", "", "counts began anew")
    elif report.policy != before.policy:
        yield Change(_OTHER, "configuration", "", f"policy {before.policy} → {report.policy}")
    versions = service.knowledge.versions if service.knowledge else {}
    for arm in sorted(versions.keys() & before.versions):
        if versions[arm] != before.versions[arm]:
            yield Change(_OTHER, "version", "", f"{arm} {before.versions[arm]} → {versions[arm]}")


def _seen(report: Report, service: ServiceReport, cause: Cause, before: Memory | None) -> SeenCause:
    what = clip(cause.words or phrases.keys(cause), _LONGEST)
    earlier = next((each for each in before.causes if each.id == cause.id), None) if before else None
    if before is None or earlier is None or _is_after(cause.last_at, before):
        route = clip(cause.route, _LONGEST)
        return SeenCause(cause.id, route, what, cause.pairs / max(_compared_on(service, route), 1))
    quiet = earlier.quiet + _grown_on(report, service, before, earlier.route)
    return replace(earlier, quiet=quiet, live=earlier.live and not _has_stopped(earlier, quiet))


def _is_after(at: float | None, before: Memory) -> bool:
    return at is not None and at > before.at


def _has_stopped(cause: SeenCause, quiet: int) -> bool:
    return cause.share * quiet >= SURELY


def _causes(report: Report, service: ServiceReport, before: Memory) -> Iterator[Change]:
    known = {each.id: each for each in before.causes}
    now = {each.id: each for each in service.causes}
    for cause in service.causes:
        earlier = known.get(cause.id)
        said = f"{phrases.keys(cause)}: {number(cause.pairs, 'pair')}"
        if earlier is None and _is_after(cause.first_at, before):
            yield Change(_WORSE, "cause", cause.route, f"new: {clip(cause.words or said, _LONGEST)}")
        elif earlier and not earlier.live and _is_after(cause.last_at, before):
            yield Change(_WORSE, "cause", cause.route, f"seen again: {said}")
    for earlier in before.causes:
        cause_now = now.get(earlier.id)
        if cause_now is None and service.causes_left_out:
            continue  # it may be one of those
        if not earlier.live or (cause_now and (cause_now.last_at is None or _is_after(cause_now.last_at, before))):
            continue
        quiet = earlier.quiet + _grown_on(report, service, before, earlier.route)
        if _has_stopped(earlier, quiet):
            yield Change(_BETTER, "cause", earlier.route, f"no more, in {number(quiet, 'pair')}: {earlier.what}")


def _fields(service: ServiceReport) -> list[SeenField]:
    return [
        SeenField(route.name, row.name, row.kind, _pairs(row) / max(service.compared, 1))
        for route in service.routes
        for row in standing.fields(service, route)
        if row.state in standing.COUNT
    ]


def _pairs(row: standing.Row) -> int:
    if row.pairs is not None:
        return row.pairs
    return row.evidence.candidate_only + row.evidence.both if row.evidence else 0


def _accepted(name: str, state: str) -> str:
    return f"{state} {name}"


def _regressions(report: Report, service: ServiceReport, before: Memory) -> Iterator[Change]:
    yield from _field_changes(report, service, before)
    # After a restart, in another run or of another version, few pairs say nothing of what many once showed.
    goes_on = _goes_on(report, service, before)
    enough = not is_few(service) and (goes_on or 2 * service.compared >= before.compared)
    current = remember(report, service, None)
    for about, says, kept in (
        ("latency", "slower", "slower"),
        ("errors", "fails more often", "errors"),
        ("failures", "no whole answer", "failures"),
    ):
        new, old = set(getattr(current, kept)), set(getattr(before, kept))
        yield from (Change(_WORSE, about, route, says) for route in sorted(new - old))
        yield from (Change(_BETTER, about, route, f"no longer: {says}") for route in sorted(old - new) if enough)
    for entry in service.accepted:
        if phrases.is_due(entry) and _accepted(entry.id, entry.state) not in before.due:
            what = f"{entry.state}: {entry.field} {entry.kind} ({entry.owner})"
            yield Change(_WORSE, "accepted", entry.route, what)


def _field_changes(report: Report, service: ServiceReport, before: Memory) -> Iterator[Change]:
    """What counts now and did not, and the reverse."""
    now = {(each.route, each.field, each.kind) for each in _fields(service)}
    earlier = {(each.route, each.field, each.kind): each.share for each in before.fields}
    if len(earlier) < MAX_FIELDS:
        for route, name, kind in sorted(now - earlier.keys()):
            yield Change(_WORSE, "field", route, f"regressed: {name} {kind}")
    for (route, name, kind), share in earlier.items():
        shown = _goes_on(report, service, before) or share * service.compared >= SURELY
        if (route, name, kind) not in now and shown and not is_few(service):
            yield Change(_BETTER, "field", route, f"no longer counts: {name} {kind}")
