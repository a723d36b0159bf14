"""Which examples to keep when there is no room for all: the newest, the rarest and the smallest. Pure; the store obeys.

Examples of the same cause show the same mismatch. When something must go, it is the oldest of the cause with the most
examples, so that one loud difference cannot push out the only example of a quiet one; but never the smallest of its
cause, which a person reads first, as long as there is another one.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from msgspec import Struct


class Slot(Struct, frozen=True):
    """One kept example: its row in the store, Unix time, size in bytes."""

    row: int
    at: float
    size: int


class _Pile:
    """The examples of one cause: the smallest, and the others, oldest first."""

    __slots__ = ("others", "smallest")

    def __init__(self, slot: Slot) -> None:
        self.smallest = slot
        self.others: list[Slot] = []

    def __len__(self) -> int:
        return 1 + len(self.others)

    @property
    def oldest(self) -> float:
        return min(self.smallest.at, self.others[0].at) if self.others else self.smallest.at

    def add(self, slot: Slot) -> None:
        if slot.size <= self.smallest.size:
            slot, self.smallest = self.smallest, slot
        insort(self.others, slot, key=lambda other: other.at)

    def pop(self) -> Slot:
        """Take out the oldest but the smallest; the smallest where it is the last."""
        return self.others.pop(0) if self.others else self.smallest

    def pop_smallest(self) -> Slot:
        """Take out the smallest; the next smallest takes its place. There are others."""
        gone, self.smallest = self.smallest, min(self.others, key=lambda slot: slot.size)
        self.others.remove(self.smallest)
        return gone


class Shelf:
    """What is kept, by cause, and the bounds: examples, bytes, seconds."""

    def __init__(self, max_examples: int, max_bytes: int, max_age: float) -> None:
        self._max_examples = max_examples
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._piles: dict[str, _Pile] = {}
        self.count = 0
        self.bytes = 0

    def add(self, cause: str, slot: Slot) -> None:
        pile = self._piles.get(cause)
        if pile is None:
            self._piles[cause] = _Pile(slot)
        else:
            pile.add(slot)
        self.count += 1
        self.bytes += slot.size

    def evict(self, now: float) -> list[int]:
        """Forget what is too old or too much; returns the rows to delete."""
        return [*self._overdue(now), *self._excess()]

    def _overdue(self, now: float) -> Iterator[int]:
        limit = now - self._max_age
        for cause in [name for name, pile in self._piles.items() if pile.oldest < limit]:
            pile = self._piles[cause]
            while pile.others and pile.others[0].at < limit:
                yield self._gone(pile.pop())
            if pile.smallest.at < limit:
                yield self._gone(pile.pop_smallest() if pile.others else self._piles.pop(cause).smallest)

    def _excess(self) -> Iterator[int]:
        while self.count > self._max_examples or self.bytes > self._max_bytes:
            cause = max(self._piles, key=self._expendable)
            pile = self._piles[cause]
            if not pile.others:
                del self._piles[cause]
            yield self._gone(pile.pop())

    def _expendable(self, cause: str) -> tuple[int, float]:
        """How little one example of a cause would be missed: where there are many first, then old ones."""
        pile = self._piles[cause]
        return len(pile), -(pile.others[0] if pile.others else pile.smallest).at

    def _gone(self, slot: Slot) -> int:
        self.count -= 1
        self.bytes -= slot.size
        return slot.row
