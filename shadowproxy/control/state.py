"""Everything that control knows, in one place, and the views of it: a scrape, a report, the status."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from msgspec import Struct

from shadowproxy import __version__
from shadowproxy.control.accepted import AcceptedBook
from shadowproxy.control.causes import CauseBook, find, without_noise
from shadowproxy.control.flags.desk import Desk
from shadowproxy.control.history import History
from shadowproxy.control.isolation import IsolationProof
from shadowproxy.control.knowledge import Knowledge
from shadowproxy.control.rollout.controller import Controller
from shadowproxy.control.series import Series
from shadowproxy.control.tally import Tally
from shadowproxy.control.watchers import Watchers
from shadowproxy.evidence.paired import PairedLedger
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.metrics.exposition import Scrape
from shadowproxy.metrics.reading import is_ready, routes, workers
from shadowproxy.model.commands import Apply
from shadowproxy.model.pair import Aggregate, Examples, Learned
from shadowproxy.model.policy import Launch, Policy, Registry
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import CauseTotal, FieldExample, RouteTotals
from shadowproxy.report import Cause, Facts, cause_of, worth_showing
from shadowproxy.store import Store, StoreError
from shadowproxy.store.audit import AuditLog
from shadowproxy.store.rollouts import RolloutStore
from shadowproxy.store.rows import summary

HEARD_WITHIN: Final = 1.0
"""Seconds in which every worker has heard that evidence began anew: it looks 20 times a second."""
HANDED_IN: Final = 0.5
"""Seconds in which comparers have handed in what they compared until then: they report four times a second."""

P = ParamSpec("P")
T = TypeVar("T")


class CauseQuery(Struct, frozen=True):
    """Which causes to list, by impact. None does not filter. `search` is in their words, route, fields or id."""

    service: str | None = None
    route: str | None = None
    search: str = ""
    limit: int = 50
    offset: int = 0


class State:
    """One per control process. Only the loop's thread touches it."""

    def __init__(self, launch: Launch, policy: Policy, registry: Registry, counters: Counters, store: Store) -> None:
        # for life
        self.launch = launch
        self.counters = counters
        self.store = store
        self.tally = Tally()
        self.paired = PairedLedger(self.started_at)
        self._beginning: dict[str, tuple[float, bool]] = {}
        """By service when every worker has heard, and whether its counters have their base."""
        self.causes = CauseBook(policy.epoch, launch.store.max_age)
        self.accepted = AcceptedBook(policy, time.time(), launch.store.max_age)
        self.knowledge = Knowledge(policy, time.time(), store.learn, self.begin_evidence)
        self.watchers = Watchers()
        self.history = History(store)
        self.isolation = IsolationProof(counters, policy, registry)
        self.series = Series()
        self.audit = AuditLog(Path(launch.data_dir))
        self.rollouts = Controller(self, RolloutStore(Path(launch.data_dir)))
        self.flags = Desk(self)
        self.changing = asyncio.Lock()
        """Changes are made one at a time."""
        self.ask_for_reload: Callable[[], None] = lambda: None
        self._applied = asyncio.Event()
        # until the next reload
        self.policy = policy
        self.registry = registry
        self.problems: tuple[str, ...] = ()

    @property
    def started_at(self) -> float:
        """Unix time at which the supervisor started."""
        return self.counters.supervisor[at.STARTED_AT] / 1000

    def apply(self, message: Apply) -> None:
        self.policy = message.policy
        self.registry = message.registry
        self.isolation.apply(message.policy, message.registry)
        self.problems = message.problems
        self.knowledge.apply(message.policy, time.time())
        self.accepted.apply(message.policy, time.time())
        self.rollouts.apply()
        self.flags.apply()
        self._excuse(time.time())
        if message.reread:  # else it is no answer to whoever waits for a reload
            self._applied.set()

    async def reloaded(self, holds: Callable[[Policy], bool], seconds: float) -> bool:
        """Have the configuration read again; True once a policy is in force of which `holds` is true.

        False: the configuration was refused, or it takes longer. Not for two callers at once.
        """
        self.ask_for_reload()
        try:
            async with asyncio.timeout(seconds):
                while not holds(self.policy):
                    self._applied.clear()
                    await self._applied.wait()
                    if self.problems:
                        break
        except TimeoutError:
            pass
        return holds(self.policy)

    def tick(self, now: float) -> list[Learned]:
        """As often as comparers report; returns what is new for them. `now` is Unix time."""
        self._settle(now)
        self._excuse(now)
        triples = {}
        for key, index in self.registry.routes.items():
            service, _, route = key.partition("\n")
            triples[service, route] = self.counters.total(at.route_row(index) + at.TRIPLES)
        return self.knowledge.tick(triples, now)

    def hear(self, message: Aggregate | Examples) -> None:
        """What a comparer says."""
        if isinstance(message, Aggregate):
            self.tally.add(message)
            self.knowledge.hear(message, time.time())
            self.store.keep(self.tally.take_changed())
            self.causes.add(message.causes)
            self.store.learn(self.causes.take_changed())
            self.accepted.hear(message.accepted)
            return
        self.store.offer(message.items)
        if self.watchers:
            for example in message.items:
                self.watchers.tell("example", summary(example))

    def is_ready(self, now: float) -> bool:
        """Whether every worker listens and none is draining. `now` is CLOCK_MONOTONIC, seconds."""
        return is_ready(workers(self.counters, now), self.launch.workers)

    def scrape(self, now: float) -> Scrape:
        """What `metrics.exposition` reads. `now` is CLOCK_MONOTONIC, seconds."""
        return Scrape(
            counters=self.counters,
            registry=self.registry,
            policy=self.policy,
            fields=self.tally.fields,
            incomparable=self.tally.incomparable,
            suppressed=self.tally.suppressed,
            isolation=self.isolation.figures(),
            store=self.store.figures(),
            version=__version__,
            now=now,
            learned=self.knowledge.figures(time.time()),
            accepted=self.accepted.figures(time.time()),
            rollouts=self.rollouts.figures(),
            flags=self.flags.figures(),
        )

    async def read(self, query: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Ask the store without holding up the loop. Raises StoreError."""
        return await asyncio.to_thread(query, *args, **kwargs)

    def weigh(self, now: float) -> list[RouteTotals]:
        """The counts of all routes, pairs since their evidence began; bets on what is new. `now` is Unix time."""
        self._settle(now)
        rows = list(routes(self.counters, self.registry, self.policy, based=True))
        self.paired.observe(rows, now)
        self.accepted.observe(rows)
        return rows

    def begin_evidence(self, service: str) -> None:
        """A new version: what was seen of the one before says nothing of it. The counts themselves go on, and reports
        are about what came since.

        Workers are told to forget the durations that they have not weighed yet; what comes before they have heard of it
        is left out.
        """
        for each in self.policy.services:
            if each.name == service:
                self.counters.control[at.EVIDENCE + each.index] += 1
                self._beginning[service] = time.time() + HEARD_WITHIN, False
                self._begin(service)

    def _settle(self, now: float) -> None:
        """Evidence that is just beginning begins again and again until every worker has heard, and what comparers say
        of the pairs until then is heard.
        """
        for service, (due, _) in list(self._beginning.items()):
            self._begin(service)
            if due <= now <= due + HANDED_IN:
                self._beginning[service] = due, True
            elif not due - HEARD_WITHIN <= now < due:  # a clock may be set back
                del self._beginning[service]

    def _excuse(self, now: float) -> None:
        self.accepted.excuse(self.causes, self.tally, self.knowledge, now)
        self.store.learn([*self.causes.take_changed(), *self.accepted.take_changed(now)])

    def _begin(self, service: str) -> None:
        if not self._beginning[service][1]:
            for key, index in self.registry.routes.items():
                if key.partition("\n")[0] == service:
                    self.counters.set_base(index)
            self.paired.begin(service)
        self.accepted.begin(service, self.tally)
        self.causes.begin(service)
        self.store.learn([*self.causes.take_changed(), *self.accepted.take_changed(time.time())])

    def cause(self, now: float, prefix: str) -> CauseTotal | None:
        """The cause whose id is `prefix`, or the only one whose id begins with it. `now` is Unix time."""
        counted = self._routes()
        return find(self._causes(counted, now), prefix) or find(self.causes.rows(counted, now), prefix)

    async def cause_page(self, now: float, query: CauseQuery) -> tuple[list[Cause], int]:
        """The causes asked for, of earlier instances too, and how many there are. Raises StoreError."""
        rows = [
            row
            for row in self._causes(self._routes(), now)
            if (row.pairs or row.before) and query.service in {None, row.service} and query.route in {None, row.route}
            if not query.search or _mentions(row, query.search.lower())
        ]
        return await self.shown(rows[query.offset : query.offset + query.limit]), len(rows)

    async def shown(self, rows: Sequence[CauseTotal]) -> list[Cause]:
        """Causes as a report shows them. Raises StoreError."""
        compared: Counter[str] = Counter()
        for each in self._routes():
            if CANDIDATE in each.mirrors:
                compared[each.service] += each.mirrors[CANDIDATE].decided
        examples = await self.read(self.store.cause_examples, rows)
        return [cause_of(row, compared[row.service], examples.get(row.id)) for row in rows]

    def sample(self, now: float) -> None:
        """A point for the charts, where one is due. `now` is Unix time."""
        if self.series.is_due(now):
            weights = {each.name: each.split.weight for each in self.policy.services if each.split is not None}
            self.series.tick(now, routes(self.counters, self.registry, self.policy), weights)

    def _causes(self, counted: Sequence[RouteTotals], now: float) -> list[CauseTotal]:
        return without_noise(self.causes.rows(counted, now), self.knowledge.noisy(now))

    def _routes(self) -> list[RouteTotals]:
        return list(routes(self.counters, self.registry, self.policy, based=True))

    async def facts(self, now: float) -> Facts:
        """What a report is made from; a store that cannot be read leaves a note. `now` is Unix time."""
        examples: Sequence[FieldExample] = ()
        shown: Mapping[str, FieldExample] = {}
        counted = self.weigh(now)
        self._excuse(now)
        causes = self._causes(counted, now)
        notes: list[str] = []
        try:
            examples = await self.read(self.store.field_examples)
            shown = await self.read(self.store.cause_examples, worth_showing(causes))
        except StoreError as error:
            notes.append(f"examples are missing: {error}")
        restarts = sum(self.counters.supervisor[at.RESTARTS[role]] for role in ("comparer", "control"))
        if restarts:
            # What a comparer has not handed in goes with it; verdicts are counted by the workers and are never lost.
            notes.append(f"fields may be counted too low; restarts of comparers and control: {restarts}")
        return Facts(
            version=__version__,
            policy=self.policy,
            started_at=self.started_at,
            now=now,
            routes=counted,
            paired=self.paired.evidence(),
            fields=list(self.accepted.standing(self.tally.field_counts())),
            examples=examples,
            incomparable=self.accepted.incomparable(self.tally.incomparable),
            isolation=self.isolation.figures(),
            causes=causes,
            cause_examples=shown,
            notes=notes,
            learned=self.knowledge.learned(now),
            accepted=self.accepted.report(now),
            covered={name: pairs for name, (pairs, _) in self.accepted.figures(now).items()},
            excused=self.accepted.excused(),
        )


def _mentions(row: CauseTotal, text: str) -> bool:
    """`text` is in lower case."""
    said = (row.words, row.route, row.id, row.failure, *(part for key in row.keys for part in key))
    return any(text in each.lower() for each in said)
