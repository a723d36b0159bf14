"""A rollout's states, facts and entries, for tests of where they are kept."""

from __future__ import annotations

from typing import Any

import msgspec

from shadowproxy.model.rollout import CANARY, RUNNING, Plan, Stage
from shadowproxy.rollout.facts import Facts, RouteCounts
from shadowproxy.rollout.ledger import Histograms, Ledger
from shadowproxy.rollout.logged import Ordered
from shadowproxy.rollout.values import CheckResult, Command, Entry, State
from shadowproxy.store.rollouts import RolloutStore

PLAN = Plan("checkout-v2", (Stage("first users", CANARY, weights=(0.05,)),))
LEDGER = Ledger("checkout:1", latency=Histograms({3: 5, 1: 2}, {2: 1}))
START = State("checkout", PLAN, at=1000.0, ledger=LEDGER)


def state(at: float, **changes: Any) -> State:
    results = (CheckResult("errors", "error_rate", "enforce", "inconclusive", log_e=float("-inf")),)
    return msgspec.structs.replace(START, phase=RUNNING, at=at, results=results, **changes)


def facts(at: float) -> Facts:
    return Facts(at, 1.0, routes=(RouteCounts("item", (40, int(at) % 7), (1, 0)),), latency=({3: 40}, {}))


def entry(at: float, action: str = "held", by: str = "shadowproxy", **what: Any) -> Entry:
    return Entry(action, at, by, f"because it is {at:g}", what)


def command(at: float, action: str = "pause") -> Ordered:
    return Ordered(Command(action, "ann", "lunch", at), facts(at))


def fill(store: RolloutStore, ticks: int = 6, service: str = "checkout", attempt: int = 1, at: float = 1000.0) -> None:
    """An attempt: its beginning, ticks, an entry at every third of them, and a command."""
    first = msgspec.structs.replace(START, service=service, attempt=attempt, at=at)
    store.commit(first, None, [entry(at, "started", "ann")], policy="f00d")
    for tick in range(1, ticks + 1):
        entries = [entry(at + tick, weight=0.05, checks=["a", "b"])] if tick % 3 == 0 else []
        store.commit(state(at + tick, service=service, attempt=attempt), facts(at + tick), entries)
    last = at + ticks + 0.5
    store.commit(state(last, service=service, attempt=attempt), command(last), [entry(last, "paused", "ann")])
