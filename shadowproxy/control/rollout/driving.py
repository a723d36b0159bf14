"""One rollout, driven: facts are gathered, `rollout` decides, and what it decided is kept, published and told.

Laws: what gives the candidate more users is on disk before it is published; what takes users from it is published
before anything else, and waits for nobody. The lease of a weight is renewed by ticks that succeed.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from shadowproxy.control.rollout.gathering import Around, Gathering, Kept, Now
from shadowproxy.control.rollout.journal import Journal, Note, Record
from shadowproxy.control.rollout.notifying import Delivery, Event, Outbox, event_of
from shadowproxy.control.rollout.recovery import COUNTERS, DELIVERY
from shadowproxy.metrics import layout as at
from shadowproxy.model.rollout import BACK, RUNNING, Split, needs_candidate, sends_users
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.rollout.attempts import reload
from shadowproxy.rollout.commands import UNWRITABLE, obey
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.logged import Cause, Ordered, Reload
from shadowproxy.rollout.step import step
from shadowproxy.rollout.steps import present
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import Command, Entry, Refusal, State

if TYPE_CHECKING:
    from shadowproxy.control.state import State as Control


_encode: Final = msgspec.msgpack.Encoder().encode


class Driver:
    """Of one service. `loose` are documents that the next record takes along, whosever they are; `around` says what is
    so beside the service at a time, so that a command meets the freezes of this moment and not those of the last tick.
    """

    def __init__(
        self,
        control: Control,
        state: State,
        gathering: Gathering,
        journal: Journal,
        outbox: Outbox,
        loose: dict[str, bytes | None],
        publish: Callable[[Split | None], None],
        around: Callable[[float], Around],
    ) -> None:
        self._control = control
        self._gathering = gathering
        self._journal = journal
        self._outbox = outbox
        self._loose = loose
        self._ask_for = publish
        self._around = around
        self._lock = asyncio.Lock()
        self._reread = True
        self._sending_back = 0
        """Commands under way that have sent users back already."""
        self._is_unsure = False
        self.state = state
        self.facts: Facts | None = None

    @property
    def kept(self) -> Kept:
        return self._gathering.kept

    def apply(self) -> None:
        """Another policy is in force."""
        for policy in self._control.policy.services:
            if policy.name == self.state.service:
                self._gathering.apply(policy, self._control.policy.sequence)
        self._reread = True

    def stop(self) -> None:
        self._gathering.stop()

    async def tick(self, now: Now) -> None:
        async with self._lock:
            if self._reread:
                await self._reload(now)
            facts, kept = self._gathering.facts(self.state, self._around(now.wall), now)
            if not await self._decide(facts, kept):
                await self._decide(replace(facts, store=False), kept)
            self._publish()
            self._renew(now)

    async def obey(self, command: Command, now: Now) -> State | Refusal:
        """What came of it. Users are sent back before anything is waited for."""
        is_back = command.action in BACK and self._send_back(command)
        try:
            async with self._lock:
                return await self._obey(command)
        finally:
            self._sending_back -= is_back
            self._publish()
            self._renew(now)

    async def set(self, state: State, entries: tuple[Entry, ...]) -> None:
        """It is so, and was not derived from anything."""
        async with self._lock:
            await self._make(state, entries, None, self.kept)

    async def note(self, entry: Entry, documents: Mapping[str, bytes | None]) -> None:
        """Something happened that is no decision of the rollout: for the audit, and for whoever hears of it."""
        event = _event(self.state, (entry,))
        deliveries = self._outbox.prepare(event)
        self._control.watchers.tell("rollout", event)
        self._outbox.send(deliveries)
        await self._journal.write(Note(entry, {**documents, **_documents(deliveries)}, self.state.service))

    async def _obey(self, command: Command) -> State | Refusal:
        facts = self._moment(command)
        answer = obey(self.state, command, facts)
        if isinstance(answer, Refusal):
            return answer
        after, entries = answer
        if entries and not await self._make(after, entries, Ordered(command, facts), self.kept):
            return UNWRITABLE
        return self.state

    def _send_back(self, command: Command) -> bool:
        answer = obey(self.state, command, self._moment(command))
        if isinstance(answer, Refusal) or sends_users(traffic(answer[0])):
            return False
        self._sending_back += 1
        self._publish()
        return True

    def _moment(self, command: Command) -> Facts:
        """The newest facts without their counts: those have been used."""
        known = self.facts or Facts(command.at)
        around = self._around(command.at)
        return Facts(
            command.at,
            identity=known.identity,
            healthy=known.healthy,
            store=around.store,
            watch=around.watch,
            freezes=around.freezes,
            recalled=known.recalled,
        )

    async def _reload(self, now: Now) -> None:
        self._reread = False
        policy, windows = self._gathering.policy, self._control.policy.freeze
        after, entries = reload(self.state, policy.rollout, windows, now.wall)
        if after != replace(self.state, at=now.wall):
            await self._make(after, entries, Reload(now.wall, policy.rollout, windows), self.kept)

    async def _decide(self, facts: Facts, kept: Kept) -> bool:
        after, entries = step(self.state, facts)
        is_known = facts.store or self._journal.has(self.state.service)
        if after.phase != RUNNING and after == replace(self.state, at=facts.at) and not self._loose and is_known:
            # Nothing runs and nothing happened: the log of what did is not filled with it. But whether a disk that
            # failed can be written again is told by writing alone.
            self._gathering.keep(kept)
            self.facts = facts
            return True
        counts = after.phase == RUNNING and after.progress.applied and after.progress.warm >= after.plan.warmup
        if counts:
            kept = kept.begun(after.attempt, after.epoch)
        if not await self._make(after, entries, facts, kept):
            return False
        self.facts = facts
        return True

    async def _make(self, after: State, entries: tuple[Entry, ...], cause: Cause | None, kept: Kept) -> bool:
        """Make it so. False: it would have given the candidate users, and could not be written."""
        deliveries = self._outbox.prepare(_event(after, entries)) if entries else ()
        loose = dict(self._loose)
        documents = {f"{COUNTERS}/{after.service}": _encode(kept), **loose, **_documents(deliveries)}
        record = Record(after, None if self._is_unsure else cause, entries, documents)
        self._is_unsure = False
        wanted = traffic(after)
        before = traffic(self.state)
        gains = gives_more(wanted, before) and gives_more(wanted, self._gathering.policy.split)
        goes_back = not gains and wanted != before
        if goes_back:
            self._adopt(after, entries, kept, deliveries)
        is_written = await self._journal.write(record)
        if gains and not is_written:
            self._is_unsure = not self._journal.take_back(record)
            return False
        for key, body in loose.items():
            if self._loose.get(key) is body:  # else there is something newer already
                self._loose.pop(key, None)
        if not goes_back:  # what is shown is on disk: a control that takes over has lost nothing of it
            self._adopt(after, entries, kept, deliveries)
        return True

    def _adopt(self, after: State, entries: tuple[Entry, ...], kept: Kept, deliveries: tuple[Delivery, ...]) -> None:
        begins = after.started_at != self.state.started_at
        self.state = after
        self._gathering.keep(kept)
        self._publish()
        if begins:
            self._control.knowledge.renew(after.service, after.at)
        if entries:
            self._outbox.send(deliveries)
            self._control.watchers.tell("rollout", _event(after, entries))

    def _publish(self) -> None:
        """Ask for what the state means, where something else is in force.

        Users who go back do so by a split of their own, which is what a process that takes over finds if this one
        ends before it could write why. Nobody is sent to another candidate than the state knows.
        """
        policy = self._gathering.policy
        wanted = self._gathering.wanted(self.state)
        is_back = self._sending_back or bool(self._gathering.replaced)
        if is_back or (sends_users(policy.split) and not sends_users(wanted)):
            self._control.counters.control[at.LEASES + policy.index] = 0
            wanted = sent_back(policy.split)
        elif is_sent_back(policy.split, self.state) and self._journal.has(self.state.service):
            return
        if wanted != policy.split and (wanted is None or CANDIDATE in policy.upstreams or not needs_candidate(wanted)):
            self._ask_for(wanted)

    def _renew(self, now: Now) -> None:
        """A promotion is not leased; but until every worker has heard of it the weight before it is."""
        has_users = sends_users(traffic(self.state)) and not self._sending_back
        until = int((now.monotonic + self.state.plan.lease) * 1000) if has_users else 0
        self._control.counters.control[at.LEASES + self._gathering.policy.index] = until


def gives_more(wanted: Split | None, now: Split | None) -> bool:
    """Whether `wanted` gives the candidate users that `now` does not, or for longer."""
    if wanted is None or not sends_users(wanted):
        return False
    if now is None or wanted.weight > now.weight or set(wanted.chosen) - set(now.chosen):
        return True
    before = {(each.flag, each.variant): each.weight for each in now.flags}
    if any(each.weight > before.get((each.flag, each.variant), 0.0) for each in wanted.flags):
        return True
    return now.leased and not wanted.leased


def sent_back(split: Split | None) -> Split | None:
    """The same without users: nothing that a rollout asks for looks so."""
    return replace(split, weight=0.0, chosen=(), flags=(), testing="", leased=False) if split is not None else None


def is_sent_back(split: Split | None, state: State) -> bool:
    """Whether it is what `sent_back` made of a split of this state, or of a later attempt that was never written; a
    recall that the state has not heard of is not, nor what an earlier attempt left.
    """
    if split is None or split.leased or sends_users(split):
        return False
    return split.recalled == state.recalled and split.attempt >= state.attempt


def _documents(deliveries: tuple[Delivery, ...]) -> dict[str, bytes]:
    return {f"{DELIVERY}/{each.number}": _encode(each) for each in deliveries}


def _event(after: State, entries: tuple[Entry, ...]) -> Event:
    return event_of(uuid.uuid4().hex, after, present(after).name, entries)
