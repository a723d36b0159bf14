"""Walks two unequal JSON values and finds every field that differs, by exact rules.

Values are equal when their types and contents are: Python's `==` also holds true, 1 and 1.0 equal, so it only ever
prunes; what it calls equal is confirmed by its encoding. An integer against a float is a `body_type`, and so is null
against anything. Arrays are compared element by element: another order of the same elements is one `body_order`,
another length one `body_size`, after which the elements between the common beginning and end are compared in order.
`unordered` arrays are compared as multisets, and what is left over on either side is missing or extra.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.jsontext import Repeated, canonical
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.masks import unmasked

_encode: Final = msgspec.json.Encoder().encode
_CONTAINERS: Final = frozenset({dict, list, Repeated})
_NUMBERS: Final = (int, float)
_MAX_PAIRING: Final = 16
"""A left-over element is compared with this many of the other side's, to find the one that it resembles."""


def same(a: object, b: object) -> bool:
    """Whether two JSON values are equal, types included."""
    if a != b or type(a) is not type(b):
        return False
    return type(a) not in _CONTAINERS or canonical(a) == canonical(b)


class Walker:
    """Compares within `deadline`; every method raises IncomparableError when it is over."""

    __slots__ = ("_deadline", "_recorded")

    def __init__(self, deadline: Deadline, recorded: bool = False) -> None:
        self._deadline = deadline
        self._recorded = recorded

    def walk(self, field: Field, a: Any, b: Any, found: Findings) -> None:
        """Adds to `found` how `a` (the primary's value of `field`) and `b` differ; they are not the same."""
        self._deadline.tick()
        if field.ignored:
            found.add(field.text, _kind(a, b), a, b, ruled=True)
        elif type(a) is not type(b) or type(a) not in _CONTAINERS:
            ruled = field.tolerance is not None and _within(a, b, field.tolerance)
            found.add(field.text, _kind(a, b), a, b, ruled=ruled)
        elif type(a) is dict:
            self._objects(field, a, b, found)
        elif field.unordered:
            self._multisets(field, a, b, found)
        elif len(a) == len(b):
            self._arrays(field, a, b, found)
        else:
            self._resized(field, a, b, found)

    def _objects(self, field: Field, a: dict[str, Any], b: dict[str, Any], found: Findings) -> None:
        if self._recorded:
            a = unmasked(a, b)
        for key, x in a.items():
            y = b.get(key, ABSENT)
            if x is y:
                continue
            kind = type(x)
            if x == y and kind is type(y) and (kind not in _CONTAINERS or canonical(x) == canonical(y)):
                continue
            self.walk(field.member(key), x, y, found)
        for key, y in b.items():
            if key not in a:
                self.walk(field.member(key), ABSENT, y, found)

    def _arrays(self, field: Field, a: list[Any], b: list[Any], found: Findings) -> None:
        differing = self._differing(a, b)
        if len(differing) > 1 and self._reordered(differing):
            found.add(field.text, "body_order", a, b)
            return
        element = field.element()
        for x, y in differing:
            self.walk(element, x, y, found)

    def _differing(self, a: list[Any], b: list[Any]) -> list[tuple[Any, Any]]:
        """The pairs of elements that are not the same. Types inside what `==` calls equal are confirmed all at once."""
        self._deadline.check()
        pairs = list(zip(a, b, strict=True))
        equal = [pair for pair in pairs if pair[0] == pair[1]]
        left, right = [pair[0] for pair in equal], [pair[1] for pair in equal]
        if canonical(left) == canonical(right):
            return pairs if not equal else [pair for pair in pairs if pair[0] != pair[1]]
        return [pair for pair in pairs if not same(*pair)]

    def _reordered(self, differing: list[tuple[Any, Any]]) -> bool:
        """Whether the elements on both sides are the same. Their encodings are as long in any order: a cheap test."""
        left, right = [list(side) for side in zip(*differing, strict=True)]
        if len(_encode(left)) != len(_encode(right)):
            return False
        self._deadline.check()
        return Counter(map(canonical, left)) == Counter(map(canonical, right))

    def _resized(self, field: Field, a: list[Any], b: list[Any], found: Findings) -> None:
        found.add(field.text, "body_size", a, b)
        element = field.element()
        start, ends = 0, (len(a), len(b))
        while start < min(ends) and self._alike(element, a[start], b[start]):
            start += 1
        i, j = ends
        while i > start and j > start and self._alike(element, a[i - 1], b[j - 1]):
            i, j = i - 1, j - 1
        for x, y in zip(a[start:i], b[start:j], strict=False):
            if not same(x, y):
                self.walk(element, x, y, found)

    def _multisets(self, field: Field, a: list[Any], b: list[Any], found: Findings) -> None:
        element = field.element()
        left, right = self._without_common(a, b)
        for x in left:
            partner = self._partner(element, x, right)
            self.walk(element, x, ABSENT if partner is None else right.pop(partner), found)
        for y in right:
            self.walk(element, ABSENT, y, found)
        found.add(field.text, "body_order", a, b, ruled=True)

    def _without_common(self, a: list[Any], b: list[Any]) -> tuple[list[Any], list[Any]]:
        """What each side has beyond the other, counting repeats."""
        tick = self._deadline.tick
        waiting: dict[bytes, list[Any]] = {}
        for y in b:
            tick()
            waiting.setdefault(canonical(y), []).append(y)
        left = []
        for x in a:
            tick()
            equal = waiting.get(canonical(x))
            if equal:
                equal.pop()
            else:
                left.append(x)
        return left, [y for values in waiting.values() for y in values]

    def _partner(self, element: Field, x: Any, right: list[Any]) -> int | None:
        """The place in `right` of what differs least from `x`: anything that is alike, else an object for an object."""
        best, least = None, len(x) if type(x) is dict else 1
        for place, y in enumerate(right[:_MAX_PAIRING]):
            if type(x) is not type(y):
                continue
            count = self._distance(element, x, y)
            if count < least:
                best, least = place, count
        return best

    def _distance(self, element: Field, x: Any, y: Any) -> int:
        scratch = Findings(self._recorded)
        self.walk(element, x, y, scratch)
        return len(scratch.counted)

    def _alike(self, element: Field, x: Any, y: Any) -> bool:
        """Whether two elements are the same as far as the rules go."""
        self._deadline.tick()
        return same(x, y) or ((self._recorded or not element.plain) and not self._distance(element, x, y))


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


def _within(a: Any, b: Any, tolerance: float) -> bool:
    """Whether two numbers are at most `tolerance` apart; floats get the last digits that arithmetic costs them."""
    if type(a) not in _NUMBERS or type(b) not in _NUMBERS:
        return False
    exact = type(a) is int and type(b) is int
    try:
        slack = 0.0 if exact else 1e-15 * max(abs(a), abs(b))
        return bool(abs(a - b) <= tolerance + slack)
    except OverflowError:
        return False
