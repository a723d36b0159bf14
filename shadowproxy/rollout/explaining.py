"""Why a rollout is where it is, in sentences: where, why, who holds it, what is missing, what comes next. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from shadowproxy.model.rollout import ABORTED, APPROVE, FAIL, PASS, PENDING, PROMOTED, ROLLED_BACK, RUNNING, Step
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.rollout import bake
from shadowproxy.rollout.flagged import carried
from shadowproxy.rollout.freeze import next_change
from shadowproxy.rollout.holds import FAILED, LACKING, enforced, held_by, is_overridden, lacking
from shadowproxy.rollout.phrases import moment, percent, span
from shadowproxy.rollout.steps import present, steps
from shadowproxy.rollout.values import PRODUCT, State


def explain(state: State, now: float) -> list[str]:
    """Sentences for people, the most important first."""
    lines = [*_where(state), *_why(state)]
    if state.phase == RUNNING:
        row = steps(state.plan)
        part = row[state.step]
        lines += [*_holds(state, now), *_checks(state), *_missing(state, part), f"Next: {coming(state, row)}."]
    return [*lines, *_beside(state, now)]


def _where(state: State) -> Iterator[str]:
    name, attempt = state.plan.name, state.attempt
    if state.phase == PENDING:
        yield f"{name} waits to be started; all users are with the primary."
    elif state.phase == RUNNING:
        row = steps(state.plan)
        yield (
            f"Attempt {attempt} of {name} is in {row[state.step].name}, part {state.step + 1} of {len(row)}, "
            f"since {moment(state.progress.entered_at)}: {_users(state.weight, row[state.step])}."
        )
    elif state.phase == PROMOTED:
        last = present(state)
        who = f"everybody has {carried(last)}" if state.plan.is_of_flags else "all users are the candidate's"
        yield f"Attempt {attempt} of {name} was promoted at {moment(state.ended_at)}: {who}."
    else:
        ended = {ROLLED_BACK: "rolled back", ABORTED: "aborted"}[state.phase]
        yield f"Attempt {attempt} of {name} was {ended} at {moment(state.ended_at)}; all users are with the primary."


def _users(weight: float, part: Step) -> str:
    flags = " and ".join(f"{percent(each.weight)} have {each.flag}={each.variant}" for each in part.flags)
    if flags and not (weight or part.chosen):
        return flags
    users = _arms(weight, part)
    return f"{users}, {flags}" if flags else users


def _arms(weight: float, part: Step) -> str:
    chosen = "chosen users" if part.chosen and weight == part.weight else ""
    if not weight:
        return f"only {chosen} are the candidate's" if chosen else "no user is the candidate's"
    return f"{percent(weight)} of the users{f' and {chosen}' if chosen else ''} are the candidate's"


def _why(state: State) -> Iterator[str]:
    told_below = state.phase == RUNNING and state.holds and state.why.startswith("held: ")
    if state.why and not told_below and not held_by(state, FAILED):
        yield f"Newest: {state.why}."


def _holds(state: State, now: float) -> Iterator[str]:
    if not state.holds:
        yield "Nothing holds it."
    for hold in state.holds:
        by = "" if hold.by == PRODUCT else f" by {hold.by}"
        yield f"Held ({hold.reason}){by} for {span(max(now - hold.since, 0.0))}: {hold.detail}."


def _checks(state: State) -> Iterator[str]:
    for result in enforced(state):
        if result.verdict == FAIL and not any(result.words in hold.detail for hold in state.holds):
            yield f"{result.name} fails: {result.words}."


def _missing(state: State, part: Step) -> Iterator[str]:
    if part.kind == APPROVE or held_by(state, FAILED):
        return
    needs = list(bake.lacks(state.progress, state.plan, part.bake))
    if not held_by(state, LACKING):  # that says it
        needs += [f"{one.name} ({one.words})" for one in lacking(state, part) if one.verdict not in (PASS, FAIL)]
        needs = needs or ["nothing"]
    if needs:
        yield f"Still missing: {'; '.join(needs)}."


def coming(state: State, row: tuple[Step, ...]) -> str:
    """What comes after the present part."""
    if held_by(state, FAILED):
        return f"`retry` starts attempt {state.attempt + 1}, `rollback` and `abort` end this one"
    if state.step + 1 == len(row):
        who = f"everybody has {carried(row[-1])}" if state.plan.is_of_flags else "all users are the candidate's"
        return f"promotion, {who}"
    step = row[state.step + 1]
    if step.kind == APPROVE:
        return f"{step.name}, which waits for an approval"
    return f"{step.name}, {_users(step.weight, step)}"


def _beside(state: State, now: float) -> Iterator[str]:
    """What else somebody on call wants to know."""
    if state.phase == PROMOTED and (carries := carried(present(state))):
        yield (
            f"The promotion is not in the flags file: make {carries} what everybody has there, or have it so by "
            "`shadowproxy flags set`; until then `rollback` goes back."
        )
    if state.phase == PROMOTED and not state.plan.is_of_flags:
        yield (
            "The promotion is not in the configuration: its primary is still the old version. Make "
            f"{state.identity.get(CANDIDATE) or 'the promoted version'} the primary; until then `rollback` goes back."
        )
    if not state.is_configured:
        yield "The configuration has no rollout for this service any more."
    if state.pending_plan:
        yield f"A changed plan ({state.pending_plan.hash}) waits for the next attempt; this one runs {state.plan.hash}."
    if is_overridden(state, now):
        yield f"Freezes do not hold it until {moment(state.override)}: they are overridden."
    elif (change := next_change(state.windows, (), state.service, state.plan.change_class, now)) is not None:
        yield f"A freeze begins or ends at {moment(change)}."
    if state.phase in (ROLLED_BACK, ABORTED):
        yield f"`retry` starts attempt {state.attempt + 1}."
