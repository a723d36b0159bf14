"""What is counted while users are split: by route and by the arm that was drawn, and by sticky key.

One user's requests are not independent of each other, so with sticky users each key counts once per epoch: when it is
first seen, first fails, first meets a client error. Such firsts go to a ring that control reads in passing.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from shadowproxy.metrics import layout as at

MAX_KEYS: Final = 65_536
"""Keys of a service that a worker remembers in an epoch. Those that come later are left out, by time alone."""
_ANSWERED: Final = 16
"""A bit beside `layout.KEY_SEEN` and the others that never leaves the worker."""
_FAILED: Final = at.SPLIT_COUNTS.index("failed")
_CLIENT_ERROR: Final = at.SPLIT_COUNTS.index("client_errors")
_SLOT_SHARES: Final = 1 << 32


class Tally:
    """Of one service. It lives on when a policy is replaced.

    First answers of sticky users are taken from one worker only, which the key names: in the others each would be
    another first one.
    """

    __slots__ = ("_epoch", "_fine", "_first", "_index", "_keys", "_slot", "_workers", "counters")

    def __init__(self, index: int, counters: memoryview, slot: int, workers: int) -> None:
        """`index` is the service's row; this is worker `slot` of `workers`."""
        self._index = index
        self.counters = counters
        self._fine = tuple(at.split_fine_word(index, arm) for arm in range(len(at.SPLIT_ARMS)))
        self._first = tuple(at.first_fine_word(index, arm) for arm in range(len(at.SPLIT_ARMS)))
        self._keys: dict[float, int] = {}
        self._epoch = 0
        self._slot = slot
        self._workers = workers

    def hear(self, page: memoryview) -> None:
        """Has the evidence begun anew? `page` is control's."""
        epoch = page[at.SPLIT_EPOCHS + self._index]
        if epoch != self._epoch:
            self._epoch = epoch
            self._keys.clear()

    def count(self, row: int, arm: int, failed: bool, client_error: bool) -> None:
        """One request of a route's row; `arm` is an index of SPLIT_ARMS."""
        counters, first = self.counters, at.split_word(row, arm, 0)
        counters[first] += 1
        if failed:
            counters[first + _FAILED] += 1
        if client_error:
            counters[first + _CLIENT_ERROR] += 1

    def count_chosen(self, row: int, failed: bool) -> None:
        counters = self.counters
        counters[row + at.CHOSEN] += 1
        if failed:
            counters[row + at.CHOSEN + 1] += 1

    def count_duration(self, arm: int, seconds: float, first: bool) -> None:
        """`first`: it is the first answer of a sticky key (`takes_duration`)."""
        number = bisect_left(at.FINE_EDGES, seconds)
        self.counters[self._fine[arm] + number] += 1
        if first:
            self.counters[self._first[arm] + number] += 1

    # -- sticky keys

    def note(self, h: float, what: int, once: bool) -> None:
        """The key of share `h` did `what`, a `KEY_` bit of the layout. `once`: it is no other request's key."""
        if self._is_first(h, what, once):
            counters = self.counters
            written = counters[at.KEYS_WRITTEN]
            entry = at.key_entry(h, self._index, what | at.KEY_ONCE if once else what)
            counters[at.KEYS_AT + written % at.KEY_RING] = entry
            counters[at.KEYS_WRITTEN] = written + 1

    def takes_duration(self, h: float, once: bool) -> bool:
        """Is this the first answer that the key got in this epoch, in the worker that takes it?"""
        return int(h * _SLOT_SHARES) % self._workers == self._slot and self._is_first(h, _ANSWERED, once)

    def _is_first(self, h: float, what: int, once: bool) -> bool:
        if once:
            return True
        keys = self._keys
        known = keys.get(h, 0)
        if known & what or (not known and len(keys) >= MAX_KEYS):
            return False
        keys[h] = known | what
        return True
