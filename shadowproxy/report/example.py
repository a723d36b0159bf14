"""One stored example for people: the differences, the bodies side by side, the request as a command. Pure.

A cause is shown with the smallest of its examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.model.pair import Difference, Example
from shadowproxy.report import phrases
from shadowproxy.report.bodies import Line, Row, marked, side_by_side
from shadowproxy.report.plain import clip, plain, seconds, wrap_command
from shadowproxy.report.terminal import WIDTH, Paint, wrapped
from shadowproxy.report.values import Cause

NARROW: Final = 60
"""Columns below which lines stand below each other, not side by side."""
_AROUND: Final = 9
_LONGEST: Final = 100_000
"""Characters of a line that are looked at."""


def render_example(example: Example, color: bool = False, width: int = WIDTH) -> str:
    """At most `width` columns but for long words and targets; ends with a line feed."""
    paint = Paint(color)
    return "\n".join(_lines(example, paint, width)) + "\n"


def render_cause(cause: Cause, example: Example | None, now: float, color: bool = False, width: int = WIDTH) -> str:
    """What a cause's mismatches have in common, and its smallest example."""
    paint = Paint(color)
    lines = [f"{paint('bold', cause.id)} · {plain(cause.service)} · {plain(cause.route)} · {phrases.statuses(cause)}"]
    lines += [f"{phrases.impact(cause)} · {phrases.seen(cause, now)}", ""]
    lines += wrapped(cause.words, width)
    lines += [paint("cyan", line) for line in wrapped(phrases.keys(cause, len(cause.keys)), width)]
    if cause.suggestion:
        lines += ["", "suggestion:", *phrases.suggestion(cause, width)]
    lines += ["", *(_lines(example, paint, width) if example else ["no example of it is kept"])]
    return "\n".join(lines) + "\n"


def _lines(example: Example, paint: Paint, width: int) -> Iterator[str]:
    yield f"{paint('bold', example.id)} · {plain(example.service)} · {plain(example.route)} · {example.arm}"
    yield f"{plain(example.method)} {plain(example.target)}"
    yield f"request id {plain(example.request_id)}"
    yield ""
    yield f"primary    {example.primary_status} in {seconds(example.primary_seconds)}"
    yield f"{example.arm:<10} {_outcome(example)}"
    yield ""
    for difference in example.differences:
        yield _difference(difference, paint)
    for sentence in example.explanation:
        yield f"  {plain(sentence)}"
    rows = list(side_by_side(example.primary_body, example.shadow_body))
    if rows:
        yield ""
        yield from (
            _beside(rows, example.arm, paint, (width - 7) // 2) if width >= NARROW else _below(rows, paint, width)
        )
    yield ""
    yield from wrap_command(example.curl, width)


def _below(rows: list[Row], paint: Paint, width: int) -> Iterator[str]:
    """As `diff -u` has it: what the primary alone has with `-`, what the other has with `+`."""
    for mark, left, right in rows:
        if mark == " ":
            yield f"  {clip(left, width - 2)}".rstrip()
        if mark in "|<":
            yield paint("red", f"- {clip(left, width - 2)}")
        if mark in "|>":
            yield paint("green", f"+ {clip(right, width - 2)}")


def _beside(rows: list[Row], arm: str, paint: Paint, column: int) -> Iterator[str]:
    """Both bodies. In a changed line what differs is coloured, the rest of it is not."""
    yield paint("dim", f"    {'primary':<{column}} {arm}")
    for mark, left, right in rows:
        if mark == "|":
            yield _changed(plain(left[:_LONGEST]), plain(right[:_LONGEST]), paint, column)
        else:
            line = f"  {mark} {clip(left, column):<{column}} {clip(right, column)}".rstrip()
            yield line if mark == " " else paint("red", line)


def _changed(left: str, right: str, paint: Paint, column: int) -> str:
    """Of lines that do not fit, what differs and a little around it."""
    fits = max(len(left), len(right)) <= column
    one, other = marked(left, right, *((column, column) if fits else (_AROUND, column - 2 * _AROUND - 2)))
    pad = " " * (column - len(one.before + one.changed + one.after))
    return f"  | {_painted(one, paint)}{pad} {_painted(other, paint)}".rstrip()


def _painted(line: Line, paint: Paint) -> str:
    return line.before + paint("red" if line.changed else "", line.changed) + line.after


def _outcome(example: Example) -> str:
    status = "no response" if example.shadow_status is None else str(example.shadow_status)
    took = f" in {seconds(example.shadow_seconds)}" if example.shadow_seconds is not None else ""
    return status + took + (f" ({example.failure})" if example.failure else "")


def _difference(difference: Difference, paint: Paint) -> str:
    before, after = ("absent" if value is None else value for value in (difference.primary, difference.shadow))
    marks = {
        " (ignored by a rule)": difference.by_rule,
        " (noise)": difference.noise,
        " (accepted)": difference.accepted,
    }
    mark = next((text for text, holds in marks.items() if holds), "")
    return f"{paint('cyan', plain(difference.field))} {difference.kind}: {plain(before)} → {plain(after)}{mark}"
