"""What a report as HTML says about routes: verdicts, fields, latency, errors, books."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.evidence.ledger import REGRESSED
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import Interval, Isolation
from shadowproxy.report import charts, phrases, standing
from shadowproxy.report.html_page import Cell, chip, code, e, folded, heads, n, row, table, values
from shadowproxy.report.isolation import isolation_words
from shadowproxy.report.plain import counts, percent, seconds
from shadowproxy.report.standing import Row
from shadowproxy.report.values import FieldEvidence, PairedErrors, Quantiles, RouteReport

FIELDS_SHOWN: Final = 100
"""Of one route."""

_TONES: Final = {"match": "good", "mismatch": "bad", "noise": "dim", "ignored": "dim", "incomparable": "warn"}


def verdicts(route: RouteReport) -> str:
    """How the pairs of a route were judged, as a bar and in figures."""
    found = route.verdicts.get(CANDIDATE, {})
    delta = (seconds(route.delta.p50, True), seconds(route.delta.p95, True)) if route.delta else ("", "")
    wrong = [word for word, is_so in _wrong(route) if is_so]
    return row(
        code(route.name),
        " ".join(chip(word, "regressed") for word in wrong) or chip("nothing", "active"),
        n(route.requests),
        *(n(found.get(word, 0)) for word in _TONES),
        Cell(charts.shares([(found.get(word, 0), tone) for word, tone in _TONES.items()]), "bar"),
        *map(n, delta),
    )


VERDICT_HEADS: Final = heads(
    "Route", "Found", "#Requests", *(f"#{word.capitalize()}" for word in _TONES), "Shares", "#p50 Δ", "#p95 Δ"
)


def _wrong(route: RouteReport) -> Iterator[tuple[str, bool]]:
    yield "differs", bool(route.mismatches)
    yield "no response", bool(route.failures)
    yield "errors", bool(route.errors and route.errors.regressed)
    yield "slower", standing.is_slower(route)


def field(route: RouteReport, found: Row, now: float, weighed: bool) -> str:
    """What differs, how often, how sure that is (where any field was `weighed`), and a pair of values."""
    example = found.example
    evidence = _evidence(found.evidence, now) if found.evidence else ("", "")
    return row(
        e(found.name) if found.kind.startswith("candidate_") else code(found.name),
        chip(found.state),
        code(route.name),
        e(found.kind),
        n("" if found.pairs is None else found.pairs),
        n("" if found.share is None else percent(found.share)),
        values(example.primary, example.candidate) if example else "",
        *(evidence if weighed else ()),
    )


def field_heads(weighed: bool) -> str:
    names = ("Field", "State", "Route", "Kind", "#Pairs", "#Share", "Primary → candidate")
    return heads(*names, *(("Evidence and threshold", "In figures") if weighed else ()))


def _evidence(found: FieldEvidence, now: float) -> tuple[Cell, Cell]:
    drawn = charts.evidence(found.evidence, found.needed, found.state == REGRESSED)
    return Cell(drawn, "bar"), Cell(e(phrases.evidence(found, now)), "figures")


def details(number: int, place: int, route: RouteReport) -> str:
    """Codes, latency, errors and books of one route, folded away unless one of them is the matter."""
    matters = standing.is_slower(route) or (route.errors is not None and route.errors.regressed)
    traffic = f"{route.requests:,} requests, {standing.compared(route):,} compared, {route.mismatches:,} differ"
    traffic = ", ".join(filter(None, (traffic, phrases.set_aside(route))))
    parts = [folded(f"s{number}r{place}", code(route.name), traffic, matters)]
    if rows := "".join(_latency(route)):
        names = heads("Duration", "Quantile", "#Value [interval]", "Drawn")
        parts.append(
            table(f"Latency of {route.name}: durations from zero, differences around a dashed zero", names, rows)
        )
        parts.append(f'<p class="small quiet">{e(phrases.latency_legend(route))}</p>\n')
    if standing.is_slower(route):
        parts.append(f"<p>{chip('slower', 'regressed')} {e(standing.slower_why(route))}</p>\n")
    if route.paired:
        parts.append(f"<p>Slower? {e(phrases.latency(route.paired))}.</p>\n")
    if route.errors:
        parts += _errors(route.name, route.errors)
    parts += _books(route)
    parts.append("</details>\n")
    return "".join(parts)


def _latency(route: RouteReport) -> Iterator[str]:
    """The arms' own quantiles as bars from zero, then the differences as intervals around zero."""
    own = [(arm, quantile, value) for arm, values in route.latency.items() for quantile, value in _named(values)]
    most = max((value for _, _, value in own), default=0.0) or 1.0
    for arm, quantile, value in own:
        yield _measured(arm, quantile, seconds(value), charts.bar(value / most, "dot"))
    differences = list(_differences(route))
    axis = charts.scale(found for _, _, found in differences)
    for name, quantile, found in differences:
        yield _measured(name, quantile, phrases.interval(found), charts.interval(found, axis))


def _named(values: Quantiles) -> Iterator[tuple[str, float]]:
    return zip(phrases.QUANTILES, (values.p50, values.p95, values.p99), strict=True)


def _differences(route: RouteReport) -> Iterator[tuple[str, str, Interval]]:
    if route.paired:
        for name in ("paired", "baseline", "calibrated"):
            intervals = route.paired.quantiles if name == "paired" else getattr(route.paired, name)
            yield from (
                (name, quantile, intervals[quantile]) for quantile in phrases.QUANTILES if quantile in intervals
            )
    elif route.delta:
        yield from (("paired", quantile, Interval(value, None, None)) for quantile, value in _named(route.delta))


def _measured(name: str, quantile: str, value: str, drawn: str) -> str:
    return row(e(name), e(quantile), n(value), Cell(drawn, "bar"))


def _errors(route: str, found: PairedErrors) -> Iterator[str]:
    names = heads("", "#Primary answered", "#Primary failed")
    rows = row("Candidate answered", n(found.neither), n(found.primary_only))
    rows += row("Candidate failed", n(found.candidate_only), n(found.both))
    yield table(f"Errors of {route}: who failed the same request", names, rows)
    tone = chip("regressed") if found.regressed else ""
    yield f"<p>{tone} {'. '.join(e(sentence) for sentence in phrases.errors(found))}.</p>\n"


def _books(route: RouteReport) -> Iterator[str]:
    """Where each copy went, with what is missing in the sums."""
    names = heads(
        "Arm",
        "#Eligible",
        "#Sampled out",
        "#Dropped",
        "#Sent",
        "#Compared",
        "#Lost",
        "#In flight",
        "#Unaccounted",
        "Reasons",
    )
    rows = ""
    for arm, found in route.books.items():
        given = {**found.dropped, **found.lost}
        figures = (
            found.eligible,
            found.sampled_out,
            sum(found.dropped.values()),
            found.sent,
            found.compared,
            sum(found.lost.values()),
            found.in_flight,
        )
        off = " ".join(f"{each:+d}" for each in found.unaccounted if each) or "0"
        rows += row(e(arm), *map(n, figures), n(off), e(counts(given)))
    if rows:
        yield table(f"Books of {route.name}", names, rows)
    for arm, codes in route.codes.items():
        yield f'<p class="small">Codes, {e(arm)}: {e(counts(codes)) or "none"}</p>\n'
    if route.incomparable:
        yield f'<p class="small">Incomparable because of {e(counts(route.incomparable))}</p>\n'


def isolation(found: Isolation) -> str:
    """What mirroring adds to the primary's latency: the sentence, and each quantile with its interval."""
    said = f"<h3>Isolation</h3>\n<p>{e(isolation_words(found))}.</p>\n"
    axis = charts.scale(found.added.values())
    rows = "".join(
        row(e(name), n(phrases.interval(each)), Cell(charts.interval(each, axis), "bar"))
        for name, each in found.added.items()
    )
    names = heads("Quantile", "#Added [95 % interval]", "Around a dashed zero")
    return said + (table("What mirroring adds to the primary's latency", names, rows) if rows else "")
