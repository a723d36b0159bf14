"""One tick of a rollout: what happened goes in, the next state and the decisions come out. Pure.

Laws, tested with any facts: nothing that fails ever leads to more weight; the weight is never above the plan's; time
that is held is no bake; a clock that is set or stands still changes nothing; going back waits for nothing.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import APPROVE, PROMOTED, PROMQL, RUNNING, WEBHOOK, Event, Step
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.rollout import analysis, attempts, bake, holds, table
from shadowproxy.rollout.attempts import entry
from shadowproxy.rollout.facts import ANOTHER, GONE, Facts
from shadowproxy.rollout.flagged import carried, concerning
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.phrases import percent, span
from shadowproxy.rollout.steps import has_users, present
from shadowproxy.rollout.values import PRODUCT, CheckResult, Decision, Hold, State

EPOCH: Final = 6 * 3600.0
"""Seconds after which the evidence begins anew: one that is never reset goes blind after long health."""

_REPLACED: Final = {
    ANOTHER: "another candidate, at none of the URLs of the one before",
    GONE: "no candidate any more",
}


def step(state: State, facts: Facts) -> Decision:
    """The state after these facts, and what was decided, in order."""
    state, entries = _noticed(replace(state, at=facts.at), facts)
    if state.phase != RUNNING or holds.held_by(state, holds.FAILED):
        return state, entries
    part = present(state)
    held = holds.stops_bake(state.holds)
    counts = bake.counts(state.progress, facts)
    state = replace(state, progress=bake.ticked(state.progress, part, concerning(part, facts)))
    state, harm = _analysed(state, part, facts, counts)
    state, decided = _decided(state, part, facts, harm, runs=counts and not held)
    return state, (*entries, *decided)


def _noticed(state: State, facts: Facts) -> Decision:
    """What happened to the rollout rather than in it: a recall, the settling of a promotion, other versions."""
    if facts.recalled and facts.recalled != state.recalled:
        return _recalled(replace(state, recalled=facts.recalled), state)
    if state.phase == PROMOTED and facts.settled:
        plan = state.pending_plan or state.plan
        what = "its flags give by themselves" if plan.is_of_flags else "the configuration's primary is"
        why = f"{state.plan.name} was promoted and {what} what was promoted now"
        after = attempts.waiting(state, table.SETTLE, plan, why)
        return after, (entry("settled", state, after, PRODUCT, why),)
    if facts.candidate and state.phase in (RUNNING, PROMOTED):
        return _replaced(state, facts)
    return _versions(state, facts)


def _recalled(state: State, before: State) -> Decision:
    why = "a signal (SIGUSR2) sent all users back to the primary"
    if before.phase not in (RUNNING, PROMOTED):
        after = replace(state, phase=table.moved(state.phase, table.RECALL))
    else:
        after = holds.placed(attempts.ended(state, table.RECALL, why), holds.RECALLED, why)
    return after, (entry("recalled", before, after, PRODUCT, why),)


def _replaced(state: State, facts: Facts) -> Decision:
    """The configuration has not the candidate any more that was looked at: nothing is known of who is there now."""
    what = f"the configuration has {_REPLACED[facts.candidate]}"
    known = {arm: name for arm, name in state.identity.items() if arm != CANDIDATE}
    if state.phase == PROMOTED or facts.candidate == GONE:
        stays = ", and its primary is not the one that was promoted" if state.phase == PROMOTED else ""
        after = attempts.ended(state, table.ROLLBACK, f"rolled back: {what}{stays}")
        return after, (entry("rolled_back", state, after, PRODUCT, after.why),)
    if holds.held_by(state, holds.FAILED):
        return _for_a_person(state, known, what)
    return _restarted(state, known, what)


def _for_a_person(state: State, identity: dict[str, str], what: str) -> Decision:
    after = replace(state, identity=identity, why=f"{what}; a person decides what comes of it")
    return after, (entry("version_changed", state, after, PRODUCT, after.why),)


def _restarted(state: State, identity: dict[str, str], what: str) -> Decision:
    why = f"{what}: attempt {state.attempt} is over and the next one begins with the first stage"
    after = attempts.started(replace(state, why=what), table.NEW_VERSION, 0, identity, why)
    paused = tuple(hold for hold in state.holds if hold.reason == holds.OPERATOR)
    after = replace(after, identity=identity, holds=paused)
    return after, (entry("restarted", state, after, PRODUCT, why),)


def _versions(state: State, facts: Facts) -> Decision:
    """A version that is not known now changes nothing; one that was not known before is noted."""
    now = {**state.identity, **attempts.known(facts.identity)}
    was = state.identity
    if now == was:
        return state, ()
    changed = [arm for arm in (CANDIDATE, PRIMARY) if arm in was and now[arm] != was[arm]]
    noted = replace(state, identity=now)
    if not changed or state.phase not in (RUNNING, PROMOTED):
        return noted, ()
    arm = changed[0]
    what = f"the {arm} runs {now[arm]}, no longer {was[arm]}"
    if arm == PRIMARY and state.phase == RUNNING:
        held = replace(noted, progress=replace(noted.progress, begun=False))
        held = holds.placed(held, holds.PRIMARY_CHANGED, f"{what}; the evidence begins anew")
        held = replace(held, why=f"held: {what}")
        return held, (entry("held", state, held, PRODUCT, held.why, reason=holds.PRIMARY_CHANGED),)
    if state.phase == PROMOTED or holds.held_by(state, holds.FAILED):
        return _for_a_person(state, now, what)
    return _restarted(state, now, what)


def _new_epoch(state: State) -> State:
    """The evidence begins anew: with each part once it is warm, every six hours, and with another primary."""
    ledger = _ledger(state) if state.ledger is None else analysis.new_epoch(_ledger(state))
    progress = replace(state.progress, epoch=0.0, begun=True)
    return replace(state, epoch=state.epoch + 1, ledger=ledger, progress=progress)


def _analysed(state: State, part: Step, facts: Facts, counts: bool) -> tuple[State, str]:
    """The evidence with these facts, and why users have to go back, empty: they need not.

    The ledger of an attempt begins with its first epoch: what is seen before that is judged and not kept.
    """
    plan = state.plan
    weight = part.share if part.testing else state.weight
    ledger = analysis.observe(_ledger(state), plan, part, concerning(part, facts), weight, counts)
    results = analysis.judge(ledger, plan, part, state.at)
    harm = analysis.overall(ledger, plan, part, state.at)
    state = replace(state, results=results, ledger=ledger if state.ledger is not None else None)
    if bake.may_begin(state.progress, state.plan) or (state.progress.begun and state.progress.epoch >= EPOCH):
        state = _new_epoch(state)
    return state, harm.words


def _ledger(state: State) -> Ledger:
    """That of the attempt, a new one where it has none yet."""
    return state.ledger or analysis.begin(state.plan, f"{state.service}:{state.attempt}")


def _limits(state: State) -> str:
    """Enforced checks that fail by a limit or by the word of a webhook: they are no matter of evidence."""
    return holds.said(
        [one for one in holds.failing(state) if one.kind in (PROMQL, WEBHOOK) and not holds.holds_as(state, one)]
    )


def _decided(state: State, part: Step, facts: Facts, harm: str, runs: bool) -> Decision:
    """Back, held, or on. `runs`: whether the bake's clock may run through this tick, if nothing holds now either."""
    harm = state.harm or harm or _limits(state)
    freeze = holds.freeze_of(state, facts)
    broken = bool(holds.primary_broken(state, facts)) and has_users(part)
    if harm and not broken:
        return _failed(state, harm)
    state = replace(state, harm=harm)
    if freeze and freeze.in_flight == "rollback" and has_users(part) and not broken:
        return _went_back(state, f"frozen: {holds.frozen_words(freeze)}")
    if freeze and freeze.in_flight == "continue":
        freeze = None
    standing = tuple(holds.found(state, part, facts, freeze))
    if runs and not holds.stops_bake(standing):
        state = replace(state, progress=bake.baked(state.progress, facts))
    standing = (*standing, *_unproven(state, part))
    is_over = not standing and not harm and _is_over(state, part)
    if not is_over or holds.held_by(state, holds.TIMEOUT):
        if (acted := _timed_out(state, part, standing)) is not None:
            return acted
        standing = (*standing, *_late(state, part))
    state, entries = _held(state, standing)
    if standing or not is_over:
        return state, entries
    state, advanced = _advanced(state, part)
    return state, (*entries, *advanced)


def _failed(state: State, harm: str) -> Decision:
    if state.plan.on_fail == "rollback":
        return _went_back(state, harm, "failed")
    persons = tuple(hold for hold in state.holds if hold.reason in holds.SET)
    after = holds.placed(replace(state, holds=persons), holds.FAILED, harm)
    phase = table.moved(state.phase, table.SUSPEND)
    after = replace(after, phase=phase, weight=0.0, why=f"all users are back at the primary: {harm}")
    return after, (entry("failed", state, after, PRODUCT, after.why),)


def _went_back(state: State, why: str, action: Event = "rolled_back") -> Decision:
    after = attempts.ended(state, table.FAIL, f"rolled back: {why}")
    return after, (entry(action, state, after, PRODUCT, after.why),)


def _timed_out(state: State, part: Step, standing: tuple[Hold, ...]) -> Decision | None:
    """What the end of a part's time does, unless it is to hold."""
    limit, action = _time_limit(state, part)
    if limit is None or state.progress.spent < limit or action == "hold":
        return None
    why = f"{part.name} was not over within {span(limit)}"
    if action == "rollback":
        broken = any(hold.reason == holds.PRIMARY_BROKEN for hold in standing)
        return None if broken and has_users(part) else _went_back(state, why)
    if holds.failing(state) or any(hold.reason not in holds.EXCUSED for hold in standing):
        return None
    return _moved_on(state, f"{why}; the plan goes on then")


def _time_limit(state: State, part: Step) -> tuple[float | None, str]:
    if part.kind != APPROVE:
        return part.bake.timeout, part.bake.on_timeout
    return (None if state.approved else part.timeout), part.on_timeout


def _late(state: State, part: Step) -> tuple[Hold, ...]:
    limit, action = _time_limit(state, part)
    if limit is None or state.progress.spent < limit or action != "hold":
        return ()
    if holds.TIMEOUT in state.progress.dismissed:
        return ()
    return (Hold(holds.TIMEOUT, state.at, detail=f"{part.name} is not over after {span(limit)}"),)


def _unproven(state: State, part: Step) -> tuple[Hold, ...]:
    """The hold of a part whose time and requests are there, but not its evidence."""
    if part.kind == APPROVE or not bake.is_over(state.progress, part.bake):
        return ()
    wanting = _wanting(state, part)
    if not wanting:
        return ()
    return (Hold(holds.LACKING, state.at, detail=holds.said(wanting)),)


def _wanting(state: State, part: Step) -> list[CheckResult]:
    lacking = holds.lacking(state, part)
    return lacking or (holds.unproven(state, part) if part.bake.evidence == "not_worse" else [])


def _held(state: State, standing: tuple[Hold, ...]) -> Decision:
    """The holds as they are now, and an entry for each that came or went."""
    before = [hold.reason for hold in state.holds]
    after = replace(state, holds=holds.settled(standing, state.holds))
    entries = []
    for hold in after.holds:
        if hold.reason not in before and hold.reason not in holds.BRIEF:
            after = replace(after, why=f"held: {hold.detail}")
            entries.append(entry("held", state, after, PRODUCT, after.why, reason=hold.reason))
    standing_reasons = {hold.reason for hold in standing}
    for reason in before:
        if reason not in standing_reasons | holds.BRIEF:
            after = replace(after, why=f"no longer held by {reason}")
            entries.append(entry("released", state, after, PRODUCT, after.why, reason=reason))
    return after, tuple(entries)


def _is_over(state: State, part: Step) -> bool:
    if part.kind == APPROVE:
        return bool(state.approved)
    return bake.is_over(state.progress, part.bake) or _is_early(state, part)


def _is_early(state: State, part: Step) -> bool:
    """Whether everything that can be shown is shown, and the plan lets that do."""
    if not part.bake.early or bake.is_over(state.progress, part.bake):
        return False
    return bool(holds.shown(state, part)) and not holds.lacking(state, part) and not holds.unproven(state, part)


def _advanced(state: State, part: Step) -> Decision:
    if part.kind == APPROVE:
        return _moved_on(state, f"{part.name} was approved by {state.approved}")
    if _is_early(state, part):
        return _moved_on(state, f"{part.name} is over before its time: the candidate is shown not to be worse")
    done = f"{span(state.progress.baked)} and {state.progress.requests:,} requests with no check that fails"
    return _moved_on(state, f"{part.name} is over: {done}")


def _moved_on(state: State, why: str) -> Decision:
    after = attempts.advanced(state, why)
    said = f"{why}; {next_words(after)}"
    after = replace(after, why=said)
    return after, (entry("promoted" if after.phase == PROMOTED else "advanced", state, after, PRODUCT, said),)


def next_words(state: State) -> str:
    """Where a rollout is that has just moved."""
    part = present(state)
    if state.phase == PROMOTED:
        flags = f"everybody has {carried(part)}"
        return flags if state.plan.is_of_flags else "all users are the candidate's for good"
    return f"{part.name} begins at {percent(part.share if part.testing else state.weight)}"
