"""Why a rollout does not advance: the holds that stand now. Pure.

Some stand because somebody or something set them (`SET`), until a person takes them away. All others are found anew at
each tick and are gone as soon as their reason is; `since` stays what it was while one stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

from msgspec.structs import replace

from shadowproxy.model.rollout import (
    APPROVE,
    ENFORCE,
    FAIL,
    INCONCLUSIVE,
    PASS,
    PROMQL,
    REGRESSED_FIELDS,
    WEBHOOK,
    HoldReason,
    Step,
)
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.rollout import bake, bets
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.flagged import said_of
from shadowproxy.rollout.freeze import Blocking, blocking
from shadowproxy.rollout.phrases import count, moment, percent, span
from shadowproxy.rollout.steps import present
from shadowproxy.rollout.values import PRODUCT, CheckResult, Hold, State

OPERATOR: Final = "operator"
APPROVAL: Final = "approval"
FREEZE: Final = "freeze"
STARVED: Final = "starved"
UNSUPERVISED: Final = "unsupervised"
LACKING: Final = "inconclusive"
FAILED: Final = "failed"
PRIMARY_BROKEN: Final = "primary_broken"
PRIMARY_CHANGED: Final = "primary_changed"
SAMPLE_RATIO: Final = "sample_ratio"
SLOW_BURN: Final = "slow_burn"
GATE: Final = "gate"
TIMEOUT: Final = "timeout"
STORE: Final = "store"
APPLYING: Final = "applying"
RECALLED: Final = "recalled"
SWITCHED: Final = "flag"

SET: Final = frozenset({OPERATOR, FAILED, PRIMARY_CHANGED, RECALLED})
"""Set by a command or an event, taken away by a person."""
GUARDS: Final = (SAMPLE_RATIO, SLOW_BURN)
"""A check that only speaks up; once it has, it stands until a person lets it go, whatever the check says later."""
DISMISSABLE: Final = frozenset({*GUARDS, TIMEOUT})
"""Not found again once a person has let it go for this part: `resume`."""
RESUMABLE: Final = frozenset({OPERATOR, PRIMARY_CHANGED}) | DISMISSABLE
WAITING: Final = frozenset({LACKING, GATE, TIMEOUT})
"""The bake goes on: what is missing comes by waiting."""
EXCUSED: Final = frozenset({APPROVAL, STARVED, LACKING})
"""What `on_timeout: advance` passes over."""
BRIEF: Final = frozenset({APPLYING})
"""Not worth an entry: it comes and goes with each change of the weight."""

MAX_OVERRIDE: Final = 24 * 3600.0
"""The longest time for which a freeze can be overridden."""

BROKEN_WINDOW: Final = 10.0
"""Seconds."""
BROKEN_REQUESTS: Final = 20
"""In as many seconds, of each arm: fewer say nothing of who is broken."""
BROKEN_SHARE: Final = 0.2
BROKEN_TIMES: Final = 5.0
"""The primary is broken where it fails this share, and the candidate at most this part of it."""


def held_by(state: State, reason: str) -> Hold | None:
    return next((hold for hold in state.holds if hold.reason == reason), None)


def stops_bake(holds: tuple[Hold, ...]) -> bool:
    return any(hold.reason not in WAITING for hold in holds)


def placed(state: State, reason: HoldReason, detail: str, by: str = PRODUCT) -> State:
    """`state` with a hold of this reason that stays until a person takes it away."""
    others = tuple(hold for hold in state.holds if hold.reason != reason)
    return replace(state, holds=(*others, Hold(reason, state.at, by, detail)))


def freeze_of(state: State, facts: Facts) -> Blocking | None:
    """What freezes the rollout now and is not overridden."""
    freeze = blocking(state.windows, facts.freezes, state.service, state.plan.change_class, facts.at)
    return None if freeze and freeze.may_override and is_overridden(state, facts.at) else freeze


def is_overridden(state: State, now: float) -> bool:
    """Whether freezes that may be overridden are. Not for ever where a clock is set back."""
    return state.override - MAX_OVERRIDE <= now < state.override


def frozen_words(freeze: Blocking) -> str:
    end = f"until {moment(freeze.until)}" if freeze.until is not None else "with no end in sight"
    return f"{freeze.reason}, {end}"


def found(state: State, step: Step, facts: Facts, freeze: Blocking | None) -> Iterator[Hold]:
    """The holds that do not depend on how far the bake is, those that were set included."""
    yield from (hold for hold in state.holds if hold.reason in SET)
    at = facts.at
    if step.kind == APPROVE and not state.approved:
        left = 0.0 if step.timeout is None else step.timeout - state.progress.spent
        limit = f", {span(ceil(left))} are left" if left > 0.0 else ""
        yield Hold(APPROVAL, at, detail=f"{step.name} waits for approval{limit}")
    if freeze:
        yield Hold(FREEZE, at, detail=frozen_words(freeze))
    if state.plan.supervise == "required" and not facts.watch:
        yield Hold(UNSUPERVISED, at, detail="nobody holds the watch")
    if not facts.store:
        yield Hold(STORE, at, detail="what is decided cannot be written down")
    if facts.flags:
        yield Hold(SWITCHED, at, detail=facts.flags)
    if not facts.applied:
        yield Hold(APPLYING, at, detail="not every worker runs the new policy yet")
    if broken := primary_broken(state, facts):
        yield Hold(PRIMARY_BROKEN, at, detail=broken)
    if bake.is_starved(state.progress, step.bake):
        seen = bake.lately(state.progress.recent, bake.window(step.bake))
        came = said_of(step, f"{count(seen.tested, 'request')} reached the candidate in {span(seen.seconds)}")
        yield Hold(STARVED, at, detail=f"{came}; {bake.useful(step.bake, seen.seconds):,} would be of use")
    for reason in GUARDS:
        guards = [one for one in failing(state) if reason == holds_as(state, one)]
        if detail := said(guards) or _detail(state, reason):
            yield Hold(reason, at, detail=detail)
    gates = [one for one in enforced(state) if one.kind == WEBHOOK and one.verdict == INCONCLUSIVE]
    if gates:
        yield Hold(GATE, at, detail=said(gates))


def _detail(state: State, reason: str) -> str:
    held = held_by(state, reason)
    return held.detail if held else ""


def settled(holds: tuple[Hold, ...], before: tuple[Hold, ...]) -> tuple[Hold, ...]:
    """`holds`, each standing since it began: what was there before keeps its time."""
    since = {hold.reason: hold.since for hold in before}
    return tuple(replace(hold, since=since.get(hold.reason, hold.since)) for hold in holds)


def enforced(state: State) -> Iterator[CheckResult]:
    return (one for one in state.results if one.mode == ENFORCE)


def failing(state: State) -> list[CheckResult]:
    """The enforced checks that fail, less those that a person has let go."""
    fails = (one for one in enforced(state) if one.verdict == FAIL)
    return [one for one in fails if holds_as(state, one) not in state.progress.dismissed]


def said(results: list[CheckResult]) -> str:
    """What checks say, each with its name."""
    return "; ".join(one.words if one.words.startswith(one.name) else f"{one.name}: {one.words}" for one in results)


def holds_as(state: State, result: CheckResult) -> str | None:
    """The hold that a failure of this check is. None: a failure of it sends users back."""
    if result.kind in GUARDS:
        return result.kind
    check = next((check for check in state.plan.checks if check.name == result.name), None)
    creeps = check is not None and check.max_slope is not None and result.log_e >= result.needed
    return SLOW_BURN if creeps else None


def lacking(state: State, step: Step) -> list[CheckResult]:
    """The enforced checks that this part needs and that have not enough to say.

    Not needed: guards (the split's shares, trends), which only ever speak up; webhooks, which hold as `gate`; and at
    weight 1, where nobody is left with the primary, whatever is relative to it.
    """
    return [one for one in enforced(state) if one.verdict != PASS and _needed(state, step, one)]


def unproven(state: State, step: Step) -> list[CheckResult]:
    """The enforced checks that this part needs and that have not shown that the candidate is not worse."""
    return [one for one in enforced(state) if not one.not_worse and _needed(state, step, one)]


def shown(state: State, step: Step) -> list[CheckResult]:
    """Those that have shown it by evidence; that a guard, a query or a field passes shows nothing, and at weight 1 what
    is relative to the primary shows nothing either.
    """
    return [one for one in enforced(state) if one.not_worse and one.kind in bets.MEASURED and _needed(state, step, one)]


def _needed(state: State, step: Step, result: CheckResult) -> bool:
    if result.kind in GUARDS or result.kind == WEBHOOK:
        return False
    check = next((check for check in state.plan.checks if check.name == result.name), None)
    is_absolute = check is not None and check.max is not None
    if step.testing and result.kind == REGRESSED_FIELDS:
        return False  # of a request and its copy both have the flag, or neither has
    return step.share < 1.0 or is_absolute or (result.kind == PROMQL and check is not None and not check.against)


def primary_broken(state: State, facts: Facts) -> str:
    """Why going back would move users onto the broken side; empty if it would not: also where a flag is tested, since
    whoever is without it is on the same arm.
    """
    if present(state).testing:
        return ""
    seen = bake.lately(state.progress.recent, BROKEN_WINDOW)
    primary, candidate = (seen.failed[arm] / seen.requests[arm] if seen.requests[arm] else 0.0 for arm in (0, 1))
    if facts.healthy.get(PRIMARY) is False and facts.healthy.get(CANDIDATE) is not False and candidate < 0.5:
        return "the primary cannot be reached and the candidate can"
    if min(seen.requests) < BROKEN_REQUESTS or primary < BROKEN_SHARE or candidate * BROKEN_TIMES > primary:
        return ""
    return f"the primary fails {percent(primary)} of its requests and the candidate {percent(candidate)}"
