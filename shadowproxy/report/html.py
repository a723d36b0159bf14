"""A report as one HTML file: charts inside, nothing loaded, nothing executed, whatever a captured body contains.

The conclusion and what to do come first, then causes with both bodies side by side, fields, routes, books. The file
stays under `LIMIT`; what is left out is counted where it would have stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from shadowproxy.model.pair import Example
from shadowproxy.report import phrases, standing
from shadowproxy.report.advice import advice
from shadowproxy.report.build import FAIL, PASS
from shadowproxy.report.fitting import Section, fit, listed
from shadowproxy.report.html_causes import cause, definitions, overview
from shadowproxy.report.html_page import TABLE_FOOT, chip, code, e, head, heads, n, row, table_head
from shadowproxy.report.html_routes import FIELDS_SHOWN, VERDICT_HEADS, details, field, field_heads, isolation, verdicts
from shadowproxy.report.plain import moment, number
from shadowproxy.report.values import Accepted, Cause, Report, ServiceReport

T = TypeVar("T")

LIMIT: Final = 5 * 1024 * 1024
CAUSES_SHOWN: Final = 50

_SIGNS: Final = {PASS: ("✓", "No failure"), FAIL: ("✗", "Failure")}
_UNKNOWN: Final = ("?", "Not enough to say")


def render(report: Report) -> str:
    """The whole file."""
    examples = {example.id: example for example in report.examples}
    sections = [_top(report)]
    for place, service in enumerate(report.services, 1):
        sections += _service(report, place, service, examples)
    sections.append(Section(_foot(report)))
    return fit(sections, LIMIT, "<p>… and {} more parts of this report.</p>\n")


def _top(report: Report) -> Section:
    sign, words = _SIGNS.get(report.verdict, _UNKNOWN)
    facts = [
        ("Exit code", str(report.exit_code)),
        ("Judged by", e(", ".join(report.fail_on)) if report.fail_on else "the report's own rule"),
        ("Made", f"{_when(report.generated_at)}, after {e(phrases.age(report))}"),
        ("shadowproxy", f"{e(report.version)}, policy {report.policy}"),
    ]
    links = "".join(f'<li><a href="#s{n}">{e(each.name)}</a></li>' for n, each in enumerate(report.services, 1))
    notes = "".join(f'<p class="inconclusive">{chip("note", "inconclusive")} {e(note)}</p>' for note in report.notes)
    return Section(
        f"{head(f'shadowproxy: {words}')}"
        f'<header class="banner {e(report.verdict)}"><h1><strong>{sign} {words}:</strong> {e(report.conclusion)}</h1>\n'
        f"{definitions(facts)}{notes}</header>\n"
        + (f'<nav aria-label="Services"><ul>{links}</ul></nav>\n' if len(report.services) > 1 else "")
        + '<main id="main">\n'
    )


def _when(at: float) -> str:
    made = moment(at)
    return f'<time datetime="{made}">{made.replace("T", " ").replace("Z", " UTC")}</time>'


def _service(report: Report, place: int, service: ServiceReport, examples: dict[str, Example]) -> Iterator[Section]:
    now = report.generated_at
    yield Section(_service_head(report, place, service))
    yield from _causes(place, service, examples, now)
    fields = [(route, row) for route in service.routes for row in standing.rows(service, route)[:FIELDS_SHOWN]]
    fields.sort(key=lambda each: standing.rank(each[1]))
    weighed = any(each.evidence for _, each in fields)
    names = field_heads(weighed)
    yield _table(
        "Fields", "What differs, and whether it is noise", names, fields, lambda each: field(*each, now, weighed)
    )
    yield _table("Routes", "How the pairs of each route were judged", VERDICT_HEADS, service.routes, verdicts)
    routes = list(enumerate(service.routes, 1))
    yield listed(
        "<h3>Latency, errors and books</h3>\n" if routes else "",
        routes,
        lambda each: details(place, *each),
        left_out="<p>… and {} more routes.</p>\n",
    )
    if service.isolation is not None:
        yield Section(isolation(service.isolation))
    entries = sorted(service.accepted, key=lambda each: not phrases.is_due(each))
    yield _table("Accepted differences", phrases.accepted(service), ACCEPTED_HEADS, entries, _entry)
    yield Section("</section>\n")


def _service_head(report: Report, place: int, service: ServiceReport) -> str:
    sign, words = _SIGNS.get(service.verdict, _UNKNOWN)
    facts = [
        (arm, f"{code(urls)}{f', version {code(version)}' if version else ''}")
        for arm, urls, version in phrases.upstreams(service)
    ]
    pairs = f"{number(service.requests, 'request')}, {service.compared:,} compared, {service.mismatches:,} differ"
    facts += [("traffic", pairs), ("noise", e(phrases.knowledge(service.knowledge, report.generated_at)))]
    todo = "".join(f"<li>{e(sentence)}</li>" for sentence in advice(service))
    verdict = (
        f'<p class="verdict {e(service.verdict)}"><strong>{sign} {words}:</strong> {e(service.conclusion)}</p>\n'
        if len(report.services) > 1
        else ""
    )
    since = ""
    if changes := service.changes:
        said = e(phrases.changes(changes, report.generated_at))
        items = "".join(f"<li>{chip(each.direction)} {e(phrases.change(each))}</li>" for each in changes.items)
        left = f"<li>… and {number(changes.left_out, 'more change')}</li>" if changes.left_out else ""
        since = f"<h3>What changed</h3><p>{said}.</p><ul>{items}{left}</ul>\n"
    return (
        f'<section id="s{place}" aria-labelledby="s{place}h"><h2 id="s{place}h">{e(service.name)}</h2>\n{verdict}'
        f"{definitions(facts)}{since}<h3>What to do</h3><ol>{todo}</ol>\n"
    )


def _causes(place: int, service: ServiceReport, examples: dict[str, Example], now: float) -> Iterator[Section]:
    if not service.causes:
        return

    def show(each: tuple[int, Cause]) -> str:
        rank, found = each
        return cause(place, rank, found, examples.get(found.example.id) if found.example else None, now)

    top = f"<h3>Causes</h3>\n{overview(place, service.causes[:CAUSES_SHOWN], now)}"
    places = list(enumerate(service.causes, 1))
    yield listed(top, places, show, left_out="<p>… and {} more causes.</p>\n", most=CAUSES_SHOWN)
    if service.causes_left_out:
        yield Section(f"<p>… and {number(service.causes_left_out, 'more cause')} of less impact.</p>\n")


def _table(title: str, caption: str, names: str, things: Sequence[T], show: Callable[[T], str]) -> Section:
    """A titled table that may be cut; nothing where there is nothing."""
    if not things:
        return Section("")
    columns = names.count("<th")
    return listed(
        f"<h3>{e(title)}</h3>\n{table_head(caption, names)}",
        things,
        show,
        TABLE_FOOT,
        f'<tr><td colspan="{columns}">… and {{}} more</td></tr>',
    )


ACCEPTED_HEADS: Final = heads("Field", "State", "Route", "Kind", "Shape", "Owner and reason", "Expires", "#Pairs")


def _entry(found: Accepted) -> str:
    return row(
        code(found.field),
        chip(found.state),
        code(found.route),
        e(found.kind),
        code(found.shape),
        f"{e(found.owner)}: {e(found.reason)}",
        e(found.expires or "never"),
        n(found.pairs),
    )


def _foot(report: Report) -> str:
    return (
        f"</main>\n<footer>Made by shadowproxy {e(report.version)} from its own counters and stored examples, which are"
        " redacted. Nothing in this file is loaded from elsewhere, and nothing in it runs.</footer>\n</body>\n</html>\n"
    )
