"""Which examples to keep when there is not room for all: the newest, and the rarest. Pure; the store obeys.

Examples with the same signature show the same mismatch. When something must go, it is the oldest of the most
numerous signature, so that one loud difference cannot push out the only example of a quiet one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from msgspec import Struct


class Slot(Struct, frozen=True):
    """One kept example: its row in the store, Unix time, size in bytes."""

    row: int
    at: float
    size: int


class Shelf:
    """What is kept, by signature, oldest first, and the bounds: examples, bytes, seconds."""

    def __init__(self, max_examples: int, max_bytes: int, max_age: float) -> None:
        self._max_examples = max_examples
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._slots: dict[str, deque[Slot]] = {}
        self.count = 0
        self.bytes = 0

    def add(self, signature: str, slot: Slot) -> None:
        self._slots.setdefault(signature, deque()).append(slot)
        self.count += 1
        self.bytes += slot.size

    def evict(self, now: float) -> list[int]:
        """Forget what is too old or too much; returns the rows to delete."""
        return [*self._overdue(now), *self._excess()]

    def _overdue(self, now: float) -> Iterator[int]:
        oldest = now - self._max_age
        for signature in [name for name, slots in self._slots.items() if slots[0].at < oldest]:
            while (slots := self._slots.get(signature)) and slots[0].at < oldest:
                yield self._pop(signature)

    def _excess(self) -> Iterator[int]:
        while self.count > self._max_examples or self.bytes > self._max_bytes:
            yield self._pop(max(self._slots, key=self._expendable))

    def _expendable(self, signature: str) -> tuple[int, float]:
        """How little a signature would be missed: numerous first, then old."""
        slots = self._slots[signature]
        return len(slots), -slots[0].at

    def _pop(self, signature: str) -> int:
        slots = self._slots[signature]
        slot = slots.popleft()
        if not slots:
            del self._slots[signature]
        self.count -= 1
        self.bytes -= slot.size
        return slot.row
