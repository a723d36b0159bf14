"""What a state means for traffic. Pure."""

from __future__ import annotations

from shadowproxy.model.rollout import PENDING, PROMOTED, RUNNING, Split
from shadowproxy.rollout.holds import FAILED, held_by
from shadowproxy.rollout.steps import steps
from shadowproxy.rollout.values import State


def traffic(state: State) -> Split | None:
    """What the data plane is to do now. None: all users are the primary's, and mirrors do as they are configured.

    The weight of a running attempt is leased, that of a promotion is not. `recalled` is the newest recall that was
    seen: the data plane obeys a weight again only from who knows that it had sent all users back.
    """
    plan = state.plan
    if state.phase not in (RUNNING, PROMOTED):
        is_told = state.phase == PENDING or not state.recalled
        return None if is_told else Split(plan.name, state.attempt, leased=False, recalled=state.recalled)
    step = steps(plan)[state.step]
    sends = state.phase == RUNNING and not held_by(state, FAILED)
    return Split(
        rollout=plan.name,
        attempt=state.attempt,
        weight=state.weight,
        leased=state.phase == RUNNING,
        sticky=plan.sticky,
        chosen=step.chosen if sends else (),
        sample=step.sample,
        failures=plan.failures,
        excluded=plan.excluded,
        recalled=state.recalled,
        flags=step.flags if sends or state.phase == PROMOTED else (),
        testing=step.testing if sends else "",
    )
