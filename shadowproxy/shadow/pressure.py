"""When is the worker under pressure? Mirroring is the first thing that it gives up (law 1). Pure."""

from __future__ import annotations

from typing import Final

LAG_HIGH: Final = 0.050
"""Seconds that the loop's tick may come late. A loop that serves 64 busy connections is late by 1 to 5 ms."""
DESCRIPTORS_HIGH: Final = 0.8
"""Share of the descriptor limit above which no copy may open a connection."""
REST: Final = 0.25
"""Seconds without pressure before mirroring goes on."""


class Pressure:
    """`shedding` is read for every request; `observe` is called at every tick."""

    __slots__ = ("_calm_since", "descriptor_limit", "shedding")

    def __init__(self, descriptor_limit: int) -> None:
        self.descriptor_limit = descriptor_limit
        self.shedding = False
        self._calm_since = 0.0

    def observe(self, now: float, lag: float, descriptors: int) -> None:
        """`lag` in seconds, `descriptors` in use by connections of this worker."""
        if lag > LAG_HIGH or descriptors > self.descriptor_limit * DESCRIPTORS_HIGH:
            self.shedding = True
            self._calm_since = now
        elif self.shedding and now - self._calm_since >= REST:
            self.shedding = False
