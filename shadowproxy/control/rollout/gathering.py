"""What a rollout is decided from, gathered once a second: counters, versions, health, Prometheus, gates, the watch.

Reads what others keep and asks nobody while somebody waits. What has to survive this process is `Kept`, which is
written together with the facts that it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.control.rollout.counting import NOTHING, Bases, Keys, read, since
from shadowproxy.control.rollout.prometheus import Asked, Queries
from shadowproxy.control.rollout.webhooks import Gates, Question
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.metrics.reading import workers
from shadowproxy.model.policy import ServicePolicy, is_another
from shadowproxy.model.rollout import PROMOTED, RUNNING, Split
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.rollout.bake import MAX_TICK
from shadowproxy.rollout.facts import ANOTHER, GONE, Facts, FieldsFact, KeyCounts, ManualFreeze
from shadowproxy.rollout.steps import present, steps
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import State

if TYPE_CHECKING:
    from shadowproxy.control.state import State as Control


class Now(NamedTuple):
    """Unix time, and CLOCK_MONOTONIC in seconds."""

    wall: float
    monotonic: float


class Kept(Struct, frozen=True, array_like=True):
    """`urls` are those of the candidate that the rollout is about, `told` the evidence (attempt, epoch) that workers
    have begun, `began` what they had written to their rings of keys by then.
    """

    bases: Bases = Bases()
    urls: tuple[str, ...] = ()
    told: tuple[int, int] = (0, 0)
    began: tuple[int, ...] = ()

    def begun(self, attempt: int, epoch: int) -> Kept:
        """The same when this is the evidence that workers are to note keys for."""
        if self.told == (attempt, epoch):
            return self
        return replace(self, told=(attempt, epoch), began=self.bases.written)


class Around(NamedTuple):
    """What is so beside the service itself."""

    watch: str
    freezes: tuple[ManualFreeze, ...]
    store: bool


class Gathering:
    """Of one service. `sequence` is the policy's in which its split came to be what it is."""

    def __init__(
        self, control: Control, policy: ServicePolicy, session: Callable[[], aiohttp.ClientSession], kept: Kept
    ) -> None:
        self._control = control
        self._session = session
        self._keys = Keys(control.counters, policy.index)
        self._looked: float | None = None
        self._about: tuple[int, dict[str, str]] | None = None
        self._queries = Queries(session)
        self._gates = Gates(session)
        known = policy.split.urls if policy.split is not None else ()
        self.kept = replace(kept, urls=known) if known else kept
        self.policy = policy
        self.sequence = control.policy.sequence

    def apply(self, policy: ServicePolicy, sequence: int) -> None:
        """Another policy is in force, or the same again."""
        if policy.split != self.policy.split:
            self.sequence = sequence
        self.policy = policy

    def wanted(self, state: State) -> Split | None:
        """What the data plane is to do, and with which candidate: another may come into its place with control dead."""
        split = traffic(state)
        return replace(split, urls=self.kept.urls) if split is not None else None

    def stop(self) -> None:
        self._queries.stop()
        self._gates.stop()

    def facts(self, state: State, around: Around, now: Now) -> tuple[Facts, Kept]:
        """What happened since the facts before, and what belongs to it: `keep` that once they have been used."""
        policy, before = self.policy, self.kept.bases
        elapsed = 0.0 if self._looked is None else min(max(now.monotonic - self._looked, 0.0), MAX_TICK)
        self._looked = now.monotonic
        bases = read(
            self._control.counters,
            self._control.registry,
            policy.name,
            policy.index,
            self._control.policy.epoch,
            policy.split,
        )
        applied = self._is_applied(state, now.monotonic)
        counted = since(bases, before) if applied else NOTHING
        identity = self._identity()
        self._ask(state, identity, now.wall)
        facts = Facts(
            at=now.wall,
            elapsed=elapsed,
            applied=applied,
            routes=counted.routes,
            chosen=counted.chosen,
            latency=counted.latency,
            firsts=counted.firsts if policy.split is not None and policy.split.sticky is not None else None,
            keys=self._key_counts(bases, before, applied),
            pairs=counted.pairs,
            compared=counted.compared,
            fields=self._fields(now.wall),
            answers=self._queries.take(),
            gates=dict(self._gates.said),
            identity=identity,
            healthy=reachable(self._control.counters, policy),
            store=around.store,
            watch=around.watch,
            freezes=around.freezes,
            recalled=policy.split.recalled if policy.split else 0.0,
            settled=state.phase == PROMOTED and self._is_settled(state, identity),
            candidate=self.replaced if state.phase in (RUNNING, PROMOTED) else "",
            flags=self._flags(state),
        )
        urls = self.kept.urls if facts.candidate and state.phase == PROMOTED else policy.urls(CANDIDATE)
        began = self.kept.began if bases.epoch == before.epoch else (0,) * len(bases.written)  # rings are new as well
        return facts, replace(self.kept, bases=bases, urls=urls, began=began)

    @property
    def replaced(self) -> str:
        """What the configuration has instead of the candidate that the rollout is about; empty: it still has that."""
        now = self.policy.urls(CANDIDATE)
        if self.kept.urls and not now:
            return GONE
        return ANOTHER if is_another(self.kept.urls, now) else ""

    def keep(self, kept: Kept) -> None:
        """Count on from here. Where the evidence is another one, workers are to note every sticky key anew."""
        if kept.told != self.kept.told:
            self._control.counters.control[at.SPLIT_EPOCHS + self.policy.index] += 1
            self._keys.forget()
        self.kept = kept

    def _is_applied(self, state: State, now: float) -> bool:
        """Whether every worker does what the state asks for."""
        if self.policy.split != self.wanted(state):
            return False
        there = [each for each in workers(self._control.counters, now) if each.is_fresh and not each.draining]
        return bool(there) and all(worker.sequence >= self.sequence for worker in there)

    def _key_counts(self, bases: Bases, before: Bases, applied: bool) -> KeyCounts | None:
        split = self.policy.split
        if split is None or split.sticky is None:
            return None
        if not applied or (bases.epoch, bases.split) != (before.epoch, before.split):
            return KeyCounts()
        tested = next((each.weight for each in split.flags if each.flag == split.testing), split.weight)
        return self._keys.take(bases, before, self.kept.began, tested)

    def _fields(self, now: float) -> FieldsFact:
        known = self._control.knowledge.services[self.policy.name]
        ledger = known.ledger
        listed = tuple(sorted(" ".join(field) for field in ledger.listed(now)))
        return FieldsFact(ledger.log_mean(now), listed, ledger.answers, bool(known.source))

    def _identity(self) -> dict[str, str]:
        """By arm what it runs; where that is one word for all of them, with where it is."""
        identity = dict(self._control.knowledge.services[self.policy.name].identity)
        if self.policy.version.static:
            return {arm: f"{name} at {' '.join(self.policy.urls(arm))}" for arm, name in identity.items()}
        return identity

    def _is_settled(self, state: State, identity: dict[str, str]) -> bool:
        """Whether the configuration's primary is what was promoted, by its version or by where it is; and flags give by
        their own definitions what was promoted.
        """
        overlays = present(state).flags
        if not all(self._control.flags.gives(each.flag, each.variant) for each in overlays):
            return False
        if state.plan.is_of_flags:
            return True
        promoted = state.identity.get(CANDIDATE)
        return (bool(promoted) and identity.get(PRIMARY) == promoted) or (
            bool(self.kept.urls) and self.policy.urls(PRIMARY) == self.kept.urls
        )

    def _flags(self, state: State) -> str:
        """What keeps a flag of the present part from being what the plan says."""
        if state.phase != RUNNING:
            return ""
        overlays = present(state).flags
        return next((why for each in overlays if (why := self._control.flags.obstacle(each.flag, each.variant))), "")

    def _ask(self, state: State, identity: dict[str, str], now: float) -> None:
        """Have asked what is due, of Prometheus and of gates. What was asked of another version is forgotten."""
        about = state.attempt, {arm: name for arm, name in identity.items() if arm in {PRIMARY, CANDIDATE}}
        if about != self._about:
            self._queries.stop()
            self._queries = Queries(self._session)
            self._about = about
        if state.phase != RUNNING:
            self._gates.stop()
            return
        plan = state.plan
        self._queries.start(plan.prometheus, plan.checks, Asked(state.service, about[1]), now)
        stage = steps(plan)[state.step].name
        question = Question(state.service, plan.name, state.attempt, stage, state.weight, about[1])
        self._gates.start(plan.checks, question, now)


def reachable(counters: Counters, policy: ServicePolicy) -> dict[str, bool]:
    """By arm whether any worker can reach it; nothing of an arm that no worker has looked at yet."""
    row = at.service_row(policy.index)
    blocks = [block for block in map(counters.block, range(counters.slots)) if block[at.HEARTBEAT]]
    found: dict[str, bool] = {}
    for arm in (PRIMARY, CANDIDATE):
        a = at.ARM_INDEX[arm]
        looking = [block for block in blocks if block[row + at.ENDPOINTS + a]]
        if arm in policy.upstreams and looking:
            found[arm] = any(block[row + at.HEALTHY + a] and not block[row + at.BREAKER_OPEN + a] for block in looking)
    return found
