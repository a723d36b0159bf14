"""The causes in a report as HTML: a bar for the impact of each, then each with its smallest example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from shadowproxy.model.pair import Difference, Example
from shadowproxy.report import charts, phrases
from shadowproxy.report.bodies import Line, marked, side_by_side
from shadowproxy.report.html_page import Cell, code, e, folded, heads, lines, n, row, table, values
from shadowproxy.report.plain import percent, seconds
from shadowproxy.report.values import Cause, Shown

EXAMPLE_BYTES: Final = 150_000
"""Of one example's bodies: twenty of them leave room for the rest of the file."""
LONGEST_COMMAND: Final = 20_000
OPENED: Final = 3
DIFFERENCES_SHOWN: Final = 40

_AROUND: Final = 80
_WIDTH: Final = 600
_MARKS: Final = {
    " ": ("same", "", "unchanged"),
    "|": ("changed", "≠", "changed"),
    "<": ("gone", "-", "only in the primary"),
    ">": ("new", "+", "only in the candidate"),
}


def overview(number: int, causes: Sequence[Cause], now: float) -> str:
    """A table in which the share of each cause is a bar as well."""
    most = max((cause.share for cause in causes), default=0.0) or 1.0
    rows = "".join(
        row(
            f'<a href="#s{number}c{place}">{e(cause.id)}</a>',
            Cell(f"{code(phrases.keys(cause))}<br>{e(phrases.statuses(cause))} on {code(cause.route)}", "value"),
            n(cause.pairs),
            n(percent(cause.share)),
            Cell(charts.bar(cause.share / most, "bad"), "bar"),
            n(phrases.last(cause, now)),
        )
        for place, cause in enumerate(causes, 1)
    )
    names = heads("Cause", "What differs", "#Pairs", "#Share of pairs", "Beside the largest", "#Last")
    return table("Causes by impact", names, rows)


def cause(number: int, place: int, found: Cause, example: Example | None, now: float) -> str:
    """One cause, folded away but for the first ones."""
    where = f"{e(phrases.impact(found))} on {code(found.route)}"
    parts = [folded(f"s{number}c{place}", f"Cause {e(found.id)}: {code(phrases.keys(found))}", where, place <= OPENED)]
    if found.words:
        parts.append(f"<p>{e(found.words)}</p>\n")
    facts = [("Status", e(phrases.statuses(found))), ("Seen", e(phrases.seen(found, now)))]
    if found.failure:
        facts.append(("Failure", code(found.failure)))
    if len(found.keys) > 1:
        more = f" and {found.left_out:,} more" if found.left_out else ""
        facts.append(("Fields", ", ".join(code(f"{field} {kind}") for field, kind in found.keys) + more))
    parts.append(definitions(facts))
    parts += _bodies(found.example, example)
    parts += _request(found.example)
    if found.suggestion:
        parts.append(f'<h5>Suggestion</h5><pre class="copy">{lines(found.suggestion)}</pre>\n')
    parts.append("</details>\n")
    return "".join(parts)


def definitions(facts: Sequence[tuple[str, str]]) -> str:
    """Names and what they are, which is markup already."""
    return f'<dl class="facts">{"".join(f"<dt>{e(name)}</dt><dd>{what}</dd>" for name, what in facts if what)}</dl>\n'


def _request(shown: Shown | None) -> Iterator[str]:
    if shown is None:
        return
    yield "<h5>The request, as a command</h5>"
    if len(shown.curl) <= LONGEST_COMMAND:
        yield f'<pre class="copy">{lines(shown.curl)}</pre>'
    yield f'<p class="small quiet">All of the example: <code>shadowproxy diffs show {e(shown.id)}</code></p>\n'


def _bodies(shown: Shown | None, example: Example | None) -> Iterator[str]:
    """Both answers side by side; without a whole example the two values alone."""
    if example is None:
        if shown:
            yield f"<p>Smallest example: {values(shown.primary, shown.candidate).markup}</p>\n"
        return
    answer = "no response" if example.shadow_status is None else str(example.shadow_status)
    took = "" if example.shadow_seconds is None else f" in {seconds(example.shadow_seconds)}"
    head = (
        '<tr><th class="m" scope="col"><span class="quiet">±</span></th>'
        f'<th scope="col">Primary: {example.primary_status} in {e(seconds(example.primary_seconds))}</th>'
        f'<th scope="col">Candidate: {e(answer)}{e(took)} {e(example.failure or "")}</th></tr>'
    )
    yield f"<h5>Smallest example: {code(f'{example.method} {example.target}'[:_WIDTH])}</h5>"
    yield f'<table class="bodies"><thead>{head}</thead><tbody>'
    yield from _rows(example)
    yield "</tbody></table>\n"
    if example.differences:
        names = heads("Field", "Kind", "Counts", "Primary → candidate")
        yield table("What differs in this example", names, _differences(example))
    said = [f"<li>{e(sentence)}</li>" for sentence in example.explanation[:20]]
    if said:
        yield f"<h5>In words</h5><ul>{''.join(said)}</ul>\n"


def _differences(example: Example) -> str:
    """What counts first: the bodies above also show what a rule ignores and what is noise."""
    found = sorted(example.differences, key=lambda each: (each.by_rule, each.noise))[:DIFFERENCES_SHOWN]
    left = len(example.differences) - len(found)
    rest = f'<tr><td colspan="4">… and {left:,} more</td></tr>' if left else ""
    return "".join(map(_difference, found)) + rest


def _difference(found: Difference) -> str:
    why = "no: ignored by a rule" if found.by_rule else "no: noise" if found.noise else "yes"
    return row(code(found.field), e(found.kind), why, values(found.primary, found.shadow))


def _rows(example: Example) -> Iterator[str]:
    room = EXAMPLE_BYTES
    left_out = 0
    for line in side_by_side(example.primary_body, example.shadow_body):
        shown = _row(*line)
        room -= len(shown.encode())
        if room > 0:
            yield shown
        else:
            left_out += 1
    if left_out:
        yield f'<tr class="same"><td class="m"></td><td class="l" colspan="2">… and {left_out:,} more lines</td></tr>'
    elif room == EXAMPLE_BYTES:
        yield '<tr class="same"><td class="m"></td><td class="l" colspan="2">The bodies are equal.</td></tr>'


def _row(mark: str, left: str, right: str) -> str:
    kind, sign, words = _MARKS[mark]
    if mark == "|":
        one, other = (_line(line) for line in marked(left, right, _AROUND, _WIDTH))
    else:
        one, other = _whole(left), _whole(right)
    label = f'<td class="m" title="{words}">{sign}</td>' if sign else '<td class="m"></td>'
    return f'<tr class="{kind}">{label}<td class="l">{one}</td><td class="r">{other}</td></tr>\n'


def _whole(line: str) -> str:
    return f"<code>{e(line[:_WIDTH])}{'…' if len(line) > _WIDTH else ''}</code>" if line else ""


def _line(line: Line) -> str:
    changed = f"<mark>{e(line.changed)}</mark>" if line.changed else ""
    return f"<code>{e(line.before)}{changed}{e(line.after)}</code>"
