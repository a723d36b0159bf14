"""A report for people at a terminal: at most `WIDTH` columns where the content allows, coloured only if asked.

Values come from requests and responses of strangers: what is not printable is escaped, so that no response can speak
to the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.report.build import FAIL, PASS
from shadowproxy.report.values import Books, FieldReport, Quantiles, Report, RouteReport, ServiceReport

WIDTH: Final = 100
FIELDS_SHOWN: Final = 12
_LABEL: Final = 11
_ROOM: Final = WIDTH - _LABEL - 20
"""For the name, kind and values of a difference: what its label, count and share leave."""
_SHORTEST_VALUES: Final = 28
"""An id and the beginning of two values."""

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_MARKS: Final = {PASS: ("✓", "green"), FAIL: ("✗", "red")}
_TOKEN: Final = re.compile(r"""(?:-\w\s+)?(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+""")


class Paint:
    """Wraps text in a style, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._on else text


def plain(text: str) -> str:
    """`text` on one line, with everything that is not printable escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def clip(text: str, width: int) -> str:
    text = plain(text)
    return text if len(text) <= width else text[: width - 1] + "…"


def clip_left(text: str, width: int) -> str:
    """Like `clip`, keeping the end: what tells two fields apart is their last part."""
    text = plain(text)
    return text if len(text) <= width else "…" + text[1 - width :]


def seconds(value: float, sign: bool = False) -> str:
    """Three significant digits: `950 µs`, `12.3 ms`, `1.20 s`."""
    size = abs(value)
    plus = "+" if sign and value > 0 else ""
    if size >= 1:
        return f"{plus}{value:.2f} s"
    if size >= 0.001:
        return f"{plus}{value * 1e3:.{1 if size < 0.1 else 0}f} ms"
    return f"{plus}{value * 1e6:.0f} µs"


def render(report: Report, color: bool = False) -> str:
    """The whole report, ending with a line feed."""
    paint = Paint(color)
    lines: list[str] = []
    for service in report.services:
        lines += _service(report, service, paint)
    for note in report.notes:
        lines.append(paint("yellow", f"note: {plain(note)}"))
    lines += _conclusion(report, paint)
    return "\n".join(lines) + "\n"


def _service(report: Report, service: ServiceReport, paint: Paint) -> Iterator[str]:
    age = duration(report.generated_at - report.started_at)
    yield f"{paint('bold', service.name)} · {service.requests:,} requests in {age} · policy {report.policy}"
    for arm, urls in service.upstreams.items():
        yield paint("dim", f"  {arm:<10} {clip(', '.join(urls), WIDTH - 13)}")
    yield ""
    for route in service.routes:
        yield from _route(route, paint)
        yield ""


def _route(route: RouteReport, paint: Paint) -> Iterator[str]:
    style = "red" if route.mismatches or route.slower else "green"
    title = f"{paint('bold', paint(style, route.name))} · {route.requests:,} requests"
    yield title + (paint("red", f" · {route.mismatches:,} differ") if route.mismatches else "")
    yield _labelled("codes", "   ".join(f"{arm} {_counts(codes)}" for arm, codes in route.codes.items() if codes))
    for arm, books in route.books.items():
        yield from _books(arm, books, paint)
    for arm, verdicts in route.verdicts.items():
        yield _labelled("verdicts", f"{_of(arm)}{_counts(verdicts, zero=True)}")
    if route.incomparable:
        yield _labelled("", f"incomparable because of {_counts(route.incomparable)}")
    yield from _differences(route, paint)
    yield from _latency(route, paint)


def _labelled(label: str, text: str) -> str:
    return f"  {label:<{_LABEL}}{text}"


def _of(arm: str) -> str:
    """The candidate is what a report is about; only another arm is named."""
    return "" if arm == CANDIDATE else f"{arm}: "


def _counts(counts: Mapping[str, int], zero: bool = False) -> str:
    return " · ".join(f"{word} {n:,}" for word, n in counts.items() if n or zero)


def _books(arm: str, books: Books, paint: Paint) -> Iterator[str]:
    dropped, lost = sum(books.dropped.values()), sum(books.lost.values())
    given, taken = books.unaccounted
    yield _labelled(
        "books",
        f"{_of(arm)}eligible {books.eligible:,} = sampled out {books.sampled_out:,} + dropped {dropped:,}"
        f"{_reasons(books.dropped)} + sent {books.sent:,} {_balance(given, paint)}",
    )
    yield _labelled(
        "",
        f"{_of(arm)}sent {books.sent:,} = compared {books.compared:,} + lost {lost:,}"
        f"{_reasons(books.lost)} + in flight {books.in_flight:,} {_balance(taken, paint)}",
    )


def _reasons(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{word} {n:,}' for word, n in counts.items())})" if counts else ""


def _balance(off: int, paint: Paint) -> str:
    return paint("green", "✓") if not off else paint("yellow", f"(off by {off:+d} at this moment)")


def _differences(route: RouteReport, paint: Paint) -> Iterator[str]:
    """The failures and fields as a table, then each example's request once."""
    rows = [*route.failures, *route.fields[:FIELDS_SHOWN]]
    if not rows:
        return
    names = [_name(row) for row in rows]
    kinds = max(len(row.kind) if row.field else 0 for row in rows)
    wide = min(max(map(len, names)), _ROOM - kinds - _SHORTEST_VALUES)
    label = "differs"
    for name, row in zip(names, rows, strict=True):
        field = paint("cyan", f"{clip_left(name, wide):<{wide}}")
        kind = f"{row.kind if row.field else '':<{kinds}}"
        values = _values(row, _ROOM - wide - kinds)
        yield _labelled(label, f"{row.pairs:>7,} {row.share:>6.1%}  {field} {kind} {values}".rstrip())
        label = ""
    if len(route.fields) > FIELDS_SHOWN:
        more = len(route.fields) - FIELDS_SHOWN
        yield _labelled("", f"… and {more} more: shadowproxy diffs list --route {route.name}")
    yield from _requests(rows, paint)


def _name(row: FieldReport) -> str:
    return row.field or row.kind


def _values(row: FieldReport, room: int) -> str:
    if row.example is None:
        return ""
    if not row.field:
        return row.example.id
    room = max(room - len(row.example.id) - 5, 2) // 2
    before, after = (clip(_value(value), room) for value in (row.example.primary, row.example.candidate))
    return f"{row.example.id}  {before} → {after}"


def _value(value: str | None) -> str:
    return "absent" if value is None else value


def _requests(rows: Sequence[FieldReport], paint: Paint) -> Iterator[str]:
    shown = {row.example.id: row.example.curl for row in rows if row.example}
    label = "requests"
    for example, curl in shown.items():
        first, *rest = wrap_command(curl, WIDTH - _LABEL - len(example) - 6)
        yield _labelled(label, f"{example}  {paint('dim', first)}")
        for line in rest:
            yield _labelled("", " " * (len(example) + 4) + paint("dim", line))
        label = ""


def wrap_command(command: str, width: int) -> list[str]:
    """A shell command on lines that end in a backslash, cut between words only, so that it can be pasted."""
    lines: list[str] = []
    line = ""
    for word in map(plain, _TOKEN.findall(command) or [command]):
        if line and len(line) + 1 + len(word) > width - 2:
            lines.append(line + " \\")
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _latency(route: RouteReport, paint: Paint) -> Iterator[str]:
    if not route.latency:
        return
    yield _labelled("latency", paint("dim", f"{'':<11}{'p50':>10}{'p95':>10}{'p99':>10}"))
    for arm, values in route.latency.items():
        yield _labelled("", f"{arm:<11}{_quantiles(values)}")
    if route.delta:
        yield _labelled("", f"{'paired':<11}{_quantiles(route.delta, sign=True)}   {CANDIDATE} minus {PRIMARY}")
    if route.slower:
        yield _labelled("", paint("red", f"slower: {route.slower_why}"))


def _quantiles(values: Quantiles, sign: bool = False) -> str:
    return "".join(f"{seconds(value, sign):>10}" for value in (values.p50, values.p95, values.p99))


def _conclusion(report: Report, paint: Paint) -> Iterator[str]:
    mark, style = _MARKS.get(report.verdict, ("?", "yellow"))
    several = len(report.services) > 1
    for service in report.services if several else []:
        here, shade = _MARKS.get(service.verdict, ("?", "yellow"))
        yield paint(shade, f"{here} {service.name}: {service.conclusion}")
    last = report.verdict if several else report.conclusion
    yield paint(style, paint("bold", f"{mark} {last} (exit code {report.exit_code})"))


def duration(value: float) -> str:
    """`45 s`, `12m 04s`, `3h 12m`, `5d 03h`."""
    whole = max(0, int(value))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"
