"""Decisions made again from the log, by the functions that made them: whether all come out as they did, bit for bit.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Final

from msgspec import Struct

from shadowproxy.rollout import attempts
from shadowproxy.rollout.chain import canonical, digest, sealed
from shadowproxy.rollout.commands import obey
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.logged import Cause, Logged, Ordered, Reload
from shadowproxy.rollout.phrases import instant, percent
from shadowproxy.rollout.step import step
from shadowproxy.rollout.values import Decision, Entry, Refusal, State

MAX_SAID: Final = 20
"""Mismatches, and gaps, that are described."""


class Replay(Struct, frozen=True):
    """How many items of a log there are with how many decisions, between when (Unix time), and what came out otherwise.

    `gaps` say where a state was set rather than derived: of what led to it nothing can be said.
    """

    items: int = 0
    decisions: int = 0
    since: float = 0.0
    until: float = 0.0
    differing: int = 0
    mismatches: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        return not self.differing


def derived(state: State, cause: Cause) -> Decision | Refusal:
    """What comes of a cause."""
    match cause:
        case Facts():
            return step(state, cause)
        case Ordered():
            return obey(state, cause.command, cause.facts)
        case Reload():
            return attempts.reload(state, cause.plan, cause.windows, cause.at)
        case State():
            return cause, ()


def replay(log: Iterable[Logged]) -> Replay:
    """Derive everything again from the first state on. After a mismatch, from the next state that was kept."""
    items = decisions = 0
    since = until = 0.0
    mismatches: list[str] = []
    gaps: list[str] = []
    state: State | None = None
    before = b""
    for item in log:
        items, decisions = items + 1, decisions + len(item.entries)
        since, until = since or item.at, item.at
        if isinstance(item.cause, State):
            if before and before != item.state:
                gaps.append(f"{_place(item)}: the state was set, and what led to it was not kept")
            state = item.cause
        if state is not None:
            state, said = _again(state, item)
            mismatches += [f"{_place(item)}: {said}"] if said else []
        before = item.state
    few, some = tuple(mismatches[:MAX_SAID]), tuple(gaps[:MAX_SAID])
    return Replay(items, decisions, since, until, len(mismatches), few, some)


def _again(state: State, item: Logged) -> tuple[State | None, str]:
    """The state after an item, and what is otherwise than it was; then there is none."""
    outcome = derived(state, item.cause)
    after, entries = (state, ()) if isinstance(outcome, Refusal) else outcome
    if not isinstance(item.cause, State):
        for was, now in zip_longest(item.entries, entries):
            if was is None or now is None or sealed(was) != sealed(now):
                refused = f"refused, {outcome.why}" if isinstance(outcome, Refusal) else _said(now)
                return None, f"the log has {_said(was)}; now it is {refused}"
    if digest(canonical(after)) != item.state:
        return (
            None,
            f"the state comes out otherwise: now it is {after.phase}, step {after.step}, {percent(after.weight)}",
        )
    return after, ""


def _said(entry: Entry | None) -> str:
    return f"`{entry.action}` by {entry.by} ({entry.why})" if entry else "no decision"


def _place(item: Logged) -> str:
    return f"{instant(item.at)} (item {item.number})"
