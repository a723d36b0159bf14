"""What an attempt is made of: how it begins, enters its parts and ends, and the entries that say so. Pure.

These functions change a state and know nothing of why. `step` and `obey` decide; the audit is written from `entry`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace

from shadowproxy.model.rollout import APPROVE, PENDING, RUNNING, Event, FreezeWindow, Plan
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.rollout import table
from shadowproxy.rollout.steps import present, steps
from shadowproxy.rollout.values import PRODUCT, Attempt, Decision, Entry, Progress, State

MAX_EARLIER: Final = 50
"""Earlier attempts that a state carries; the audit has all of them."""


def begin(service: str, plan: Plan, windows: tuple[FreezeWindow, ...], at: float) -> State:
    """The state of a service that has none: its plan waits to be started."""
    return State(service=service, plan=plan, windows=windows, at=at, why="waits to be started")


def reload(state: State, plan: Plan | None, windows: tuple[FreezeWindow, ...], at: float) -> Decision:
    """The state after the configuration was read again. `plan` None: it has none for the service any more.

    Freezes are those of now at once. The plan of an attempt stays as it is; another one waits, shown as pending. What
    has not started takes the new plan, and what is back at the primary makes room for a rollout of another name.
    """
    before = replace(state, at=at)
    state = replace(before, windows=windows)
    entries: tuple[Entry, ...] = ()
    if windows != before.windows:
        names = [window.name for window in windows]
        entries = (
            entry("freezes_changed", before, state, PRODUCT, "the configuration has other freezes", names=names),
        )
    after, changed = _planned(replace(state, is_configured=plan is not None), plan, state.is_configured)
    return after, (*entries, *changed)


def _planned(state: State, plan: Plan | None, was_configured: bool) -> Decision:
    if plan is None:
        if not was_configured:
            return state, ()
        why = "the configuration has no rollout for this service any more; it stays as it is"
        after = replace(state, why=why) if state.phase == RUNNING else state  # of what is over it stays why it ended
        return after, (entry("plan_removed", state, after, PRODUCT, why),)
    if plan == (state.pending_plan or state.plan):
        return state, ()
    if plan == state.plan:
        after = replace(state, pending_plan=None)
        why = "the configuration has the plan of this attempt again"
        return after, (entry("plan_pending", state, after, PRODUCT, why, pending=None),)
    if state.phase == PENDING or (table.allows(state.phase, table.REPLACE) and plan.name != state.plan.name):
        after = waiting(state, table.REPLACE, plan, f"{plan.name} waits to be started")
        return after, (entry("plan_replaced", state, after, PRODUCT, after.why, replaced=state.plan.hash),)
    why = f"the configuration has another plan; attempt {state.attempt} keeps its own, the next one takes it"
    after = replace(state, pending_plan=plan)
    return after, (entry("plan_pending", state, after, PRODUCT, why, pending=plan.hash),)


def entry(action: Event, before: State, after: State, by: str, why: str, **more: Any) -> Entry:
    """One decision with what it was decided from: the part, the weights, how far it was and what the checks said."""
    what = {
        "rollout": after.plan.name,
        "attempt": after.attempt,
        "plan": after.plan.hash,
        "phase": [before.phase, after.phase],
        "step": [_name(before), _name(after)],
        "weight": [before.weight, after.weight],
        "baked": before.progress.baked,
        "requests": before.progress.requests,
        "identity": after.identity,
        "results": msgspec.to_builtins(before.results),
        **more,
    }
    return Entry(action, after.at, by, why, what)


def _name(state: State) -> str:
    return present(state).name


def known(identity: dict[str, str]) -> dict[str, str]:
    """The versions of the two arms, where they are known."""
    return {arm: identity[arm] for arm in (PRIMARY, CANDIDATE) if identity.get(arm)}


def started(state: State, trigger: str, index: int, identity: dict[str, str], why: str) -> State:
    """A new attempt at the step of this index. One that had begun is kept among the earlier ones.

    A new version warms up whatever its weight. What somebody starts has had copies before.
    """
    plan = state.pending_plan or state.plan
    return _entering(
        replace(
            state,
            plan=plan,
            pending_plan=None,
            phase=table.moved(state.phase, trigger),
            identity={**state.identity, **known(identity)},
            ledger=None,
            results=(),
            harm="",
            approved="",
            holds=(),
            weight=0.0,
            progress=Progress(warm=0.0 if trigger == table.NEW_VERSION else plan.warmup),
            started_at=state.at,
            ended_at=0.0,
            why=why,
            **_shelved(state),
        ),
        index,
    )


def waiting(state: State, trigger: str, plan: Plan, why: str) -> State:
    """The next rollout, not started yet."""
    return replace(
        begin(state.service, plan, state.windows, state.at),
        phase=table.moved(state.phase, trigger),
        epoch=state.epoch,
        identity=state.identity,
        is_configured=state.is_configured,
        recalled=state.recalled,
        why=why,
        **_shelved(state),
    )


def advanced(state: State, why: str) -> State:
    """The next part of the plan, or promotion after the last."""
    if state.step + 1 == len(steps(state.plan)):
        return finished(state, why)
    state = replace(state, phase=table.moved(state.phase, table.ADVANCE), why=why)
    return _entering(state, state.step + 1)


def finished(state: State, why: str) -> State:
    """All users are the candidate's, for good; of a plan of flags, everybody has their variants."""
    last = len(steps(state.plan)) - 1
    return replace(ended(state, table.FINISH, why), step=last, weight=0.0 if state.plan.is_of_flags else 1.0)


def ended(state: State, trigger: str, why: str) -> State:
    """The attempt is over and all users are with the primary."""
    phase = table.moved(state.phase, trigger)
    return replace(state, phase=phase, weight=0.0, holds=(), ended_at=state.at, why=why)


def _shelved(state: State) -> dict[str, Any]:
    """What becomes of `attempt` and `earlier` when another attempt follows."""
    if not state.started_at and not state.ended_at:
        return {"attempt": state.attempt, "earlier": state.earlier}
    over = Attempt(
        number=state.attempt,
        plan=state.plan.hash,
        phase=state.phase,
        started_at=state.started_at,
        ended_at=state.ended_at or state.at,
        identity=state.identity,
        why=state.why,
    )
    return {"attempt": state.attempt + 1, "earlier": (*state.earlier, over)[-MAX_EARLIER:]}


def _entering(state: State, index: int) -> State:
    """At the begin of a part. Its evidence will begin anew, except where it is an approval: that changes nothing."""
    row = steps(state.plan)
    step = row[index]
    is_raised = step.weight > state.weight or (index > 0 and step.flags != row[index - 1].flags)
    before = state.progress
    goes_on = step.kind == APPROVE
    return replace(
        state,
        step=index,
        weight=step.weight,
        approved="" if step.kind == APPROVE else state.approved,
        progress=Progress(
            entered_at=state.at,
            warm=0.0 if is_raised else before.warm,
            epoch=before.epoch if goes_on else 0.0,
            begun=goes_on and before.begun,
        ),
    )
