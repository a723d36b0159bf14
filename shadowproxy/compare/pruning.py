"""Cuts two unequal JSON values down to where they differ: explaining them costs little, however large they are."""

from __future__ import annotations

from typing import Any, Final

from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.walker import same

MAX_NODES: Final = 400
"""Values that a pruned pair holds at most. DeepDiff takes about 0.1 ms for each."""
MAX_ELEMENTS: Final = 100
_SHORT: Final = 20
"""Arrays of so few plain values stay whole."""
MAX_STRING: Final = 2000
CUT: Final = "…"
NAME_MEMBERS: Final = ("name", "key")
"""Text under these stays beside what differs: it says what differs, and redaction has to know."""


class Pruner:
    """Prunes one pair of values. What no longer fits becomes `CUT`; equal elements before a differing one, None."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_NODES

    def prune(self, a: Any, b: Any) -> tuple[Any, Any]:
        """The parts of `a` and `b` that differ, at the places where they stood."""
        self._left -= 1
        if self._left <= 0:
            return CUT, CUT
        if type(a) is dict and type(b) is dict:
            return self._objects(a, b)
        if type(a) is type(b) and isinstance(a, list) and len(a) == len(b):
            return self._arrays(a, b)
        return self._copy(a), self._copy(b)

    def _objects(self, a: dict[str, Any], b: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        left: dict[str, Any] = {}
        right: dict[str, Any] = {}
        for key in [*a, *(key for key in b if key not in a)]:
            x, y = a.get(key, ABSENT), b.get(key, ABSENT)
            if same(x, y):
                if key in NAME_MEMBERS and type(x) is str:
                    left[key] = right[key] = self._copy(x)
                continue
            if self._left <= 0:
                break
            if y is ABSENT:
                left[key] = self._copy(x)
            elif x is ABSENT:
                right[key] = self._copy(y)
            else:
                left[key], right[key] = self.prune(x, y)
        return left, right

    def _arrays(self, a: list[Any], b: list[Any]) -> tuple[list[Any], list[Any]]:
        if len(a) <= _SHORT and not any(isinstance(value, (dict, list)) for value in (*a, *b)):
            return self._copy(a), self._copy(b)
        left: list[Any] = []
        right: list[Any] = []
        for x, y in zip(a[:MAX_ELEMENTS], b[:MAX_ELEMENTS], strict=True):
            pruned = (None, None) if same(x, y) else self.prune(x, y)
            left.append(pruned[0])
            right.append(pruned[1])
        return left, right

    def _copy(self, value: Any) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return value if len(value) <= MAX_STRING else value[:MAX_STRING] + CUT
        if isinstance(value, (dict, list)) and self._left <= 0:
            return CUT
        if isinstance(value, dict):
            return {key: self._copy(child) for key, child in list(value.items())[:MAX_ELEMENTS]}
        if isinstance(value, list):
            return type(value)(self._copy(child) for child in value[:MAX_ELEMENTS])
        return value
