"""Walks two unequal values and finds every field that differs, by exact rules.

Values are equal when their types and contents are: Python's `==` also holds true, 1 and 1.0 equal, so it only ever
prunes; what it calls equal is confirmed by its encoding. An integer against a float is a `body_type`, and so is null
against anything. Two texts that are both JSON objects or arrays are compared as what they hold. Which elements of two
arrays are compared with each other is for `matching` to say: an element that one side lacks is missing or extra where
elements have names or no order, and part of the array's `body_size` elsewhere; the same in another order is one
`body_order`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec

from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.jsontext import BEGINNINGS, Repeated, canonical, embedded
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.masks import unmasked
from shadowproxy.compare.matching import Matcher
from shadowproxy.compare.tolerance import equal_as_written, within
from shadowproxy.compare.trees import CONTAINERS, ORDER, SIZE, TEXT, Aligned, Element, Siblings, inside, levelled, same

MAX_EMBEDDED: Final = 2
"""JSON in a text in JSON in a text; what lies deeper is text."""


class Walker:
    """Compares within `deadline`; every method raises IncomparableError when it is over.

    `recorded`: the primary's values come from a recording. `max_depth` is how deep JSON in texts may be nested.
    `matcher` matches the elements of arrays as this walker does.
    """

    __slots__ = ("_deadline", "_embedded", "_max_depth", "_recorded", "matcher")

    def __init__(self, deadline: Deadline, recorded: bool = False, max_depth: int = 64) -> None:
        self._deadline = deadline
        self._recorded = recorded
        self._max_depth = max_depth
        self._embedded = 0
        self.matcher = Matcher(deadline, self._distance, strict=not recorded)

    def walk(self, field: Field, a: Any, b: Any, found: Findings) -> None:
        """Adds to `found` how `a` (the primary's value of `field`) and `b` differ; they are not the same."""
        self._deadline.tick()
        kind = type(a)
        if field.ignored:
            found.add(field.text, _kind(a, b), a, b, ruled=True)
        elif kind is not type(b):
            self._unlike(field, a, b, found)
        elif kind in CONTAINERS:
            _WALKS[kind](self, field, a, b, found)
        elif kind is not str or a[:1] not in BEGINNINGS or not self._walk_held(field, a, b, found):
            ruled = field.tolerance is not None and within(a, b, field.tolerance)
            if kind is not msgspec.Raw or not equal_as_written(a, b):
                found.add(field.text, "body_value", a, b, ruled=ruled)

    def held(self, a: str, b: str, level: int = 0) -> tuple[Any, Any] | None:
        """What two texts hold, if both are JSON objects or arrays. `level`: how many texts they are in already."""
        if level == MAX_EMBEDDED or a[:1] not in BEGINNINGS or (x := embedded(a, self._max_depth)) is None:
            return None
        self._deadline.check()
        y = embedded(b, self._max_depth)
        self._deadline.check()
        return None if y is None else (x, y)

    def _walk_held(self, field: Field, a: str, b: str, found: Findings) -> bool:
        """Walks what two texts hold; False when they do not both hold JSON."""
        held = self.held(a, b, self._embedded)
        if held is None:
            return False
        if not same(*held):
            self._embedded += 1
            self.walk(field, *held, found)
            self._embedded -= 1
        return True

    def _unlike(self, field: Field, a: Any, b: Any, found: Findings) -> None:
        """Two values of unlike types, one of which may be absent."""
        level = levelled(a, b)
        if level is None:
            ruled = field.tolerance is not None and within(a, b, field.tolerance)
            found.add(field.text, _kind(a, b), a, b, ruled=ruled)
        elif not same(*level):
            self.walk(field, *level, found)

    def _objects(self, field: Field, a: dict[str, Any], b: dict[str, Any], found: Findings) -> None:
        if self._recorded:
            a = unmasked(a, b)
        there = b.get
        lost = 0
        for key, x in a.items():
            y = there(key, ABSENT)
            if x == y:
                kind = type(x)
                if kind is type(y) and (kind not in CONTAINERS or canonical(x) == canonical(y)):
                    continue
            elif y is ABSENT:
                lost += 1
            self.walk(field.member(key), x, y, found)
        if len(b) > len(a) - lost:
            for key, y in b.items():
                if key not in a:
                    self.walk(field.member(key), ABSENT, y, found)

    def _lists(self, field: Field, a: list[Any], b: list[Any], found: Findings) -> None:
        match = self.matcher.match(field, a, b)
        if match.kind:
            found.add(field.text, match.kind, a, b, ruled=field.unordered)
        inner = inside(field, a)
        for i, j in match.pairs:
            self.walk(inner, ABSENT if i is None else a[i], ABSENT if j is None else b[j], found)

    def _elements(self, field: Field, a: Element, b: Element, found: Findings) -> None:
        for key in dict.fromkeys((*a, *b)):
            if key == ORDER:
                self._order(field, a.get(key), b.get(key), found)
                continue
            missing = "" if key == TEXT else ABSENT
            x, y = a.get(key, missing), b.get(key, missing)
            if not same(x, y):
                self.walk(field if key == TEXT else field.member(key), x, y, found)

    def _order(self, field: Field, a: Any, b: Any, found: Findings) -> None:
        """Tags of which both have as many have to come in the same order; that there are more of one is found there."""
        if a and b and a != b:
            tags, others = Counter(a), Counter(b)
            kept = {tag for tag, times in tags.items() if others[tag] == times}
            if [tag for tag in a if tag in kept] != [tag for tag in b if tag in kept]:
                found.add(field.text, "body_order", a, b, ruled=field.unordered)

    def _aligned(self, field: Field, a: Aligned, b: Aligned, found: Findings) -> None:
        """What `pruning` made of two arrays."""
        for key in dict.fromkeys((*a, *b)):
            x, y = a.get(key, ABSENT), b.get(key, ABSENT)
            if key in (ORDER, SIZE):
                kind = "body_order" if key == ORDER else "body_size"
                found.add(field.text, kind, x, y, ruled=field.unordered)
            elif not same(x, y):
                self.walk(inside(field, a), x, y, found)

    def _distance(self, field: Field, x: Any, y: Any) -> int:
        scratch = Findings(self._recorded)
        self.walk(field, x, y, scratch)
        return len(scratch.counted)


_WALKS: Final[dict[type, Callable[[Walker, Field, Any, Any, Findings], None]]] = {
    dict: Walker._objects,
    list: Walker._lists,
    Repeated: Walker._lists,
    Siblings: Walker._lists,
    Element: Walker._elements,
    Aligned: Walker._aligned,
}


def _kind(a: Any, b: Any) -> str:
    if a is ABSENT:
        return "body_extra"
    if b is ABSENT:
        return "body_missing"
    if type(a) is type(b) or (msgspec.Raw in (type(a), type(b)) and _is_number(a) and _is_number(b)):
        return "body_value"
    return "body_type"


def _is_number(value: object) -> bool:
    return type(value) in (int, float, msgspec.Raw)
