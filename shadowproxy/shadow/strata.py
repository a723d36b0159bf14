"""Durations of pairs on their way into the evidence: collected by route, weighed a stratum at a time, one per tick.

What a worker spends on it is bounded whatever the traffic is: a stratum takes up to 256 pairs, those that come while
a full one waits are left out (by time alone, which favours neither arm), and a tick weighs one stratum at most.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from shadowproxy.evidence.latency import LARGEST, SMALLEST, splits, stratum_size
from shadowproxy.metrics import layout as at

PATIENCE: Final = 30.0
"""Seconds after which a stratum need not be full."""
_LOOKS: Final = 16
"""Strata that one tick looks at."""


class Stratum:
    """The pairs of one route since the last one was weighed. `row` is the route's in the worker's counters."""

    __slots__ = ("_candidate", "_counters", "_open", "_reference", "_row", "_since", "service")

    def __init__(self, row: int, service: int, counters: memoryview, among: deque[Stratum]) -> None:
        self._row = row
        self.service = service
        self._counters = counters
        self._open = among
        self.clear()

    def clear(self) -> None:
        self._candidate: list[float] = []
        self._reference: list[float] = []
        self._since = 0.0

    def add(self, candidate: float, reference: float) -> None:
        """Seconds of two answers to the same request, both whole and neither a failure."""
        mine = self._candidate
        if len(mine) < LARGEST:
            if not mine:
                self._open.append(self)
            mine.append(candidate)
            self._reference.append(reference)

    def is_ready(self, now: float) -> bool:
        """Has it enough pairs to be weighed?"""
        if not self._since:
            self._since = now
        size = len(self._candidate)
        enough = stratum_size(self._counters[self._row + at.JUDGED])
        return size >= enough or (size >= SMALLEST and now - self._since >= PATIENCE)

    def weigh(self) -> None:
        """Count what its quantiles split, and begin the next one."""
        found, counters = splits(self._candidate, self._reference), self._counters
        counters[self._row + at.JUDGED] += len(self._candidate)
        self.clear()
        for quantile, (slow, fast) in enumerate(found):
            word = at.judged_word(self._row, quantile)
            counters[word] += fast  # first: who reads in between sees too little evidence, never too much
            counters[word + 1] += slow


class Strata:
    """All strata of a worker, by route. They live on when a policy is replaced. `control` is control's part."""

    def __init__(self, counters: memoryview, control: memoryview) -> None:
        self._counters = counters
        self._begun = control[at.EVIDENCE : at.EVIDENCE + at.MAX_SERVICES]
        self._heard = self._begun.tolist()
        self._of: dict[int, Stratum] = {}
        self._open: deque[Stratum] = deque()

    def of(self, row: int, service: int) -> Stratum:
        """The stratum of the route whose words begin at `row`. `service` is the index of its service."""
        return self._of.setdefault(row, Stratum(row, service, self._counters, self._open))

    def tick(self, now: float) -> None:
        """Weigh the first that is ready."""
        self._hear()
        waiting = self._open
        for _ in range(min(len(waiting), _LOOKS)):
            stratum = waiting.popleft()
            if stratum.is_ready(now):
                stratum.weigh()
                return
            waiting.append(stratum)

    def close(self) -> None:
        """The worker ends: weigh what there is."""
        self._hear()
        while self._open:
            self._open.popleft().weigh()

    def _hear(self) -> None:
        """Where evidence has begun anew, another version is running: forget what was collected of the one before."""
        begun = self._begun.tolist()
        if begun == self._heard:
            return
        for stratum in list(self._open):
            if begun[stratum.service] != self._heard[stratum.service]:
                stratum.clear()
                self._open.remove(stratum)
        self._heard = begun
