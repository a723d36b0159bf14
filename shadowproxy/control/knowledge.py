"""What is known of each service's noise and regressions: ledgers, looks, versions. It outlives the instance.

The evidence is about two versions. When the candidate's changes, a new ledger begins and what is known of noise stays;
when the primary's or the secondary's does, noise is learned anew as well. While those two run different versions,
second answers are none: a secondary that runs the candidate's would excuse whatever the candidate does.
Pure but for its memory; time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from shadowproxy.control.versions import Versions
from shadowproxy.evidence import CAPACITY, FieldLedger, FieldRow
from shadowproxy.evidence.ledger import FieldId
from shadowproxy.model.pair import Aggregate, FieldShapes, Learned
from shadowproxy.model.policy import Policy, ServicePolicy
from shadowproxy.model.terms import ARMS, CANDIDATE, PRIMARY, SECONDARY
from shadowproxy.report.knowing import Learned as ReportLearned
from shadowproxy.store import Known

LEDGER: Final = "ledger"
FIELD: Final = "field"
SHAPES: Final = "shapes"
SETTLING: Final = 3.0
"""Seconds in which what comparers say is still of the ledger before: copies in flight, counts of a second."""
_JOINT: Final = "\n"

Place = tuple[str, str]
"""Route and field."""

_encode: Final = msgspec.msgpack.Encoder().encode
S = TypeVar("S")


class _Ledger(Struct):
    """What is kept of a ledger besides its rows. `seen` are the triples that counters of instance `epoch` showed."""

    identity: dict[str, str]
    share: float
    since: float
    generation: int
    triples: dict[str, int]
    inherited: list[tuple[FieldId, float]]
    epoch: str
    seen: dict[str, int]
    untracked: int = 0


class _Row(Struct, array_like=True):
    """A row of the ledger that began at `since`: rows of another one are not its."""

    since: float
    row: FieldRow


class ServiceKnowledge:
    """One service. `identity` says by arm what the evidence is about."""

    def __init__(self, policy: ServicePolicy, now: float) -> None:
        self.policy = policy
        self.ledger = FieldLedger(now, policy.noise.fdr, resample_share(policy))
        self.identity: dict[str, str] = {}
        self.is_alike = True
        """Whether second answers are of the primary's version, as far as is known."""
        self.generation = 0
        self.shapes: dict[Place, FieldShapes] = {}
        """The latest of `CAPACITY` fields, oldest first."""
        self.told: Learned | None = None
        self.kept: bytes | None = None
        self._settled_at = now

    @property
    def source(self) -> str:
        """Where second answers come from: `secondary`, `resample`, or empty."""
        if CANDIDATE not in self.policy.upstreams:
            return ""
        if SECONDARY in self.policy.upstreams:
            return SECONDARY
        return "resample" if self.policy.noise.resample else ""

    def is_deaf(self, now: float) -> bool:
        """Whether what is heard and counted now is about an earlier ledger, or about another version."""
        return 0.0 < self._settled_at - now <= SETTLING or not self.is_alike  # a clock may be set back

    def apply(self, policy: ServicePolicy, now: float) -> bool:
        """Another policy. Where second answers come from in another way, what they say cannot be added up: then True,
        and a new ledger began.
        """
        before, self.policy = self.policy, policy
        self.ledger.promise(policy.noise.fdr)
        if resample_share(before) == resample_share(policy):
            return False
        self.renew(now)
        return True

    def renew(self, now: float, *, forget: bool = False) -> None:
        """A new ledger; `forget`: noise is to be learned anew as well."""
        noisy = {} if forget else self.ledger.inheritance(now, self.policy.noise.max_age)
        self.ledger = FieldLedger(now, self.policy.noise.fdr, resample_share(self.policy))
        self.ledger.inherited = noisy
        self._settled_at = now + SETTLING
        if forget:
            self.generation += 1
            self.shapes.clear()

    def identify(self, versions: Versions, now: float) -> bool:
        """Look at what the arms run; True when a new ledger began."""
        found: dict[str, str] = {arm: self._runs(arm, versions) for arm in ARMS if arm in self.policy.upstreams}
        changed = {arm for arm, name in found.items() if name and self.identity.get(arm, name) != name}
        self.identity |= {arm: name for arm, name in found.items() if name}
        were_alike, self.is_alike = self.is_alike, not self._names_versions or _may_be_equal(found)
        forget = bool(changed & {PRIMARY, SECONDARY}) or (were_alike and not self.is_alike)
        if changed or forget:
            self.renew(now, forget=forget)
        return bool(changed or forget)

    @property
    def _names_versions(self) -> bool:
        """Whether arms say themselves what they run."""
        return bool(self.policy.version.header or self.policy.version.get)

    def _runs(self, arm: str, versions: Versions) -> str:
        """What stands for the version of an arm; empty while it is not known."""
        if self.policy.version.static:
            return self.policy.version.static
        if self._names_versions:
            return versions.current(self.policy.name, arm)
        return " ".join(endpoint.url for endpoint in self.policy.upstreams[arm].endpoints)

    def see(self, shapes: FieldShapes) -> list[Place]:
        """What a comparer learned of looks; returns the places whose looks changed, those that made room among them."""
        place = (shapes.route, shapes.field)
        self.shapes.pop(place, None)
        self.shapes[place] = shapes
        if len(self.shapes) <= CAPACITY:
            return [place]
        oldest = next(iter(self.shapes))
        del self.shapes[oldest]
        return [place, oldest]

    def lesson(self, now: float) -> Learned:
        """What comparers need to know."""
        listed = self.ledger.listed(now)
        noisy = sorted(self.ledger.noisy(now, self.policy.noise.max_age))
        return Learned(self.policy.name, self.generation, noisy, sorted(listed), is_alike=self.is_alike)

    def to_keep(self, epoch: str, seen: dict[str, int]) -> _Ledger:
        ledger = self.ledger
        return _Ledger(
            self.identity,
            ledger.share,
            ledger.since,
            self.generation,
            ledger.triples,
            list(ledger.inherited.items()),
            epoch,
            seen,
            ledger.untracked,
        )

    def restore(self, kept: _Ledger, rows: Mapping[FieldId, _Row], shapes: Iterable[FieldShapes]) -> set[FieldId]:
        """What was kept, where it is about the same way of asking. Returns the rows that are of no use any more."""
        self.generation = kept.generation
        self.identity = kept.identity
        for each in shapes:
            self.see(each)
        if kept.share != self.ledger.share:
            return set(rows)
        self.ledger.since = kept.since
        self.ledger.triples = kept.triples
        self.ledger.inherited = dict(kept.inherited)
        self.ledger.untracked = kept.untracked
        self.ledger.restore({key: kept_row.row for key, kept_row in rows.items() if kept_row.since == kept.since})
        return rows.keys() - self.ledger.rows.keys()


def _may_be_equal(found: Mapping[str, str]) -> bool:
    """Whether the secondary may run the primary's version; who has not named one may."""
    versions = {found.get(arm, "") for arm in (PRIMARY, SECONDARY)} - {""}
    return len(versions) < 2


def resample_share(policy: ServicePolicy) -> float:
    """The share of requests of which the primary is asked once more; 0 with a secondary, which answers all."""
    return 0.0 if SECONDARY in policy.upstreams else policy.noise.resample


class Knowledge:
    """Of all services. `learn` hands over what the store is to keep, `began` hears where evidence begins anew."""

    def __init__(
        self,
        policy: Policy,
        now: float,
        learn: Callable[[Iterable[Known]], None],
        began: Callable[[str], None] = lambda service: None,
    ) -> None:
        self.services: dict[str, ServiceKnowledge] = {}
        self.versions = Versions()
        self._learn = learn
        self._began = began
        self._epoch = policy.epoch
        self._now = now
        self._seen: dict[str, dict[str, int]] = {}
        """Triples of this instance by service and route, also of services that are gone: they may come back."""
        self._changed_shapes: set[tuple[str, Place]] = set()
        self.apply(policy, now)

    def apply(self, policy: Policy, now: float) -> None:
        """Services that are gone are forgotten here; the store forgets them when they are old."""
        known, self.services = self.services, {}
        for service in policy.services:
            here = known.get(service.name)
            if here is None:
                here = ServiceKnowledge(service, now)
            else:
                before = here.ledger
                if here.apply(service, now):
                    self._forget(service.name, before)
            self.services[service.name] = here

    def hear(self, aggregate: Aggregate, now: float) -> None:
        """What a comparer says. `now` is Unix time, here and below."""
        for service, arm, version, _ in aggregate.versions:
            self.versions.hear(service, arm, version, now)
        hearing = {name: here for name, here in self.services.items() if not here.is_deaf(now)}
        for row in aggregate.bits:
            if row.service in hearing:
                key = (row.route, row.field, row.kind)
                hearing[row.service].ledger.add(
                    key, row.candidate, row.second, row.both, row.spared, now, missed=row.missed
                )
        for shapes in aggregate.shapes:
            if shapes.service in hearing:
                changed = hearing[shapes.service].see(shapes)
                self._changed_shapes.update((shapes.service, place) for place in changed)

    def tick(self, triples: Mapping[tuple[str, str], int], now: float) -> list[Learned]:
        """Now and then: count the triples, see who runs what, keep what changed. Returns what is new for comparers.

        `triples` are totals of this instance by service and route.
        """
        self._now = now
        for (service, route), total in triples.items():
            seen = self._seen.setdefault(service, {})
            more, seen[route] = total - seen.get(route, 0), total
            here = self.services.get(service)
            if here is not None and more > 0 and not here.is_deaf(now):
                here.ledger.triples[route] = here.ledger.triples.get(route, 0) + more
        news = []
        for name, here in self.services.items():
            before, looks = here.ledger, list(here.shapes)
            here.ledger.advance(now)
            if here.identify(self.versions, now):
                self._forget(name, before)
                self._changed_shapes.update((name, place) for place in looks if place not in here.shapes)
                self._began(name)
            lesson = here.lesson(now)
            if lesson != here.told:
                here.told = lesson
                news.append(lesson)
        self._keep()
        return news

    def renew(self, service: str, now: float) -> None:
        """Somebody asks for a new ledger; what is known of noise stays."""
        here = self.services[service]
        before = here.ledger
        here.renew(now)
        self._forget(service, before)
        self._began(service)

    def excuse(self, service: str, covers: Callable[[str, tuple[str, str]], bool], now: float) -> None:
        """The bets on fields that `covers` takes begin anew: somebody has accepted how they differ."""
        ledger = self.services[service].ledger
        for key in [key for key, row in ledger.rows.items() if not row.is_blank and covers(key[0], key[1:])]:
            ledger.restart(key, now)

    def learned(self, now: float) -> dict[str, ReportLearned]:
        """For a report."""
        return {
            name: ReportLearned(
                here.ledger,
                here.source,
                {arm: version for arm in here.policy.upstreams if (version := self._version(here, arm))},
                {arm: found for arm in here.policy.upstreams if (found := self.versions.beside(name, arm, now))},
                here.policy.noise.max_age,
                here.is_alike,
            )
            for name, here in self.services.items()
        }

    def noisy(self, now: float) -> dict[str, set[FieldId]]:
        """The noisy fields of each service."""
        return {name: set(here.ledger.noisy(now, here.policy.noise.max_age)) for name, here in self.services.items()}

    def figures(self, now: float) -> dict[str, tuple[int, int]]:
        """By service that learns: how many fields regressed, and how many are noisy."""
        return {
            name: (len(here.ledger.listed(now)), sum(1 for _ in here.ledger.noisy(now, here.policy.noise.max_age)))
            for name, here in self.services.items()
            if here.source
        }

    def _version(self, here: ServiceKnowledge, arm: str) -> str:
        return here.policy.version.static or self.versions.current(here.policy.name, arm)

    def lessons(self) -> list[Learned]:
        """Everything, for a comparer that is new."""
        return [
            msgspec.structs.replace(here.told or here.lesson(self._now), shapes=list(here.shapes.values()))
            for here in self.services.values()
        ]

    def restore(self, known: Callable[[str], list[Known]]) -> int:
        """What was kept, by whichever instance. Returns how many items could not be read. Raises StoreError."""
        ledgers, fields, looks = known(LEDGER), known(FIELD), known(SHAPES)
        kept = {item.service: value for item in ledgers if (value := _ledger(item)) is not None}
        rows: dict[str, dict[FieldId, _Row]] = {}
        unread = len(ledgers) - len(kept)
        for item in fields:
            key, row = _field(item.key), _decoded(item, _Row)
            if key is None or row is None or not row.row.is_sound:
                unread += 1
                self._learn([Known(FIELD, item.service, item.key, None)])
            else:
                rows.setdefault(item.service, {})[key] = row
        shapes: dict[str, list[FieldShapes]] = {}
        for item in looks:
            look = _decoded(item, FieldShapes)
            if look is None:
                unread += 1
            else:
                shapes.setdefault(item.service, []).append(look)
        for name, here in self.services.items():
            if name in kept:
                useless = here.restore(kept[name], rows.get(name, {}), shapes.get(name, []))
                self._learn([Known(FIELD, name, _JOINT.join(key), None) for key in useless])
                if kept[name].epoch == self._epoch:
                    self._seen[name] = kept[name].seen
        return unread

    def _keep(self) -> None:
        items: list[Known] = []
        for name, here in self.services.items():
            rows, seen = here.ledger.take_changed(), self._seen.get(name, {})
            value = _encode(here.to_keep(self._epoch, seen))
            if rows or (value != here.kept and any(seen.values())):
                here.kept = value
                items.append(Known(LEDGER, name, "", value))
            since = here.ledger.since
            items += [Known(FIELD, name, _JOINT.join(key), _encode(_Row(since, row))) for key, row in rows]
        for name, place in self._changed_shapes:
            look = self.services[name].shapes.get(place) if name in self.services else None
            items.append(Known(SHAPES, name, _JOINT.join(place), _encode(look) if look is not None else None))
        self._changed_shapes.clear()
        if items:
            self._learn(items)

    def _forget(self, service: str, before: FieldLedger) -> None:
        """A ledger is over: what was kept of its rows is, too."""
        self._learn([Known(FIELD, service, _JOINT.join(key), None) for key in before.rows])


def _decoded(item: Known, kind: type[S]) -> S | None:
    """None for what cannot be read: a disk may hold anything."""
    try:
        return msgspec.msgpack.decode(item.value or b"", type=kind)
    except msgspec.MsgspecError:
        return None


def _ledger(item: Known) -> _Ledger | None:
    kept = _decoded(item, _Ledger)
    if kept is None or not isfinite(kept.since) or any(number < 0 for number in kept.triples.values()):
        return None
    return kept


def _field(key: str) -> FieldId | None:
    """Route, field and kind of a row; a member's name, and so a field, may contain what joins them."""
    route, joint, rest = key.partition(_JOINT)
    field, joint_too, kind = rest.rpartition(_JOINT)
    return (route, field, kind) if joint and joint_too else None
