"""A control state over a world of values and a store in memory, served on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest

from shadowproxy.control.state import State
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import Example
from shadowproxy.model.policy import Launch
from shadowproxy.model.totals import CauseTotal, FieldExample, StoreFigures
from shadowproxy.store import DiffPage, DiffQuery, Kept, Known, StoreError
from shadowproxy.store.rows import summary
from tests.metrics.world import World
from tests.store.examples import example


class MemoryStore:
    """Keeps everything, until `broken`."""

    def __init__(self) -> None:
        self.examples: list[Example] = []
        self.changes: list[Kept] = []
        self.asked: list[DiffQuery] = []
        self.learned: list[Known] = []
        self.broken = False

    def offer(self, examples: Iterable[Example]) -> None:
        self.examples.extend(examples)

    def keep(self, changed: Kept) -> None:
        self.changes.append(changed)

    def kept(self) -> Kept:
        return Kept()

    def learn(self, items: Iterable[Known]) -> None:
        self.learned.extend(items)

    def known(self, kind: str) -> list[Known]:
        self._check()
        return [item for item in self.learned if item.kind == kind]

    def find(self, query: DiffQuery) -> DiffPage:
        self._check()
        self.asked.append(query)
        return DiffPage([summary(each) for each in self.examples], len(self.examples), query.limit, query.offset)

    def example(self, prefix: str) -> Example | None:
        self._check()
        return next((each for each in self.examples if each.id.startswith(prefix)), None)

    def field_examples(self) -> list[FieldExample]:
        self._check()
        return [
            FieldExample(each.service, each.route, d.field, d.kind, each.id, d.primary, d.shadow, each.curl)
            for each in self.examples
            for d in each.differences
        ]

    def cause_examples(self, causes: Sequence[CauseTotal]) -> dict[str, FieldExample]:
        self._check()
        return {cause.id: shown for cause in causes for shown in self._of(cause)}

    def cause_example(self, cause: CauseTotal) -> Example | None:
        self._check()
        return next((each for each in self.examples if each.cause == cause.id), None)

    def _of(self, cause: CauseTotal) -> Iterator[FieldExample]:
        return (
            FieldExample(each.service, each.route, d.field, d.kind, each.id, d.primary, d.shadow, each.curl)
            for each in self.examples
            if each.cause == cause.id
            for d in each.differences
        )

    def figures(self) -> StoreFigures:
        return StoreFigures(examples=len(self.examples), available=not self.broken)

    def close(self, timeout: float) -> None:
        pass

    def _check(self) -> None:
        if self.broken:
            raise StoreError("the disk is gone")


@pytest.fixture
def world() -> World:
    world = World()
    world.mirrored(100, mismatches=10)
    world.counters.supervisor[at.STARTED_AT] = 1_700_000_000_000
    world.counters.supervisor[at.LAST_RELOAD_OK] = 1
    return world


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.offer([example(1)])
    return store


@pytest.fixture
def state(world: World, store: MemoryStore) -> State:
    return State(Launch(workers=1), world.policy, world.registry, world.counters, store)
