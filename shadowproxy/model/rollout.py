"""The plan of a rollout as configured, what it does to traffic at one moment, and freezes: frozen values.

Durations are seconds, shares 0..1, times Unix time. `Split` travels to the data plane inside a policy; the plan is
read by control alone.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from shadowproxy.model.flags import Overlay

SHADOW: Final = "shadow"
APPROVE: Final = "approve"
CANARY: Final = "canary"
PROGRESSIVE: Final = "progressive"
BLUE_GREEN: Final = "blue_green"
FLAG: Final = "flag"
SOAK: Final = "soak"
STAGE_KINDS: Final = (SHADOW, APPROVE, CANARY, PROGRESSIVE, BLUE_GREEN, FLAG, SOAK)

CHANGE_CLASSES: Final = ("feature", "fix", "security")

BACK: Final = frozenset({"abort", "rollback"})
"""Commands that send all users back."""

ERROR_RATE: Final = "error_rate"
CLIENT_ERROR_RATE: Final = "client_error_rate"
LATENCY_P50: Final = "latency_p50"
LATENCY_P95: Final = "latency_p95"
LATENCY_P99: Final = "latency_p99"
REGRESSED_FIELDS: Final = "regressed_fields"
SAMPLE_RATIO: Final = "sample_ratio"
SLOW_BURN: Final = "slow_burn"
CHECK_KINDS: Final = (
    ERROR_RATE,
    CLIENT_ERROR_RATE,
    LATENCY_P50,
    LATENCY_P95,
    LATENCY_P99,
    REGRESSED_FIELDS,
    SAMPLE_RATIO,
    SLOW_BURN,
)
PROMQL: Final = "promql"
WEBHOOK: Final = "webhook"

ENFORCE: Final = "enforce"
OBSERVE: Final = "observe"

PASS: Final = "pass"  # noqa: S105 - a verdict
FAIL: Final = "fail"
INCONCLUSIVE: Final = "inconclusive"

PENDING: Final = "pending"
RUNNING: Final = "running"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled_back"
ABORTED: Final = "aborted"
PHASES: Final = (PENDING, RUNNING, PROMOTED, ROLLED_BACK, ABORTED)

HoldReason = Literal[
    "operator",
    "approval",
    "freeze",
    "starved",
    "unsupervised",
    "inconclusive",
    "failed",
    "primary_broken",
    "primary_changed",
    "sample_ratio",
    "slow_burn",
    "gate",
    "timeout",
    "store",
    "applying",
    "recalled",
    "flag",
]
"""The closed list of why a rollout does not advance. `applying`: not every worker runs the policy yet."""
HOLD_REASONS: Final[tuple[str, ...]] = get_args(HoldReason)


Event = Literal[
    "started",
    "approved",
    "advanced",
    "promoted",
    "settled",
    "held",
    "released",
    "paused",
    "resumed",
    "overridden",
    "failed",
    "rolled_back",
    "aborted",
    "recalled",
    "retried",
    "restarted",
    "version_changed",
    "plan_pending",
    "plan_replaced",
    "plan_removed",
    "freezes_changed",
    "state_lost",
    "watch_taken",
    "watch_handed_over",
    "watch_released",
    "watch_lapsed",
]
"""What happens to one rollout, as the audit and webhooks name it."""
Action = Literal[Event, "freeze_started", "freeze_ended", "flags_changed", "flags_refused"]
EVENTS: Final[tuple[str, ...]] = get_args(Event)


class Sticky(Struct, frozen=True):
    """What makes a user the same user: the value of a `header` (lower case) or `cookie`; one of them is set.

    Requests without it are told apart by `fallback`: `client_ip` or `request_id`.
    """

    header: str | None = None
    cookie: str | None = None
    fallback: str = "request_id"


class Chosen(Struct, frozen=True):
    """Users who are sent to the candidate whatever the weight: by a `header` (lower case) or a `cookie`.

    With `value` it has to be that. Without, `always` is the candidate and `never` the primary; anything else is drawn.
    """

    header: str | None = None
    cookie: str | None = None
    value: str | None = None


class Failures(Struct, frozen=True):
    """What counts as a failure, the same for both arms: these statuses, and no whole answer.

    `timeouts`: whether an answer that did not come in time counts. `statuses` are single ones, `classes` 4 and 5.
    """

    classes: tuple[int, ...] = (5,)
    statuses: tuple[int, ...] = ()
    timeouts: bool = True


EXCLUDED: Final = ("/healthz", "/readyz", "/livez", "/health", "/ping", "/metrics", "/favicon.ico")
"""Paths that are no evidence unless said otherwise: probes and the like."""


class Split(Struct, frozen=True):
    """What a rollout does to the traffic of one service now.

    The candidate serves where h < `weight` (contract, meaning 5), and those of `chosen`. While `leased` that holds only
    as long as control renews the lease (`metrics.layout.LEASES`). `sample` caps the share that is mirrored, None: as
    the routes say. `excluded` are path templates whose requests are no evidence. `recalled`: when all users were sent
    back by a signal (Unix time), 0: they were not. `urls`: where the candidate is that it is about, empty: not known.
    """

    rollout: str
    attempt: int = 1
    weight: float = 0.0
    leased: bool = True
    sticky: Sticky | None = None
    chosen: tuple[Chosen, ...] = ()
    sample: float | None = None
    failures: Failures = Failures()
    excluded: tuple[str, ...] = EXCLUDED
    recalled: float = 0.0
    urls: tuple[str, ...] = ()
    flags: tuple[Overlay, ...] = ()
    """Laid over flags for everybody, leased as the weight is."""
    testing: str = ""
    """The flag of which the evidence is: of users with its overlay's variant against those without, on the arm that has
    it (the candidate where it has users, else the primary). Empty: the candidate's users against the primary's."""


def needs_candidate(split: Split) -> bool:
    """Whether anybody may be served by the candidate, if its lease holds."""
    return split.weight > 0.0 or bool(split.chosen)


def sends_users(split: Split | None) -> bool:
    """Whether anybody may get something new, if the lease holds: the candidate, or another variant of a flag."""
    return split is not None and (needs_candidate(split) or any(each.weight for each in split.flags))


class Bake(Struct, frozen=True):
    """A part of a stage is over after `seconds` and `requests` of the arm under test, with no check that fails.

    `evidence` is `no_failure` or `not_worse`; `early`: the latter may end it before its time. After `timeout` seconds,
    held ones included, `on_timeout` is done: `hold`, `rollback` or `advance`.
    """

    seconds: float = 0.0
    requests: int = 0
    evidence: str = "no_failure"
    early: bool = False
    timeout: float | None = None
    on_timeout: str = "hold"


class Stage(Struct, frozen=True):
    """One stage as it was written: its `kind` and what belongs to it."""

    name: str
    kind: str
    bake: Bake = Bake()
    sample: float | None = None
    """`shadow`: the share that is mirrored."""
    timeout: float | None = None
    """`approve`: seconds until `on_timeout`, `hold`, `rollback` or `advance`, is done."""
    on_timeout: str = "hold"
    weights: tuple[float, ...] = ()
    """`canary` has one, `progressive` several, rising."""
    holdback: float = 0.0
    """`progressive`: the share that stays with the primary until the last bake is over."""
    chosen: tuple[Chosen, ...] = ()
    """`canary`, `progressive`: `match`; `blue_green`: the preview."""
    keep_blue: float = 0.0
    """`blue_green`: how long the switch can be taken back automatically; its second bake lasts at least as long."""
    flag: str = ""
    """`flag`: which one; `weights` are shares of all users who get `variant`."""
    variant: str = ""


class Check(Struct, frozen=True):
    """One check. `kind` is of CHECK_KINDS, or `promql` or `webhook`. A limit that is None is not looked at.

    `max_relative` and `max_absolute` are tolerated differences to the primary (shares; seconds for latencies),
    `max` an absolute limit on the candidate that needs no baseline, `max_slope` a rise per second as a share.
    """

    name: str
    kind: str
    mode: str = ENFORCE
    max_relative: float | None = None
    max_absolute: float | None = None
    max: float | None = None
    max_slope: float | None = None
    promql: str = ""
    """`$version`, `$service` and `$arm` stand for the arm's version, the service and the arm's name."""
    against: str | None = None
    """`primary`: asked for both arms and compared; None: the candidate's values alone are held against `max`."""
    step: float = 60.0
    url: str = ""
    interval: float = 30.0
    timeout: float = 10.0
    retries: int = 2
    confirm: bool = False
    """A webhook that says no is asked again until it says yes; else no is a failure."""


class Notify(Struct, frozen=True):
    """A webhook that hears of events, signed with `secret` where there is one. `events` empty: all of them."""

    url: str
    secret: str = ""
    events: tuple[str, ...] = ()


class Prometheus(Struct, frozen=True):
    """Where PromQL checks are asked."""

    url: str
    timeout: float = 10.0
    headers: dict[str, str] = {}


class Plan(Struct, frozen=True):
    """The rollout of one service, as configured."""

    name: str
    stages: tuple[Stage, ...]
    strategy: str = ""
    """The shorthand that it was made from; empty: its stages were written."""
    change_class: str = "feature"
    sticky: Sticky | None = None
    false_rollback: float = 0.01
    failures: Failures = Failures()
    excluded: tuple[str, ...] = EXCLUDED
    warmup: float = 0.0
    checks: tuple[Check, ...] = ()
    on_fail: str = "rollback"
    """`rollback`, or `pause`: weight 0, the attempt kept."""
    supervise: str = "optional"
    """`required`: it advances only while somebody holds the watch."""
    watch_ttl: float = 60.0
    lease: float = 300.0
    notify: tuple[Notify, ...] = ()
    prometheus: Prometheus | None = None

    @property
    def is_of_flags(self) -> bool:
        """Whether it ramps flags and gives the candidate nobody."""
        kinds = {stage.kind for stage in self.stages}
        return FLAG in kinds and not kinds & {CANARY, PROGRESSIVE, BLUE_GREEN}

    @property
    def hash(self) -> str:
        """What an attempt pins: equal plans have equal hashes."""
        return hashlib.blake2b(msgspec.msgpack.encode(self, order="deterministic"), digest_size=8).hexdigest()


class Step(Struct, frozen=True):
    """One part of a plan in the order of time: a stage, or one weight of it. `stage` and `part` are indices.

    `name` is the stage's, with the weight where the stage has several; `weight` is less the holdback.
    """

    stage: int
    part: int
    name: str
    kind: str
    weight: float
    bake: Bake
    sample: float | None = None
    chosen: tuple[Chosen, ...] = ()
    timeout: float | None = None
    on_timeout: str = "hold"
    flags: tuple[Overlay, ...] = ()
    """Those of the stages before and its own."""
    testing: str = ""
    """The flag that this part ramps; empty: none."""

    @property
    def overlay(self) -> Overlay | None:
        """What this part ramps; None: no flag."""
        return next((each for each in self.flags if each.flag == self.testing), None)

    @property
    def share(self) -> float:
        """Of the users, or of the requests, who are on the side that is tested: the flag's, else the candidate's."""
        overlay = self.overlay
        return self.weight if overlay is None else overlay.weight


class FreezeWindow(Struct, frozen=True):
    """When changes are not wanted. Either `cron` (five fields, in `zone`) and `seconds`, or `start` and `end`.

    `kind` is `deny` or `allow` (Argo CD's semantics: deny beats allow; with any allow window only inside one).
    `classes` are stopped; `in_flight` says what becomes of a rollout that runs: `hold`, `continue`, `rollback`.
    `manual`: whether a person may go on with a reason while it is active.
    """

    name: str
    kind: str = "deny"
    cron: str = ""
    seconds: float = 0.0
    zone: str = "UTC"
    start: float | None = None
    end: float | None = None
    classes: tuple[str, ...] = ("feature",)
    services: tuple[str, ...] = ()
    """Empty: all."""
    in_flight: str = "hold"
    manual: bool = False
    reason: str = ""
