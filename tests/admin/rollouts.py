"""A controller that decides as the real one does, and neither ticks nor keeps anything: what it says is in force."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from shadowproxy.control.rollout.freezes import ManualFreezes
from shadowproxy.control.rollout.journal import Note
from shadowproxy.control.rollout.watch import Watches
from shadowproxy.model.flags import FlagsPolicy
from shadowproxy.model.policy import Policy
from shadowproxy.model.rollout import APPROVE, CANARY, SHADOW, SOAK, Bake, FreezeWindow, Plan, Stage
from shadowproxy.model.totals import RolloutFigures
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.commands import obey
from shadowproxy.rollout.facts import Facts, ManualFreeze
from shadowproxy.rollout.figures import figures
from shadowproxy.rollout.values import Command, FreezeCommand, Refusal, State, View, Watch
from shadowproxy.rollout.values import WatchCommand as Watching

PLAN = Plan(
    "cup-v2",
    (
        Stage("mirror", SHADOW, Bake(1800.0, 5000), sample=1.0),
        Stage("go", APPROVE),
        Stage("first users", CANARY, Bake(3600.0), weights=(0.05,)),
        Stage("soak", SOAK, Bake(60.0)),
    ),
    supervise="required",
    warmup=120.0,
)
WEEKEND = FreezeWindow("weekend", cron="0 0 * * SAT", seconds=2 * 86400.0, reason="nobody is here")


class Journal:
    """Takes everything, unless it `is_dead`."""

    def __init__(self) -> None:
        self.written: list[object] = []
        self.is_dead = False
        self.kept: dict[str, bytes] = {}

    async def write(self, what: Note) -> bool:
        if self.is_dead:
            return False
        self.written.append(what)
        self.kept |= {key: body for key, body in what.documents.items() if body is not None}
        return True

    def take_back(self, what: object) -> bool:
        return True

    async def read(self, query: Callable[[Journal], dict[str, bytes]]) -> dict[str, bytes]:
        return query(self)

    def documents(self) -> dict[str, bytes]:
        return dict(self.kept)


class Rollouts:
    """Of the services that have a plan, as far as they are `known`."""

    def __init__(self, policy: Policy) -> None:
        now = time.time()
        self.states = {
            each.name: begin(each.name, each.rollout, (), now) for each in policy.services if each.rollout is not None
        }
        self.watches = Watches()
        self.by_hand = ManualFreezes()
        self.commands: list[Command] = []
        self.known = asyncio.Event()
        self.known.set()
        self.journal = Journal()

    def view(self, service: str, now: float) -> View | None:
        state = self.states.get(service) if self.known.is_set() else None
        if state is None:
            return None
        return View(state, self._facts(now), self.watches.held(service, now, state.plan.watch_ttl))

    def apply(self) -> None:
        """Nothing is driven."""

    def figures(self) -> dict[str, RolloutFigures]:
        return {name: figures(state, 0.0) for name, state in self.states.items()}

    def freezes(self, now: float) -> tuple[ManualFreeze, ...]:
        return self.by_hand.standing(now)

    async def command(self, service: str, command: Command) -> State | Refusal:
        self.commands.append(command)
        if service not in self.states:
            return Refusal(f"there is no rollout of the service {service!r}")
        answer = obey(self.states[service], command, self._facts(command.at))
        if isinstance(answer, Refusal):
            return answer
        state = self.states[service] = replace(answer[0], progress=replace(answer[0].progress, applied=True))
        return state

    async def watch(self, service: str, command: Watching) -> Watch | Refusal | None:
        answer = self.watches.obey(service, command, self.states[service].plan.watch_ttl)
        return answer if isinstance(answer, Refusal) else answer[0]

    async def freeze(self, command: FreezeCommand) -> ManualFreeze | Refusal:
        answer = self.by_hand.obey(command)
        return answer if isinstance(answer, Refusal) else answer[0]

    def _facts(self, now: float) -> Facts:
        return Facts(now, identity={"candidate": "v2"}, freezes=self.by_hand.standing(now))


def with_rollout(policy: Policy, *names: str) -> Policy:
    """`policy` with a plan for these services, and a freeze."""
    services = tuple(replace(each, rollout=PLAN) if each.name in names else each for each in policy.services)
    return replace(policy, services=services, freeze=(WEEKEND,))


FLAGS = {
    "flags": {
        "new-checkout": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"},
        "size": {"state": "ENABLED", "variants": {"s": 1, "l": 2}, "defaultVariant": "s"},
    }
}


def with_flags(policy: Policy, directory: Path) -> Policy:
    """With a flags section whose file is in `directory`."""
    file = directory / "flags.json"
    file.write_text(json.dumps(FLAGS))
    return replace(policy, flags=FlagsPolicy(str(file)))
