"""What the API answers with, besides reports and examples. Durations are seconds, `_at` Unix times."""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.admin.words import Said, Until
from shadowproxy.model.pair import Example
from shadowproxy.model.totals import Isolation, RolloutFigures, StoreFigures
from shadowproxy.report import Cause


class WorkerStatus(Struct, frozen=True):
    """One worker process."""

    block: int
    """Its block of counters, from 0."""
    fresh: bool
    """Whether its heart beat lately."""
    age: float | None
    """Seconds since its last heartbeat; None: it is not there."""
    policy: int
    """The sequence number of the policy in force there."""
    connections: int
    """Connections of clients that are open."""
    tunnels: int
    """Tunnels (WebSockets) that are open."""
    held_bytes: int
    """Bytes of copies that it holds."""
    loop_lag: float
    """How late its event loop is, seconds."""
    draining: bool
    """Whether it takes no new connections any more."""
    overloaded: bool
    """Whether it sheds mirroring at the moment."""


class UpstreamStatus(Struct, frozen=True):
    """One arm of a service."""

    urls: list[str]
    """Where it is."""
    healthy: int
    """How many of the `urls` are in rotation."""
    connections: dict[str, int]
    """Connections to it, by state."""
    breaker_open: bool
    """Whether it rests after failures."""


class ServiceStatus(Struct, frozen=True):
    """Counts since the start. `differ` and `compared` are the candidate's."""

    name: str
    """Its name in the configuration."""
    match: str
    """Host and path prefix of its requests, `*` for any host."""
    upstreams: dict[str, UpstreamStatus]
    """By arm."""
    routes: list[str]
    """The routes by name, `other` included."""
    requests: int
    """Requests of users that were answered."""
    sent: int
    """Copies sent to the candidate."""
    in_flight: int
    """Copies whose answer is awaited."""
    compared: int
    """Pairs that were compared."""
    differ: int
    """Of these, those that differ."""
    isolation: Isolation | None = None
    """None: nothing is held out."""
    rollout: RolloutFigures | None = None
    """None: it has none, or what is known of it is not read yet."""


class RouteStatus(Struct, frozen=True):
    """One route of the policy in force, and its counts."""

    service: str
    name: str
    """Its name in the configuration, or its template."""
    origin: str
    """`configured`, `openapi` or `learned`."""
    path: str | None
    """The path or template that it matches; None: any."""
    methods: list[str] | None
    """The methods that it matches; None: any."""
    sample: float
    """The share of its requests that is mirrored."""
    mirrored_methods: list[str]
    """Methods that are mirrored."""
    max_body: int
    """Bytes that a mirrored request's body may have."""
    requests: int
    """Requests of users that were answered."""
    compared: int
    """Pairs of the candidate that were compared."""
    differ: int
    """Of these, those that differ."""


class ReloadStatus(Struct, frozen=True):
    """How the configuration was read again."""

    succeeded: int
    """Reloads that took effect."""
    failed: int
    """Reloads that were refused."""
    last_ok: bool
    """Whether the last one took effect; if not, the configuration before it is in force."""
    last_at: float
    """When that was, Unix time; 0: never."""
    problems: list[str]
    """Why the last reload was refused."""


class CausePage(Struct, frozen=True):
    """Causes by impact: the most pairs of this instance first, then the most of earlier ones."""

    items: list[Cause]
    total: int
    limit: int
    offset: int


class CauseAnswer(Struct, frozen=True):
    """One cause, and its smallest example whole; None where none is kept."""

    cause: Cause
    """The cause."""
    example: Example | None
    """Its smallest example, whole; None where none is kept."""


class AcceptChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Accept how the candidate differs: in an example, in a cause, or in a field named by route, field and kind."""

    owner: Said
    """Who answers for it: a person or a team."""
    reason: Said
    """Why it is meant; whoever looks at the file later reads that."""
    service: str | None = None
    """The service; only needed with `route` where there are several."""
    example: str | None = None
    """The id of an example, or its beginning: accept how that one differs."""
    cause: str | None = None
    """The id of a cause, or its beginning: accept how that one differs."""
    route: str | None = None
    """A route by its name, or `*` for all; takes `field` and `kind` beside it."""
    field: str | None = None
    """The field, as rules have it; beside an example or a cause only this one of its fields."""
    kind: str | None = None
    """The kind of difference; beside an example or a cause only this one of its kinds."""
    shape: str | bool | None = None
    """What the candidate's value has to look like; true: as in the example."""
    expires: Until | None = None
    """A date, a time (RFC 3339), or a duration from now such as `30d`; without it: never."""


class AcceptedEntry(Struct, frozen=True):
    """An entry as it stands in the file of accepted differences."""

    id: str
    """Its id, made from what it covers."""
    route: str
    field: str
    kind: str
    """The kind of difference."""
    shape: str
    """What the candidate's value has to look like; empty: anything."""
    owner: str
    """Who answers for it."""
    reason: str
    expires: str
    """The last day (UTC) or a time; empty: never."""
    service: str
    """The service; empty where the file is about one alone."""


class AcceptAnswer(Struct, frozen=True):
    """What was written, and where."""

    service: str
    file: str
    """The file that it was written to."""
    entries: list[AcceptedEntry]
    """What was written."""
    in_force: bool
    """False: the reload was refused, as `problems` say, or is not over yet."""
    problems: list[str]
    """Why the reload was refused."""


class ResetChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Begin the evidence of a service anew: of fields, latency and errors. Counts stay, and what is known of noise."""

    reason: Said
    """Why; the audit keeps it."""
    service: str | None = None
    """The service; may be left out where there is only one."""


class ResetAnswer(Struct, frozen=True):
    """The evidence is about pairs since then, Unix time."""

    service: str
    since: float
    """The evidence is about pairs since then, Unix time."""


class Status(Struct, frozen=True):
    """What runs, and how it does."""

    version: str
    """Of shadowproxy."""
    epoch: str
    """The id of this start: it is another one after a restart."""
    policy: int
    """The sequence number of the policy in force."""
    fingerprint: str
    """A hash of the policy: equal where the configuration means the same."""
    ready: bool
    """Whether every worker listens and none is draining."""
    started_at: float
    """Unix time."""
    at: float
    """The time of this answer, Unix time."""
    services: list[ServiceStatus]
    """The services, in the order of the configuration."""
    workers: list[WorkerStatus]
    """Those that have written counters."""
    restarts: dict[str, int]
    """How often a process was started again, by its role."""
    reloads: ReloadStatus
    """How the configuration was read again."""
    store: StoreFigures
    """What is kept on disk."""


class Points(Struct, frozen=True):
    """How the arms did lately."""

    service: str
    step: float
    """Seconds from one point to the next."""
    at: list[float]
    """When each point ends, Unix time."""
    weight: list[float]
    """The candidate's weight then, 0..1."""
    arms: dict[str, dict[str, list[float | None]]]
    """By arm `rate` (requests/s), `errors` (0..1), `p50`, `p95` and `p99` (seconds); None: nothing to measure."""


class Side(Struct, frozen=True):
    """A line of a body in three parts, of which the middle one differs from the other side."""

    before: str
    """What both sides have before what differs."""
    changed: str
    """What differs."""
    after: str
    """What both sides have behind it."""


class Row(Struct, frozen=True):
    """A line of both bodies, side by side."""

    mark: str
    """A space: equal; `|`: they differ; `<`: only the primary has it; `>`: only the other one."""
    primary: Side
    """The primary's line."""
    shadow: Side
    """The line of the other arm."""


class Rule(Struct, frozen=True):
    """A rule of `compare` that settles differences."""

    name: str
    """Its key in `compare`: `ignore` or `unordered`."""
    fields: list[str]
    """The fields that it is about."""
    lines: str
    """YAML to paste into the configuration."""
    note: str
    """Where the lines belong, if not to the route; else empty."""
