"""How many pairs differed where: bounded, whatever fields candidates come up with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from shadowproxy.compare.findings import Key
from shadowproxy.model.pair import FieldCount
from shadowproxy.model.terms import OTHER

MAX_FIELDS: Final = 1024
"""Distinct (field, kind) of one service; the rest are counted as `other`. As many label values as a scrape can bear."""

_Place = tuple[str, str]


class FieldTable:
    """Counts differing pairs per service, route, field and kind, each pair at most once."""

    __slots__ = ("_counts", "_known")

    def __init__(self) -> None:
        self._known: dict[str, set[Key]] = {}
        self._counts: dict[_Place, dict[Key, int]] = {}

    def count(self, service: str, route: str, keys: Iterable[Key]) -> None:
        """One pair that differed in these fields."""
        counts = self._counts.get((service, route))
        if counts is None:
            counts = self._counts[service, route] = {}
        known = self._known.get(service)
        if known is None:
            known = self._known[service] = set()
        other: set[Key] = set()
        for key in keys:
            if key in known:
                counts[key] = counts.get(key, 0) + 1
            elif len(known) < MAX_FIELDS:
                known.add(key)
                counts[key] = 1
            else:
                other.add((OTHER, key[1]))
        for key in other:
            counts[key] = counts.get(key, 0) + 1

    def harvest(self) -> list[FieldCount]:
        """What was counted since the last call."""
        counts = [
            FieldCount(service, route, field, kind, pairs)
            for (service, route), table in self._counts.items()
            for (field, kind), pairs in table.items()
        ]
        self._counts.clear()
        return counts


class ReasonTable:
    """Counts incomparable pairs per service, route and reason."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def count(self, service: str, route: str, reason: str) -> None:
        self._counts[service, route, reason] += 1

    def harvest(self) -> list[tuple[str, str, str, int]]:
        """What was counted since the last call."""
        counts = [(*place, pairs) for place, pairs in self._counts.items()]
        self._counts.clear()
        return counts
