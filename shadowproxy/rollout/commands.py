"""What a person asks of a rollout: done, or refused with one sentence that says why and what would be possible. Pure.

Asking for what is so already changes nothing and is no mistake: no entries come back. Going back (abort, rollback) is
refused only where all users are with the primary already, or where the attempt is another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import ABORTED, APPROVE, BACK, PENDING, PROMOTED, ROLLED_BACK, RUNNING
from shadowproxy.rollout import attempts, holds, table
from shadowproxy.rollout.attempts import entry
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.freeze import Blocking
from shadowproxy.rollout.phrases import moment
from shadowproxy.rollout.step import next_words
from shadowproxy.rollout.steps import first_of, present, steps
from shadowproxy.rollout.values import Command, Decision, Refusal, State

Answer = Decision | Refusal
UNWRITABLE: Final = Refusal("the audit cannot be written: nothing can be started or promoted; going back is possible")


def obey(state: State, command: Command, facts: Facts) -> Answer:
    """The state after a command, or why not. `facts` are the newest; their counts are not looked at."""
    does = _COMMANDS.get(command.action)
    if does is None:
        return Refusal(f"there is no command {command.action!r}; there are {', '.join(_COMMANDS)}")
    if command.attempt is not None and command.attempt != state.attempt:
        return Refusal(_other_attempt(state, command.attempt))
    state = replace(state, at=command.at)
    if command.action in BACK:
        return does(state, command, facts)
    allowed = _overridden(state, command, replace(facts, at=command.at))
    if isinstance(allowed, Refusal):
        return allowed
    answer = does(allowed, command, replace(facts, at=command.at))
    if isinstance(answer, Refusal) or allowed.override == state.override:
        return answer
    why = f"freezes do not hold it until {moment(allowed.override)}: {command.reason}"
    return answer[0], (entry("overridden", state, allowed, command.who, why), *answer[1])


def _other_attempt(state: State, asked: int) -> str:
    if asked > state.attempt:
        return f"there is no attempt {asked} yet: the present one is {state.attempt}"
    since = f" since {moment(state.started_at)}" if state.started_at else ""
    return f"attempt {asked} is over; {state.attempt} is {_phase(state)}{since}"


def _overridden(state: State, command: Command, facts: Facts) -> State | Refusal:
    """`state` in which freezes hold for nothing, if that was asked for and may be."""
    if command.override is None:
        return state
    if not command.reason.strip():
        return Refusal("a freeze is overridden only with a reason")
    if not command.at < command.override <= command.at + holds.MAX_OVERRIDE:
        return Refusal("a freeze is overridden for at most 24 hours from now: say until when")
    freeze = holds.freeze_of(state, facts)
    if freeze and not freeze.may_override:
        return Refusal(f"{holds.frozen_words(freeze)}; it cannot be overridden")
    return replace(state, override=command.override)


def _unstartable(state: State, facts: Facts) -> Refusal | None:
    """What keeps anybody from starting an attempt now."""
    if not state.is_configured:
        return Refusal("the configuration has no rollout for this service any more")
    freeze = holds.freeze_of(state, facts)
    return _unwritable(facts) or (_frozen(freeze) if freeze else None)


def _frozen(freeze: Blocking) -> Refusal:
    how = "an override with a reason would do it" if freeze.may_override else "it cannot be overridden"
    return Refusal(f"{holds.frozen_words(freeze)}; {how}")


def _unwritable(facts: Facts) -> Refusal | None:
    return None if facts.store else UNWRITABLE


def _start(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase == RUNNING:
        return state, ()
    if state.phase != PENDING:
        return Refusal(f"attempt {state.attempt} is {_phase(state)}: {_POSSIBLE[state.phase]}")
    if refusal := _unstartable(state, facts):
        return refusal
    after = attempts.started(state, table.START, 0, facts.identity, "")
    after = replace(after, why=_because(f"started by {command.who}", command, next_words(after)))
    return after, (entry("started", state, after, command.who, after.why),)


def _because(what: str, command: Command, then: str = "") -> str:
    reason = f" ({command.reason})" if command.reason.strip() else ""
    return f"{what}{reason}" + (f"; {then}" if then else "")


def _phase(state: State) -> str:
    return state.phase.replace("_", " ")


_POSSIBLE: Final = {
    PENDING: "`start` begins it",
    RUNNING: "`pause`, `promote`, `abort` and `rollback` are possible",
    PROMOTED: "`rollback` goes back; the next rollout waits until the configuration has what was promoted",
    ROLLED_BACK: "`retry` starts the next attempt",
    ABORTED: "`retry` starts the next attempt",
}


def _not_running(state: State) -> Refusal:
    return Refusal(f"attempt {state.attempt} is {_phase(state)}, it does not run: {_POSSIBLE[state.phase]}")


def _approve(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase != RUNNING:
        return _not_running(state)
    row = steps(state.plan)
    part = row[state.step]
    before = row[state.step - 1] if state.step else None
    if state.approved and (part.kind == APPROVE or (before is not None and before.kind == APPROVE)):
        return (state, ()) if state.approved == command.who else Refusal(f"already approved by {state.approved}")
    if part.kind != APPROVE:
        later = next((one.name for one in row[state.step :] if one.kind == APPROVE), None)
        return Refusal(
            f"nothing waits for approval: it is in {part.name}" + (f", {later} is what will wait" if later else "")
        )
    after = replace(
        state,
        approved=command.who,
        holds=tuple(hold for hold in state.holds if hold.reason not in (holds.APPROVAL, holds.TIMEOUT)),
        why=_because(f"{part.name} was approved by {command.who}", command),
    )
    return after, (entry("approved", state, after, command.who, after.why),)


def _pause(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase != RUNNING:
        return _not_running(state)
    if holds.held_by(state, holds.OPERATOR):
        return state, ()
    why = _because(f"paused by {command.who}", command)
    after = replace(holds.placed(state, holds.OPERATOR, why, by=command.who), why=why)
    return after, (entry("paused", state, after, command.who, why),)


def _resume(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase != RUNNING:
        return _not_running(state)
    if holds.held_by(state, holds.FAILED):
        return Refusal("a failed check is not resumed: `retry` starts a new attempt, `rollback` ends this one")
    released = [hold.reason for hold in state.holds if hold.reason in holds.RESUMABLE]
    others = [hold for hold in state.holds if hold.reason not in holds.RESUMABLE]
    if not released:
        if not others or command.override is not None:
            return state, ()
        standing = "; ".join(f"{hold.reason}: {hold.detail}" for hold in others)
        return Refusal(f"nobody paused it; what holds it goes away by itself or by another command: {standing}")
    dismissed = {*state.progress.dismissed, *(holds.DISMISSABLE & set(released))}
    after = replace(
        state,
        holds=tuple(others),
        progress=replace(state.progress, dismissed=tuple(sorted(dismissed))),
        why=_because(f"{command.who} resumed it after {', '.join(released)}", command),
    )
    return after, (entry("resumed", state, after, command.who, after.why, reasons=released),)


def _promote(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase == PROMOTED:
        return state, ()
    if state.phase != RUNNING:
        return _not_running(state)
    failed = holds.held_by(state, holds.FAILED)
    if failed or holds.failing(state):
        what = failed.detail if failed else holds.said(holds.failing(state))
        return Refusal(f"not with a check that fails ({what}): `rollback` ends the attempt, `retry` starts another")
    if (paused := holds.held_by(state, holds.OPERATOR)) is not None:
        return Refusal(f"{paused.detail}, at {moment(paused.since)}: `resume` first")
    freeze = holds.freeze_of(state, facts)
    if refusal := _unwritable(facts) or (_frozen(freeze) if freeze and freeze.in_flight != "continue" else None):
        return refusal
    part = present(state).name
    if command.stage is not None and command.stage != part:
        return Refusal(f"it is in {part}, not in {command.stage}: {state.why}")
    if not command.full and not state.progress.applied:
        # Else whoever asks at the same time, or once more because no answer came, would pass over a part.
        return Refusal(f"{part} has only just begun, not every worker runs it yet: {state.why}")
    why = _because(f"promoted by {command.who}", command)
    after = attempts.finished(state, why) if command.full else attempts.advanced(state, why)
    after = replace(after, why=_because(f"promoted by {command.who}", command, next_words(after)))
    decided = entry(
        "promoted" if after.phase == PROMOTED else "advanced",
        state,
        after,
        command.who,
        after.why,
        manual=True,
        full=command.full,
    )
    return after, (decided,)


def _abort(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase in (ABORTED, ROLLED_BACK):
        return state, ()
    if not table.allows(state.phase, table.ABORT):
        return Refusal(f"attempt {state.attempt} is {_phase(state)}: {_POSSIBLE[state.phase]}")
    after = attempts.ended(state, table.ABORT, _because(f"aborted by {command.who}", command))
    return after, (entry("aborted", state, after, command.who, after.why),)


def _rollback(state: State, command: Command, facts: Facts) -> Answer:
    if state.phase in (ROLLED_BACK, ABORTED):
        return state, ()
    if not table.allows(state.phase, table.ROLLBACK):
        return Refusal("it has not started: all users are with the primary; `abort` keeps it from starting")
    after = attempts.ended(state, table.ROLLBACK, _because(f"rolled back by {command.who}", command))
    return after, (entry("rolled_back", state, after, command.who, after.why),)


def _retry(state: State, command: Command, facts: Facts) -> Answer:
    if not table.allows(state.phase, table.RETRY):
        return Refusal(f"attempt {state.attempt} is {_phase(state)}: {_POSSIBLE[state.phase]}")
    if state.phase == RUNNING and not holds.held_by(state, holds.FAILED):
        return Refusal(f"attempt {state.attempt} runs: `abort` or `rollback` first")
    plan = state.pending_plan or state.plan
    index = first_of(plan, command.stage) if command.stage is not None else 0
    if index is None:
        names = ", ".join(stage.name for stage in plan.stages)
        return Refusal(f"there is no stage {command.stage!r}; there are {names}")
    if refusal := _unstartable(state, facts):
        return refusal
    after = attempts.started(state, table.RETRY, index, facts.identity, "")
    why = _because(f"attempt {after.attempt} was started by {command.who}", command, next_words(after))
    after = replace(after, why=why)
    return after, (entry("retried", state, after, command.who, why, stage=command.stage),)


_COMMANDS: Final[dict[str, Callable[[State, Command, Facts], Answer]]] = {
    "start": _start,
    "approve": _approve,
    "pause": _pause,
    "resume": _resume,
    "promote": _promote,
    "abort": _abort,
    "rollback": _rollback,
    "retry": _retry,
}
