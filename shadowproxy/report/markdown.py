"""A report as Markdown for a pull request or a chat: the conclusion first, what is less urgent folded away.

It fits into one comment on GitHub, whatever happened; what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.report import phrases, standing
from shadowproxy.report.build import FAIL, PASS
from shadowproxy.report.fitting import Section, fit, listed
from shadowproxy.report.isolation import isolation_words
from shadowproxy.report.markdown_routes import LONGEST_COMMAND, regression, whole
from shadowproxy.report.marking import block, cell, code, details, head, row, text, value
from shadowproxy.report.plain import percent, seconds
from shadowproxy.report.values import Cause, Report, RouteReport, ServiceReport

LIMIT: Final = 65_000
"""Bytes; a comment may have 65,536 characters."""
CAUSES_SHOWN: Final = 20
REGRESSIONS_SHOWN: Final = 40
DUE_SHOWN: Final = 20
CHANGES_SHOWN: Final = 20

_MARKS: Final = {PASS: "✅", FAIL: "❌"}
_CAUSES: Final = ("cause", "route", "pairs", "share", "what", "status", "last", "primary", "candidate")
_REGRESSIONS: Final = ("route", "field", "kind", "pairs", "share", "primary", "candidate", "evidence")
_ROUTES: Final = ("route", "requests", "compared", "differ", "p50 Δ", "p95 Δ", "slower")


def render(report: Report) -> str:
    sections = [_top(report)]
    for service in report.services:
        sections += _urgent(report, service)
    for service in report.services:
        sections += _folded(report, service)
    return fit(sections, LIMIT, "… and {} more parts of this report.\n").rstrip() + "\n"


def _top(report: Report) -> Section:
    lines = [f"# {_MARKS.get(report.verdict, '❔')} shadowproxy: {text(report.conclusion)}", ""]
    lines += [f"Version {report.version}, policy {report.policy}, {phrases.age(report)}; exit code {report.exit_code}."]
    notes = (f"> {text(note)}\n" for note in report.notes)
    foot = "\n" if report.notes else ""
    return Section("\n".join(lines) + "\n\n", notes, len(report.notes), foot, "> … and {} more notes\n")


def _urgent(report: Report, service: ServiceReport) -> Iterator[Section]:
    now = report.generated_at
    lines = [f"## {text(service.name)}", ""]
    if len(report.services) > 1:
        lines += [f"{_MARKS.get(service.verdict, '❔')} {text(service.conclusion)}", ""]
    lines += [f"- {arm}: {code(urls)} {text(version)}".rstrip() for arm, urls, version in phrases.upstreams(service)]
    lines += [f"- noise: {text(phrases.knowledge(service.knowledge, now))}"]
    if service.isolation is not None:
        lines += [f"- isolation: {text(isolation_words(service.isolation))}"]
    if service.accepted:
        lines += [f"- accepted differences: {text(phrases.accepted(service))}"]
    if service.changes is not None:
        lines += [f"- changes {text(phrases.changes(service.changes, now))}"]
        lines += [
            f"  - **{each.direction}** {text(phrases.change(each))}" for each in service.changes.items[:CHANGES_SHOWN]
        ]
        if left := service.changes.left_out + max(0, len(service.changes.items) - CHANGES_SHOWN):
            lines += [f"  - … and {left:,} more changes"]
    due = [entry for entry in service.accepted if phrases.is_due(entry)]
    yield listed(
        "\n".join(lines) + "\n",
        due,
        lambda entry: f"- **{entry.state}** {text(phrases.entry(entry, now))}\n",
        "\n",
        "- … and {} more that are expired or dead\n",
        DUE_SHOWN,
    )
    if service.causes:
        yield listed(
            "### Causes\n\n" + head(*_CAUSES),
            service.causes,
            lambda each: row(_cause(each, now)),
            "\n",
            "\n… and {} more causes in the table\n",
            CAUSES_SHOWN,
        )
    if left := service.causes_left_out:
        yield Section(f"… and {left:,} more causes.\n\n")
    found = standing.regressions(service)
    if found:
        yield listed(
            "### Regressed\n\n" + head(*_REGRESSIONS),
            found,
            lambda each: row(regression(*each)),
            "\n",
            "\n… and {} more\n",
            REGRESSIONS_SHOWN,
        )


def _cause(cause: Cause, now: float) -> Iterator[str]:
    yield code(cause.id)
    yield cell(cause.route)
    yield f"{cause.pairs:,}"
    yield percent(cause.share)
    yield cell(phrases.keys(cause), 160)
    yield text(phrases.statuses(cause))
    yield phrases.last(cause, now)
    example = cause.example
    yield from (value(example.primary), value(example.candidate)) if example else ("", "")


def _folded(report: Report, service: ServiceReport) -> Iterator[Section]:
    now = report.generated_at
    several = f"{service.name}: " if len(report.services) > 1 else ""

    def cause(each: Cause) -> str:
        return details(f"{several}{each.id}, {phrases.impact(each)}: {phrases.keys(each)}", _told(each, now))

    def route(each: RouteReport) -> str:
        summary = f"{several}{each.name}: {each.requests:,} requests, {each.mismatches:,} differ"
        return details(summary, whole(service, each, now))

    yield listed("", service.causes, cause, "", "… and {} more causes in words.\n\n", CAUSES_SHOWN)
    if service.routes:
        title = "### Routes\n\n" + head(*_ROUTES)
        yield listed(title, service.routes, lambda each: row(_route(each)), "\n", "\n… and {} more routes.\n")
    yield listed("", service.routes, route, "", "… and {} more routes in detail.\n\n")
    active = [entry for entry in service.accepted if not phrases.is_due(entry)]
    if active:
        yield listed(
            f"<details><summary>{len(active):,} accepted differences</summary>\n\n",
            active,
            lambda entry: f"- {text(phrases.entry(entry, now))}\n",
            "\n</details>\n\n",
            "- … and {} more\n",
        )


def _told(cause: Cause, now: float) -> str:
    lines = [f"{text(cause.words)}\n\n" if cause.words else "", f"{text(phrases.seen(cause, now))}.\n\n"]
    if cause.example:
        short = len(cause.example.curl) <= LONGEST_COMMAND
        lines.append(block(cause.example.curl, "sh") if short else "")
        lines.append(f"Example {code(cause.example.id)}: `shadowproxy diffs show {cause.example.id}`\n\n")
    if cause.suggestion:
        lines.append("Suggestion:\n\n" + block(cause.suggestion, "yaml"))
    return "".join(lines)


def _route(route: RouteReport) -> tuple[str, ...]:
    delta = (seconds(route.delta.p50, True), seconds(route.delta.p95, True)) if route.delta else ("", "")
    figures = (f"{route.requests:,}", f"{standing.compared(route):,}", f"{route.mismatches:,}")
    return (cell(route.name), *figures, *delta, "**yes**" if standing.is_slower(route) else "")
