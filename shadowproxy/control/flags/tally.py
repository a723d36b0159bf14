"""How often which flag was evaluated to what, by the workers and over OFREP. Never for whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_SERIES: Final = 2_000
"""A flag, a variant and a reason is one; those that come later are counted as `other`."""
OTHER: Final = ("other", "", "")

Series = tuple[str, str, str]
"""Flag, variant and reason."""


class FlagTally:
    def __init__(self) -> None:
        self.counts: dict[Series, int] = {}
        self._of: dict[str, int] = {}

    def add(self, counts: Iterable[tuple[str, str, str, int]]) -> None:
        for flag, variant, reason, number in counts:
            self.count((flag, variant, reason), number)

    def count(self, series: Series, number: int = 1) -> None:
        if series not in self.counts and len(self.counts) >= MAX_SERIES:
            series = OTHER
        self.counts[series] = self.counts.get(series, 0) + number
        self._of[series[0]] = self._of.get(series[0], 0) + number

    def of(self, flag: str) -> int:
        return self._of.get(flag, 0)

    def split(self, flag: str) -> list[tuple[str, str, int]]:
        """By variant and reason."""
        return [(variant, reason, number) for (name, variant, reason), number in self.counts.items() if name == flag]
