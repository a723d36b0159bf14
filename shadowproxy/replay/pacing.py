"""When each request is due. Pure.

Every time is measured from the start, never from the request before: a late request delays no other.
"""

from __future__ import annotations

from array import array
from typing import Protocol


class Pace(Protocol):
    """`due` gives seconds from the start for the request with this number and recorded time, nanoseconds."""

    def due(self, number: int, at: int) -> float: ...


class Recorded:
    """The recorded spacing, `speed` times as fast. `first` is the first request's time."""

    def __init__(self, first: int, speed: float) -> None:
        self._first = first
        self._scale = 1e-9 / speed

    def due(self, number: int, at: int) -> float:
        return (at - self._first) * self._scale


class Even:
    """So many a second, evenly spaced."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def due(self, number: int, at: int) -> float:
        return number / self._rate


class AtOnce:
    """As fast as order and room allow: nothing is ever early, and so nothing is late."""

    def due(self, number: int, at: int) -> float:
        return 0.0


class Lateness:
    """How much later than due requests were sent, seconds."""

    def __init__(self) -> None:
        self._seconds = array("d")

    def add(self, seconds: float) -> None:
        self._seconds.append(max(0.0, seconds))

    @property
    def last(self) -> float:
        return self._seconds[-1] if self._seconds else 0.0

    @property
    def most(self) -> float:
        return max(self._seconds, default=0.0)

    def quantile(self, q: float) -> float:
        """The smallest lateness that a share `q` of the requests did not exceed; 0 without requests."""
        ordered = sorted(self._seconds)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0
