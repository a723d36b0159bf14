"""A report for people at a terminal: at most `WIDTH` columns where the content allows, coloured only if asked.

What changed and the causes come first, then the routes, those with nothing to look at in one line each; the last line
is the conclusion. Values come from requests and responses of strangers: what is not printable is escaped, so that no
response can speak to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from shadowproxy.report import phrases, standing
from shadowproxy.report.build import FAIL, PASS
from shadowproxy.report.isolation import isolation_words
from shadowproxy.report.plain import bracketed, clip, number, plain, seconds, wrap_command
from shadowproxy.report.terminal import LABEL, ROOM, WIDTH, Paint, labelled, paragraph
from shadowproxy.report.text_routes import Told, block
from shadowproxy.report.values import Cause, Report, RouteReport, ServiceReport, Shown

CAUSES_SHOWN: Final = 8
CHANGES_SHOWN: Final = 10
ROUTES_SHOWN: Final = 12
"""Routes with something to look at that are shown whole; the others get a line."""

_MARKS: Final = {PASS: ("✓", "green"), FAIL: ("✗", "red")}
_DIRECTIONS: Final = {"worse": "red", "better": "green"}


def render(report: Report, color: bool = False, full: bool = False) -> str:
    """The whole report, ending with a line feed. `full` leaves nothing out."""
    paint = Paint(color)
    lines: list[str] = []
    for service in report.services:
        lines += _service(report, service, paint, full)
    for note in report.notes:
        lines.append(paint("yellow", f"note: {plain(note)}"))
    lines += _conclusion(report, paint)
    return "\n".join(lines) + "\n"


def _service(report: Report, service: ServiceReport, paint: Paint, full: bool) -> Iterator[str]:
    now = report.generated_at
    title = paint("bold", plain(service.name))
    yield f"{title} · {number(service.requests, 'request')} in {phrases.age(report)} · policy {report.policy}"
    for arm, urls, version in phrases.upstreams(service):
        yield paint("dim", labelled(arm, clip(f"{urls}  {version}".rstrip(), WIDTH - LABEL - 2)))
    yield from paragraph("noise", phrases.knowledge(service.knowledge, now), paint, "dim")
    if service.isolation is not None:
        yield from paragraph("isolation", isolation_words(service.isolation), paint, "dim")
    yield from _accepted(service, now, paint, full)
    yield from _changes(service, now, paint, full)
    yield ""
    causes = service.causes if full else service.causes[:CAUSES_SHOWN]
    for cause in causes:
        yield from _cause(cause, now, paint)
    if left := service.causes_left_out + len(service.causes) - len(causes):
        yield f"… and {number(left, 'more cause')}"
    slower = [route for route in service.routes if standing.is_slower(route)]
    for route in slower:
        yield from paragraph("slower", f"{route.name}: {standing.slower_why(route)}", paint, "red")
    if causes or slower:
        yield ""
    yield from _routes(service, now, paint, full)


def _accepted(service: ServiceReport, now: float, paint: Paint, full: bool) -> Iterator[str]:
    """A count, and by name what has to be looked at: an entry that is expired or dead."""
    if not service.accepted:
        return
    yield labelled("accepted", phrases.accepted(service))
    for entry in service.accepted:
        if phrases.is_due(entry) or full:
            yield from paragraph(
                f"  {entry.state}", phrases.entry(entry, now), paint, "yellow" if phrases.is_due(entry) else ""
            )


def _changes(service: ServiceReport, now: float, paint: Paint, full: bool) -> Iterator[str]:
    if service.changes is None:
        return
    found = service.changes
    yield from paragraph("changes", phrases.changes(found, now), paint, "bold" if found.items else "")
    items = found.items if full else found.items[:CHANGES_SHOWN]
    for change in items:
        yield from paragraph(
            f"  {change.direction}", phrases.change(change), paint, _DIRECTIONS.get(change.direction, "")
        )
    if left := found.left_out + len(found.items) - len(items):
        yield labelled("", f"… and {number(left, 'more change')}")


def _cause(cause: Cause, now: float, paint: Paint) -> Iterator[str]:
    where = f"{clip(cause.route, 24)} · {phrases.statuses(cause)} · {phrases.seen(cause, now)}"
    title = f"{'cause':<{LABEL}}{cause.id}"
    yield f"  {paint('red', title)} · {paint('bold', phrases.impact(cause))} · {where}"
    yield from paragraph("", cause.words or phrases.keys(cause), paint)
    if cause.words:
        yield labelled("", paint("cyan", clip(phrases.keys(cause), WIDTH - LABEL - 2)))
    if cause.example:
        yield from _shown(cause.example, paint)
    if cause.suggestion:
        yield labelled("", paint("green", "suggestion:"))
        yield from (labelled("", f"  {line}") for line in phrases.suggestion(cause, ROOM - 2))


def _shown(example: Shown, paint: Paint) -> Iterator[str]:
    if example.primary is not None or example.candidate is not None:
        room = WIDTH - LABEL - len(example.id) - 8
        before, after = ("absent" if value is None else value for value in (example.primary, example.candidate))
        half = room // 2
        yield labelled("", f"{example.id}  {clip(before, half)} → {clip(after, half)}")
    for line in wrap_command(example.curl, WIDTH - LABEL - 2):
        yield labelled("", paint("dim", line))


def _routes(service: ServiceReport, now: float, paint: Paint, full: bool) -> Iterator[str]:
    told = set() if full else set(_told(service.causes[:CAUSES_SHOWN]))
    loud = [route for route in service.routes if full or not standing.is_calm(route)]
    whole = loud if full else loud[:ROUTES_SHOWN]
    for route in whole:
        yield from block(service, route, now, paint, told, full)
        yield ""
    names = {route.name for route in whole}
    rest = [route for route in service.routes if route.name not in names]
    yield from _overview(rest, paint)
    if rest:
        yield ""


def _told(causes: Sequence[Cause]) -> Iterator[Told]:
    """What a request was shown for already."""
    for cause in causes:
        if cause.example:
            yield from ((cause.route, field, kind) for field, kind in cause.keys)
            yield cause.route, "", cause.failure


def _overview(routes: list[RouteReport], paint: Paint) -> Iterator[str]:
    """One line for each route."""
    if not routes:
        return
    wide = min(max(len(plain(route.name)) for route in routes), 34)
    head = f"{'route':<{wide}} {'requests':>10} {'compared':>10} {'differ':>8} {'p50 Δ':>9} {'p95 Δ':>9}"
    yield paint("dim", f"{head}  given up")
    for route in routes:
        mark = "green" if standing.is_calm(route) else "red"
        delta = (seconds(route.delta.p50, True), seconds(route.delta.p95, True)) if route.delta else ("", "")
        name = paint(mark, f"{clip(route.name, wide):<{wide}}")
        numbers = f"{route.requests:>10,} {standing.compared(route):>10,} {route.mismatches:>8,}"
        yield f"{name} {numbers} {delta[0]:>9} {delta[1]:>9}  {_given_up(route)}".rstrip()
        for aside in phrases.asides(route):
            yield from paragraph("", aside, paint, "yellow")


def _given_up(route: RouteReport) -> str:
    """Copies without a verdict, under their reasons; in short, for the whole books are in the full report."""
    said = []
    for books in route.books.values():
        reasons = {**books.dropped, **books.lost}
        if reasons:
            said.append(f"{sum(reasons.values()):,}{bracketed(reasons)}")
    return clip(" · ".join(said), 30)


def _conclusion(report: Report, paint: Paint) -> Iterator[str]:
    mark, style = _MARKS.get(report.verdict, ("?", "yellow"))
    several = len(report.services) > 1
    for service in report.services if several else []:
        here, shade = _MARKS.get(service.verdict, ("?", "yellow"))
        yield paint(shade, f"{here} {plain(service.name)}: {plain(service.conclusion)}")
    last = report.verdict if several else report.conclusion
    yield paint(style, paint("bold", f"{mark} {plain(last)} (exit code {report.exit_code})"))
