"""Which fields differ how often, over all comparers, and which of them get a series of their own.

Field names come out of response bodies, so their number is nobody's choice. The table keeps at most `MAX_FIELDS`
of them per service, in full for the report; of those at most `TOP_FIELDS` are exported by name and the rest is
counted as `other`. A field that grows large takes the place of the smallest, whose series pauses. What was counted
as `other` stays there and what was not never moves there, so that no exported counter ever goes down or jumps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from shadowproxy.model.pair import FieldCount

TOP_FIELDS: Final = 100
"""Named series per service."""
MAX_FIELDS: Final = 2_000
"""Fields counted one by one per service."""
MAX_NAME: Final = 200
OTHER_FIELD: Final = "other"
_GROWTH: Final = 2
"""A newcomer must be this many times larger than the smallest named field: places are not swapped back and forth."""


class FieldKey(Struct, frozen=True, array_like=True):
    service: str
    route: str
    field: str
    kind: str


class FieldRow(Struct, array_like=True):
    """`pairs` differed in all; `hidden` of them were exported as `other`. Both only grow."""

    pairs: int = 0
    hidden: int = 0
    named: bool = False


class FieldTable:
    """The counts of one instance. `restore` puts back what was kept of it; `take_changed` says what to keep next."""

    def __init__(self, top: int = TOP_FIELDS, most: int = MAX_FIELDS) -> None:
        self._top = top
        self._most = most
        self._rows: dict[FieldKey, FieldRow] = {}
        self._named: dict[str, set[FieldKey]] = {}
        self._known: dict[str, int] = {}
        self._changed: set[FieldKey] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def restore(self, rows: Iterable[tuple[FieldKey, FieldRow]]) -> None:
        for key, row in rows:
            self._rows[key] = row
            if key.field != OTHER_FIELD:
                self._known[key.service] = self._known.get(key.service, 0) + 1
            if row.named:
                self._named.setdefault(key.service, set()).add(key)

    def add(self, counts: Iterable[FieldCount]) -> None:
        for count in counts:
            self._add(FieldKey(count.service, count.route, count.field[:MAX_NAME], count.kind), count.pairs)

    def take_changed(self) -> list[tuple[FieldKey, FieldRow]]:
        """The rows that changed since the last call, with their present values."""
        changed, self._changed = self._changed, set()
        return [(key, FieldRow(row.pairs, row.hidden, row.named)) for key in changed if (row := self._rows[key])]

    def items(self) -> Iterator[tuple[FieldKey, int]]:
        """Every field that is counted, and the pairs that differ in it."""
        return ((key, row.pairs) for key, row in self._rows.items())

    def exported(self) -> Iterator[tuple[FieldKey, int]]:
        """What the metric shows: named fields, and one `other` per service, route and kind."""
        other: dict[FieldKey, int] = {}
        for key, row in self._rows.items():
            if row.named and row.pairs > row.hidden:
                yield key, row.pairs - row.hidden
            if row.hidden:
                rest = FieldKey(key.service, key.route, OTHER_FIELD, key.kind)
                other[rest] = other.get(rest, 0) + row.hidden
        yield from other.items()

    def _add(self, key: FieldKey, pairs: int) -> None:
        row = self._rows.get(key)
        if row is None:
            key, row = self._new(key)
        row.pairs += pairs
        if not row.named and not self._name(key, row):
            row.hidden += pairs
        self._changed.add(key)

    def _new(self, key: FieldKey) -> tuple[FieldKey, FieldRow]:
        """A row for a field not seen before: its own, or beyond `most` the shared one of its route and kind."""
        if self._known.get(key.service, 0) >= self._most:
            key = FieldKey(key.service, key.route, OTHER_FIELD, key.kind)
            return key, self._rows.setdefault(key, FieldRow())
        self._known[key.service] = self._known.get(key.service, 0) + 1
        row = self._rows[key] = FieldRow()
        return key, row

    def _name(self, key: FieldKey, row: FieldRow) -> bool:
        """Try to give `key` a series of its own."""
        if key.field == OTHER_FIELD:
            return False
        named = self._named.setdefault(key.service, set())
        if len(named) >= self._top:
            smallest = min(named, key=lambda k: self._rows[k].pairs)
            loser = self._rows[smallest]
            if row.pairs < _GROWTH * loser.pairs:
                return False
            named.discard(smallest)
            loser.named = False
            self._changed.add(smallest)
        named.add(key)
        row.named = True
        return True
