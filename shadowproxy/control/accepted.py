"""What each entry of the accepted differences covered, over restarts, and which entries somebody has to look at. Pure.

An entry that nothing has matched is dead once `ENOUGH` pairs of its route were compared since it was first known, or
since a new version began the evidence anew; one whose route does not exist is dead at once.

Mismatches that were counted before an entry was there are excused by it: they stay in the books and count no longer.
So does what comes in late. An entry with a shape does so in its first moments only, since what was counted has no
shape; after that the comparers say what it covers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.compare.accepted import EVERY_ROUTE, Accepted
from shadowproxy.compare.findings import Key
from shadowproxy.control.causes import CauseBook
from shadowproxy.control.knowledge import Knowledge
from shadowproxy.control.tally import Tally
from shadowproxy.model.pair import AcceptedCount, FieldCount
from shadowproxy.model.policy import AcceptedPolicy, Policy, ServicePolicy
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import RouteTotals
from shadowproxy.report.values import Accepted as Reported
from shadowproxy.store import Known

KNOWN: Final = "accepted"
"""What the store calls it."""
ENOUGH: Final = 200
"""Compared pairs after which an entry that matched nothing is dead."""
SETTLING: Final = 5.0
"""Seconds after which every comparer has an entry, and control what they counted before."""
ACTIVE, EXPIRED, DEAD = "active", "expired", "dead"
STATES: Final = (ACTIVE, EXPIRED, DEAD)
_PAST: Final = ""
"""The key of what is known of a service as a whole."""

_encode: Final = msgspec.msgpack.Encoder().encode


class _Row(Struct):
    """One entry. `matched` and `compared` are since the evidence began, `seen` the pairs that `epoch` had counted.

    `compared` is followed only until it is enough, and while nothing matched.
    """

    epoch: str
    first_at: float
    pairs: int = 0
    last_at: float | None = None
    matched: bool = False
    compared: int = 0
    seen: int | None = None


class _Past(Struct):
    """Of one service in instance `epoch`: pairs covered, and what is excused by route and by (route, field, kind).

    `reasons` are by route and reason the incomparable pairs of earlier versions, whose fields are excused as well.
    """

    epoch: str
    covered: int = 0
    routes: dict[str, int] = {}
    fields: dict[tuple[str, str, str], int] = {}
    reasons: dict[tuple[str, str], int] = {}


class _Service:
    """The entries of one service as they are now."""

    def __init__(self, policy: ServicePolicy, epoch: str) -> None:
        self.rows: dict[str, _Row] = {}
        self.past = _Past(epoch)
        self.use(policy)

    def use(self, policy: ServicePolicy) -> None:
        self.policy = policy
        self.entries = {entry.id: entry for entry in policy.accepted}
        self.routes = {EVERY_ROUTE, policy.other.name, *(route.name for route in policy.routes)}
        self._compiled: dict[str, Accepted] = {}

    def of(self, route: str, key: Key) -> tuple[AcceptedPolicy, ...]:
        compiled = self._compiled.get(route)
        if compiled is None:
            compiled = self._compiled[route] = Accepted(self.policy.accepted, route)
        return compiled.of(key)

    def excuses(self, route: str, key: Key, now: float) -> bool:
        """Whether what was counted of a field and kind counts no longer."""
        return any(
            entry.holds(now) and (not entry.shape or now < self.rows[entry.id].first_at + SETTLING)
            for entry in self.of(route, key)
        )

    def state(self, entry: AcceptedPolicy, now: float) -> str:
        if not entry.holds(now):
            return EXPIRED
        row = self.rows[entry.id]
        silent = not row.matched and row.compared >= ENOUGH
        return DEAD if silent or entry.route not in self.routes else ACTIVE


class AcceptedBook:
    """Of all services. `take_changed` says what the store has to learn, `restore` puts back what it knew.

    `now` is Unix time everywhere. What is kept is written anew before it is `max_age` seconds old.
    """

    def __init__(self, policy: Policy, now: float, max_age: float) -> None:
        self._epoch = policy.epoch
        self._refresh = max_age / 4
        self._services: dict[str, _Service] = {}
        self._changed: set[tuple[str, str]] = set()
        self._refresh_at = now + self._refresh
        self.apply(policy, now)

    def apply(self, policy: Policy, now: float) -> None:
        """Other entries: what is known of those that are gone is forgotten."""
        before, self._services = self._services, {}
        for service in policy.services:
            here = before.get(service.name) or _Service(service, self._epoch)
            here.use(service)
            self._services[service.name] = here
            for gone in here.rows.keys() - here.entries.keys():
                del here.rows[gone]
                self._changed.add((service.name, gone))
            for new in here.entries.keys() - here.rows.keys():
                here.rows[new] = _Row(self._epoch, now, seen=None if before else 0)
                self._changed.add((service.name, new))

    def restore(self, items: Iterable[Known]) -> None:
        """Entries that are not in the policy are forgotten in the store as well."""
        for item in items:
            here = self._services.get(item.service)
            if here is None:
                continue
            try:
                if item.key == _PAST:
                    past = msgspec.msgpack.decode(item.value or b"", type=_Past)
                    here.past = past if past.epoch == self._epoch else here.past
                    continue
                row = msgspec.msgpack.decode(item.value or b"", type=_Row)
            except msgspec.MsgspecError:
                continue  # of another version
            if item.key in here.rows:
                here.rows[item.key] = row
            else:
                self._changed.add((item.service, item.key))

    def hear(self, counts: Iterable[AcceptedCount]) -> None:
        """What a comparer says. Entries that were taken out a moment ago are no longer followed."""
        for count in counts:
            here = self._services.get(count.service)
            if here is None:
                continue
            row = here.rows.get(count.id)
            if count.id == _PAST:
                here.past.covered += count.pairs
            elif row is not None:
                row.pairs += count.pairs
                row.last_at = max(count.last_at, row.last_at or 0.0)
                row.matched = True
            self._changed.add((count.service, count.id))

    def observe(self, routes: Sequence[RouteTotals]) -> None:
        """What was compared so far: it tells which entries are dead."""
        decided: Counter[tuple[str, str]] = Counter()
        for each in routes:
            if CANDIDATE in each.mirrors:
                pairs = each.mirrors[CANDIDATE].decided
                decided[each.service, each.route] = pairs
                decided[each.service, EVERY_ROUTE] += pairs
        for name, here in self._services.items():
            for identity, row in here.rows.items():
                if not row.matched and row.compared < ENOUGH:
                    self._follow(row, decided[name, here.entries[identity].route])
                    self._changed.add((name, identity))

    def _follow(self, row: _Row, decided: int) -> None:
        if row.epoch != self._epoch:
            row.epoch, row.seen = self._epoch, 0
        row.compared += max(0, decided - (decided if row.seen is None else row.seen))
        row.seen = decided

    def begin(self, service: str, tally: Tally) -> None:
        """The evidence begins anew: whether entries still match is to be seen, and what was counted is excused."""
        here = self._services.get(service)
        if here is None:
            return
        for identity, row in here.rows.items():
            row.matched, row.compared, row.seen = False, 0, None
            self._changed.add((service, identity))
        counts = [count for count in tally.field_counts() if count.service == service]
        here.past.routes = {}
        here.past.fields = {(count.route, count.field, count.kind): count.pairs for count in counts}
        here.past.reasons = {
            (route, reason): pairs for (name, route, reason), pairs in tally.incomparable.items() if name == service
        }
        self._changed.add((service, _PAST))

    def excuse(self, causes: CauseBook, tally: Tally, knowledge: Knowledge, now: float) -> None:
        """What was counted before an entry covered it counts no longer."""
        for name, here in self._services.items():
            if not here.entries:
                continue
            covers = partial(here.excuses, now=now)
            whole = self._excuse_fields(name, tally, covers)
            for route, pairs in causes.excuse(name, covers, whole):
                here.past.routes[route] = here.past.routes.get(route, 0) + pairs
                self._changed.add((name, _PAST))
            knowledge.excuse(name, covers, now)

    def _excuse_fields(self, name: str, tally: Tally, covers: Callable[[str, Key], bool]) -> set[str]:
        """The counts of fields; returns the routes on which every field is covered that has differed so far."""
        past = self._services[name].past
        whole: dict[str, bool] = {}
        for row, pairs in tally.fields.items():
            if row.service == name:
                covered = covers(row.route, (row.field, row.kind))
                whole[row.route] = covered and whole.get(row.route, True)
                if covered and past.fields.get((row.route, row.field, row.kind)) != pairs:
                    past.fields[row.route, row.field, row.kind] = pairs
                    self._changed.add((name, _PAST))
        return {route for route, covered in whole.items() if covered}

    def standing(self, counts: Iterable[FieldCount]) -> Iterator[FieldCount]:
        """Field counts less what is excused."""
        for count in counts:
            here = self._services.get(count.service)
            excused = here.past.fields.get((count.route, count.field, count.kind), 0) if here else 0
            if count.pairs > excused:
                yield msgspec.structs.replace(count, pairs=count.pairs - excused)

    def incomparable(self, counts: Mapping[tuple[str, str, str], int]) -> dict[tuple[str, str, str], int]:
        """Pairs by service, route and reason, less those of earlier versions."""
        found = {}
        for (name, route, reason), pairs in counts.items():
            here = self._services.get(name)
            left = pairs - (here.past.reasons.get((route, reason), 0) if here else 0)
            if left > 0:
                found[name, route, reason] = left
        return found

    def excused(self) -> dict[tuple[str, str], int]:
        """By service and route how many mismatches are excused."""
        return {(name, route): n for name, here in self._services.items() for route, n in here.past.routes.items()}

    def take_changed(self, now: float) -> list[Known]:
        """What is new since the last call; now and then all of it, so that the store does not forget it."""
        if now >= self._refresh_at:
            self._refresh_at = now + self._refresh
            for name, here in self._services.items():
                self._changed.update((name, identity) for identity in (_PAST, *here.rows))
        changed, self._changed = self._changed, set()
        return [Known(KNOWN, name, identity, self._value(name, identity)) for name, identity in changed]

    def _value(self, name: str, identity: str) -> bytes | None:
        here = self._services.get(name)
        known = None if here is None else here.past if identity == _PAST else here.rows.get(identity)
        return None if known is None else _encode(known)

    def report(self, now: float) -> dict[str, list[Reported]]:
        """Every entry by service, in the order of its file."""
        return {
            name: [_reported(entry, here.rows[entry.id], here.state(entry, now)) for entry in here.policy.accepted]
            for name, here in self._services.items()
        }

    def figures(self, now: float) -> Mapping[str, tuple[int, dict[str, int]]]:
        """By service with a candidate: the pairs covered in this instance, and how many entries are in each state."""
        return {
            name: (
                here.past.covered,
                {**dict.fromkeys(STATES, 0), **Counter(here.state(entry, now) for entry in here.policy.accepted)},
            )
            for name, here in self._services.items()
            if CANDIDATE in here.policy.upstreams
        }


def _reported(entry: AcceptedPolicy, row: _Row, state: str) -> Reported:
    return Reported(
        id=entry.id,
        route=entry.route,
        field=entry.field,
        kind=entry.kind,
        shape=entry.shape,
        owner=entry.owner,
        reason=entry.reason,
        expires=entry.expires,
        state=state,
        pairs=row.pairs,
        last_at=row.last_at,
    )
