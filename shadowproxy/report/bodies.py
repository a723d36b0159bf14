"""Two bodies side by side: the lines that differ, and in a changed line the part that did. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Final

from msgspec import Struct

_CONTEXT: Final = 2
_MAX_LINES: Final = 2_000
"""Of a body: matching takes quadratic time at worst."""
_MAX_NAMED: Final = 200
"""Of a run of lines that differ: longer ones are not aligned by names."""
_MAX_LINE: Final = 200_000
"""Characters of a line that are looked at."""

Row = tuple[str, str, str]
"""A mark (space: equal, `|`: changed, `<`: only left, `>`: only right), the left and the right line."""


def side_by_side(primary: str, shadow: str) -> Iterator[Row]:
    """The lines that differ, with a little around them; `…` stands for equal lines left out."""
    rows = list(_aligned(*_lines(primary, shadow)))
    changed = [place for place, row in enumerate(rows) if row[0] != " "]
    shown = {near for place in changed for near in range(place - _CONTEXT, place + _CONTEXT + 1)}
    left_out = False
    for place, row in enumerate(rows if changed else ()):
        if place in shown:
            yield row
        elif not left_out:
            yield " ", "…", "…"
        left_out = place not in shown


def _aligned(left: list[str], right: list[str]) -> Iterator[Row]:
    """All lines of both sides, equal ones beside each other; among the others members of the same name."""
    for tag, a, b, c, d in SequenceMatcher(None, left, right).get_opcodes():
        ours, theirs = left[a:b], right[c:d]
        if tag == "replace" and len(ours) + len(theirs) <= _MAX_NAMED:
            names = SequenceMatcher(None, [_name(line) for line in ours], [_name(line) for line in theirs])
            for _, i, j, k, m in names.get_opcodes():
                yield from _rows(ours[i:j], theirs[k:m])
        else:
            yield from _rows(ours, theirs)


def _rows(left: list[str], right: list[str]) -> Iterator[Row]:
    return ((_mark(one, other), one or "", other or "") for one, other in zip_longest(left, right))


def _name(line: str) -> str:
    """The beginning of a line of JSON up to a member's value; of any other the whole line."""
    return line.partition('": ')[0]


def _mark(one: str | None, other: str | None) -> str:
    if one is None:
        return ">"
    if other is None:
        return "<"
    return " " if one == other else "|"


def _lines(primary: str, shadow: str) -> tuple[list[str], list[str]]:
    """The lines of both; of JSON, one per value, members in the order of the primary's: it says nothing."""
    try:
        left, right = json.loads(primary), json.loads(shadow)
        primary, shadow = _pretty(left), _pretty(_arranged(right, left))
    except (ValueError, RecursionError):
        pass  # one is not JSON, or cut off, or too deep: as they are
    return primary.splitlines()[:_MAX_LINES], shadow.splitlines()[:_MAX_LINES]


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _arranged(value: Any, model: Any) -> Any:
    """`value` with the members of its objects in the order of `model`."""
    if isinstance(value, dict) and isinstance(model, dict):
        return {name: _arranged(value[name], model.get(name)) for name in _order(value, model)}
    if isinstance(value, list) and isinstance(model, list):
        return [_arranged(each, one) for each, one in zip(value, model, strict=False)] + value[len(model) :]
    return value


def _order(names: Iterable[str], model: Iterable[str]) -> list[str]:
    """`names` in the order of `model`; one that the model lacks stays behind the one that it followed."""
    known = set(model)
    behind: dict[str | None, list[str]] = {}
    last: str | None = None
    for name in names:
        if name in known:
            last = name
            behind[name] = [name]
        else:
            behind.setdefault(last, []).append(name)
    return [name for each in (None, *model) for name in behind.get(each, ())]


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
