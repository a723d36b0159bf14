"""Logs of rollouts as a store keeps them, made by the functions that decide."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from shadowproxy.model.rollout import CHECK_KINDS, Check, Plan
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.chain import canonical, digest
from shadowproxy.rollout.facts import Answer, FieldsFact, GateAnswer, KeyCounts, ManualFreeze, PairCounts, RouteCounts
from shadowproxy.rollout.logged import Cause, Logged, Ordered, Reload, decode, encode
from shadowproxy.rollout.replaying import derived
from shadowproxy.rollout.values import Command, Entry, Refusal, State
from tests.rollout import plans
from tests.rollout.plans import FIRST, GO, MIRROR, NOW, RAMP, SOAK

CHECKS = (
    *(Check(kind, kind, max_relative=0.1, max_absolute=0.001) for kind in CHECK_KINDS),
    Check("memory", "promql", promql="rss", against="primary", max_slope=0.001, max=2.0),
    Check("gate", "webhook", url="http://gate"),
)
PLAN = plans.plan(MIRROR, GO, FIRST, RAMP, SOAK, warmup=2.0, checks=CHECKS)
"""Every kind of check and of part."""


class Log:
    """What happened to one rollout, from its beginning."""

    def __init__(self, plan: Plan) -> None:
        self.state = begin("shop", plan, (), NOW)
        self.items: list[Logged] = []
        self.keep(self.state)

    def keep(self, cause: Cause) -> None:
        outcome = derived(self.state, cause)
        if isinstance(outcome, Refusal):
            return
        self.state, entries = outcome
        kept = tuple(msgspec.json.decode(msgspec.json.encode(each), type=Entry) for each in entries)
        read = decode(*encode(cause))
        self.items.append(Logged(len(self.items) + 1, cause.at, read, digest(canonical(self.state)), kept))

    def tick(self, seconds: int = 1, **more: Any) -> None:
        for _ in range(seconds):
            self.keep(plans.facts(self.state.at + 1.0, **more))

    def order(self, action: str, **more: Any) -> None:
        at = self.state.at + 0.25
        self.keep(Ordered(Command(action, "ana", "because", at, **more), plans.facts(at)))

    def restart(self) -> None:
        """The state goes on as it was kept."""
        self.state = msgspec.msgpack.decode(canonical(self.state), type=State)


def _counts(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, most), st.integers(0, most))


_VALUES = st.sampled_from([1.0, 1.5, float("nan")])
_SERIES = st.lists(_VALUES, max_size=3).map(lambda values: tuple((NOW + 60.0 * i, v) for i, v in enumerate(values)))
_FREEZE = ManualFreeze("f1", "bob", "the big day", NOW)
FACTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "elapsed": st.sampled_from([0.0, 0.5, 1, 3.0, 100.0]),
        "applied": st.booleans(),
        "routes": st.tuples(st.builds(RouteCounts, st.just("item"), _counts(200), _counts(60), _counts(5))),
        "keys": st.builds(KeyCounts, _counts(50), _counts(9), _counts(3)),
        "pairs": st.tuples(st.builds(PairCounts, st.just("item"), *[st.integers(0, 40)] * 4, st.just({"p99": (3, 2)}))),
        "fields": st.builds(FieldsFact, st.floats(-5, 30), st.sampled_from([(), ("$.price",)]), st.integers(0, 90)),
        "answers": st.dictionaries(
            st.just("memory"), st.builds(Answer, _SERIES, _SERIES, st.sampled_from(["", "late"]))
        ),
        "gates": st.dictionaries(
            st.just("gate"), st.builds(GateAnswer, st.just(NOW), st.sampled_from(["pass", "fail"]))
        ),
        "chosen": _counts(5),
        "latency": st.tuples(*[st.dictionaries(st.integers(40, 60), st.integers(1, 9), max_size=3)] * 2),
        "identity": st.sampled_from([{}, {"primary": "v1", "candidate": "v3"}, {"primary": "v1b", "candidate": "v2"}]),
        "healthy": st.sampled_from([{"primary": False, "candidate": True}, {"primary": True, "candidate": False}]),
        "store": st.booleans(),
        "watch": st.sampled_from(["", "ana"]),
        "freezes": st.sampled_from([(), (_FREEZE,)]),
        "recalled": st.sampled_from([0.0, NOW + 5.0]),
        "settled": st.booleans(),
        "candidate": st.sampled_from(["another", "gone"]),
    },
)
ACTIONS = st.sampled_from(["start", "approve", "pause", "resume", "promote", "abort", "rollback", "retry"])


@st.composite
def logs(draw: st.DrawFn, plan: Plan) -> Log:
    """A log in which anything may happen, and control may die at any time."""
    log = Log(plan)
    log.order("start")
    for kind in draw(
        st.lists(st.sampled_from(["healthy", "facts", "command", "reload", "restart", "again"]), max_size=25)
    ):
        if kind == "healthy":
            log.tick(draw(st.integers(1, 30)))
        elif kind == "facts":
            log.tick(**draw(FACTS))
        elif kind == "command":
            log.order(draw(ACTIONS), full=draw(st.booleans()))
        elif kind == "reload":
            other = draw(st.sampled_from([None, plan, msgspec.structs.replace(plan, warmup=5.0)]))
            log.keep(Reload(log.state.at + draw(st.sampled_from([-50.0, 0.5])), other))
        elif kind == "restart":
            log.restart()
        else:
            log.keep(log.state)
    return log


def promoted(plan: Plan) -> Log:
    log = Log(plan)
    log.order("start")
    log.tick(200)
    assert log.state.phase == "promoted"
    return log
