"""The policy: plain data that says what the data plane does now. It is hashed, travels between processes as
msgpack and is compiled by each process into a snapshot. Durations are seconds, sizes bytes, shares 0..1.

`Launch` holds what is fixed for the life of the supervisor; everything in `Policy` can be reloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import msgspec
from msgspec import Struct, field

from shadowproxy.model.flags import FlagsPolicy
from shadowproxy.model.rollout import FreezeWindow, Plan, Split
from shadowproxy.model.terms import CONFIGURED, OTHER

KIB = 1024
MIB = 1024 * 1024


class HeaderRules(Struct, frozen=True):
    """What a copy's header fields lose and get. Names in any case; `set` replaces every earlier field of the name."""

    remove: tuple[str, ...] = ()
    set: dict[str, str] = field(default_factory=dict)


class ShadowPolicy(Struct, frozen=True):
    """Mirroring, resolved for one route. `max_in_flight`, `max_bytes` and the breaker are per service and arm."""

    sample: float = 1.0
    methods: tuple[str, ...] = ("GET", "HEAD", "OPTIONS")
    """What is mirrored, with what `writes` adds or takes away."""
    writes: str | None = None
    """`never` or `allow` where that was said, else None."""
    max_body: int = MIB
    max_response: int = 2 * MIB
    max_in_flight: int = 256
    max_bytes: int = 16 * MIB
    max_age: float = 2.0
    """Seconds a copy may wait for a connection before it is dropped with reason `age`."""
    timeout: float = 10.0
    breaker_failures: int = 20
    """Consecutive refusals or timeouts after which the arm rests; it is probed every second."""
    headers: dict[str, HeaderRules] = field(default_factory=dict)
    """By arm: `candidate`, `secondary`."""
    flags: dict[str, str] = field(default_factory=dict)
    """Flags that the candidate's copies carry with another variant than the request: by flag, the variant."""


class ComparePolicy(Struct, frozen=True):
    """Comparison rules of one route, as written. `compare` compiles them once.

    Fields are written as in the contract, meaning 11. By path: `identity` names the member that tells the elements of
    an array apart, `tolerance` an absolute difference, `relative_tolerance` a share of the larger number.
    `by_nature` are further header fields, in lower case, that differ between two versions as they should.
    """

    ignore: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    identity: dict[str, str] = field(default_factory=dict)
    tolerance: dict[str, float] = field(default_factory=dict)
    relative_tolerance: dict[str, float] = field(default_factory=dict)
    redact: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()
    max_decoded: int = 8 * MIB
    max_ratio: int = 100
    max_depth: int = 64
    max_time: float = 0.05
    recorded: bool = False
    """The primary's answers come from a recording, with secrets masked and bodies decoded. Never in a file."""
    by_nature: tuple[str, ...] = ()


class NoisePolicy(Struct, frozen=True):
    """How a service learns what differs without any change. `resample` is off where there is a secondary."""

    resample: float = 0.0
    """The share of mirrored safe requests that the primary itself is asked once more."""
    fdr: float = 0.05
    """The false discovery rate of the list of regressed fields."""
    max_age: float = 7 * 86400.0
    """Seconds after which a field that no longer differs by itself is not called noisy any more."""


class VersionPolicy(Struct, frozen=True):
    """How it is known which build an arm runs. At most one is set; without any, its URLs stand for it."""

    header: str | None = None
    """A response header, in lower case."""
    get: str | None = None
    """A path whose answer is the version."""
    static: str | None = None


class AcceptedPolicy(Struct, frozen=True):
    """One entry of the accepted differences: on `route` (`*`: all) the candidate may differ so in `field`.

    `shape` (`compare.shapes`): only values of the candidate that look so; empty: all. `expires` as it was written,
    empty: never; `until` is the first moment, Unix time, at which it covers nothing any more.
    """

    route: str
    field: str
    kind: str
    owner: str
    reason: str
    shape: str = ""
    expires: str = ""
    until: float | None = None

    @property
    def id(self) -> str:
        """Short, the same in every process; no example's or cause's id begins so."""
        text = f"{self.route}\n{self.field}\n{self.kind}\n{self.shape}"
        return "a-" + hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=5).hexdigest()

    def holds(self, at: float) -> bool:
        """Whether it covers what a request at `at`, Unix time, shows."""
        return self.until is None or at < self.until


class RoutePolicy(Struct, frozen=True):
    """`path` is a template such as `/items/{id}` or `/static/*`; None matches all. `index` is the counter row.

    `origin`: placeholders of a `learned` path take only what looks like them (`endpoints.looks`).
    """

    name: str
    index: int
    path: str | None = None
    methods: tuple[str, ...] | None = None
    host: str | None = None
    origin: str = CONFIGURED
    shadow: ShadowPolicy = ShadowPolicy()
    compare: ComparePolicy = ComparePolicy()
    expose_flags: tuple[str, ...] | None = None
    """The keys of flags that its requests carry, `*` at the end for any rest; None: all."""


class EndpointsPolicy(Struct, frozen=True):
    """Routes that nobody configured: from an OpenAPI file, whose path is kept for people to see, and from traffic.

    At most `max` of a service: the rest is counted as `other`.
    """

    learn: bool = True
    openapi: str | None = None
    max: int = 200


class Endpoint(Struct, frozen=True):
    """One URL of an upstream. Either `unix` or `host` and `port`; `base` is a path prefix, usually empty."""

    url: str
    scheme: str = "http"
    host: str = ""
    port: int = 0
    unix: str = ""


class UpstreamTimeouts(Struct, frozen=True):
    connect: float = 1.0
    tls: float = 5.0
    first_byte: float | None = 30.0
    idle: float | None = 60.0
    """Between two reads of a response, and between two writes of a request that the upstream does not take."""
    total: float | None = None
    keep_alive: float = 55.0
    """How long an unused connection is kept."""


class UpstreamTls(Struct, frozen=True):
    ca: str | None = None
    server_name: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True


class HealthPolicy(Struct, frozen=True):
    """Active checks: GET `path` every `interval`; `rise`/`fall` consecutive answers change the state."""

    path: str = "/healthz"
    interval: float = 5.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    host: str | None = None


class EjectionPolicy(Struct, frozen=True):
    """Passive: a URL rests for `interval` after `failures` requests in a row without a connection or an answer.

    The last one never does.
    """

    failures: int = 5
    interval: float = 10.0


class UpstreamPolicy(Struct, frozen=True):
    endpoints: tuple[Endpoint, ...]
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    max_connections: int = 1024
    max_waiting: int = 1024
    max_wait: float = 1.0
    max_idle: int = 256
    balance: str = "round_robin"
    """`round_robin` or `least_connections`."""
    health: HealthPolicy | None = None
    ejection: EjectionPolicy = EjectionPolicy()
    tls: UpstreamTls = UpstreamTls()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it is, in an order of its own."""
        return tuple(sorted(endpoint.url for endpoint in self.endpoints))


class IsolationPolicy(Struct, frozen=True):
    """`hold_out` is the share of the time in which nothing is mirrored, to measure what mirroring adds; 0: never."""

    hold_out: float = 0.05


class CapturePolicy(Struct, frozen=True):
    """Recording of requests and the primary's responses to `path` and up to `files` - 1 older files beside it.

    `methods` None: all of them. Bodies are kept up to the route's `max_body` and `max_response`.
    """

    path: str
    sample: float = 1.0
    max_file: int = 64 * MIB
    files: int = 8
    responses: bool = True
    methods: tuple[str, ...] | None = None


class ServicePolicy(Struct, frozen=True):
    """`other` is the counter row and the rules of requests that match none of `routes`. `index` is the service row.

    Of `routes` the configured ones are tried first, in their order, then the others, the more specific one first.
    """

    name: str
    index: int
    upstreams: dict[str, UpstreamPolicy]
    routes: tuple[RoutePolicy, ...] = ()
    other: RoutePolicy = RoutePolicy(OTHER, 0)
    host: str | None = None
    path: str = "/"
    salt: str = ""
    shadow: ShadowPolicy = ShadowPolicy()
    isolation: IsolationPolicy = IsolationPolicy()
    noise: NoisePolicy = NoisePolicy()
    version: VersionPolicy = VersionPolicy()
    endpoints: EndpointsPolicy = EndpointsPolicy()
    accepted: tuple[AcceptedPolicy, ...] = ()
    accepted_file: str = ""
    """Where they stand, and where further ones are written, whether it is there yet or not."""
    capture: CapturePolicy | None = None
    expose_flags: tuple[str, ...] | None = None
    """Those of its routes that have none of their own."""
    rollout: Plan | None = None
    split: Split | None = None
    """What the rollout does to traffic now; None: everybody is served by the primary. Never in a configuration."""

    @property
    def templates(self) -> tuple[RoutePolicy, ...]:
        """The routes that nobody configured."""
        return tuple(route for route in self.routes if route.origin != CONFIGURED)

    @property
    def learns(self) -> bool:
        """Are more routes to be learned from what is `other` now?"""
        return self.endpoints.learn and len(self.templates) < self.endpoints.max

    def urls(self, arm: str) -> tuple[str, ...]:
        """Where an arm is, in an order of its own; empty: there is none."""
        upstream = self.upstreams.get(arm)
        return upstream.urls if upstream is not None else ()


def is_another(before: Collection[str], now: Collection[str]) -> bool:
    """Whether what is at the URLs `now` is something else than what was at those `before`: they share none."""
    return bool(before) and bool(now) and not set(before) & set(now)


class LimitsPolicy(Struct, frozen=True):
    """Sizes in bytes. The figures are those of nginx (8 KiB line), Envoy (60 KiB head, 100 fields) and llhttp."""

    line: int = 8 * KIB
    head: int = 64 * KIB
    fields: int = 100
    body: int | None = None
    chunk_extensions: int = 4 * KIB
    """Per message, in total."""
    trailers: int = 8 * KIB
    pipelined: int = 16
    connections: int = 10_000
    """Per worker."""


class ClientTimeouts(Struct, frozen=True):
    head: float = 10.0
    """From the first byte of a head (or from accepting) to its empty line."""
    idle: float = 75.0
    """Between requests on a kept connection."""
    body_rate: int = 240
    """Bytes per second below which an upload is ended once `body_grace` has passed (Apache's mod_reqtimeout: 500)."""
    body_grace: float = 10.0
    write: float = 60.0
    """How long a client may take no bytes while some are waiting for it."""
    tls: float = 10.0


class AccessLogPolicy(Struct, frozen=True):
    """JSON lines. `sample` 0 turns it off; errors are always written while it is on. `path` `-` is standard output."""

    sample: float = 0.0
    path: str = "-"


class CertificatePolicy(Struct, frozen=True):
    """One server certificate; the first is the default, others are chosen by SNI through their `names`."""

    cert: str
    key: str
    names: tuple[str, ...] = ()
    client_ca: str | None = None
    client_required: bool = True


class Policy(Struct, frozen=True):
    services: tuple[ServicePolicy, ...]
    sequence: int = 0
    epoch: str = ""
    limits: LimitsPolicy = LimitsPolicy()
    timeouts: ClientTimeouts = ClientTimeouts()
    trusted_proxies: tuple[str, ...] = ()
    """CIDR networks, or `unix` for every peer on a Unix socket."""
    proxy_protocol: bool = False
    tls: tuple[CertificatePolicy, ...] = ()
    access_log: AccessLogPolicy = AccessLogPolicy()
    freeze: tuple[FreezeWindow, ...] = ()
    flags: FlagsPolicy | None = None


class Bind(Struct, frozen=True):
    """Where to listen: `unix` path, or `host` and `port` (port 0: any free one)."""

    host: str = ""
    port: int = 0
    unix: str = ""

    def __str__(self) -> str:
        if self.unix:
            return f"unix:{self.unix}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TokenPolicy(Struct, frozen=True):
    name: str
    role: str
    """`viewer`, `operator` or `evaluator`."""
    token: str


class AdminPolicy(Struct, frozen=True):
    bind: Bind = Bind("127.0.0.1", 9900)
    tokens: tuple[TokenPolicy, ...] = ()
    hosts: tuple[str, ...] = ()
    """Further Host names that the admin listener answers to."""
    cert: CertificatePolicy | None = None


class StorePolicy(Struct, frozen=True):
    """Bounds of the kept examples."""

    max_examples: int = 5_000
    max_bytes: int = 256 * MIB
    max_age: float = 7 * 86400.0


class Launch(Struct, frozen=True):
    """Fixed while the supervisor lives; a reload that changes any of it names the key and keeps the old value."""

    listen: tuple[Bind, ...] = (Bind("127.0.0.1", 8080),)
    workers: int = 1
    comparers: int = 1
    data_dir: str = "./data"
    drain_delay: float = 0.0
    drain_timeout: float = 30.0
    admin: AdminPolicy = AdminPolicy()
    probe: Bind = Bind("127.0.0.1", 9901)
    metrics: Bind | None = None
    store: StorePolicy = StorePolicy()
    config_path: str = ""
    log_format: str = "auto"
    """`json`, `text`, or `auto`: text on a terminal."""


class Registry(Struct):
    """Which counter row belongs to which service and route. Only ever grows, so a row never changes its meaning.

    `routes` maps `service\\nroute` to a row, `services` maps a name to a row.
    """

    services: dict[str, int] = field(default_factory=dict)
    routes: dict[str, int] = field(default_factory=dict)

    def service(self, name: str) -> int:
        return self.services.setdefault(name, len(self.services))

    def route(self, service: str, route: str) -> int:
        return self.routes.setdefault(f"{service}\n{route}", len(self.routes))


class Loaded(Struct, frozen=True):
    """What reading a configuration yields: the supervisor keeps `launch` and `registry`, everyone gets `policy`."""

    launch: Launch
    policy: Policy
    registry: Registry
    warnings: tuple[str, ...] = ()


def without_splits(policy: Policy) -> Policy:
    """What was configured and learned: a rollout that takes a step changes no configuration."""
    services = (msgspec.structs.replace(service, split=None) for service in policy.services)
    return msgspec.structs.replace(policy, services=tuple(services))


def fingerprint(policy: Policy) -> str:
    """A short hash of a policy without its sequence number and its splits: equal policies have equal fingerprints."""
    plain = msgspec.structs.replace(without_splits(policy), sequence=0)
    return hashlib.blake2b(msgspec.msgpack.encode(plain, order="deterministic"), digest_size=8).hexdigest()
