"""Two bodies side by side: the lines that differ, and in a changed line the part that did. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

from msgspec import Struct

_CONTEXT: Final = 2
_MAX_LINES: Final = 2_000
"""Of a body: matching takes quadratic time at worst."""
_MAX_LINE: Final = 200_000
"""Characters of a line that are looked at."""

Row = tuple[str, str, str]
"""A mark (space: equal, `|`: changed, `<`: only left, `>`: only right), the left and the right line."""


def side_by_side(primary: str, shadow: str) -> Iterator[Row]:
    """The lines that differ, with a little around them; `…` stands for equal lines left out."""
    left, right = _pretty(primary), _pretty(shadow)
    if left == right:
        return
    groups = SequenceMatcher(None, left, right).get_grouped_opcodes(_CONTEXT)
    end = 0
    for group in groups:
        if group[0][1] > end:
            yield " ", "…", "…"
        for tag, a, b, c, d in group:
            for one, other in zip_longest(left[a:b], right[c:d]):
                yield _mark(tag, one, other), one or "", other or ""
        end = group[-1][2]
    if end < len(left):
        yield " ", "…", "…"


def _mark(tag: str, one: str | None, other: str | None) -> str:
    if tag == "equal":
        return " "
    if one is None:
        return ">"
    return "<" if other is None else "|"


def _pretty(body: str) -> list[str]:
    """The lines of a body; of JSON, one per value."""
    try:
        body = json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass  # not JSON, or cut off, or too deep: as it is
    return body.splitlines()[:_MAX_LINES]


class Line(Struct, frozen=True):
    """A line in three parts, of which the middle one differs; an ellipsis stands for what was cut."""

    before: str
    changed: str
    after: str


def marked(left: str, right: str, around: int, width: int) -> tuple[Line, Line]:
    """Both lines with what they do not share marked: at most `around` characters on each side, `width` of it."""
    left, right = left[:_MAX_LINE], right[:_MAX_LINE]
    shortest = min(len(left), len(right))
    start = 0
    while start < shortest and left[start] == right[start]:
        start += 1
    end = 0
    while end < shortest - start and left[-1 - end] == right[-1 - end]:
        end += 1
    return _cut(left, start, end, around, width), _cut(right, start, end, around, width)


def _cut(line: str, start: int, end: int, around: int, width: int) -> Line:
    stop = len(line) - end
    before = line[:start] if start <= around else "…" + line[start - around : start]
    after = line[stop:] if end <= around else line[stop : stop + around] + "…"
    changed = line[start:stop]
    return Line(before, changed if len(changed) <= width else changed[: width - 1] + "…", after)
