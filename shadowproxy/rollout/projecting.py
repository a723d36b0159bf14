"""When the parts of a plan will begin and end if all goes well: through bakes, rates and the freezes that are known.

What nobody can know is assumed, and said by whoever shows it: no check fails or lacks data, approvals and the watch are
there at once. Pure; times are Unix time.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.model.rollout import APPROVE, FreezeWindow, Plan, Step
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.freeze import Blocking, blocking, next_change
from shadowproxy.rollout.steps import has_users, steps, tested_share
from shadowproxy.rollout.values import Progress, State

MAX_TURNS: Final = 10_000
"""Begins and ends of freezes that one bake may go through before its end counts as unknown."""


class Freezes(Struct, frozen=True):
    """The freezes that concern one rollout. Until `override` they hold for nothing."""

    windows: tuple[FreezeWindow, ...]
    manual: tuple[ManualFreeze, ...]
    service: str
    change_class: str
    override: float = 0.0

    def at(self, now: float) -> Blocking | None:
        if now < self.override:
            return None
        return blocking(self.windows, self.manual, self.service, self.change_class, now)

    def turn(self, now: float) -> float | None:
        """When something begins to block or ceases to next."""
        if now < self.override:
            return self.override
        return next_change(self.windows, self.manual, self.service, self.change_class, now)


class Projected(Struct, frozen=True):
    """One part. `ends` None: not to be said, for the reason in `why`; parts after it begin at None.

    `rate` is that of the arm under test, requests/s, None: not known, so that its requests are left out of account.
    `waits` are the freezes that it meets.
    """

    step: Step
    begins: float | None
    ends: float | None
    rate: float | None = None
    waits: tuple[Blocking, ...] = ()
    why: str = ""


def project(plan: Plan, freezes: Freezes, now: float, rate: float | None = None) -> tuple[Projected, ...]:
    """All parts of a plan that is started at `now`, or as soon as no freeze forbids it. `rate`: requests/s of users."""
    free, waits, why = _unfrozen(freezes, now)
    found = _walk(plan, freezes, 0, Progress(), free, rate, why)
    return (replace(found[0], waits=(*waits, *found[0].waits)), *found[1:])


def project_on(state: State, freezes: Freezes, rate: float | None = None) -> tuple[Projected, ...]:
    """The present part and those to come of a running rollout, from its last facts on."""
    return _walk(state.plan, freezes, state.step, state.progress, state.at, rate, "")


def _walk(
    plan: Plan, freezes: Freezes, first: int, progress: Progress, now: float | None, rate: float | None, why: str
) -> tuple[Projected, ...]:
    found: list[Projected] = []
    every = steps(plan)
    for index, step in enumerate(every[first:], first):
        tested = _rate(step, rate)
        if now is None:
            found.append(Projected(step, None, None, tested, why=why))
            continue
        is_raised = step.weight > (every[index - 1].weight if index else 0.0) or step.flags != (
            every[index - 1].flags if index else ()
        )
        warmup = max(plan.warmup - progress.warm, 0.0) if is_raised else 0.0
        one = _part(step, freezes, now, warmup, progress, tested)
        found.append(one)
        now, why, progress = one.ends, one.why, Progress()
    return tuple(found)


def _rate(step: Step, rate: float | None) -> float | None:
    """Requests of the arm under test in a second; None: nobody knows."""
    share = tested_share(step)
    return None if rate is None or share is None else rate * share


def _part(step: Step, freezes: Freezes, now: float, warmup: float, progress: Progress, rate: float | None) -> Projected:
    """A part that is entered at `now`. Its clock stands in a freeze, its requests are counted all the same."""
    if step.kind == APPROVE:
        ends, waits, why = _unfrozen(freezes, now)
        return Projected(step, now, ends, None, waits, why)
    baked, waits, why = _baked(step, freezes, now + warmup, max(step.bake.seconds - progress.baked, 0.0))
    missing = max(step.bake.requests - progress.requests, 0)
    if baked is None or (missing and rate == 0.0):
        return Projected(step, now, None, rate, waits, why or "the candidate gets no requests")
    counted = now + warmup + missing / rate if rate else now
    ends, more, why = _unfrozen(freezes, max(baked, counted), goes_on=True)
    return Projected(step, now, ends, rate, (*waits, *(one for one in more if one not in waits)), why)


Reached = tuple[float | None, tuple[Blocking, ...], str]
"""A time, the freezes on the way to it, and why there is none."""


def _baked(step: Step, freezes: Freezes, now: float, seconds: float) -> Reached:
    """When a clock has run for `seconds` that stands while a freeze holds it."""
    waits: list[Blocking] = []
    for _ in range(MAX_TURNS):
        freeze = freezes.at(now)
        turn = freezes.turn(now)
        if freeze is not None and freeze.in_flight != "continue":
            waits.append(freeze)
            if freeze.in_flight == "rollback" and has_users(step):
                return None, tuple(waits), f"it is rolled back: {freeze.reason}"
            if turn is None:
                return None, tuple(waits), f"no end in sight: {freeze.reason}"
        elif turn is None or now + seconds <= turn:
            return now + seconds, tuple(waits), ""
        else:
            seconds -= turn - now
        now = turn
    return None, tuple(waits), "freezes leave it hardly any time"


def _unfrozen(freezes: Freezes, now: float, *, goes_on: bool = False) -> Reached:
    """The first moment from `now` on at which no freeze forbids a step. `goes_on`: those that let rollouts go on do."""
    freeze = freezes.at(now)
    if freeze is None or (goes_on and freeze.in_flight == "continue"):
        return now, (), ""
    why = "" if freeze.until is not None else f"no end in sight: {freeze.reason}"
    return freeze.until, (freeze,), why
