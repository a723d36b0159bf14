"""Plans, facts and commands for the tests of rollouts, and a driver that feeds them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from shadowproxy.model.rollout import Bake, Plan, Stage
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.commands import obey
from shadowproxy.rollout.facts import Facts, PairCounts, RouteCounts
from shadowproxy.rollout.step import step
from shadowproxy.rollout.values import Command, Entry, Refusal, State

NOW = 1_763_000_000.0
BAKE = Bake(seconds=20.0, requests=100)

MIRROR = Stage("mirror", "shadow", bake=BAKE, sample=1.0)
GO = Stage("go", "approve")
FIRST = Stage("first", "canary", bake=BAKE, weights=(0.05,))
RAMP = Stage("ramp", "progressive", bake=BAKE, weights=(0.25, 0.5, 1.0), holdback=0.02)
SOAK = Stage("soak", "soak", bake=Bake(seconds=30.0))


def plan(*stages: Stage, **more: Any) -> Plan:
    return Plan(name="checkout-v2", stages=stages or (MIRROR, FIRST, RAMP), **more)


def facts(at: float = NOW, **more: Any) -> Facts:
    """A second of a healthy service: 100 requests for each arm, all of them mirrored as well."""
    said: dict[str, Any] = {
        "elapsed": 1.0,
        "routes": (RouteCounts("item", requests=(100, 100)),),
        "pairs": (PairCounts("item", neither=100),),
        "compared": 100,
        "identity": {"primary": "v1", "candidate": "v2"},
        **more,
    }
    return Facts(at, **said)


class Run:
    """A rollout whose seconds pass when it is told to."""

    def __init__(self, *stages: Stage, **more: Any) -> None:
        self.state: State = begin("shop", plan(*stages, **more), (), NOW)
        self.entries: list[Entry] = []

    @property
    def actions(self) -> list[str]:
        return [entry.action for entry in self.entries]

    @property
    def held(self) -> set[str]:
        return {hold.reason for hold in self.state.holds}

    def tick(self, seconds: int = 1, **more: Any) -> State:
        for _ in range(seconds):
            self.state, entries = step(self.state, facts(self.state.at + 1.0, **more))
            self.entries += entries
        return self.state

    def do(self, action: str, who: str = "ana", *, given: Facts | None = None, **more: Any) -> State:
        """A command that is obeyed."""
        answer = self.ask(action, who, given=given, **more)
        assert not isinstance(answer, Refusal), answer.why
        self.state, entries = answer
        self.entries += entries
        return self.state

    def refused(self, action: str, who: str = "ana", *, given: Facts | None = None, **more: Any) -> str:
        """Why a command is not obeyed."""
        answer = self.ask(action, who, given=given, **more)
        assert isinstance(answer, Refusal)
        return answer.why

    def ask(self, action: str, who: str, *, given: Facts | None, **more: Any) -> Any:
        command = Command(action, who, more.pop("reason", "because"), self.state.at, **more)
        return obey(self.state, command, given or facts(self.state.at))

    def until(self, phase: str = "", part: int = -1, most: int = 1000, **more: Any) -> int:
        """Healthy seconds until it is there; how many it took."""
        for passed in range(most):
            if self.state.phase == phase or self.state.step == part:
                return passed
            self.tick(**more)
        raise AssertionError(self.state.why)

    def put(self, **fields: Any) -> None:
        self.state = replace(self.state, **fields)
