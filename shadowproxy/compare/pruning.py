"""Cuts two unequal values down to where they differ: explaining them costs little, however large they are.

What belongs together stands in one place on both sides: arrays whose elements were matched by name, or that are of
unequal length, become `Aligned`, and texts that hold JSON what they hold.
"""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.compare.fields import Field
from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.matching import Match
from shadowproxy.compare.trees import ORDER, SIZE, TEXT, Aligned, Siblings, below, inside, levelled, name_of, same
from shadowproxy.compare.walker import Walker

MAX_NODES: Final = 400
"""Values that a pruned pair holds at most. DeepDiff takes about 0.1 ms for each."""
MAX_ELEMENTS: Final = 100
_SHORT: Final = 20
"""Arrays of so few plain values stay whole."""
MAX_STRING: Final = 2000
CUT: Final = "…"
NAME_MEMBERS: Final = ("name", "key", "@name", "@key", "@id")
"""Text under these stays beside what differs: it says what differs, and redaction has to know."""


class Pruner:
    """Prunes one pair of values, which `walker` compares. What no longer fits becomes `CUT`.

    Equal elements before a differing one become None.
    """

    __slots__ = ("_embedded", "_left", "_walker")

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._left = MAX_NODES
        self._embedded = 0

    def prune(self, field: Field, a: Any, b: Any) -> tuple[Any, Any]:
        """The parts of `a` and `b` that differ, at the places where they stood."""
        self._left -= 1
        if self._left <= 0:
            return CUT, CUT
        if type(a) is not type(b):
            level = levelled(a, b)
            return self.prune(field, *level) if level else self._both(a, b)
        if isinstance(a, dict):
            return self._objects(field, a, b)
        if isinstance(a, list):
            return self._arrays(field, a, b)
        if isinstance(a, str) and (held := self._walker.held(a, b, self._embedded)):
            self._embedded += 1
            pruned = self.prune(field, *held)
            self._embedded -= 1
            return pruned
        return self._both(a, b)

    def _objects(self, field: Field, a: dict[str, Any], b: dict[str, Any]) -> tuple[Any, Any]:
        left, right = type(a)(), type(a)()
        for key in [*a, *(key for key in b if key not in a)]:
            x, y = a.get(key, ABSENT), b.get(key, ABSENT)
            if same(x, y):
                if key in NAME_MEMBERS and type(x) is str:
                    left[key] = right[key] = self._copy(x)
                continue
            if self._left <= 0:
                break
            if key == TEXT:
                left[key], right[key] = self._both("" if x is ABSENT else x, "" if y is ABSENT else y)
            elif x is not ABSENT and y is not ABSENT and key != ORDER:
                left[key], right[key] = self.prune(below(field, a, key), x, y)
            else:
                left |= {} if x is ABSENT else {key: self._copy(x)}
                right |= {} if y is ABSENT else {key: self._copy(y)}
        return left, right

    def _arrays(self, field: Field, a: list[Any], b: list[Any]) -> tuple[Any, Any]:
        if len(a) <= _SHORT and not any(isinstance(value, (dict, list)) for value in (*a, *b)):
            return self._both(a, b)
        match = self._walker.matcher.match(field, a, b)
        if len(a) == len(b) and not match.kind and all(i == j for i, j in match.pairs):
            return self._in_place(field, a, b)
        if match.kind == "body_order" and not match.pairs and not match.names:
            return self._both(a, b)
        return self._aligned(field, match, a, b)

    def _in_place(self, field: Field, a: list[Any], b: list[Any]) -> tuple[Any, Any]:
        inner = inside(field, a)
        left, right = type(a)(), type(a)()
        for x, y in zip(a[:MAX_ELEMENTS], b[:MAX_ELEMENTS], strict=True):
            pruned = (None, None) if same(x, y) else self.prune(inner, x, y)
            left.append(pruned[0])
            right.append(pruned[1])
        return left, right

    def _aligned(self, field: Field, match: Match, a: list[Any], b: list[Any]) -> tuple[Aligned, Aligned]:
        folds = isinstance(a, Siblings)
        left, right = Aligned(folds, match.names), Aligned(folds, match.names)
        if match.kind == "body_size":
            left[SIZE], right[SIZE] = len(a), len(b)
        elif match.kind:
            left[ORDER], right[ORDER] = self._order(match, a), self._order(match, b)
        inner = inside(field, a)
        for i, j in match.pairs[:MAX_ELEMENTS]:
            if self._left <= 0:
                break
            if i is not None and j is not None:
                label = left.label(i, a[i])
                left[label], right[label] = self.prune(inner, a[i], b[j])
            elif i is not None:
                left[left.label(i, a[i])] = self._copy(a[i])
            elif j is not None:
                right[right.label(j, b[j], "+")] = self._copy(b[j])
        return left, right

    def _order(self, match: Match, elements: list[Any]) -> list[Any]:
        """The beginning of the order of elements: their names, where they have some."""
        if match.names is not None:
            return [name_of(element, match.names) for element in elements[:_SHORT]]
        return [self._copy(element) for element in elements[:_SHORT]]

    def _both(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Copies of both, of which neither takes all the room that is left."""
        room = self._left
        self._left = room - room // 2
        left = self._copy(a)
        self._left += room // 2
        return left, self._copy(b)

    def _copy(self, value: Any) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return value if len(value) <= MAX_STRING else value[:MAX_STRING] + CUT
        if isinstance(value, (dict, list)) and self._left <= 0:
            return CUT
        if isinstance(value, dict):
            kept = type(value)()
            kept.update((key, self._copy(child)) for key, child in list(value.items())[:MAX_ELEMENTS])
            return kept
        if isinstance(value, list):
            return type(value)(self._copy(child) for child in value[:MAX_ELEMENTS])
        return value
