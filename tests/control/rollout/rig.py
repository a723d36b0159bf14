"""A controller over a world of values: the supervisor and the workers are made of memory, the store is a real file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from shadowproxy.control.rollout.controller import Controller
from shadowproxy.control.rollout.gathering import Now
from shadowproxy.control.state import State as Control
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply, Publish
from shadowproxy.model.policy import Launch, ServicePolicy
from shadowproxy.model.rollout import CANARY, SHADOW, Bake, Plan, Split, Stage
from shadowproxy.rollout.chain import canonical
from shadowproxy.rollout.logged import Logged
from shadowproxy.rollout.values import Command, Refusal, State
from shadowproxy.runtime.splits import published, recalled
from shadowproxy.store import StoreError
from shadowproxy.store.audit import AuditLog
from shadowproxy.store.rollouts import RolloutStore
from tests.admin.conftest import MemoryStore
from tests.metrics.world import World

BAKE = Bake(seconds=3.0)
PLAN = Plan(
    "checkout-v2",
    (
        Stage("mirror", SHADOW, BAKE),
        Stage("first users", CANARY, BAKE, weights=(0.05,)),
        Stage("most users", CANARY, BAKE, weights=(0.5,)),
    ),
    lease=300.0,
)
REQUESTS = 40
"""Of each arm and second, where users are split; pairs otherwise."""


class Rig:
    """One instance: `control` may be killed and started again while counters and the policy stay."""

    def __init__(self, directory: Path, plan: Plan | None = PLAN, **policy: Any) -> None:
        self.directory = directory
        self.world = World(slots=4)
        self.wall, self.monotonic = 1_000_000.0, 5_000.0
        self.sent: list[tuple[float, Split | None]] = []
        services = tuple(self._shop(service, plan, policy) for service in self.world.policy.services)
        self.policy = replace(self.world.policy, services=services)
        self.store_fails = False
        self.hears = True
        """Whether the supervisor does what control says."""
        self.acts, self.dies_at, self.dies_after, self.is_dead = 0, 0, False, False
        self._controllers: list[Controller] = []
        self._stores: list[RolloutStore] = []
        self.start()

    async def close(self) -> None:
        for controller in self._controllers:
            await controller.close()
        for store in self._stores:
            store.close()

    def _shop(self, service: ServicePolicy, plan: Plan | None, policy: dict[str, Any]) -> ServicePolicy:
        return replace(service, rollout=plan, **policy) if service.name == "shop" else service

    def start(self) -> None:
        """A new control process. What the one before had not written is lost with it."""
        for before in self._controllers:
            if (writer := before._journal._writer) is not None:
                writer.cancel()
        launch = Launch(workers=2, data_dir=str(self.directory))
        world = self.world
        self.control = Control(launch, self.policy, world.registry, world.counters, MemoryStore())  # type: ignore[arg-type]
        store = RolloutStore(self.directory)
        self._stores.append(store)
        self.controller = self.control.rollouts = Controller(self.control, store, self.now)
        self._controllers.append(self.controller)
        self.controller.send = self._supervise
        self._break(store)

    def now(self) -> Now:
        return Now(self.wall, self.monotonic)

    def _break(self, store: RolloutStore) -> None:
        """Let the store fail while `store_fails`, and the process die at the `dies_at`th thing that it does."""
        connected, commit = store._connected, store.commit

        def failing() -> Any:
            if self.store_fails:
                raise OSError("read-only file system")
            return connected()

        self._store = store

        def committing(*args: Any, **more: Any) -> None:
            if store is self._store:  # else it is one of a process that is dead
                self._act(lambda: commit(*args, **more))
            if self.is_dead or store is not self._store:
                raise StoreError("nobody is there any more")

        store._connected = failing  # type: ignore[method-assign]
        store.commit = committing  # type: ignore[method-assign]

    def _act(self, does: Callable[[], None]) -> None:
        """Something that is seen from outside. The process may die before it or after it, and does no more then."""
        if self.is_dead:
            return
        self.acts += 1
        if self.acts != self.dies_at or self.dies_after:
            does()
        self.is_dead = self.acts == self.dies_at

    def _supervise(self, publish: Publish) -> None:
        def publishes() -> None:
            for split in publish.splits.values():
                self.sent.append((self.wall, split))
            if self.hears:
                self.apply(published(self.policy, publish.splits)[0])

        self._act(publishes)

    def apply(self, policy: Any) -> None:
        """A new policy reaches everybody."""
        if policy != self.policy:
            self.policy = replace(policy, sequence=self.policy.sequence + 1)
            self.control.apply(Apply(self.policy, self.world.registry, reread=False))
        self.beat()

    def configure(self, **changes: Any) -> None:
        """The configuration of the shop is read again."""
        shop, *others = self.policy.services
        self.apply(replace(self.policy, services=(replace(shop, **changes), *others)))

    def recall(self) -> None:
        self.apply(recalled(self.policy, self.wall))

    def beat(self) -> None:
        for slot in range(2):
            self.world.counters.block(slot)[at.HEARTBEAT] = int(self.monotonic * 1000)
            self.world.counters.block(slot)[at.SEQUENCE] = self.policy.sequence

    def requests(self, primary: int = REQUESTS, candidate: int = REQUESTS) -> None:
        """What a second brings."""
        split = self.split if self.policy.services[0].name == "shop" else None
        if split is None or not split.weight:
            self.world.mirrored(candidate)
        else:
            for arm, count in enumerate((primary, candidate)):
                self.world.add(at.split_word(self.world.row(), arm, 0), count)

    async def tick(self, times: int = 1) -> None:
        """Seconds pass."""
        for _ in range(times):
            self.wall += 1
            self.monotonic += 1
            self.beat()
            self.requests()
            await self.controller.tick()
            if self.is_dead:
                self.start()
                self.is_dead = False  # by now what the one before still writes is nobody's

    async def until(self, stage: int, most: int = 30) -> None:
        """Seconds pass until the rollout is in this step."""
        for _ in range(most):
            if self.state.step >= stage:
                return
            await self.tick()
        raise AssertionError(self.state)

    async def do(self, action: str, **more: Any) -> State | Refusal:
        return await self.controller.command("shop", Command(action, "ada", "a test", self.wall, **more))

    @property
    def state(self) -> State:
        view = self.controller.view("shop", self.wall)
        assert view is not None
        return view.state

    @property
    def split(self) -> Split | None:
        return self.policy.services[0].split

    @property
    def weight(self) -> float:
        """What is in force."""
        return self.split.weight if self.split else 0.0

    @property
    def holds(self) -> set[str]:
        return {hold.reason for hold in self.state.holds}

    @property
    def lease(self) -> float:
        """Seconds that are left of it."""
        return self.world.counters.control[at.LEASES] / 1000 - self.monotonic

    def stored(self) -> State | None:
        with closing(RolloutStore(self.directory)) as store:
            return store.load().get("shop")

    @property
    def is_stored(self) -> bool:
        """Whether the disk has what is so."""
        stored = self.stored()
        return stored is not None and canonical(stored) == canonical(self.state)

    def log(self) -> list[Logged]:
        return list(RolloutStore(self.directory).facts("shop", self.state.attempt))

    def actions(self) -> list[str]:
        """The audit, oldest first."""
        page = AuditLog(self.directory).page("shop", 100, 0)
        return [entry.action for entry in reversed(page.items)]
