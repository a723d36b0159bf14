"""What Markdown says about routes: all that regressed in one table, and each route whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.report import phrases, standing
from shadowproxy.report.marking import cell, code, table, text, value
from shadowproxy.report.plain import bracketed, counts, percent
from shadowproxy.report.standing import Row
from shadowproxy.report.values import Books, RouteReport, ServiceReport

FIELDS_SHOWN: Final = 40
LONGEST_COMMAND: Final = 2_000


def regression(route: RouteReport, what: Row | str) -> tuple[str, ...]:
    """One line of the table of what regressed."""
    name = cell(route.name)
    if isinstance(what, Row):
        weight = phrases.weight(what.evidence.evidence, what.evidence.needed) if what.evidence else ""
        return name, *_row(what), text(weight)
    if what == standing.ERRORS and route.errors:
        said = text("; ".join(phrases.errors(route.errors)))
        return name, "errors", "", f"{route.errors.candidate_only:,}", "", "", "", said
    return name, "latency", "**slower**", "", "", "", "", text(standing.slower_why(route))


def _row(row: Row) -> tuple[str, ...]:
    """Name, kind, pairs, share and both values."""
    example = row.example
    return (
        cell(row.name) if row.name != "no response" else row.name,
        row.kind,
        "" if row.pairs is None else f"{row.pairs:,}",
        "" if row.share is None else percent(row.share),
        *((value(example.primary), value(example.candidate)) if example else ("", "")),
    )


def whole(service: ServiceReport, route: RouteReport, now: float) -> str:
    """Codes, books, verdicts, fields, latency and errors of one route."""
    lines = [table(("arm", "codes"), [(arm, text(counts(codes)) or "none") for arm, codes in route.codes.items()])]
    for arm, books in route.books.items():
        lines += _books(arm, books)
    lines.append("\n")
    for arm, verdicts in route.verdicts.items():
        lines.append(f"Verdicts, {arm}: {text(counts(verdicts)) or 'none'}.\n")
    if left := phrases.set_aside(route):
        lines.append(f"{text(left)}.\n")
    if route.incomparable:
        lines.append(f"Incomparable because of {text(counts(route.incomparable))}.\n")
    lines.append("\n")
    lines += _fields(service, route, now)
    latency = [(name, *map(text, values)) for name, values in phrases.latency_lines(route)]
    lines.append(table(("latency", *phrases.QUANTILES), latency))
    if legend := phrases.latency_legend(route):
        lines.append(f"{text(legend)}.\n\n")
    if standing.is_slower(route):
        lines.append(f"**Slower**: {text(standing.slower_why(route))}.\n\n")
    if route.paired:
        lines.append(f"Slower? {text(phrases.latency(route.paired))}.\n\n")
    if route.errors:
        lines += [f"- errors: {text(sentence)}\n" for sentence in phrases.errors(route.errors)]
    return "".join(lines)


def _books(arm: str, books: Books) -> Iterator[str]:
    given, taken = (f" (off by {off:+d} at this moment)" if off else "" for off in books.unaccounted)
    dropped, lost = sum(books.dropped.values()), sum(books.lost.values())
    yield (
        f"- {arm}: eligible {books.eligible:,} = sampled out {books.sampled_out:,} + dropped {dropped:,}"
        f"{text(bracketed(books.dropped))} + sent {books.sent:,}{given}\n"
    )
    yield (
        f"- {arm}: sent {books.sent:,} = compared {books.compared:,} + lost {lost:,}{text(bracketed(books.lost))}"
        f" + in flight {books.in_flight:,}{taken}\n"
    )


def _fields(service: ServiceReport, route: RouteReport, now: float) -> Iterator[str]:
    rows = standing.rows(service, route)
    yield table(
        ("state", "field", "kind", "pairs", "share", "primary", "candidate", "example", "evidence"),
        [
            (
                row.state,
                *_row(row),
                code(row.example.id) if row.example else "",
                text(phrases.evidence(row.evidence, now)) if row.evidence else "",
            )
            for row in rows[:FIELDS_SHOWN]
        ],
    )
    if (left := len(rows) - FIELDS_SHOWN) > 0:
        yield f"… and {left:,} more fields.\n\n"
    commands = {row.example.id: row.example.curl for row in rows[:FIELDS_SHOWN] if row.example}
    for example, curl in commands.items():
        yield f"- {code(example)}: {code(curl)}\n" if len(curl) <= LONGEST_COMMAND else ""
    yield "\n"
