"""The ledger of one service: the paired bits of every field and what follows from them, for one pair of versions.

A field is a (route, path, kind), entered at its first difference on either side: nothing was bet on it before, so it
stands where it would if it had been there all the time. The ledger holds `CAPACITY` of them and forgets none while it
lasts: a table that makes room would test more hypotheses than it accounts for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, inf, isfinite, log
from typing import Final

from msgspec import Struct

from shadowproxy.evidence import coin
from shadowproxy.evidence.ebh import CAPACITY, regressed, threshold

RESTART_EVERY: Final = 600.0
"""Seconds between restarts of the bets."""
ENOUGH_SECONDS: Final = 20
"""Second answers before which nothing counts as noise (contract, meaning 10)."""
ENOUGH_NOISE: Final = 3
"""Differences of the second answer that make a field noisy."""
DOUBTFUL: Final = 3.0
"""An e-value of 20, as its logarithm: a noisy field with more is not called noise any longer."""

REGRESSED: Final = "regressed"
NOISE: Final = "noise"
OPEN: Final = "open"
UNTOLD: Final = "differs"
"""Second answers mostly say nothing of it: whether it is noise is as unknown as without any."""

FieldId = tuple[str, str, str]
"""Route, field and kind."""


class FieldRow(Struct, array_like=True):
    """Counts of triples by who differed from the primary, and the bets as logarithms after `restarts`.

    `spared` and `missed` are the candidate's differences without a second answer that says something of the field.

    `second_at` is when a second answer last differed, `listed_at` when the field entered the list, 0: not.
    """

    paired: list[float]
    lone: list[float]
    restarts: int
    candidate: int = 0
    second: int = 0
    both: int = 0
    spared: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    second_at: float = 0.0
    listed_at: float = 0.0
    missed: int = 0

    @property
    def drawn(self) -> int:
        """Differing answers that count against `spared`, by chance alone."""
        return self.spared + self.second + self.both + self.missed

    @property
    def is_blank(self) -> bool:
        """Whether nothing has differed since the bets began."""
        return not (self.candidate or self.drawn)

    @property
    def is_sound(self) -> bool:
        """Whether a ledger of today can go on from it."""
        bets = len(self.paired) == len(coin.LAMBDAS) and len(self.lone) == len(coin.OMEGAS)
        counts = (self.candidate, self.second, self.both, self.spared, self.missed)
        times = (self.first_at, self.last_at, self.second_at, self.listed_at)
        finite = all(map(isfinite, (*self.paired, *self.lone, *times)))
        return bets and finite and self.restarts >= 1 and min(counts) >= 0


class Verdict(Struct, frozen=True):
    """Of one field: `state`, natural logarithms of its e-value and of what it needs, and how many more pairs."""

    state: str
    evidence: float
    needed: float
    more: int | None


class FieldLedger:
    """`since` is Unix time; `share` the share of requests that are resampled, 0 where a secondary answers all."""

    def __init__(self, since: float, alpha: float, share: float = 0.0, capacity: int = CAPACITY) -> None:
        self.since = since
        self.alpha = alpha
        self.share = share
        self.capacity = capacity
        self.rows: dict[FieldId, FieldRow] = {}
        self.triples: dict[str, int] = {}
        """Second answers by route."""
        self.inherited: dict[FieldId, float] = {}
        """What an earlier ledger knew to be noisy, and when a second answer last showed it."""
        self.untracked = 0
        self._restarts = 1
        self._changed: set[FieldId] = set()
        self._evidence: dict[FieldId, float] = {}
        self._stale: set[FieldId] = set()
        self._listed: set[FieldId] | None = None

    @property
    def answers(self) -> int:
        return sum(self.triples.values())

    def restore(self, rows: Mapping[FieldId, FieldRow]) -> None:
        """Rows that were kept, all of them sound. Those beyond the capacity are untracked."""
        for key, row in rows.items():
            if len(self.rows) < self.capacity:
                self.rows[key] = row
                self._stale.add(key)
                self._restarts = max(self._restarts, row.restarts)
        self._listed = None

    def promise(self, alpha: float) -> None:
        """State another false discovery rate."""
        if alpha != self.alpha:
            self.alpha = alpha
            self._listed = None

    def advance(self, now: float) -> None:
        """Time passes; it is never taken back."""
        self._restarts = max(self._restarts, 1 + int((now - self.since) / RESTART_EVERY))

    def add(
        self, key: FieldId, candidate: int, second: int, both: int, spared: int, now: float, missed: int = 0
    ) -> None:
        """Further bits of one field (`model.pair.FieldBits`). `now` is Unix time."""
        row = self.rows.get(key)
        if row is None:
            if len(self.rows) >= self.capacity:
                self.untracked += candidate + both + spared + missed
                return
            row = self.rows[key] = self._new_row(now)
        self._catch_up(row)
        row.paired = coin.bet_on_pairs(row.paired, candidate, second)
        if self.share:
            row.lone = coin.bet_on_spared(row.lone, spared, spared + second + both + missed, 1.0 - self.share)
        row.candidate += candidate
        row.second += second
        row.both += both
        row.spared += spared
        row.missed += missed
        row.last_at = now
        if second or both:
            row.second_at = now
        self._changed.add(key)
        self._stale.add(key)
        self._listed = None

    def restart(self, key: FieldId, now: float) -> None:
        """The bets on one field begin anew, whatever they came to; it keeps its place in the table."""
        self.rows[key] = self._new_row(now)
        self._changed.add(key)
        self._stale.add(key)
        self._listed = None

    def take_changed(self) -> list[tuple[FieldId, FieldRow]]:
        """The rows that changed since the last call."""
        changed, self._changed = self._changed, set()
        return [(key, self.rows[key]) for key in changed]

    def listed(self, now: float) -> set[FieldId]:
        """The regressed fields, at the stated false discovery rate."""
        if self._listed is None:
            self._evidence.update((key, self.evidence(self.rows[key])) for key in self._stale)
            self._stale.clear()
            self._listed = regressed(self._evidence, self.alpha, self.capacity)
            for key, row in self.rows.items():
                if (key in self._listed) != bool(row.listed_at):
                    row.listed_at = now if key in self._listed else 0.0
                    self._changed.add(key)
        return self._listed

    def evidence(self, row: FieldRow) -> float:
        """The logarithm of the e-value. Two e-processes on the same requests are averaged, never multiplied."""
        self._catch_up(row)
        paired = coin.log_e(row.paired, row.restarts)
        if not self.share:
            return paired
        lone = coin.log_e(row.lone, row.restarts)
        return coin.log_mean([paired, lone])

    def log_mean(self, now: float) -> float:
        """The logarithm of the mean of all e-values: evidence that any field regressed. Free places stand at 1."""
        self.listed(now)
        values = list(self._evidence.values())
        if free := self.capacity - len(values):
            values.append(log(free))
        return coin.log_sum(values) - log(self.capacity)

    def is_noisy(self, key: FieldId, now: float, max_age: float) -> bool:
        """Whether the primary's own version differs here as well, and has done so lately."""
        if now - self.inherited.get(key, -inf) <= max_age:
            return True
        row = self.rows.get(key)
        if row is None or now - row.second_at > max_age:
            return False
        seen = row.second + row.both
        enough = self.triples.get(key[0], 0) >= ENOUGH_SECONDS or seen >= ENOUGH_SECONDS
        return enough and seen >= ENOUGH_NOISE

    def noisy(self, now: float, max_age: float) -> Iterator[FieldId]:
        """The fields whose differences are noise: noisy ones that are not in the list."""
        listed = self.listed(now)
        keys = self.rows.keys() | self.inherited.keys()
        return (key for key in keys if key not in listed and self.is_noisy(key, now, max_age))

    def inheritance(self, now: float, max_age: float) -> dict[FieldId, float]:
        """What the next ledger takes over: the noisy fields, and when a second answer last showed them; the latest."""
        last = {key: row.second_at for key, row in self.rows.items() if row.second_at}
        known = {
            key: max(last.get(key, 0.0), self.inherited.get(key, 0.0))
            for key in self.inherited.keys() | last.keys()
            if self.is_noisy(key, now, max_age)
        }
        latest = sorted(known, key=lambda key: (-known[key], key))[: self.capacity]
        return {key: known[key] for key in latest}

    def judge(self, key: FieldId, now: float, max_age: float) -> Verdict:
        """What follows for one field of the ledger."""
        row = self.rows[key]
        listed = self.listed(now)
        evidence = self.evidence(row)
        if key in listed:
            return Verdict(REGRESSED, evidence, threshold(len(listed), self.alpha, self.capacity), 0)
        needed = threshold(len(listed) + 1, self.alpha, self.capacity)
        if self.is_noisy(key, now, max_age) and evidence < DOUBTFUL:
            state = NOISE
        else:
            told = row.candidate + row.second + row.both
            state = UNTOLD if row.missed >= ENOUGH_NOISE and row.missed > told else OPEN
        return Verdict(state, evidence, needed, self._more(row, key[0], needed - evidence))

    def _more(self, row: FieldRow, route: str, missing: float) -> int | None:
        """About how many more pairs bring the missing evidence, if what was seen goes on; None: it points nowhere."""
        triples = self.triples.get(route, 0)
        per_pair = coin.gain(row.candidate, row.second, triples) * (self.share or 1.0)
        if 0.0 < self.share < 1.0 and triples and row.drawn:
            pairs = triples / self.share
            lone = coin.spared_growth((row.spared + 1) / (row.drawn + 2), 1.0 - self.share)
            per_pair = max(per_pair, row.drawn / pairs * lone)
        return ceil(missing / per_pair) if per_pair > 1e-9 else None

    def _new_row(self, now: float) -> FieldRow:
        return FieldRow(
            coin.new_bets(len(coin.LAMBDAS), self._restarts),
            coin.new_bets(len(coin.OMEGAS), self._restarts),
            self._restarts,
            first_at=now,
        )

    def _catch_up(self, row: FieldRow) -> None:
        if row.restarts < self._restarts:
            row.paired = coin.restarted(row.paired, row.restarts, self._restarts)
            row.lone = coin.restarted(row.lone, row.restarts, self._restarts)
            row.restarts = self._restarts
