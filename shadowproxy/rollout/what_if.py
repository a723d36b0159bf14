"""What another plan would have made of the facts of a log, in sentences. Pure.

As long as both plans give the candidate the same users, that is what would have happened. Where they part, the facts
are still those of the log's plan: from then on it is the best that can be told, and `caveats` say so.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from shadowproxy.model.rollout import PENDING, PROMQL, RUNNING, WEBHOOK, Plan
from shadowproxy.rollout import attempts, table
from shadowproxy.rollout.logged import Cause, Logged, Ordered, Reload
from shadowproxy.rollout.phrases import count, instant, percent, span
from shadowproxy.rollout.replaying import derived
from shadowproxy.rollout.steps import present, steps
from shadowproxy.rollout.values import Entry, Refusal, State

_HOLDS = frozenset({"held", "released"})
"""Decisions that come and go: they are told in numbers, all others one by one."""


class WhatIf(Struct, frozen=True):
    """`differences` in the order of time, empty: the same. `end` is where it would be at the end of the log's attempt.

    `plan` and `other` are hashes of plans.
    """

    plan: str
    other: str
    differences: tuple[str, ...]
    end: str
    caveats: tuple[str, ...] = ()


class _Courses(Struct):
    """Both courses side by side: the log's own, and the other plan's."""

    real: State
    other: State
    decided: list[Entry] = []
    would: list[Entry] = []
    refused: list[tuple[float, str]] = []
    parted: str = ""

    def go_on(self, item: Logged) -> bool:
        """With the next item. False: the log's attempt is over, what follows is of another one."""
        after = _after(self.real, item.cause)
        if after.attempt != self.real.attempt:
            return False
        self.real = after
        self.decided += item.entries
        if isinstance(item.cause, State):
            return True
        outcome = derived(self.other, _under(self.other.plan, item.cause))
        if isinstance(outcome, Refusal):
            if isinstance(item.cause, Ordered) and item.entries:
                asked = item.cause.command
                said = f"would have refused the {asked.action} of {asked.who} at {instant(item.at)}: {outcome.why}"
                self.refused.append((item.at, said))
        else:
            self.other = outcome[0]
            self.would += outcome[1]
        if not self.parted and self.other.phase == RUNNING and self.other.weight != self.real.weight:
            self.parted = (
                f"from {instant(item.at)} on the candidate would have had {percent(self.other.weight)} of the users; "
                f"it had {percent(self.real.weight)}, and what is known of it then comes from those"
            )
        return True


def against(log: Iterable[Logged], plan: Plan) -> WhatIf | None:
    """Take a log through another plan. None: nothing is left of the log."""
    courses: _Courses | None = None
    late: list[str] = []
    first: Plan | None = None
    for item in log:
        if courses is not None:
            if not courses.go_on(item):
                break
        elif isinstance(item.cause, State):
            first = item.cause.plan
            courses = _Courses(item.cause, _begun(item.cause, plan))
            if item.cause.phase == RUNNING and item.cause.progress.spent:
                late.append(f"what was before {instant(item.at)} is not kept: from there the other plan is followed")
    if courses is None or first is None:
        return None
    caveats = (*late, *_unasked(first, plan), *filter(None, [courses.parted]))
    return WhatIf(first.hash, plan.hash, tuple(_differences(courses)), _end(courses.other), caveats)


def _begun(state: State, plan: Plan) -> State:
    """`state`, at the beginning of a log, under another plan: in the part of the same name, else from the first on."""
    row = steps(plan)
    if state.phase not in (PENDING, RUNNING):
        return replace(state, plan=plan, pending_plan=None, step=min(state.step, len(row) - 1))
    waits = attempts.begin(state.service, plan, state.windows, state.at)
    waits = replace(waits, attempt=state.attempt, identity=state.identity, recalled=state.recalled)
    if state.phase == PENDING:
        return waits
    name = present(state).name
    index = next((i for i, step in enumerate(row) if step.name == name), None)
    if index is None:
        return replace(attempts.started(waits, table.START, 0, state.identity, state.why), holds=state.holds)
    return replace(state, plan=plan, pending_plan=None, step=index, weight=row[index].weight)


def _under(plan: Plan, cause: Cause) -> Cause:
    """The configuration has the other plan all the time."""
    return replace(cause, plan=cause.plan and plan) if isinstance(cause, Reload) else cause


def _after(state: State, cause: Cause) -> State:
    outcome = derived(state, cause)
    return state if isinstance(outcome, Refusal) else outcome[0]


def _unasked(plan: Plan, other: Plan) -> Iterator[str]:
    """What the log cannot know because nobody looked."""
    asked = {(check.name, check.promql, check.url) for check in plan.checks}
    outside = [check for check in other.checks if check.kind in (PROMQL, WEBHOOK)]
    unknown = [check.name for check in outside if (check.name, check.promql, check.url) not in asked]
    if unknown:
        yield f"nobody asked {', '.join(unknown)}: the log has no answers to them"
    counted = {"errors": "failures", "sticky": "sticky", "exclude": "excluded"}
    changed = [key for key, name in counted.items() if getattr(plan, name) != getattr(other, name)]
    if changed:
        yield f"requests were counted by the log's plan, also where the other one has another {' and '.join(changed)}"


def _differences(courses: _Courses) -> Iterator[str]:
    """What would have been decided at another time, besides, or not at all; then the holds."""
    unmatched = defaultdict[tuple[str, str], deque[Entry]](deque)
    for entry in courses.decided:
        if entry.action not in _HOLDS:
            unmatched[_turn(entry)].append(entry)
    found = list(courses.refused)
    for entry in courses.would:
        if entry.action in _HOLDS:
            continue
        known = unmatched[_turn(entry)]
        was = known.popleft().at if known else None
        if was != entry.at:
            found.append(
                (entry.at, f"would have {_words(entry)} at {instant(entry.at)}{_earlier(was, entry.at)}: {entry.why}")
            )
    left = sorted((entry for entries in unmatched.values() for entry in entries), key=lambda entry: entry.at)
    found += ((entry.at, f"would not have {_words(entry)}, as it did at {instant(entry.at)}") for entry in left)
    yield from (said for _, said in sorted(found))
    yield from _holds(courses)


def _turn(entry: Entry) -> tuple[str, str]:
    """What makes decisions of two courses the same one: the action and the part that it leads to."""
    _, name = entry.what.get("step", ("", ""))
    return entry.action, name if entry.action == "advanced" else ""


def _words(entry: Entry) -> str:
    if entry.action == "advanced":
        return f"gone on to {_turn(entry)[1]}"
    return entry.action.replace("_", " ")


def _earlier(was: float | None, now: float) -> str:
    if was is None:
        return ""
    return f" ({span(abs(was - now))} {'earlier' if now < was else 'later'})"


def _holds(courses: _Courses) -> Iterator[str]:
    was, would = (
        Counter(entry.what.get("reason", "") for entry in entries if entry.action == "held")
        for entries in (courses.decided, courses.would)
    )
    for reason in sorted(was.keys() | would.keys()):
        if was[reason] != would[reason]:
            times = count(would[reason], "time")
            yield f"would have been held by {reason} {times}; it was {count(was[reason], 'time')}"


def _end(state: State) -> str:
    at = f"at the end of the attempt, {instant(state.at)}, it would be"
    if state.phase != RUNNING:
        return f"{at} {state.phase.replace('_', ' ')}"
    held = f", held by {', '.join(hold.reason for hold in state.holds)}" if state.holds else ""
    return f"{at} in {present(state).name} with {percent(state.weight)} of the users at the candidate{held}"
