"""A report as JUnit XML, as Jenkins, GitLab and others read it: a suite for each service, a case for each check.

There is no standard; what is written here is the common part: `testsuites`, `testsuite`, `testcase`, `failure`,
`skipped`, `properties` and `system-out`, in the order of the schema of Jenkins' xUnit plugin. Python's own writer
escapes, and what XML 1.0 has no place for (section 2.2) is written as an escape.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as Xml

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.evidence.ledger import NOISE, OPEN
from shadowproxy.report import phrases, standing
from shadowproxy.report.build import FAIL
from shadowproxy.report.judging import DEFAULT, WORDS, findings, is_few
from shadowproxy.report.plain import moment, number, percent, plain
from shadowproxy.report.values import Report, RouteReport, ServiceReport, Shown

LONGEST_COMMAND: Final = 8_000
LONGEST_MESSAGE: Final = 1_000
EVIDENCE_SHOWN: Final = 20
"""Fields told in one failure."""

_STATES: Final = {
    "fields": standing.COUNT,
    "failures": standing.COUNT,
    "open": {OPEN, standing.DIFFERS},
    "mismatches": {*standing.COUNT, OPEN, NOISE},
}


class Case(Struct, frozen=True):
    """One check. With a `message` it failed, or was skipped where `skipped` says so."""

    place: str
    name: str
    message: str = ""
    text: str = ""
    skipped: bool = False
    type: str = ""


def render(report: Report) -> str:
    """The document, ending with a line feed."""
    root = Xml.Element("testsuites", name="shadowproxy")
    totals = dict.fromkeys(("tests", "failures", "errors"), 0)
    for service in report.services:
        cases = [*_service_cases(report, service), *_route_cases(report, service)]
        if service.verdict == FAIL and all(case.skipped or not case.message for case in cases):
            cases.insert(0, Case(service.name, "verdict", service.conclusion, type="verdict"))
        counted = {
            "tests": len(cases),
            "failures": sum(bool(case.message) and not case.skipped for case in cases),
            "errors": 0,
        }
        suite = Xml.SubElement(root, "testsuite", name=_legal(service.name), time="0.000")
        suite.set("timestamp", moment(report.generated_at).rstrip("Z"))
        suite.set("skipped", str(sum(case.skipped for case in cases)))
        _count(suite, counted)
        _properties(suite, report, service)
        for case in cases:
            _case(suite, case)
        Xml.SubElement(suite, "system-out").text = _legal("\n".join([service.conclusion, *report.notes]))
        totals = {name: totals[name] + n for name, n in counted.items()}
    root.set("time", "0.000")
    _count(root, totals)
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _count(element: Xml.Element, counts: dict[str, int]) -> None:
    for name, n in counts.items():
        element.set(name, str(n))


def _properties(suite: Xml.Element, report: Report, service: ServiceReport) -> None:
    known = {
        "verdict": service.verdict,
        "exit_code": str(service.exit_code),
        "shadowproxy": report.version,
        "policy": str(report.policy),
        "requests": str(service.requests),
        "compared": str(service.compared),
        "mismatches": str(service.mismatches),
        "fail_on": ",".join(report.fail_on) or "default",
        **{f"version.{arm}": version for arm, _, version in phrases.upstreams(service) if version},
    }
    properties = Xml.SubElement(suite, "properties")
    for name, value in known.items():
        Xml.SubElement(properties, "property", name=name, value=_legal(value))


def _case(suite: Xml.Element, case: Case) -> None:
    element = Xml.SubElement(suite, "testcase", name=_legal(case.name), classname=_legal(case.place), time="0.000")
    if case.message:
        outcome = Xml.SubElement(
            element, "skipped" if case.skipped else "failure", message=_legal(case.message[:LONGEST_MESSAGE])
        )
        if not case.skipped:
            outcome.set("type", case.type)
        outcome.text = _legal(case.text) or None


def _service_cases(report: Report, service: ServiceReport) -> Iterator[Case]:
    """Whether there are enough pairs, and each accepted difference."""
    few = next((each.says for each in findings(service, ["inconclusive"])), "")
    yield _judged(report, Case(service.name, "enough pairs", few, type="inconclusive"))
    for entry in service.accepted:
        said = phrases.entry(entry, report.generated_at)
        message = f"{entry.state}: {said}" if phrases.is_due(entry) else ""
        name = f"accepted {entry.field} {entry.kind} {entry.shape}".rstrip()
        yield _judged(report, Case(_class(service, entry.route), name, message, entry.id, type="expired"))


def _route_cases(report: Report, service: ServiceReport) -> Iterator[Case]:
    """Each check of each route. A word that nobody chose cannot fail: what it found is skipped."""
    words = [word for word in WORDS if word in {*DEFAULT, *report.fail_on} and WORDS[word].of_routes]
    found = {(each.word, each.route): each.says for each in findings(service, words)}
    for route in service.routes:
        for word in words:
            case = Case(_class(service, route.name), word, found.get((word, route.name), ""), type=word)
            if case.message:
                case = replace(case, text=_text(report, service, route, word))
            elif WORDS[word].needs_pairs and is_few(service):
                case = replace(case, message=service.conclusion, skipped=True)
            elif not standing.compared(route) and WORDS[word].needs_pairs:
                case = replace(case, message="no pairs were compared", skipped=True)
            yield _judged(report, case)


def _judged(report: Report, case: Case) -> Case:
    """What was found by a word that nobody chose is no failure: the exit code and this document say the same."""
    chosen = report.fail_on or DEFAULT
    if not case.message or case.skipped or case.type in chosen:
        return case
    why = "" if case.type == "inconclusive" else f" (no failure by {'--fail-on' if report.fail_on else 'default'})"
    return replace(case, message=case.message + why, skipped=True)


def _class(service: ServiceReport, route: str) -> str:
    return f"{service.name}.{route}"


def _text(report: Report, service: ServiceReport, route: RouteReport, word: str) -> str:
    """The evidence, and the request that shows it."""
    request = () if word == "latency" else _request(service, route)
    return "\n".join([*_evidence(report, service, route, word), *request])


def _evidence(report: Report, service: ServiceReport, route: RouteReport, word: str) -> Iterator[str]:
    if word == "errors" and route.errors:
        yield from phrases.errors(route.errors)
    elif word == "latency":
        for name, values in phrases.latency_lines(route):
            yield f"{name}: " + ", ".join(f"{q} {value}" for q, value in zip(phrases.QUANTILES, values, strict=True))
        yield phrases.latency_legend(route)
        yield phrases.latency(route.paired) if route.paired else ""
    elif word == "incomparable":
        yield from (f"{reason}: {pairs:,}" for reason, pairs in route.incomparable.items())
    else:
        rows = [row for row in standing.rows(service, route) if row.state in _STATES[word] and _is_about(word, row)]
        yield from (_row(row, report.generated_at) for row in rows[:EVIDENCE_SHOWN])
        if (left := len(rows) - EVIDENCE_SHOWN) > 0:
            yield f"... and {left:,} more"


def _is_about(word: str, row: standing.Row) -> bool:
    return word == "mismatches" or row.kind.startswith("candidate_") == (word == "failures")


def _row(row: standing.Row, now: float) -> str:
    pairs = "" if row.pairs is None else f": {number(row.pairs, 'pair')} ({percent(row.share or 0.0)})"
    known = f"; {phrases.evidence(row.evidence, now)}" if row.evidence else ""
    return f"{row.state} {row.name} {row.kind}{pairs}{_values(row.example)}{known}"


def _values(example: Shown | None) -> str:
    if example is None:
        return ""
    before, after = ("absent" if value is None else value for value in (example.primary, example.candidate))
    return f", {before} -> {after}"


def _request(service: ServiceReport, route: RouteReport) -> Iterator[str]:
    """The smallest example: that of the first cause here, else of the first field."""
    rows = (row.example for row in standing.rows(service, route))
    causes = (cause.example for cause in service.causes if cause.route == route.name)
    example = next((each for each in (*causes, *rows) if each), None)
    if example:
        yield f"shadowproxy diffs show {example.id}"
        if len(example.curl) <= LONGEST_COMMAND:
            yield example.curl


def _legal(text: str) -> str:
    """What XML 1.0 cannot hold, a terminal obeys, or turns the direction of writing is written as an escape."""
    return "\n".join(map(plain, text.split("\n")))
