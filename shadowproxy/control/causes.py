"""The causes of all comparers in one table, which outlives this process and this instance. Bounded; pure.

A comparer that can no longer tell the sets of a group apart counts by one field each. Then what was counted by set
before is put under those fields too, so that the list is as short as if it had always been so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Final

import msgspec

from shadowproxy.compare.causes import MAX_CAUSES, MAX_SETS, Place, cause_id, describe, lead_of, rest_of
from shadowproxy.compare.findings import Key
from shadowproxy.compare.suggestions import unknown_route
from shadowproxy.evidence.ledger import FieldId
from shadowproxy.model.pair import CauseCount
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import CauseTotal, RouteTotals
from shadowproxy.store import Known

KNOWN: Final = "cause"
"""What the store calls causes."""
_SWEEP: Final = 60.0
"""Seconds of traffic between looks for causes that are too old."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(CauseTotal).decode


class CauseBook:
    """`add` what a comparer sends, `take_changed` what the store has to learn, `restore` what it knew.

    `epoch` is this instance's. Causes that were not seen for `max_age` seconds are forgotten.
    """

    def __init__(self, epoch: str, max_age: float) -> None:
        self._epoch = epoch
        self._max_age = max_age
        self._rows: dict[str, CauseTotal] = {}
        self._groups: dict[Place, set[str]] = {}
        self._sizes: Counter[str] = Counter()
        self._changed: dict[tuple[str, str], bytes | None] = {}
        self._newest = 0.0
        self._sweep_at = 0.0

    def restore(self, items: Iterable[Known]) -> None:
        """What the store knew. What an earlier instance counted is no count of this one."""
        for item in items:
            try:
                row = _decode(item.value or b"")
            except msgspec.MsgspecError:
                continue  # of another version: it is learned anew, and grows old in the store
            if row.epoch != self._epoch:
                before = row.before + row.pairs
                row = msgspec.structs.replace(
                    row, epoch=self._epoch, before=before, pairs=0, excused=0, suggestion=row.suggestion or None
                )
            if self._sizes[row.service] < MAX_CAUSES:
                self._keep(row)

    def add(self, counts: Iterable[CauseCount]) -> None:
        for count in counts:
            if count.arm == CANDIDATE:
                self._add(count)
        if self._newest >= self._sweep_at:
            self._sweep_at = self._newest + _SWEEP
            for row in [row for row in self._rows.values() if not self._is_fresh(row, self._newest)]:
                self._drop(row)

    def take_changed(self) -> list[Known]:
        """What is new since the last call."""
        changed, self._changed = self._changed, {}
        return [Known(KNOWN, service, key, value) for (service, key), value in changed.items()]

    def rows(self, routes: Sequence[RouteTotals], now: float) -> list[CauseTotal]:
        """Every cause, by impact, its pairs less the excused. `now` is Unix time.

        Failed exchanges are counted by the workers, in `routes`.
        """
        counted = {(each.service, each.route): each.mirrors[CANDIDATE] for each in routes if CANDIDATE in each.mirrors}
        found = {row.id: _less_excused(row) for row in self._rows.values() if self._is_fresh(row, now)}
        for (service, route), mirror in counted.items():
            for kind, pairs in mirror.mismatches.items():
                if pairs and kind.startswith(f"{CANDIDATE}_"):
                    row = self._failed((service, route, CANDIDATE, 0, None, kind))
                    found[row.id] = msgspec.structs.replace(row, pairs=pairs)
        for row in found.values():
            here = counted.get((row.service, row.route))
            compared = here.decided if here else 0
            advice = unknown_route(row.primary_status, row.shadow_status, row.pairs, compared)
            if advice and not row.suggestion:
                found[row.id] = msgspec.structs.replace(row, suggestion=advice)
        return _by_impact(found.values())

    def excuse(self, service: str, covers: Callable[[str, Key], bool], whole: Collection[str]) -> list[tuple[str, int]]:
        """The pairs so far of every cause of which `covers` takes each field count no longer. Returns them by route.

        On the routes of `whole` it takes every field that differs at all: also of causes that do not tell theirs.
        """
        found = []
        for row in [row for row in self._rows.values() if row.service == service and row.pairs > row.excused]:
            told = row.keys and not row.mixed and not row.left_out
            if row.failure or not (all(covers(row.route, key) for key in row.keys) if told else row.route in whole):
                continue
            found.append((row.route, row.pairs - row.excused))
            self._keep(msgspec.structs.replace(row, excused=row.pairs))
        return found

    def begin(self, service: str) -> None:
        """A new version: the pairs so far count no longer, whatever they differed in."""
        for row in [row for row in self._rows.values() if row.service == service and row.pairs > row.excused]:
            self._keep(msgspec.structs.replace(row, excused=row.pairs))

    def _failed(self, place: Place) -> CauseTotal:
        """A failed exchange's cause; where no comparer has seen one there are no times and no example."""
        identity = cause_id(place, (), mixed=False)
        return self._rows.get(identity) or _new(place, identity, (), self._epoch, describe(place, (), False, 0, {}))

    def _is_fresh(self, row: CauseTotal, now: float) -> bool:
        return row.last_at is not None and row.last_at >= now - self._max_age

    def _add(self, count: CauseCount) -> None:
        self._newest = max(self._newest, count.last_at)
        place = (
            count.service,
            count.route,
            count.arm,
            count.primary_status,
            count.shadow_status,
            count.failure,
        )
        row = self._rows.get(count.id)
        if row is None:
            row = self._make_room(place) or _new(place, count.id, count.keys, self._epoch, count.words)
        merged = _merged(row, count)
        self._keep(merged)
        group = [self._rows[identity] for identity in self._groups[place]] if place in self._groups else []
        if merged.mixed or len(group) > MAX_SETS:
            self._mix(place, group)

    def _make_room(self, place: Place) -> CauseTotal | None:
        """Where one more cause of a service finds no room, what is counted instead of it."""
        service = place[0]
        if place[5] or self._sizes[service] < MAX_CAUSES:
            return None
        earlier = [row for row in self._rows.values() if row.service == service and not row.pairs]
        if earlier:
            self._drop(min(earlier, key=lambda row: row.last_at or 0.0))
            return None
        rest = rest_of(place)
        identity = cause_id(rest, (), mixed=False)
        return self._rows.get(identity) or _new(rest, identity, (), self._epoch, describe(rest, (), False, 0, {}))

    def _mix(self, place: Place, group: Sequence[CauseTotal]) -> None:
        """Put what was counted by sets of fields under one field each."""
        sets = [row for row in group if not row.mixed and len(row.keys) > 0]
        if not sets:
            return
        often: Counter[Key] = Counter()
        for row in group:
            for key in row.keys:
                often[key] += row.pairs + row.before
        for row in sets:
            lead = lead_of(row.keys, often)
            identity = cause_id(place, (lead,), mixed=True)
            words = describe(place, (lead,), True, 0, {})
            known = self._rows.get(identity) or _new(place, identity, (lead,), self._epoch, words, mixed=True)
            self._drop(row)
            self._keep(_joined(known, row))

    def _keep(self, row: CauseTotal) -> None:
        if row.id not in self._rows:
            self._sizes[row.service] += 1
            self._groups.setdefault(_place(row), set()).add(row.id)
        self._rows[row.id] = row
        self._changed[row.service, row.id] = _encode(row)

    def _drop(self, row: CauseTotal) -> None:
        del self._rows[row.id]
        self._sizes[row.service] -= 1
        place = _place(row)
        self._groups[place].discard(row.id)
        if not self._groups[place]:
            del self._groups[place]
        self._changed[row.service, row.id] = None


def find(rows: Sequence[CauseTotal], prefix: str) -> CauseTotal | None:
    """The cause of this id, else the only one whose id begins so."""
    found = [row for row in rows if row.id.startswith(prefix)]
    exact = [row for row in found if row.id == prefix]
    return (exact or found)[0] if len(exact or found) == 1 else None


def _place(row: CauseTotal) -> Place:
    return row.service, row.route, CANDIDATE, row.primary_status, row.shadow_status, row.failure


def _new(
    place: Place, identity: str, keys: tuple[Key, ...], epoch: str, words: str, *, mixed: bool = False
) -> CauseTotal:
    service, route, _, primary, shadow, failure = place
    return CauseTotal(service, route, identity, keys, primary, shadow, failure, epoch, words=words, mixed=mixed)


def _merged(row: CauseTotal, count: CauseCount) -> CauseTotal:
    """`row` with what a comparer has counted since."""
    smaller = count.example and (not row.example or count.size < row.size)
    same = count.id == row.id
    return msgspec.structs.replace(
        row,
        pairs=row.pairs + count.pairs,
        first_at=count.first_at if row.first_at is None else min(row.first_at, count.first_at),
        last_at=count.last_at if row.last_at is None else max(row.last_at, count.last_at),
        example=count.example if smaller else row.example,
        size=count.size if smaller else row.size,
        suggestion=_suggestion(row, count) if same else row.suggestion,
        words=count.words if count.words and same else row.words,
        mixed=row.mixed or (count.mixed and same),
        left_out=count.left_out if same else row.left_out,
    )


def without_noise(rows: Sequence[CauseTotal], noisy: Mapping[str, Set[FieldId]]) -> list[CauseTotal]:
    """Causes less what turned out to be noise since: those of noise alone are left out, others join their like.

    `noisy` are noisy fields by service. A cause without a like stays: its example tells the noise apart.
    """
    found = {row.id: row for row in rows}
    like = {_likeness(row, row.keys): row.id for row in rows}
    for row in rows:
        known = noisy.get(row.service, frozenset())
        standing = tuple(key for key in row.keys if (row.route, *key) not in known)
        if standing == row.keys:
            continue
        other = like.get(_likeness(row, standing)) if standing else None
        if standing and other is None:
            continue
        del found[row.id]
        if other is not None:
            found[other] = _joined(found[other], row)
    return _by_impact(found.values())


def _less_excused(row: CauseTotal) -> CauseTotal:
    return msgspec.structs.replace(row, pairs=row.pairs - row.excused, excused=0) if row.excused else row


def _likeness(row: CauseTotal, keys: tuple[tuple[str, str], ...]) -> tuple[object, ...]:
    return row.service, row.route, row.primary_status, row.shadow_status, row.failure, row.mixed, keys


def _by_impact(rows: Iterable[CauseTotal]) -> list[CauseTotal]:
    return sorted(rows, key=lambda row: (-row.pairs, -row.before, row.service, row.route, row.id))


def _suggestion(row: CauseTotal, count: CauseCount) -> str | None:
    """The newest; but what one comparer has seen to be no remedy is none, whatever the others have not seen."""
    return row.suggestion if row.suggestion == "" or count.suggestion is None else count.suggestion


def _joined(row: CauseTotal, other: CauseTotal) -> CauseTotal:
    """`row` with all that was counted under another cause."""
    smaller = other.example and (not row.example or other.size < row.size)
    return msgspec.structs.replace(
        row,
        pairs=row.pairs + other.pairs,
        before=row.before + other.before,
        excused=row.excused + other.excused,
        first_at=min(_times(row.first_at, other.first_at), default=None),
        last_at=max(_times(row.last_at, other.last_at), default=None),
        example=other.example if smaller else row.example,
        size=other.size if smaller else row.size,
    )


def _times(*moments: float | None) -> Iterator[float]:
    return (moment for moment in moments if moment is not None)
