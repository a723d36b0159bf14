"""What is known of each service's noise and regressions: ledgers, looks, versions. It outlives the instance.

The evidence is about two versions. When the candidate's changes, a new ledger begins and what is known of noise stays;
when the primary's does, noise is learned anew as well. Pure but for its memory; time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.control.versions import Versions
from shadowproxy.evidence import FieldLedger, FieldRow
from shadowproxy.evidence.ledger import FieldId
from shadowproxy.model.pair import Aggregate, FieldShapes, Learned
from shadowproxy.model.policy import Policy, ServicePolicy
from shadowproxy.model.terms import ARMS, CANDIDATE, PRIMARY, SECONDARY
from shadowproxy.report.knowing import Learned as ReportLearned
from shadowproxy.store import Known

LEDGER: Final = "ledger"
FIELD: Final = "field"
SHAPES: Final = "shapes"
_JOINT: Final = "\n"

_encode: Final = msgspec.msgpack.Encoder().encode


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


class ServiceKnowledge:
    """One service. `identity` says by arm what the evidence is about."""

    def __init__(self, policy: ServicePolicy, now: float) -> None:
        self.policy = policy
        self.ledger = FieldLedger(now, policy.noise.fdr, resample_share(policy))
        self.identity: dict[str, str] = {}
        self.generation = 0
        self.shapes: dict[tuple[str, str], FieldShapes] = {}
        self.seen: dict[str, int] = {}
        self.told: Learned | None = None

    @property
    def source(self) -> str:
        """Where second answers come from: `secondary`, `resample`, or empty."""
        if CANDIDATE not in self.policy.upstreams:
            return ""
        if SECONDARY in self.policy.upstreams:
            return SECONDARY
        return "resample" if self.policy.noise.resample else ""

    def apply(self, policy: ServicePolicy, now: float) -> None:
        """Another policy. Where second answers come from in another way, what they say cannot be added up."""
        before, self.policy = self.policy, policy
        self.ledger.alpha = policy.noise.fdr
        if resample_share(before) != resample_share(policy):
            self.renew(now)

    def renew(self, now: float, *, forget: bool = False) -> None:
        """A new ledger; `forget`: noise is to be learned anew as well."""
        noisy = {} if forget else self.ledger.inheritance(now, self.policy.noise.max_age)
        self.ledger = FieldLedger(now, self.policy.noise.fdr, resample_share(self.policy))
        self.ledger.inherited = noisy
        if forget:
            self.generation += 1
            self.shapes.clear()

    def identify(self, versions: Versions, now: float) -> bool:
        """Look at what the arms run; True when a new ledger began."""
        found = {arm: self._runs(arm, versions) for arm in ARMS if arm in self.policy.upstreams}
        changed = {arm for arm, name in found.items() if name and self.identity.get(arm, name) != name}
        self.identity |= {arm: name for arm, name in found.items() if name}
        if changed & {PRIMARY, CANDIDATE}:
            self.renew(now, forget=PRIMARY in changed)
            return True
        return False

    def _runs(self, arm: str, versions: Versions) -> str:
        """What stands for the version of an arm; empty while it is not known."""
        policy = self.policy.version
        if policy.static:
            return policy.static
        if policy.header or policy.get:
            return versions.current(self.policy.name, arm)
        return " ".join(endpoint.url for endpoint in self.policy.upstreams[arm].endpoints)

    def lesson(self, now: float) -> Learned:
        """What comparers need to know."""
        listed = self.ledger.listed(now)
        noisy = sorted(self.ledger.noisy(now, self.policy.noise.max_age))
        return Learned(self.policy.name, self.generation, noisy, sorted(listed))

    def kept(self, epoch: str) -> Known:
        ledger = self.ledger
        value = _Ledger(
            self.identity,
            ledger.share,
            ledger.since,
            self.generation,
            ledger.triples,
            list(ledger.inherited.items()),
            epoch,
            self.seen,
        )
        return Known(LEDGER, self.policy.name, "", _encode(value))

    def restore(self, kept: _Ledger, rows: Mapping[FieldId, FieldRow], shapes: list[FieldShapes], epoch: str) -> None:
        """What was kept, where it is about the same way of asking; `epoch` is the present instance."""
        self.generation = kept.generation
        self.identity = kept.identity
        self.shapes = {(row.route, row.field): row for row in shapes}
        if kept.epoch == epoch:
            self.seen = kept.seen
        if kept.share != self.ledger.share:
            return
        self.ledger.since = kept.since
        self.ledger.triples = kept.triples
        self.ledger.inherited = dict(kept.inherited)
        self.ledger.restore(rows)


def resample_share(policy: ServicePolicy) -> float:
    """The share of requests of which the primary is asked once more; 0 with a secondary, which answers all."""
    return 0.0 if SECONDARY in policy.upstreams else policy.noise.resample


class Knowledge:
    """Of all services. `learn` hands over what the store is to keep, `began` hears of each new ledger's service."""

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
        self._changed_shapes: set[tuple[str, str, str]] = set()
        self.apply(policy, now)

    def apply(self, policy: Policy, now: float) -> None:
        """Services that are gone are forgotten here; the store forgets them when they are old."""
        known, self.services = self.services, {}
        for service in policy.services:
            here = known.get(service.name)
            if here is None:
                here = ServiceKnowledge(service, now)
            else:
                here.apply(service, now)
            self.services[service.name] = here

    def hear(self, aggregate: Aggregate, now: float) -> None:
        """What a comparer says. `now` is Unix time, here and below."""
        for service, arm, version, _ in aggregate.versions:
            self.versions.hear(service, arm, version, now)
        for row in aggregate.bits:
            here = self.services.get(row.service)
            if here is not None:
                key = (row.route, row.field, row.kind)
                here.ledger.add(key, row.candidate, row.second, row.both, row.spared, now)
        for shapes in aggregate.shapes:
            here = self.services.get(shapes.service)
            if here is not None:
                here.shapes[shapes.route, shapes.field] = shapes
                self._changed_shapes.add((shapes.service, shapes.route, shapes.field))

    def tick(self, triples: Mapping[tuple[str, str], int], now: float) -> list[Learned]:
        """Once a second: count the triples, see who runs what, keep what changed. Returns what is new for comparers.

        `triples` are totals of this instance by service and route.
        """
        self._now = now
        for (service, route), total in triples.items():
            here = self.services.get(service)
            if here is not None and total != here.seen.get(route, 0):
                more = total - here.seen.get(route, 0)
                here.ledger.triples[route] = here.ledger.triples.get(route, 0) + more
                here.seen[route] = total
        news = []
        for here in self.services.values():
            before = here.ledger
            here.ledger.advance(now)
            if here.identify(self.versions, now):
                self._begin(here, before)
            lesson = here.lesson(now)
            if lesson != here.told:
                here.told = lesson
                news.append(lesson)
        self._keep()
        return news

    def renew(self, service: str, now: float) -> None:
        """Somebody asks for a new ledger."""
        here = self.services[service]
        before = here.ledger
        here.renew(now)
        self._begin(here, before)

    def learned(self, now: float) -> dict[str, ReportLearned]:
        """For a report."""
        return {
            name: ReportLearned(
                here.ledger,
                here.source,
                {arm: version for arm in here.policy.upstreams if (version := self._version(here, arm))},
                {arm: found for arm in here.policy.upstreams if (found := self.versions.beside(name, arm, now))},
                here.policy.noise.max_age,
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

    def restore(self, known: Callable[[str], list[Known]]) -> None:
        """What was kept, by whichever instance. Raises StoreError."""
        kept = {item.service: msgspec.msgpack.decode(item.value or b"", type=_Ledger) for item in known(LEDGER)}
        rows: dict[str, dict[FieldId, FieldRow]] = {}
        for item in known(FIELD):
            route, field, kind = item.key.split(_JOINT, 2)
            rows.setdefault(item.service, {})[route, field, kind] = msgspec.msgpack.decode(
                item.value or b"", type=FieldRow
            )
        shapes: dict[str, list[FieldShapes]] = {}
        for item in known(SHAPES):
            shapes.setdefault(item.service, []).append(msgspec.msgpack.decode(item.value or b"", type=FieldShapes))
        for name, here in self.services.items():
            if name in kept:
                here.restore(kept[name], rows.get(name, {}), shapes.get(name, []), self._epoch)

    def _keep(self) -> None:
        items: list[Known] = []
        for name, here in self.services.items():
            rows = here.ledger.take_changed()
            if rows or here.seen:
                items.append(here.kept(self._epoch))
            items += [Known(FIELD, name, _JOINT.join(key), _encode(row)) for key, row in rows]
        for name, route, field in self._changed_shapes:
            row = self.services[name].shapes.get((route, field)) if name in self.services else None
            items.append(Known(SHAPES, name, f"{route}{_JOINT}{field}", _encode(row) if row is not None else None))
        self._changed_shapes.clear()
        if items:
            self._learn(items)

    def _begin(self, here: ServiceKnowledge, before: FieldLedger) -> None:
        """A ledger is over: what was kept of its rows is, too."""
        name = here.policy.name
        self._began(name)
        self._learn([Known(FIELD, name, _JOINT.join(key), None) for key in before.rows])
        if not here.shapes:
            self._changed_shapes = {each for each in self._changed_shapes if each[0] != name}
