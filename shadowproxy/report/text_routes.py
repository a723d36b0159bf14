"""One route of a report for a terminal: codes, books, verdicts, fields, latency, errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from shadowproxy.evidence.ledger import NOISE, OPEN, REGRESSED
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.report import phrases, standing
from shadowproxy.report.plain import bracketed, clip, clip_left, counts, number, percent, plain, wrap_command
from shadowproxy.report.standing import Row
from shadowproxy.report.terminal import LABEL, WIDTH, Paint, labelled, paragraph
from shadowproxy.report.values import Books, RouteReport, ServiceReport

FIELDS_SHOWN: Final = 12
NOISE_SHOWN: Final = 3
"""Of the fields that are noise: they are named so that nobody wonders where they are."""

Told = tuple[str, str, str]
"""A route, a field (empty: the candidate failed) and a kind."""

_ROOM: Final = WIDTH - LABEL - 20
"""For the name, kind and values of a difference: what its label, count and share leave."""
_SHORTEST_VALUES: Final = 28
"""An id and the beginning of two values."""
_LONGEST_KIND: Final = 20
_STATES: Final = {REGRESSED: "red", OPEN: "yellow", NOISE: "dim"}


def block(
    service: ServiceReport, route: RouteReport, now: float, paint: Paint, told: set[Told], full: bool
) -> Iterator[str]:
    """One route; `full` leaves nothing out. For what was `told` with a cause no request is shown once more."""
    style = "green" if standing.is_calm(route) else "red"
    title = f"{paint('bold', paint(style, plain(route.name)))} · {number(route.requests, 'request')}"
    yield title + (paint("red", f" · {route.mismatches:,} differ") if route.mismatches else "")
    codes = "   ".join(f"{arm} {_dotted(each)}" for arm, each in route.codes.items() if each)
    yield from paragraph("codes", codes, paint)
    yield from _books(route, paint)
    for arm, verdicts in route.verdicts.items() if full else ((CANDIDATE, route.verdicts.get(CANDIDATE, {})),):
        yield labelled("verdicts", f"{_of(arm)}{' · '.join(f'{word} {n:,}' for word, n in verdicts.items())}")
    if left := phrases.set_aside(route):
        yield from paragraph("", left, paint)
    if route.incomparable:
        yield from paragraph("", f"incomparable because of {counts(route.incomparable)}", paint)
    yield from _fields(service, route, now, paint, told, full)
    yield from _latency(route, paint, full)
    if route.errors and (full or phrases.anyone_failed(route.errors)):
        label = "errors"
        for sentence in phrases.errors(route.errors):
            yield from paragraph(label, sentence, paint, "red" if route.errors.regressed and label else "")
            label = ""


def _of(arm: str) -> str:
    """The candidate is what a report is about; only another arm is named."""
    return "" if arm == CANDIDATE else f"{arm}: "


def _dotted(codes: dict[str, int]) -> str:
    return " · ".join(f"{word} {n:,}" for word, n in codes.items() if n)


def _books(route: RouteReport, paint: Paint) -> Iterator[str]:
    """Where each arm's copies went; arms of which the same is true together."""
    alike: dict[tuple[tuple[str, int], tuple[str, int]], list[str]] = {}
    for arm, books in route.books.items():
        alike.setdefault(_sums(books), []).append(arm)
    for (given, taken), arms in alike.items():
        of = "each arm: " if len(arms) > 1 else _of(arms[0])
        yield from _balanced("books", of, given, paint)
        yield from _balanced("", of, taken, paint)


def _sums(books: Books) -> tuple[tuple[str, int], tuple[str, int]]:
    """Both lines of the books, each with what it lacks."""
    dropped, lost = sum(books.dropped.values()), sum(books.lost.values())
    given, taken = books.unaccounted
    eligible = f"eligible {books.eligible:,} = sampled out {books.sampled_out:,} + dropped {dropped:,}"
    sent = f"sent {books.sent:,} = compared {books.compared:,} + lost {lost:,}"
    return (
        (f"{eligible}{bracketed(books.dropped)} + sent {books.sent:,}", given),
        (f"{sent}{bracketed(books.lost)} + in flight {books.in_flight:,}", taken),
    )


def _balanced(label: str, of: str, line: tuple[str, int], paint: Paint) -> Iterator[str]:
    said, off = line
    *first, last = paragraph(label, of + said, paint)
    yield from first
    balance = paint("yellow", f"(off by {off:+d} at this moment)") if off else paint("green", "✓")
    yield f"{last} {balance}"


def _fields(
    service: ServiceReport, route: RouteReport, now: float, paint: Paint, told: set[Told], full: bool
) -> Iterator[str]:
    """Failures and fields as a table, with the evidence below each, then each example's request once."""
    every = standing.rows(service, route)
    rows = every if full else _most_telling(every)
    if not every:
        return
    wide, kinds = _columns(rows)
    label = ""
    for (state, known), group in groupby(rows, lambda row: (row.state, _known(row, now, full))):
        for row in group:
            head = paint(_STATES.get(state, ""), f"{'' if state == label else state:<{LABEL}}")
            name = paint("cyan", f"{clip_left(_name(row), wide):<{wide}}")
            kind = f"{'' if _is_failure(row) else clip(row.kind, kinds):<{kinds}}"
            yield f"  {head}{_count(row)}  {name} {kind} {_values(row, _ROOM - wide - kinds)}".rstrip()
            label = state
        if known:
            yield from paragraph("", f"  {known}", paint, "dim")
    if left := len(every) - len(rows):
        yield labelled("", f"… and {left} more: shadowproxy diffs list --route {plain(route.name)}")
    untold = [row for row in rows if (route.name, "" if _is_failure(row) else row.name, row.kind) not in told]
    yield from _requests(untold, paint)


def _known(row: Row, now: float, full: bool) -> str:
    """What is said once below the fields of which it is true; usually nothing of noise."""
    return phrases.evidence(row.evidence, now) if row.evidence and (full or row.state != NOISE) else ""


def _most_telling(rows: Sequence[Row]) -> list[Row]:
    noise = [row for row in rows if row.state == NOISE][:NOISE_SHOWN]
    failures = [row for row in rows if _is_failure(row)]
    fields = [row for row in rows if not _is_failure(row) and row.state != NOISE]
    return failures + fields[:FIELDS_SHOWN] + noise


def _columns(rows: Sequence[Row]) -> tuple[int, int]:
    """The widths of names and kinds."""
    kinds = min(max(0 if _is_failure(row) else len(plain(row.kind)) for row in rows), _LONGEST_KIND)
    return min(max(len(plain(_name(row))) for row in rows), _ROOM - kinds - _SHORTEST_VALUES), kinds


def _is_failure(row: Row) -> bool:
    return row.kind.startswith("candidate_")


def _name(row: Row) -> str:
    return row.kind if _is_failure(row) else row.name


def _count(row: Row) -> str:
    return " " * 14 if row.pairs is None else f"{row.pairs:>7,} {percent(row.share or 0.0):>6}"


def _values(row: Row, room: int) -> str:
    if row.example is None:
        return ""
    if _is_failure(row):
        return row.example.id
    room = max(room - len(row.example.id) - 5, 2) // 2
    before, after = (clip(_value(value), room) for value in (row.example.primary, row.example.candidate))
    return f"{row.example.id}  {before} → {after}"


def _value(value: str | None) -> str:
    return "absent" if value is None else value


def _requests(rows: Sequence[Row], paint: Paint) -> Iterator[str]:
    commands = {row.example.id: row.example.curl for row in rows if row.example and row.state != NOISE}
    label = "requests"
    for example, curl in commands.items():
        first, *rest = wrap_command(curl, WIDTH - LABEL - len(example) - 6)
        yield labelled(label, f"{example}  {paint('dim', first)}")
        for line in rest:
            yield labelled("", " " * (len(example) + 4) + paint("dim", line))
        label = ""


def _latency(route: RouteReport, paint: Paint, full: bool) -> Iterator[str]:
    lines = list(phrases.latency_lines(route))
    if not lines:
        return
    wide = max(10, *(len(value) + 2 for _, values in lines for value in values))
    for label, cells in (("latency", phrases.QUANTILES), *lines):
        line = f"{'' if label == 'latency' else label:<11}{''.join(f'{cell:<{wide}}' for cell in cells)}".rstrip()
        yield labelled("latency", paint("dim", line)) if label == "latency" else labelled("", line)
    if full and (legend := phrases.latency_legend(route)):
        yield from paragraph("", legend, paint, "dim")
    if standing.is_slower(route):
        yield from paragraph("", f"slower: {standing.slower_why(route)}", paint, "red")
    if route.paired and (full or standing.is_slower(route) or route.paired.evidence >= phrases.TREND):
        yield from paragraph("", phrases.latency(route.paired), paint)
