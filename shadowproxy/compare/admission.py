"""Which mismatches become examples: few of each sort, within a budget of time, the newest and the rarest first.

Of every cause the first few are taken, then each time their number has doubled, at least one a minute while they keep
coming, and any that is clearly smaller than those before. What making them may cost is a bucket of seconds that refills
slowly.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from shadowproxy.model.pair import Example

FIRST: Final = 3
FRESH: Final = 60.0
"""Seconds after which a cause gets a new example in any case."""
BUDGET: Final = 2.0
"""Seconds of making examples that may be spent at once ..."""
PERIOD: Final = 60.0
"""... and that refill over this many seconds."""
MAX_CAUSES: Final = 4096
MAX_PENDING: Final = 64


class Admission:
    """Decides by cause, bounded in memory: causes that were not seen for long are forgotten."""

    __slots__ = ("_clock", "_left", "_refilled", "_seen")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = BUDGET
        self._refilled = clock()
        self._seen: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()

    def admit(self, cause: Hashable, *, smaller: bool = False) -> tuple[int, str]:
        """How often the cause came, this time included, and why it is given up (empty: make the example)."""
        now = self._clock()
        seen, last = self._seen.get(cause, (0, now))
        seen += 1
        wanted = smaller or seen <= FIRST or not seen & (seen - 1) or now - last >= FRESH
        affordable = wanted and self._affordable(now)
        self._seen[cause] = (seen, now if affordable else last)
        if seen == 1 and len(self._seen) > MAX_CAUSES:
            self._seen.popitem(last=False)
        elif affordable:
            self._seen.move_to_end(cause)
        if affordable:
            return seen, ""
        return seen, "budget" if wanted else "repeated"

    def spend(self, seconds: float) -> None:
        """Making an example took this long."""
        self._left -= seconds

    def _affordable(self, now: float) -> bool:
        self._left = min(BUDGET, self._left + (now - self._refilled) * BUDGET / PERIOD)
        self._refilled = now
        return self._left > 0


class Pending:
    """Examples that wait for the next harvest, at most `MAX_PENDING`: the rarest and, among those, the newest stay."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[tuple[int, Example]] = []

    def add(self, seen: int, example: Example) -> bool:
        """False when it was full and the commonest one, the oldest among equals, was given up."""
        self._items.append((seen, example))
        if len(self._items) <= MAX_PENDING:
            return True
        commonest = max(range(len(self._items)), key=lambda place: self._items[place][0])
        del self._items[commonest]
        return False

    def harvest(self) -> list[Example]:
        items, self._items = self._items, []
        return [example for _, example in items]
