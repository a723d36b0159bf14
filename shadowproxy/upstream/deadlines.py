"""Deadlines for very many things at the cost of one attribute store.

`loop.call_later` and its cancellation cost more than parsing a head. Here a timer that is moved to a later time only
stores the time; its place in the wheel is looked at again when the old time comes. Deadlines are met up to
one tick late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

TICK: Final = 0.05
NEVER: Final = float("inf")


class Timer:
    """Calls `action` once, after `at` has passed. Set it with `Deadlines.arm`; clear it by `timer.at = NEVER`.

    `drop` clears it for good.
    """

    __slots__ = ("_slot", "action", "at")

    def __init__(self, action: Callable[[], None]) -> None:
        self.at = NEVER
        self.action = action
        self._slot = 0

    def drop(self) -> None:
        """Let go of whoever would be called: the wheel holds a timer until the time it was placed for."""
        self.at = NEVER
        self.action = _nothing


def _nothing() -> None:
    pass


class Deadlines:
    """The wheel. `now` is monotonic seconds; the owner calls `advance` about once a `TICK`."""

    __slots__ = ("_buckets", "_slot", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self._slot = int(now / TICK)
        self._buckets: dict[int, list[Timer]] = {}

    def arm(self, timer: Timer, at: float) -> None:
        """Let `timer` go off at `at`, whatever it was set to before."""
        timer.at = at
        slot = timer._slot
        if slot <= self._slot or at < slot * TICK - TICK:
            self._place(timer, at)

    def _place(self, timer: Timer, at: float) -> None:
        if at == NEVER:
            timer._slot = 0
            return
        slot = max(int(at / TICK) + 1, self._slot + 1)
        timer._slot = slot
        bucket = self._buckets.get(slot)
        if bucket is None:
            self._buckets[slot] = [timer]
        else:
            bucket.append(timer)

    def advance(self, now: float) -> None:
        """Call the action of every timer whose time has come."""
        self.now = now
        last = int(now / TICK)
        if last - self._slot > len(self._buckets):
            due = sorted(slot for slot in self._buckets if slot <= last)
        else:
            due = [slot for slot in range(self._slot + 1, last + 1) if slot in self._buckets]
        self._slot = max(self._slot, last)  # what an action arms now belongs to a later tick
        for slot in due:
            for timer in self._buckets.pop(slot):
                if timer._slot != slot:
                    continue  # it was armed for an earlier time since: another bucket holds it
                timer._slot = 0
                if timer.at <= now:
                    timer.at = NEVER
                    timer.action()
                else:
                    self._place(timer, timer.at)
