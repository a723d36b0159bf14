"""What becomes of facts and commands: the state of a rollout, and the decisions for the audit.

All of it is frozen and survives msgpack, so that a decision can be made again from what was kept. Times are Unix time,
durations seconds.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from shadowproxy.model.rollout import PENDING, Action, FreezeWindow, HoldReason, Plan
from shadowproxy.rollout.facts import Both, Facts
from shadowproxy.rollout.ledger import Ledger

PRODUCT: Final = "shadowproxy"
"""Who decides where no person does."""


class CheckResult(Struct, frozen=True):
    """What one check says now."""

    name: str
    """Its name in the plan."""
    kind: str
    """What it looks at: `error_rate`, `latency_p99`, `promql`, …"""
    mode: str
    """`enforce`, or `observe`: it fails nothing."""
    verdict: str
    """`pass`, `fail` or `inconclusive`."""
    words: str = ""
    """Why, for people."""
    log_e: float = 0.0
    """Natural logarithm of its evidence of harm: the larger of attempt and epoch, each by its own threshold."""
    needed: float = 0.0
    """Natural logarithm of the threshold."""
    primary: float | None = None
    """What it measured at the primary; None: nothing."""
    candidate: float | None = None
    """What it measured at the candidate; None: nothing."""
    more_requests: int | None = None
    """About how many more requests it takes; None: no telling."""
    more_seconds: float | None = None
    """About how many more seconds it takes; None: no telling."""
    not_worse: bool = False
    """The stronger answer: shown not to be worse than tolerated."""


class Hold(Struct, frozen=True):
    """Why a rollout does not advance."""

    reason: HoldReason
    """What holds it."""
    since: float
    """Unix time."""
    by: str = PRODUCT
    """A person, or `shadowproxy`."""
    detail: str = ""
    """The same in words."""


class Command(Struct, frozen=True):
    """What somebody asks for: start, approve, pause, resume, promote, abort, rollback or retry.

    `full` of promote: to the end. `stage` of retry: from there; of promote: only out of this part, by its name.
    `attempt`: only if it is still this one.
    `override` of a freeze: until then (Unix time) it does not hold this rollout.
    """

    action: str
    who: str
    reason: str
    at: float
    full: bool = False
    stage: str | None = None
    attempt: int | None = None
    override: float | None = None


class Entry(Struct, frozen=True):
    """One decision, for the audit: what was done, by whom, why in a sentence, and what it was decided from."""

    action: Action
    """What was done."""
    at: float
    by: str
    """A person, or `shadowproxy`."""
    why: str
    """Why, in a sentence."""
    what: dict[str, Any] = {}
    """What belongs to it, by action."""


class Refusal(Struct, frozen=True):
    """A command that does not apply to the state: one sentence that says why and what would be possible."""

    why: str


class Attempt(Struct, frozen=True):
    """An attempt that is over, as it stays visible."""

    number: int
    """Counted from 1."""
    plan: str
    """The hash of the plan that it ran by."""
    phase: str
    """How it ended."""
    started_at: float
    """Unix time."""
    ended_at: float
    """Unix time."""
    identity: dict[str, str]
    """The version of each arm, where it was known."""
    why: str
    """Why it ended, in a sentence."""


class Tick(Struct, frozen=True, array_like=True):
    """What about a second brought: requests of the arm under test, and of both arms those that were answered and those
    that failed.
    """

    seconds: float = 0.0
    tested: int = 0
    requests: Both = (0, 0)
    failed: Both = (0, 0)


class Progress(Struct, frozen=True):
    """How far the present part has got. `baked` runs only while the candidate gets traffic and nothing holds.

    `entered_at` is Unix time; `spent` all seconds since then by a clock that nobody sets, `warm` those since the weight
    rose, `epoch` those since the evidence began anew; `requests` of the arm under test, `idle` seconds since
    the last one; `recent` the last minute.
    `applied`: every worker ran the policy at the last facts already, so that what came since is the policy's alone.
    `begun`: the warm-up is over and the evidence of this part has begun.
    `dismissed` are the holds that a person has let go for this part.
    """

    entered_at: float = 0.0
    spent: float = 0.0
    warm: float = 0.0
    epoch: float = 0.0
    baked: float = 0.0
    requests: int = 0
    idle: float = 0.0
    recent: tuple[Tick, ...] = ()
    applied: bool = False
    begun: bool = False
    dismissed: tuple[str, ...] = ()


class State(Struct, frozen=True):
    """Where the rollout of one service is. `plan` is pinned while an attempt runs; `step` indexes its steps.

    `weight` is what the data plane is to do now. `ledger` is what the analysis of the attempt remembers.
    """

    service: str
    plan: Plan
    attempt: int = 1
    phase: str = PENDING
    step: int = 0
    weight: float = 0.0
    progress: Progress = Progress()
    holds: tuple[Hold, ...] = ()
    epoch: int = 0
    """How often the evidence has begun anew."""
    approved: str = ""
    """Who approved last; empty while the present part waits for it."""
    override: float = 0.0
    """Until then freezes do not hold it: somebody said so."""
    identity: dict[str, str] = {}
    started_at: float = 0.0
    ended_at: float = 0.0
    at: float = 0.0
    """The time of the last facts."""
    why: str = ""
    results: tuple[CheckResult, ...] = ()
    ledger: Ledger | None = None
    earlier: tuple[Attempt, ...] = ()
    pending_plan: Plan | None = None
    """A changed plan that the next attempt will use."""
    harm: str = ""
    """Why users have to go back, found while the primary was the broken side: they do once it is not."""
    windows: tuple[FreezeWindow, ...] = ()
    """The freezes of the configuration, those of now: they are no part of the plan that an attempt pins."""
    is_configured: bool = True
    """Whether the configuration still has a plan for the service."""
    recalled: float = 0.0
    """The newest recall by signal that is known (Unix time); `Split.recalled` acknowledges it."""


Decision = tuple[State, tuple[Entry, ...]]
"""A state after something, and what was decided, in order."""


class Watch(Struct, frozen=True):
    """Who holds the watch of a rollout, since when, and until when unless it is renewed (Unix times)."""

    holder: str
    since: float
    until: float


class WatchCommand(Struct, frozen=True):
    """What somebody asks of the watch: `hold`, `renew`, `release`, or `handover` to the person named by `to`."""

    action: str
    who: str
    at: float
    to: str = ""
    reason: str = ""


class FreezeCommand(Struct, frozen=True):
    """A freeze by hand: `start` it, until then (Unix time, None: until it is ended), or `end` the one of this id."""

    action: str
    who: str
    reason: str
    at: float
    id: str = ""
    until: float | None = None
    services: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("feature",)
    in_flight: str = "hold"


class View(Struct, frozen=True):
    """The rollout of one service as control sees it now, for whoever shows it. `facts` None: none were gathered yet.

    `fault`: why it cannot be driven at present, empty where it can.
    """

    state: State
    facts: Facts | None = None
    watch: Watch | None = None
    fault: str = ""
