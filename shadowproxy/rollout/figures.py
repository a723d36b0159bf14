"""A rollout in numbers, for metrics. Pure."""

from __future__ import annotations

from math import log

from shadowproxy.model.rollout import PENDING, PROMOTED
from shadowproxy.model.totals import RolloutFigures
from shadowproxy.rollout.steps import present
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import CheckResult, State


def figures(state: State, now: float) -> RolloutFigures:
    """`now` is Unix time."""
    part = present(state)
    split = traffic(state)
    progress, bake = state.progress, part.bake
    baked = {"time": (progress.baked, bake.seconds), "requests": (progress.requests, bake.requests)}
    return RolloutFigures(
        name=state.plan.name,
        phase=state.phase,
        stage=0 if state.phase == PENDING else part.stage + 1,
        weight=state.weight,
        holds=tuple(hold.reason for hold in state.holds),
        evidence={each.name: _over(each) for each in state.results if each.needed > 0.0},
        seconds=progress.spent,
        baked={what: min(1.0, done / needed) for what, (done, needed) in baked.items() if needed},
        settled=state.phase != PROMOTED,
        overridden=state.override > now,
        flags={each.flag: each.weight for each in split.flags} if split is not None else {},
    )


def _over(result: CheckResult) -> float:
    """Evidence of harm over its threshold, as a logarithm to base 10."""
    return (result.log_e - result.needed) / log(10.0)
