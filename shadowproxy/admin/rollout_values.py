"""What the API says of rollouts, freezes and watches, and takes. Seconds, shares 0..1; `_at`: Unix time."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

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


class StepStatus(Struct, frozen=True):
    """One part of the plan: a stage, or one weight of it. `state` is `stopped` where the attempt ended.

    `ends_at` is projected, None where nobody can say; of what is over it is None as well.
    """

    stage: str
    kind: str
    weight: float
    chosen: bool
    """Whether chosen users are the candidate's whatever its weight."""
    bake_seconds: float
    bake_requests: int
    state: Where
    ends_at: float | None = None
    flag: FlagShare | None = None
    """What the part ramps."""


class BakeStatus(Struct, frozen=True):
    """How far the present part is: what is there of `needed_seconds` and `needed_requests`, and the `warmup` left."""

    entered_at: float
    seconds: float
    needed_seconds: float
    requests: int
    needed_requests: int
    warmup: float


class WatchStatus(Struct, frozen=True):
    """Who watches; `holder` is empty where nobody does. `required`: without it nothing advances.

    A watch lapses after `ttl` seconds unless it is renewed.
    """

    required: bool
    ttl: float
    holder: str = ""
    since: float | None = None
    until: float | None = None


class RolloutStatus(Struct, frozen=True):
    """Where the rollout of a service is, and why. `stage` is the name of the present one, empty before the start."""

    service: str
    name: str
    attempt: int
    phase: str
    stage: str
    weight: float
    holds: list[Hold]
    why: str
    at: float
    strategy: str
    change_class: str
    plan: str
    """The hash of the plan that the attempt runs by."""
    pending_plan: str
    """The hash of a changed plan that the next attempt will use, else empty."""
    identity: dict[str, str]
    """The version of each arm, where it is known."""
    steps: list[StepStatus]
    bake: BakeStatus | None
    checks: list[CheckResult]
    watch: WatchStatus
    missing: list[str]
    """What the present part still needs by itself: time, requests, evidence."""
    next: str
    """What comes next, or what a person can have it do."""
    finish_at: float | None
    """When all users are the candidate's, projected through the freezes to come as if nothing failed or waited; of one
    that is pending as if it were started now. None where nobody can say, for the reason in `finish_why`, or it is over.
    """
    finish_why: str
    override_until: float | None
    """Until then freezes do not hold it, because somebody said so."""
    started_at: float | None
    ended_at: float | None
    settled: bool
    """False: promoted, and the configuration's primary is not what was promoted yet."""
    fault: str
    """Why it cannot be driven at present; empty where it can."""
    earlier: list[Attempt]
    flags: list[FlagShare] = []
    """What is laid over flags now."""
    stages: list[str] = []
    """The stages of the plan by name: where `retry` may begin."""


class Override(Struct, frozen=True, forbid_unknown_fields=True):
    """Freezes do not hold the rollout until then: a duration from now, such as `2h`, or a time (RFC 3339)."""

    until: str


class RolloutChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`attempt`: only if the rollout is still at this one. `service` may also stand in the query."""

    reason: str = ""
    service: str | None = None
    attempt: int | None = None


class AdvanceChange(RolloutChange, frozen=True, forbid_unknown_fields=True):
    """Something that goes forward. An override of freezes needs a reason."""

    override: Override | None = None


class PromoteChange(AdvanceChange, frozen=True, forbid_unknown_fields=True):
    """To the next part, with `stage` only out of that part; `full`: to the end of the plan, which needs a reason."""

    full: bool = False
    stage: str | None = None


class RetryChange(AdvanceChange, frozen=True, forbid_unknown_fields=True):
    """A new attempt, from the first stage or from the one named."""

    stage: str | None = None


class HistoryEntry(Struct, frozen=True):
    """One decision as the audit keeps it. `number` is its place in the chain."""

    number: int
    at: float
    by: str
    action: str
    why: str
    what: dict[str, Any]


class HistoryPage(Struct, frozen=True):
    """Newest first. `problems` name what of the whole audit was changed or is missing; none: its chain holds."""

    service: str
    items: list[HistoryEntry]
    total: int
    limit: int
    offset: int
    problems: list[str]


class Explanation(Struct, frozen=True):
    """Why a rollout is where it is, sentence by sentence."""

    service: str
    sentences: list[str]


class FreezeStatus(Struct, frozen=True):
    """One freeze. `source` is `configuration`, or `manual` where somebody started it by hand and may end it.

    `id` is that of a manual one. `active`: it is in force now; then it `ends_at`, else it next `begins_at`. Either may
    be None: not known, or never. `services` empty: all of them.
    """

    name: str
    source: str
    kind: str
    active: bool
    begins_at: float | None
    ends_at: float | None
    classes: list[str]
    services: list[str]
    in_flight: str
    reason: str
    id: str = ""
    by: str = ""


class FreezeTurn(Struct, frozen=True):
    """One time in which a freeze is active. `ends_at` None: nobody knows yet."""

    name: str
    kind: str
    begins_at: float
    ends_at: float | None


class FreezeStart(Struct, frozen=True, forbid_unknown_fields=True):
    """`until` is a duration from now, such as `2h`, or a time (RFC 3339); without it: until somebody ends it.

    `services` empty: all of them. `in_flight` is what becomes of a rollout that runs: hold, continue or rollback.
    """

    reason: str
    until: str | None = None
    services: tuple[str, ...] = ()
    classes: tuple[Literal["feature", "fix", "security"], ...] = ("feature",)
    in_flight: Literal["hold", "continue", "rollback"] = "hold"


class FreezeEnd(Struct, frozen=True, forbid_unknown_fields=True):
    """The manual freeze with this id; without one the only one."""

    reason: str
    id: str = ""


class WatchChange(Struct, frozen=True, forbid_unknown_fields=True):
    """`hold`, `renew`, `release`, or `handover` to the person named by `to`: a token's name."""

    action: Literal["hold", "renew", "release", "handover"]
    service: str | None = None
    to: str = ""
    reason: str = ""
