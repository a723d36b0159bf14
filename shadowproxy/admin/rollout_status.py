"""What the API says of a rollout, from what control knows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadowproxy.admin.rollout_values import (
    COMING,
    NOW,
    OVER,
    STOPPED,
    BakeStatus,
    FlagShare,
    FreezeStatus,
    RolloutStatus,
    StepStatus,
    WatchStatus,
    Where,
)
from shadowproxy.model.flags import Overlay
from shadowproxy.model.rollout import APPROVE, INCONCLUSIVE, PENDING, PROMOTED, RUNNING, FreezeWindow, Plan
from shadowproxy.rollout.bake import KEPT, lacks, lately, window
from shadowproxy.rollout.explaining import coming
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.flagged import carried
from shadowproxy.rollout.freeze import is_active, turn_of
from shadowproxy.rollout.holds import FAILED, held_by, lacking
from shadowproxy.rollout.projecting import Freezes, Projected, project, project_on
from shadowproxy.rollout.steps import present, steps, tested_share
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import State, View, Watch

_HERE: Final[dict[str, Where]] = {RUNNING: NOW, PENDING: COMING, PROMOTED: OVER}
"""By phase, what the step is at which the attempt is."""


def rollout_status(view: View, now: float) -> RolloutStatus:
    """`now` is Unix time."""
    state, plan = view.state, view.state.plan
    row = steps(plan)
    is_pending = state.phase == PENDING
    projected = _projected(view, now)
    return RolloutStatus(
        service=state.service,
        name=plan.name,
        attempt=state.attempt,
        phase=state.phase,
        stage="" if is_pending else plan.stages[row[state.step].stage].name,
        weight=state.weight,
        holds=list(state.holds),
        why=state.why,
        at=now,
        strategy=plan.strategy,
        change_class=plan.change_class,
        plan=plan.hash,
        pending_plan=state.pending_plan.hash if state.pending_plan else "",
        identity=view.facts.identity if is_pending and view.facts else state.identity,
        steps=list(_steps(state, projected)),
        bake=_bake(state),
        checks=list(state.results),
        watch=watch_status(plan, view.watch),
        missing=list(_missing(state)),
        flags=_flags(state),
        stages=[stage.name for stage in plan.stages],
        next=_next(state),
        finish_at=projected[-1].ends if projected else None,
        finish_why=projected[-1].why if projected else "",
        override_until=state.override if state.override > now else None,
        started_at=state.started_at or None,
        ended_at=state.ended_at or None,
        settled=state.phase != PROMOTED,
        fault=view.fault,
        earlier=list(state.earlier),
    )


def watch_status(plan: Plan, watch: Watch | None) -> WatchStatus:
    status = WatchStatus(plan.supervise == "required", plan.watch_ttl)
    if watch is None:
        return status
    return WatchStatus(status.required, status.ttl, watch.holder, watch.since, watch.until)


def window_status(window: FreezeWindow, now: float) -> FreezeStatus:
    is_on = is_active(window, now)
    turn = turn_of(window, now)
    return FreezeStatus(
        name=window.name,
        source="configuration",
        kind=window.kind,
        active=is_on,
        begins_at=None if is_on else turn,
        ends_at=turn if is_on else None,
        classes=list(window.classes),
        services=list(window.services),
        in_flight=window.in_flight,
        reason=window.reason,
    )


def freeze_status(freeze: ManualFreeze, ended_at: float | None = None) -> FreezeStatus:
    """One that stands, or that somebody has just ended."""
    return FreezeStatus(
        name=freeze.id,
        source="manual",
        kind="deny",
        active=ended_at is None,
        begins_at=freeze.since,
        ends_at=ended_at or freeze.until,
        classes=list(freeze.classes),
        services=list(freeze.services),
        in_flight=freeze.in_flight,
        reason=freeze.reason,
        id=freeze.id,
        by=freeze.who,
    )


def _projected(view: View, now: float) -> tuple[Projected, ...]:
    """The parts from the present one on; nothing of an attempt that is over."""
    state = view.state
    manual = view.facts.freezes if view.facts else ()
    freezes = Freezes(state.windows, manual, state.service, state.plan.change_class, state.override)
    if state.phase == PENDING:
        return project(state.plan, freezes, now) if state.is_configured else ()
    goes_on = state.phase == RUNNING and not held_by(state, FAILED)
    return project_on(state, freezes, _rate(state)) if goes_on else ()


def _rate(state: State) -> float | None:
    """Requests/s of users in the last minute, from those of the arm under test; None: nobody can say."""
    seen = lately(state.progress.recent, KEPT)
    part = present(state)
    share = tested_share(part)
    is_seen = seen.tested > 0 or seen.seconds >= window(part.bake)  # a part that has just begun has seen nobody
    return seen.tested / seen.seconds / share if is_seen and share else None


def _steps(state: State, projected: tuple[Projected, ...]) -> Iterator[StepStatus]:
    ends = {(one.step.stage, one.step.part): one.ends for one in projected}
    here = _HERE.get(state.phase, STOPPED)
    for index, step in enumerate(steps(state.plan)):
        yield StepStatus(
            stage=step.name,
            kind=step.kind,
            weight=step.weight,
            chosen=bool(step.chosen),
            bake_seconds=step.bake.seconds,
            bake_requests=step.bake.requests,
            ends_at=ends.get((step.stage, step.part)),
            state=here if index == state.step else OVER if index < state.step else COMING,
            flag=None if step.overlay is None else _share(step.overlay),
        )


def _share(overlay: Overlay) -> FlagShare:
    return FlagShare(overlay.flag, overlay.variant, overlay.weight)


def _flags(state: State) -> list[FlagShare]:
    """What is laid over flags now."""
    split = traffic(state)
    return [_share(each) for each in split.flags] if split is not None else []


def _bake(state: State) -> BakeStatus | None:
    """Of an attempt that runs."""
    if state.phase != RUNNING:
        return None
    progress, bake = state.progress, present(state).bake
    return BakeStatus(
        entered_at=progress.entered_at,
        seconds=progress.baked,
        needed_seconds=bake.seconds,
        requests=progress.requests,
        needed_requests=bake.requests,
        warmup=max(0.0, state.plan.warmup - progress.warm),
    )


def _missing(state: State) -> Iterator[str]:
    """What the present part still needs by itself; the checks say why they lack data."""
    part = present(state)
    if state.phase == RUNNING and part.kind != APPROVE and not held_by(state, FAILED):
        yield from lacks(state.progress, state.plan, part.bake)
        for check in lacking(state, part):
            if check.verdict == INCONCLUSIVE:
                yield f"more data for {check.name}"


def _next(state: State) -> str:
    if state.phase == RUNNING:
        return coming(state, steps(state.plan))
    if state.phase == PENDING:
        return "`start` begins it" if state.is_configured else "nothing: the configuration has no rollout any more"
    if state.phase == PROMOTED:
        if state.plan.is_of_flags:
            return f"make {carried(present(state))} what the flags give by themselves; until then `rollback` goes back"
        return "make the promoted version the configuration's primary; until then `rollback` goes back"
    return f"`retry` starts attempt {state.attempt + 1}"
