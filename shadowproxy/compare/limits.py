"""What ends a comparison without a verdict, and the clock that every part of one asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

REASONS: Final = (
    "decoded_too_large",
    "ratio",
    "too_deep",
    "too_wide",
    "too_slow",
    "undecodable",
    "truncated_response",
    "internal",
)
"""Why a pair is `incomparable`."""

_STRIDE: Final = 64


class IncomparableError(Exception):
    """No verdict is possible; `reason` is one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Deadline:
    """The time that one pair may take. `clock` gives seconds, `at` is when it is over."""

    __slots__ = ("_left", "at", "clock")

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self.clock = clock
        self.at = clock() + seconds
        self._left = _STRIDE

    def check(self) -> None:
        """Raises IncomparableError when the time is over."""
        if self.clock() > self.at:
            raise IncomparableError("too_slow")

    def tick(self) -> None:
        """A check that looks at the clock only now and then: for the inside of loops. Raises IncomparableError."""
        self._left -= 1
        if not self._left:
            self._left = _STRIDE
            self.check()
