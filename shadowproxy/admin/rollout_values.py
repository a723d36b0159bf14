"""What the API says of rollouts, freezes and watches, and takes. Seconds, shares 0..1; `_at`: Unix time."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from shadowproxy.admin.words import Said, Until
from shadowproxy.rollout.values import Attempt, CheckResult, Hold

Where = Literal["over", "now", "coming", "stopped"]
OVER: Final = "over"
NOW: Final = "now"
COMING: Final = "coming"
STOPPED: Final = "stopped"


class FlagShare(Struct, frozen=True):
    """Who gets this variant of a flag from the rollout: a share of all users."""

    flag: str
    variant: str
    share: float
    """Of all users, 0..1."""


class StepStatus(Struct, frozen=True):
    """One part of the plan: a stage, or one weight of it."""

    stage: str
    """The name of its stage."""
    kind: str
    """`shadow`, `approve`, `canary`, `progressive`, `blue_green`, `flag` or `soak`."""
    weight: float
    """The share of the users that the candidate serves in it."""
    chosen: bool
    """Whether chosen users are the candidate's whatever its weight."""
    bake_seconds: float
    """Seconds that it bakes at least."""
    bake_requests: int
    """Requests that it bakes at least."""
    state: Where
    """Whether it is over, runs, or is to come; `stopped` where the attempt ended."""
    ends_at: float | None = None
    """Unix time, projected; None where nobody can say, and of what is over."""
    flag: FlagShare | None = None
    """What the part ramps."""


class BakeStatus(Struct, frozen=True):
    """How far the present part is."""

    entered_at: float
    """When it began, Unix time."""
    seconds: float
    """Seconds that count so far."""
    needed_seconds: float
    """Seconds that it takes at least."""
    requests: int
    """Requests of the arm under test so far."""
    needed_requests: int
    """Requests that it takes at least."""
    warmup: float
    """Seconds of warm-up that are left."""


class WatchStatus(Struct, frozen=True):
    """Who watches a rollout. A watch lapses unless it is renewed."""

    required: bool
    """Whether nothing advances without it."""
    ttl: float
    """Seconds after which it lapses."""
    holder: str = ""
    """Who holds it; empty: nobody."""
    since: float | None = None
    """Since when, Unix time."""
    until: float | None = None
    """When it lapses, Unix time."""


class RolloutStatus(Struct, frozen=True):
    """Where the rollout of a service is, and why."""

    service: str
    name: str
    """Of the rollout, in the configuration."""
    attempt: int
    """The present attempt, counted from 1."""
    phase: str
    """`pending`, `running`, `promoted`, `rolled_back` or `aborted`."""
    stage: str
    """The present stage by name; empty before the start."""
    weight: float
    """The share of the users that the candidate serves now."""
    holds: list[Hold]
    """Why it does not advance; empty: nothing holds it."""
    why: str
    """The last decision in a sentence."""
    at: float
    """The time of this answer, Unix time."""
    strategy: str
    """The strategy that the plan is made from; empty where its stages are written out."""
    change_class: str
    """What freezes look at: `feature`, `fix` or `security`."""
    plan: str
    """The hash of the plan that the attempt runs by."""
    pending_plan: str
    """The hash of a changed plan that the next attempt will use, else empty."""
    identity: dict[str, str]
    """The version of each arm, where it is known."""
    steps: list[StepStatus]
    """The parts of the plan, in order."""
    bake: BakeStatus | None
    """How far the present part is; None unless an attempt runs."""
    checks: list[CheckResult]
    """What each check says now."""
    watch: WatchStatus
    """Who watches."""
    missing: list[str]
    """What the present part still needs by itself: time, requests, evidence."""
    next: str
    """What comes next, or what a person can have it do."""
    finish_at: float | None
    """When all users are the candidate's, projected through the freezes to come as if nothing failed or waited; of one
    that is pending as if it were started now. None where nobody can say, for the reason in `finish_why`, or it is over.
    """
    finish_why: str
    """Why nobody can say when it is over; else empty."""
    override_until: float | None
    """Until then freezes do not hold it, because somebody said so."""
    started_at: float | None
    """When the attempt began, Unix time."""
    ended_at: float | None
    """When it ended, Unix time; None: it has not."""
    settled: bool
    """False: promoted, and the configuration's primary is not what was promoted yet."""
    fault: str
    """Why it cannot be driven at present; empty where it can."""
    earlier: list[Attempt]
    """Attempts that are over."""
    flags: list[FlagShare] = []
    """What is laid over flags now."""
    stages: list[str] = []
    """The stages of the plan by name: where `retry` may begin."""


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Freezes do not hold the rollout for a while."""

    until: Until
    """A duration from now, such as `2h`, or a time (RFC 3339)."""


class RolloutChange(Struct, frozen=True, forbid_unknown_fields=True):
    """A command. All of it may be left out."""

    reason: str = ""
    """Why; the audit keeps it."""
    service: str | None = None
    """The service, which may also stand in the query; only needed where several have a rollout."""
    attempt: int | None = None
    """Do it only if the rollout is still at this attempt; else 409."""


class AdvanceChange(RolloutChange, frozen=True, forbid_unknown_fields=True):
    """Something that goes forward. An override of freezes needs a reason."""

    override: Override | None = None
    """Freezes do not hold the rollout until then; needs a reason."""


class PromoteChange(AdvanceChange, frozen=True, forbid_unknown_fields=True):
    """To the next part, or to the end of the plan."""

    full: bool = False
    """To the end of the plan; needs a reason."""
    stage: str | None = None
    """Only out of the part with this name; else 409."""


class RetryChange(AdvanceChange, frozen=True, forbid_unknown_fields=True):
    """A new attempt."""

    stage: str | None = None
    """The stage to begin with, by its name; without it the first."""


class HistoryEntry(Struct, frozen=True):
    """One decision as the audit keeps it."""

    number: int
    """Its place in the chain of the audit."""
    at: float
    by: str
    """A person, or `shadowproxy`."""
    action: str
    """What was done."""
    why: str
    """Why, in a sentence; also why it then was not done."""
    what: dict[str, Any]
    """What belongs to it, by action."""


class HistoryPage(Struct, frozen=True):
    """What was decided, newest first."""

    service: str
    items: list[HistoryEntry]
    total: int
    limit: int
    offset: int
    problems: list[str]
    """What of the whole audit was changed or is missing; none: its chain of hashes holds."""


class Explanation(Struct, frozen=True):
    """Why a rollout is where it is, sentence by sentence."""

    service: str
    sentences: list[str]
    """In the order in which they make sense."""


class FreezeStatus(Struct, frozen=True):
    """One freeze."""

    name: str
    """Its name in the configuration; of one by hand its id."""
    source: str
    """`configuration`, or `manual` where somebody started it by hand and may end it."""
    kind: str
    """`deny`: changes stop while it is active; `allow`: they stop outside of it."""
    active: bool
    """Whether it is active now."""
    begins_at: float | None
    """When it begins next, of one by hand when it began, Unix time; None: not known, or never."""
    ends_at: float | None
    """When it ends, Unix time; None: not known, or never."""
    classes: list[str]
    """Which changes it stops: `feature`, `fix`, `security`."""
    services: list[str]
    """Which services it stops; empty: all."""
    in_flight: str
    """What becomes of a rollout that runs: `hold`, `continue` or `rollback`."""
    reason: str
    """Why there is one."""
    id: str = ""
    """Of one by hand; else empty."""
    by: str = ""
    """Who started it by hand; else empty."""


class FreezeTurn(Struct, frozen=True):
    """One time in which a freeze is active."""

    name: str
    """Its name in the configuration; of one by hand its id."""
    kind: str
    """`deny`: changes stop while it is active; `allow`: they stop outside of it."""
    begins_at: float
    """Unix time."""
    ends_at: float | None
    """Unix time; None: nobody knows yet."""


class FreezeStart(Struct, frozen=True, forbid_unknown_fields=True):
    """A freeze by hand."""

    reason: Said
    """Why; whoever is stopped by it reads that."""
    until: Until | None = None
    """A duration from now, such as `2h`, or a time (RFC 3339); without it: until somebody ends it."""
    services: tuple[str, ...] = ()
    """Which services it stops; empty: all."""
    classes: tuple[Literal["feature", "fix", "security"], ...] = ("feature",)
    """Which changes it stops; at least one."""
    in_flight: Literal["hold", "continue", "rollback"] = "hold"
    """What becomes of a rollout that runs."""


class FreezeEnd(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a freeze by hand."""

    reason: Said
    """Why; the audit keeps it."""
    id: str = ""
    """Of the freeze; may be left out where only one was started by hand."""


class WatchChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the watch."""

    action: Literal["hold", "renew", "release", "handover"]
    """Take it, keep it, give it up, or give it to somebody else."""
    service: str | None = None
    """The service, which may also stand in the query; only needed where several have a rollout."""
    to: str = ""
    """Of `handover`: the name of an operator's token."""
    reason: str = ""
    """Why; the audit keeps it."""
