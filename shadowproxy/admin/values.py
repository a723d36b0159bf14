"""What the API answers with, besides reports and examples. Durations are seconds, `_at` Unix times."""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.model.pair import Example
from shadowproxy.model.totals import Isolation, RolloutFigures, StoreFigures
from shadowproxy.report import Cause


class WorkerStatus(Struct, frozen=True):
    """`fresh`: its heart beat lately. `policy` is the sequence number in force there. `age` None: not there."""

    block: int
    fresh: bool
    age: float | None
    policy: int
    connections: int
    tunnels: int
    held_bytes: int
    loop_lag: float
    draining: bool
    overloaded: bool


class UpstreamStatus(Struct, frozen=True):
    """`healthy` of the `urls` are in rotation; `connections` by state."""

    urls: list[str]
    healthy: int
    connections: dict[str, int]
    breaker_open: bool


class ServiceStatus(Struct, frozen=True):
    """Counts since the start. `differ` and `compared` are the candidate's."""

    name: str
    match: str
    upstreams: dict[str, UpstreamStatus]
    routes: list[str]
    requests: int
    sent: int
    in_flight: int
    compared: int
    differ: int
    isolation: Isolation | None = None
    """None: nothing is held out."""
    rollout: RolloutFigures | None = None
    """None: it has none, or what is known of it is not read yet."""


class RouteStatus(Struct, frozen=True):
    """One route of the policy in force, and its counts. `origin` is `configured`, `openapi` or `learned`."""

    service: str
    name: str
    origin: str
    path: str | None
    methods: list[str] | None
    sample: float
    mirrored_methods: list[str]
    max_body: int
    requests: int
    compared: int
    differ: int


class ReloadStatus(Struct, frozen=True):
    """`problems` are those of the last reload, if it was refused: then the configuration before it is in force."""

    succeeded: int
    failed: int
    last_ok: bool
    last_at: float
    problems: list[str]


class CausePage(Struct, frozen=True):
    """Causes by impact: the most pairs of this instance first, then the most of earlier ones."""

    items: list[Cause]
    total: int
    limit: int
    offset: int


class CauseAnswer(Struct, frozen=True):
    """One cause, and its smallest example whole; None where none is kept."""

    cause: Cause
    example: Example | None


class AcceptChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Accept how the candidate differs: in an example, in a cause, or in a field named by route, field and kind.

    Beside an example or a cause `field` and `kind` choose among its differences. `shape` true takes the look of the
    value in the example. `expires` is a date, a time (RFC 3339), or a duration from now such as `30d`.
    """

    owner: str
    reason: str
    service: str | None = None
    example: str | None = None
    cause: str | None = None
    route: str | None = None
    field: str | None = None
    kind: str | None = None
    shape: str | bool | None = None
    expires: str | None = None


class AcceptedEntry(Struct, frozen=True):
    """An entry as it stands in the file; `service` is empty where the file is about one alone."""

    id: str
    route: str
    field: str
    kind: str
    shape: str
    owner: str
    reason: str
    expires: str
    service: str


class AcceptAnswer(Struct, frozen=True):
    """What was written, and where. `in_force` false: the reload was refused, as `problems` say, or is not over yet."""

    service: str
    file: str
    entries: list[AcceptedEntry]
    in_force: bool
    problems: list[str]


class ResetChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Begin the evidence of a service anew: of fields, latency and errors. Counts stay, and what is known of noise."""

    reason: str
    service: str | None = None


class ResetAnswer(Struct, frozen=True):
    """The evidence is about pairs since then, Unix time."""

    service: str
    since: float


class Status(Struct, frozen=True):
    version: str
    epoch: str
    policy: int
    fingerprint: str
    ready: bool
    started_at: float
    at: float
    services: list[ServiceStatus]
    workers: list[WorkerStatus]
    restarts: dict[str, int]
    reloads: ReloadStatus
    store: StoreFigures


class Points(Struct, frozen=True):
    """How the arms did lately: points every `step` seconds that end `at`, Unix time, and the candidate's `weight` then.

    `arms` has by arm `rate` (requests a second), `errors` (the share that failed), `p50`, `p95` and `p99` (seconds), a
    value a point; None: there was nothing to measure. Arms without any request are left out.
    """

    service: str
    step: float
    at: list[float]
    weight: list[float]
    arms: dict[str, dict[str, list[float | None]]]


class Side(Struct, frozen=True):
    """A line of a body in three parts, of which the middle one differs from the other side."""

    before: str
    changed: str
    after: str


class Row(Struct, frozen=True):
    """`mark`: a space, the lines are equal; `|`, they differ; `<`, only the primary has it; `>`, only the other one."""

    mark: str
    primary: Side
    shadow: Side


class Rule(Struct, frozen=True):
    """`name` is the rule of `compare`, `lines` are YAML; `note` says where they belong, if not to the route."""

    name: str
    fields: list[str]
    lines: str
    note: str
