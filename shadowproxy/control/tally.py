"""What the comparers have reported so far, as totals of this instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.metrics.fields import FieldTable
from shadowproxy.model.pair import Aggregate, FieldCount
from shadowproxy.store import Kept

MAX_REASONS: Final = 64
"""Distinct reasons kept apart; the lists are closed in the comparer, so that this only guards the labels."""
_OTHER: Final = "other"


class Tally:
    """`add` what a comparer sends, `take_changed` what the store has to keep, `restore` what it kept."""

    def __init__(self) -> None:
        self.fields = FieldTable()
        self.incomparable: dict[tuple[str, str, str], int] = {}
        self.suppressed: dict[str, int] = {}
        self._reasons: set[str] = set()
        self._changed_incomparable: set[tuple[str, str, str]] = set()
        self._changed_suppressed: set[str] = set()

    def add(self, aggregate: Aggregate) -> None:
        self.fields.add(aggregate.fields)
        for service, route, reason, pairs in aggregate.incomparable:
            key = service, route, self._bounded(reason)
            self.incomparable[key] = self.incomparable.get(key, 0) + pairs
            self._changed_incomparable.add(key)
        for reason, examples in aggregate.suppressed.items():
            name = self._bounded(reason)
            self.suppressed[name] = self.suppressed.get(name, 0) + examples
            self._changed_suppressed.add(name)

    def restore(self, kept: Kept) -> None:
        self.fields.restore(kept.fields)
        self.incomparable.update(kept.incomparable)
        self.suppressed.update(kept.suppressed)
        self._reasons.update(reason for _, _, reason in self.incomparable)
        self._reasons.update(self.suppressed)

    def take_changed(self) -> Kept:
        """The present values of everything that changed since the last call."""
        kept = Kept(
            fields=self.fields.take_changed(),
            incomparable=[(key, self.incomparable[key]) for key in self._changed_incomparable],
            suppressed=[(reason, self.suppressed[reason]) for reason in self._changed_suppressed],
        )
        self._changed_incomparable.clear()
        self._changed_suppressed.clear()
        return kept

    def field_counts(self) -> Iterator[FieldCount]:
        for key, pairs in self.fields.items():
            yield FieldCount(key.service, key.route, key.field, key.kind, pairs)

    def _bounded(self, reason: str) -> str:
        if reason in self._reasons:
            return reason
        if len(self._reasons) >= MAX_REASONS:
            return _OTHER
        self._reasons.add(reason)
        return reason
