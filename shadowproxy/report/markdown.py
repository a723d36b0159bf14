"""A report as Markdown, for a pull request or a chat. Everything from traffic is escaped or in code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from shadowproxy.report.build import FAIL, PASS
from shadowproxy.report.text import duration, plain, seconds
from shadowproxy.report.values import Books, FieldReport, Report, RouteReport, ServiceReport

_MARKS: Final = {PASS: "✅", FAIL: "❌"}
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def render(report: Report) -> str:
    lines = [f"# {_MARKS.get(report.verdict, '❔')} shadowproxy: {_text(report.conclusion)}", ""]
    age = duration(report.generated_at - report.started_at)
    lines += [f"Version {report.version}, policy {report.policy}, {age}; exit code {report.exit_code}.", ""]
    lines += [f"> {_text(note)}" for note in report.notes]
    for service in report.services:
        lines += _service(service)
    return "\n".join(lines).rstrip() + "\n"


def _service(service: ServiceReport) -> Iterator[str]:
    yield f"## {_text(service.name)}"
    yield ""
    for arm, urls in service.upstreams.items():
        yield f"- {arm}: {', '.join(map(_code, urls))}"
    yield ""
    yield from _table(
        ("route", "requests", "compared", "differ", "p50 Δ", "p95 Δ", "slower"),
        [_overview(route) for route in service.routes],
    )
    for route in service.routes:
        yield from _route(route)


def _overview(route: RouteReport) -> tuple[str, ...]:
    compared = route.books["candidate"].compared if "candidate" in route.books else 0
    delta = (seconds(route.delta.p50, True), seconds(route.delta.p95, True)) if route.delta else ("", "")
    numbers = (f"{route.requests:,}", f"{compared:,}", f"{route.mismatches:,}")
    return (_text(route.name), *numbers, *delta, "**yes**" if route.slower else "")


def _route(route: RouteReport) -> Iterator[str]:
    yield f"### {_text(route.name)}"
    yield ""
    yield from _table(("arm", "codes"), [(arm, _counts(codes)) for arm, codes in route.codes.items()])
    for arm, books in route.books.items():
        yield from _books(arm, books)
    yield ""
    for arm, verdicts in route.verdicts.items():
        yield f"Verdicts, {arm}: {_counts(verdicts)}."
    if route.incomparable:
        yield f"Incomparable because of {_counts(route.incomparable)}."
    yield ""
    if rows := [*route.failures, *route.fields]:
        yield from _differences(rows)
    yield from _latency(route)


def _books(arm: str, books: Books) -> Iterator[str]:
    given, taken = (f" (off by {off:+d} at this moment)" if off else "" for off in books.unaccounted)
    dropped, lost = sum(books.dropped.values()), sum(books.lost.values())
    yield (
        f"- {arm}: eligible {books.eligible:,} = sampled out {books.sampled_out:,} + dropped {dropped:,}"
        f"{_reasons(books.dropped)} + sent {books.sent:,}{given}"
    )
    yield (
        f"- {arm}: sent {books.sent:,} = compared {books.compared:,} + lost {lost:,}{_reasons(books.lost)}"
        f" + in flight {books.in_flight:,}{taken}"
    )


def _differences(rows: Sequence[FieldReport]) -> Iterator[str]:
    yield from _table(
        ("field", "kind", "pairs", "share", "primary", "candidate", "example"),
        [
            (
                _cell(row.field) if row.field else "no response",
                row.kind,
                f"{row.pairs:,}",
                f"{row.share:.1%}",
                *(
                    _value(value)
                    for value in ((row.example.primary, row.example.candidate) if row.example else ("", ""))
                ),
                row.example.id if row.example else "",
            )
            for row in rows
        ],
    )
    shown = {row.example.id: row.example.curl for row in rows if row.example}
    for example, curl in shown.items():
        yield f"- {example}: {_code(curl)}"
    yield ""


def _latency(route: RouteReport) -> Iterator[str]:
    rows = [*route.latency.items(), *([("paired difference", route.delta)] if route.delta else [])]
    yield from _table(
        ("latency", "p50", "p95", "p99"),
        [(name, seconds(values.p50), seconds(values.p95), seconds(values.p99)) for name, values in rows],
    )
    if route.slower:
        yield f"**Slower**: {_text(route.slower_why)}."
        yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"
        yield ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{_text(word)} {n:,}" for word, n in counts.items() if n) or "none"


def _reasons(counts: Mapping[str, int]) -> str:
    return f" ({_counts(counts)})" if counts else ""


def _value(value: str | None) -> str:
    return "*absent*" if value is None else _cell(value) if value else ""


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", plain(text))


def _code(text: str) -> str:
    """A code span; its fence is longer than any run of backticks inside (CommonMark 6.1)."""
    text = plain(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _cell(text: str) -> str:
    """Code in a table, where a bar would end the cell even inside a code span (GitHub's tables extension)."""
    return _code(text).replace("|", "\\|")
