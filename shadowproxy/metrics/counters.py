"""The shared memory of all worker slots: created by the supervisor before it forks, so that every process sees it.

One writer per block and 64-bit aligned words: a reader sees each word whole. Nothing here locks.
"""

from __future__ import annotations

import mmap
from typing import Final

from shadowproxy.metrics import layout as at
from shadowproxy.model.terms import DROP_REASONS, LOSS_REASONS, MIRRORED_ARMS, VERDICTS

_WORKER_GONE: Final = "worker_gone"


class Counters:
    """`slots` blocks in one anonymous shared mapping; `block(i)` is slot i's array of signed 64-bit words.

    `supervisor` and `control` are parts of their own, written by those processes alone.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._map = mmap.mmap(-1, slots * at.BLOCK_BYTES + at.SUPERVISOR_BYTES + at.CONTROL_BYTES)
        self._words = memoryview(self._map).cast("q")
        supervisor = slots * at.BLOCK_BYTES // at.WORD
        control = supervisor + at.SUPERVISOR_BYTES // at.WORD
        self.supervisor = self._words[supervisor:control]
        self.control = self._words[control:]

    def block(self, slot: int) -> memoryview:
        first = slot * at.BLOCK_BYTES // at.WORD
        return self._words[first : first + at.BLOCK_WORDS]

    def total(self, word: int) -> int:
        """The sum of one word over all slots."""
        step = at.BLOCK_BYTES // at.WORD
        words = self._words
        return sum(words[slot * step + word] for slot in range(self.slots))

    def totals(self, first: int, count: int) -> list[int]:
        """The sums of `count` neighbouring words over all slots."""
        step = at.BLOCK_BYTES // at.WORD
        rows = [self._words[slot * step + first : slot * step + first + count].tolist() for slot in range(self.slots)]
        return [sum(column) for column in zip(*rows, strict=True)]

    def since_base(self, route: int, words: list[int]) -> list[int]:
        """A route's words, its pairs less those before its evidence began."""
        base = self._base(route)
        first, end = at.PAIRED, at.PAIRED + at.PAIRED_WORDS
        return [*words[:first], *(n - before for n, before in zip(words[first:end], base, strict=True)), *words[end:]]

    def set_base(self, route: int) -> None:
        """The evidence of a route begins anew now."""
        base = self._base(route)
        for i, n in enumerate(self.totals(at.route_row(route) + at.PAIRED, at.PAIRED_WORDS)):
            base[i] = n

    def _base(self, route: int) -> memoryview:
        first = at.BASES_AT + route * at.PAIRED_WORDS
        return self.control[first : first + at.PAIRED_WORDS]


def adopt(block: memoryview, routes: int) -> int:
    """Put a dead worker's block in order before its replacement writes to it; returns how many copies were lost.

    What was in flight becomes `lost{worker_gone}`. A worker writes an outcome before `eligible`, so a kill between
    the two leaves `eligible` one short: it is made whole from its parts.
    """
    moved = 0
    for index in range(routes):
        row = at.route_row(index)
        for m in range(len(MIRRORED_ARMS)):
            sent = block[row + at.SENT + m]
            compared = sum(block[at.compared_word(row, m, v)] for v in VERDICTS)
            lost = sum(block[at.lost_word(row, m, r)] for r in LOSS_REASONS)
            missing = sent - compared - lost
            if missing > 0:
                block[at.lost_word(row, m, _WORKER_GONE)] += missing
                moved += missing
            block[row + at.IN_FLIGHT + m] = 0
            dropped = sum(block[at.dropped_word(row, m, r)] for r in DROP_REASONS)
            block[row + at.ELIGIBLE + m] = block[row + at.SAMPLED_OUT + m] + dropped + sent
    for word in (
        at.HEARTBEAT,
        at.SEQUENCE,
        at.DRAINING,
        at.CLIENT_CONNECTIONS,
        at.TUNNELS_OPEN,
        at.HELD_BYTES,
        at.LOOP_LAG,
        at.OVERLOADED,
    ):
        block[word] = 0
    for index in range(at.MAX_SERVICES):
        row = at.service_row(index)
        for word in range(row, row + at.HEALTHY):
            block[word] = 0
    return moved
