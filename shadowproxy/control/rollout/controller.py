"""The rollouts of all services: once a second each is driven by itself, so that one in trouble holds up no other.

    controller.run()                       until control ends
    await controller.command(...)          start, approve, pause, resume, promote, abort, rollback, retry
    await controller.watch(...), freeze(...)
    controller.view(...)                   for whoever shows it

What is known outlives the process in the store. Until it has been read nothing is decided: then users can be sent
back, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
from msgspec.structs import replace

from shadowproxy.control.rollout.driving import Driver, is_sent_back, sent_back
from shadowproxy.control.rollout.freezes import START, ManualFreezes
from shadowproxy.control.rollout.gathering import Around, Gathering, Kept, Now
from shadowproxy.control.rollout.journal import Journal, Note
from shadowproxy.control.rollout.notifying import Delivery, Outbox
from shadowproxy.control.rollout.recovery import DELIVERY, FREEZE, WATCH, find, lost
from shadowproxy.control.rollout.watch import Watches
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Publish
from shadowproxy.model.policy import Policy, ServicePolicy, fingerprint
from shadowproxy.model.rollout import BACK, PROMOTED, RUNNING, Notify, Split, sends_users
from shadowproxy.model.totals import RolloutFigures
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.figures import figures
from shadowproxy.rollout.holds import STORE
from shadowproxy.rollout.values import PRODUCT, Command, Entry, FreezeCommand, Refusal, State, View, Watch, WatchCommand
from shadowproxy.store import StoreError
from shadowproxy.store.rollouts import RolloutStore

if TYPE_CHECKING:
    from shadowproxy.control.state import State as Control

TICK: Final = 1.0
"""Seconds from one look at the facts to the next."""
CLOSE_SECONDS: Final = 2.0
FIRST_LOOK: Final = 2.0
"""Seconds that a command waits for what is known of rollouts to be read."""
_UNREAD: Final = "what is known of rollouts cannot be read yet"

log = logging.getLogger(__name__)

_encode: Final = msgspec.msgpack.Encoder().encode


def _now() -> Now:
    return Now(time.time(), time.monotonic())


class Controller:
    """One per control process. Only the loop's thread touches it. `send` reaches the supervisor."""

    def __init__(self, control: Control, store: RolloutStore, clock: Callable[[], Now] = _now) -> None:
        self._control = control
        self._clock = clock
        self._journal = Journal(store, self._fingerprint)
        self._outbox = Outbox(self._client, self._hooks, self._over, lambda: clock().wall)
        self._watches = Watches()
        self._freezes = ManualFreezes()
        self._drivers: dict[str, Driver] = {}
        self._stored: dict[str, State] | None = None
        """What the store knows of services that are not driven yet; None: it was not read yet."""
        self._kept: dict[str, Kept] = {}
        self._looked = asyncio.Event()
        """Every rollout has been looked at."""
        self._loose: dict[str, bytes | None] = {}
        """Documents that the next record takes along."""
        self._recoveries = 0
        """Of the journal, as many as freezes by hand have been kept again after."""
        self._faults: dict[str, str] = {}
        self._session: aiohttp.ClientSession | None = None
        self._printed: tuple[Policy, str] | None = None
        self.known = asyncio.Event()
        """Set once what is known has been read."""
        self.send: Callable[[Publish], None] = lambda publish: None

    async def run(self) -> None:
        """Until cancelled. Nothing that happens to one service, to the store or to a receiver ends it."""
        due = time.monotonic()
        while True:
            await self.tick()
            due = max(due + TICK, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def close(self) -> None:
        """Write what waits. What was not delivered is delivered by the next process."""
        for driver in self._drivers.values():
            driver.stop()
        self._outbox.stop()
        await self._journal.close(CLOSE_SECONDS)
        if self._session is not None:
            await self._session.close()

    async def tick(self) -> None:
        """Drive every rollout by one step. Where there is none, the store is left alone."""
        if self._stored is None and (not self._is_needed or not await self._load()):
            return
        now = self._clock()
        if self._recoveries != self._journal.recoveries:
            self._recoveries = self._journal.recoveries
            self._loose |= {f"{FREEZE}/{each.id}": _encode(each) for each in self.freezes(now.wall)}
        await self._meet(now)
        self.known.set()
        await asyncio.gather(*(self._drive(name, driver, now) for name, driver in self._drivers.items()))
        self._looked.set()

    def apply(self) -> None:
        """Another policy is in force."""
        for driver in self._drivers.values():
            driver.apply()

    # What is asked for.

    def view(self, service: str, now: float) -> View | None:
        """The rollout of a service as it is now. None: it has none, or nothing is known yet. `now` is Unix time."""
        driver = self._drivers.get(service)
        if driver is None:
            return None
        watch = self._watches.held(service, now, driver.state.plan.watch_ttl)
        return View(driver.state, driver.facts, watch, self._faults.get(service, ""))

    def figures(self) -> dict[str, RolloutFigures]:
        """Every rollout in numbers, by service."""
        now = time.time()
        found = {name: figures(driver.state, now) for name, driver in self._drivers.items()}
        for name in self._faults.keys() & found.keys():
            found[name] = replace(found[name], holds=tuple({*found[name].holds, STORE}))
        return found

    def freezes(self, now: float) -> tuple[ManualFreeze, ...]:
        """Those by hand that stand. `now` is Unix time."""
        return self._freezes.standing(now)

    async def command(self, service: str, command: Command) -> State | Refusal:
        """The state after it, or why not. Users are sent back at once, whatever else is dead."""
        if command.action not in BACK:
            await self._first_look()
        driver = self._drivers.get(service)
        if driver is None:
            return self._without_driver(service, command)
        return await driver.obey(command, self._clock())

    async def watch(self, service: str, command: WatchCommand) -> Watch | Refusal | None:
        """Who holds the watch then."""
        await self._first_look()
        driver = self._drivers.get(service)
        if driver is None:
            return Refusal(self._unknown(service))
        said = self._watches.obey(service, command, driver.state.plan.watch_ttl)
        if isinstance(said, Refusal):
            return said
        watch, entry = said
        await self._keep(f"{WATCH}/{service}", watch, entry, service)
        return watch

    async def freeze(self, command: FreezeCommand) -> ManualFreeze | Refusal:
        """The freeze that begins or is over."""
        if self._stored is None and not await self._load():
            return Refusal(_UNREAD)
        said = self._freezes.obey(command)
        if isinstance(said, Refusal):
            return said
        freeze, entry = said
        await self._keep(f"{FREEZE}/{freeze.id}", freeze if command.action == START else None, entry)
        return freeze

    @property
    def journal(self) -> Journal:
        """What flags are kept in as well: one audit, one file."""
        return self._journal

    # The beginning and the end.

    @property
    def _is_needed(self) -> bool:
        return any(policy.rollout or policy.split for policy in self._control.policy.services)

    async def _load(self) -> bool:
        try:
            found = await self._journal.read(find)
        except (StoreError, TimeoutError) as error:
            self._say("", f"{_UNREAD}: {error}")
            return False
        self._faults.pop("", None)
        self._stored, self._kept = found.states, found.counters
        self._watches, self._freezes = Watches(found.watches), ManualFreezes(found.freezes)
        self._outbox.send(found.deliveries)
        return True

    async def _meet(self, now: Now) -> None:
        """Begin to drive what has a rollout and is not driven yet; let go of services that are gone."""
        services = {policy.name: policy for policy in self._control.policy.services}
        stored = self._stored if self._stored is not None else {}
        for name in self._drivers.keys() - services.keys():
            driver = self._drivers.pop(name)
            driver.stop()
            stored[name], self._kept[name] = driver.state, driver.kept
        for name, policy in services.items():
            if name not in self._drivers:
                await self._begin(policy, stored.pop(name, None), now)

    async def _begin(self, policy: ServicePolicy, state: State | None, now: Now) -> None:
        name, plan, split = policy.name, policy.rollout, policy.split
        if state is not None:
            driver = self._drivers[name] = self._driver(policy, state)
            if is_sent_back(split, state) and state.phase in {RUNNING, PROMOTED}:
                reason = "its users had been sent back before that could be written"
                await driver.obey(Command("rollback", PRODUCT, reason, now.wall), now)
        elif plan is not None:
            state = begin(name, plan, self._control.policy.freeze, now.wall)
            driver = self._drivers[name] = self._driver(policy, state)
            await driver.set(*(lost(state, split) if split is not None and sends_users(split) else (state, ())))
        elif split is not None:
            self._say(name, "its users are split, but neither a plan nor a state says why: it stays so")

    def _driver(self, policy: ServicePolicy, state: State) -> Driver:
        gathering = Gathering(self._control, policy, self._client, self._kept.pop(policy.name, Kept()))

        def publish(split: Split | None) -> None:
            self.send(Publish({policy.name: split}))

        def around(now: float) -> Around:
            watch = self._watches.held(policy.name, now, driver.state.plan.watch_ttl)
            return Around(watch.holder if watch else "", self.freezes(now), self._journal.is_well)

        driver = Driver(self._control, state, gathering, self._journal, self._outbox, self._loose, publish, around)
        return driver

    # One tick.

    async def _drive(self, name: str, driver: Driver, now: Now) -> None:
        try:
            lapsed = self._watches.lapse(name, now.wall, driver.state.plan.watch_ttl)
            if lapsed is not None:
                await self._keep(f"{WATCH}/{name}", None, lapsed, name)
            await driver.tick(now)
        except Exception as error:
            # Its lease is not renewed: if this goes on, its users go back to the primary.
            fault = f"{type(error).__name__}: {error}"
            if self._faults.get(name) != fault:
                log.exception("the rollout of %s cannot be driven", name)
            self._faults[name] = fault
        else:
            self._faults.pop(name, None)

    async def _keep(self, key: str, value: Watch | ManualFreeze | None, entry: Entry | None, service: str = "") -> None:
        """Keep a document; where there is something to say of it, with that in the audit."""
        body = _encode(value) if value is not None else None
        if entry is None:
            self._loose[key] = body
            return
        self._loose.pop(key, None)  # what waited is older than this, and would come after it
        if service:
            await self._drivers[service].note(entry, {key: body})
        else:
            await self._journal.write(Note(entry, {key: body}))

    # What others need.

    async def _first_look(self) -> None:
        """At the begin of a process: until everything was looked at, for a moment at most."""
        if self._is_needed:
            try:
                await asyncio.wait_for(self._looked.wait(), FIRST_LOOK)
            except TimeoutError:
                pass

    def _without_driver(self, service: str, command: Command) -> Refusal:
        """Users can be sent back though nothing is known of why they are where they are."""
        policy = next((each for each in self._control.policy.services if each.name == service), None)
        if policy is None or self._stored is not None or command.action not in BACK or not sends_users(policy.split):
            return Refusal(self._unknown(service))
        self._control.counters.control[at.LEASES + policy.index] = 0
        self.send(Publish({service: sent_back(policy.split)}))
        return Refusal(f"all users are sent back to the primary; {_UNREAD}, so that is all that was done")

    def _unknown(self, service: str) -> str:
        return _UNREAD if self._stored is None else f"there is no rollout of the service {service!r}"

    def _hooks(self, service: str) -> Iterable[Notify]:
        """As configured now; where nothing is any more, those of the plan that ran."""
        for policy in self._control.policy.services:
            if policy.name == service and policy.rollout is not None:
                return policy.rollout.notify
        driver = self._drivers.get(service)
        return driver.state.plan.notify if driver is not None else ()

    def _over(self, delivery: Delivery) -> None:
        self._loose[f"{DELIVERY}/{delivery.number}"] = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _fingerprint(self) -> str:
        policy = self._control.policy
        if self._printed is None or self._printed[0] is not policy:
            self._printed = policy, fingerprint(policy)
        return self._printed[1]

    def _say(self, service: str, fault: str) -> None:
        """Once, until it is another one."""
        if self._faults.get(service) != fault:
            log.error("%s%s", f"service {service}: " if service else "", fault)
        self._faults[service] = fault
