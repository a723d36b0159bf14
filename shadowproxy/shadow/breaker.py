"""Rests an arm that refuses or times out again and again, and probes it once a second. Pure: time is passed in."""

from __future__ import annotations

from typing import Final

PROBE_INTERVAL: Final = 1.0


class Breaker:
    """Closed until `failures` in a row; then open, letting one request a second through until one succeeds."""

    __slots__ = ("_next_probe", "_row", "limit", "open")

    def __init__(self, failures: int) -> None:
        self.limit = failures
        self._row = 0
        self._next_probe = 0.0
        self.open = False

    def allows(self, now: float) -> bool:
        """May a request go? In the open state, asking takes the probe's place."""
        if not self.open:
            return True
        if now < self._next_probe:
            return False
        self._next_probe = now + PROBE_INTERVAL
        return True

    def succeeded(self) -> None:
        self._row = 0
        self.open = False

    def failed(self, now: float) -> None:
        self._row += 1
        if self._row >= self.limit:
            self.trip(now)

    def trip(self, now: float) -> None:
        """Open, however many failed."""
        if not self.open:
            self._next_probe = now + PROBE_INTERVAL
        self.open = True
