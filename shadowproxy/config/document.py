"""The document: which keys there are, of what kind, and which value of the policy each one fills.

No default stands here: a key that is absent leaves what `model.policy` says. A section names the policy value that it
`fills`, field by field under the same names; the schema and the reference read their defaults from there.
"""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct

from shadowproxy.config import values as v
from shadowproxy.config.flags import Flags
from shadowproxy.config.freeze import FreezeWindow
from shadowproxy.config.rollout import Rollout
from shadowproxy.config.section import OneOrMany, Section, about
from shadowproxy.model import policy

DEFAULT_SERVICE: Final = "default"


class Drain(Section):
    """What happens on SIGTERM."""

    delay: v.Duration | None = about("How long accepting goes on with `Connection: close` after `/readyz` turned 503.")
    timeout: v.Duration | None = about("How long running exchanges may take to end after that.")


class ClientCertificates(Section):
    """A certificate with its key, and which clients are asked for one of theirs. PEM files, read again on a reload."""

    needs: ClassVar[tuple[str, ...]] = ("cert", "key")
    fills: ClassVar[Struct | None] = policy.CertificatePolicy("", "")
    cert: v.File | None = about("The certificate with its chain.")
    key: v.File | None = about("Its private key, without a passphrase.")
    client_ca: v.File | None = about("Ask clients for a certificate that one of these authorities signed.")
    client_required: v.Flag | None = about("Refuse clients without a certificate. Needs `client_ca`.")


class Certificate(ClientCertificates):
    names: tuple[v.Hosts, ...] | None = about(
        "Server names (SNI) that this certificate is for; the first one serves the rest."
    )


class Limits(Section):
    """What a client may send. Beyond it: 414, 431, 413, 400 or 503, and a counted reason."""

    fills: ClassVar[Struct | None] = policy.LimitsPolicy()
    line: v.Buffer | None = about("The request line.")
    head: v.Buffer | None = about("The whole head: request line and header fields.")
    fields: v.Count | None = about("Header fields.")
    body: v.MaybeSize | None = about("The body.")
    chunk_extensions: v.Size | None = about("Chunk extensions of one message, in total.")
    trailers: v.Size | None = about("Trailer fields of one message, in total.")
    pipelined: v.Few | None = about("Requests that wait on one connection behind the one that is served.")
    connections: v.Count | None = about("Client connections of one worker.")


class ClientTimeouts(Section):
    """How long a client may take. There is no total."""

    fills: ClassVar[Struct | None] = policy.ClientTimeouts()
    head: v.Positive | None = about("From the first byte of a head, or from accepting, to its empty line.")
    idle: v.Positive | None = about("Between two requests on a kept connection.")
    body_rate: v.Rate | None = about(
        "An upload slower than this is ended once `body_grace` has passed; `0B/s` never ends one."
    )
    body_grace: v.Duration | None = about("How long an upload may be slower than `body_rate`.")
    write: v.Positive | None = about("How long a client may take nothing while bytes wait for it.")
    tls: v.Positive | None = about("The TLS handshake.")


class AccessLog(Section):
    """One JSON line a request, written beside the hot path."""

    fills: ClassVar[Struct | None] = policy.AccessLogPolicy()
    sample: v.Share | None = about("The share of requests that is logged; errors always are, unless this is `0%`.")
    path: v.File | None = about("The file, `-` for standard output.")


class Log(Section):
    format: v.LogFormat | None = about("`auto` is text on a terminal and JSON lines elsewhere.")


class Token(Section):
    """Who may use the admin API: `Authorization: Bearer TOKEN`."""

    needs: ClassVar[tuple[str, ...]] = ("name", "role", "token")
    name: v.Name | None = about("Who it is, as the audit log writes it.")
    role: v.Role | None = about("`viewer` reads, `operator` changes, `evaluator` asks for flags over OFREP alone.")
    token: v.Secret | None = about("The secret; best from `${NAME}` or `${file:/path}`.")


class Admin(Section):
    """The admin API and the dashboard. Any address but loopback needs tokens or required client certificates."""

    fills: ClassVar[Struct | None] = policy.AdminPolicy()
    listen: v.Address | None = about("Where it listens.")
    tokens: tuple[Token, ...] | None = about("Who may use it.")
    hosts: tuple[v.Host, ...] | None = about("Further `Host` names that it answers to.")
    tls: ClientCertificates | None = about("Its certificate.")


class Probe(Section):
    """`/healthz` and `/readyz`, answered by the supervisor. No token, any address."""

    listen: v.Address | None = about("Where it listens.")


class Metrics(Section):
    """`/metrics` alone, for a scraper from elsewhere. No token, any address. Absent: on the admin listener only."""

    needs: ClassVar[tuple[str, ...]] = ("listen",)
    listen: v.Address | None = about("Where it listens.")


class Store(Section):
    """The kept examples: SQLite in `data_dir`, the newest and the rarest kept."""

    fills: ClassVar[Struct | None] = policy.StorePolicy()
    max_examples: v.Count | None = about("How many.")
    max_bytes: v.Size | None = about("How much disk.")
    max_age: v.Positive | None = about("How long.")


class UpstreamTimeouts(Section):
    """How long an upstream may take, each step by itself."""

    fills: ClassVar[Struct | None] = policy.UpstreamTimeouts()
    connect: v.Positive | None = about("Connecting.")
    tls: v.Positive | None = about("The TLS handshake.")
    first_byte: v.MaybePositive | None = about("From the end of the request to the first byte of the response.")
    idle: v.MaybePositive | None = about(
        "Between two reads of a response, or two writes of a request that is not taken."
    )
    total: v.MaybePositive | None = about("The whole exchange.")
    keep_alive: v.Positive | None = about("How long an unused connection is kept; less than the upstream's own.")


class UpstreamTls(Section):
    """TLS towards `https` URLs."""

    fills: ClassVar[Struct | None] = policy.UpstreamTls()
    ca: v.File | None = about("Authorities to trust instead of the system's.")
    server_name: v.Host | None = about("The name to ask for and to verify. Absent: the URL's host.")
    cert: v.File | None = about("A client certificate.")
    key: v.File | None = about("Its private key, without a passphrase.")
    verify: v.Flag | None = about("Whether the upstream's certificate is verified.")


class Health(Section):
    """Active checks: `GET path` of every URL, 2xx and 3xx are good. Off unless this section is there (`{}` is one)."""

    fills: ClassVar[Struct | None] = policy.HealthPolicy()
    path: v.Target | None = about("What is asked for.")
    interval: v.Positive | None = about("How often.")
    timeout: v.Positive | None = about("How long an answer may take.")
    rise: v.Few | None = about("Good answers in a row that bring a URL back.")
    fall: v.Few | None = about("Bad answers in a row that take it out. The last URL is never taken out.")
    host: v.Host | None = about("The `Host` to send. Absent: the URL's.")


class Ejection(Section):
    """Passive checks: a URL that gives no connection or no answer rests for a while. The last one never does."""

    fills: ClassVar[Struct | None] = policy.EjectionPolicy()
    failures: v.Few | None = about("Requests in a row without a connection or an answer.")
    interval: v.Positive | None = about("How long it rests.")


class Upstream(Section):
    needs: ClassVar[tuple[str, ...]] = ("urls",)
    fills: ClassVar[Struct | None] = policy.UpstreamPolicy(())
    urls: tuple[v.Url, ...] | None = about("`http://host:port`, `https://host:port` or `unix:/path`, without a path.")
    timeouts: UpstreamTimeouts | None = about("How long it may take.")
    max_connections: v.Count | None = about("Connections of one worker, to all URLs together.")
    max_waiting: v.Waiting | None = about("Requests that may wait for a connection; more are answered 503.")
    max_wait: v.Positive | None = about("How long a request waits for a connection.")
    max_idle: v.Waiting | None = about("Unused connections that are kept.")
    balance: v.Balance | None = about("Which URL is next.")
    health: Health | None = about("Active checks.")
    ejection: Ejection | None = about("Passive checks.")
    tls: UpstreamTls | None = about("TLS towards it.")


class Upstreams(Section):
    needs: ClassVar[tuple[str, ...]] = ("primary",)
    primary: Upstream | None = about("Serves users today.")
    candidate: Upstream | None = about("The version under test: gets copies.")
    secondary: Upstream | None = about(
        "A second instance of the primary's version: gets copies, to learn what differs by itself."
    )


class HeaderRules(Section):
    """Applied to a copy after the proxy's own fields. `Host`, framing and hop-by-hop fields cannot be touched."""

    fills: ClassVar[Struct | None] = policy.HeaderRules()
    remove: tuple[v.FieldName, ...] | None = about("Fields to leave out.")
    set: dict[v.FieldName, v.FieldValue] | None = about(
        "Fields to send instead of any of that name, such as other credentials."
    )


class ShadowHeaders(Section):
    candidate: HeaderRules | None = about("For copies to the candidate.")
    secondary: HeaderRules | None = about("For copies to the secondary.")


class RouteShadow(Section):
    """Mirroring of one route. What is written here replaces the service's value, key by key, `headers` arm by arm."""

    sample: v.Share | None = about("The share of requests that is mirrored.")
    methods: tuple[v.Method, ...] | None = about("The methods that are mirrored; anything that writes is opt-in.")
    writes: v.Writes | None = about(
        "`allow` adds POST, PUT, PATCH, DELETE and what `match.methods` of the route names; `never` takes every method "
        "that writes away. Absent: `methods` alone says it; a route with neither does as its service."
    )
    max_body: v.Size | None = about("Requests with a larger body are not mirrored (`dropped{max_body}`).")
    max_response: v.Size | None = about("How much of a response body is kept for comparing.")
    max_age: v.Positive | None = about(
        "How long a copy may wait for a connection (`dropped{age}`; if the candidate takes none, `candidate_timeout`)."
    )
    timeout: v.Positive | None = about("How long a mirrored exchange may take in all.")
    headers: ShadowHeaders | None = about("What changes in a copy's header.")
    flags: dict[v.Text, v.Text] | None = about(
        "Flags that the candidate's copies carry with another variant than the request, flag by flag; without a "
        "`candidate` the primary's own instances get them."
    )


class Breaker(Section):
    failures: v.Count | None = about(
        "Refusals or timeouts in a row after which the arm rests; it is probed every second."
    )


class Shadow(RouteShadow):
    """Mirroring. The limits hold for each arm of the service."""

    fills: ClassVar[Struct | None] = policy.ShadowPolicy()
    max_in_flight: v.Count | None = about("Copies under way (`dropped{in_flight}`).")
    max_bytes: v.Size | None = about("Bytes held for copies and their responses (`dropped{bytes}`).")
    breaker: Breaker | None = about("When a failing arm rests (`dropped{breaker}`).")


class Compare(Section):
    """Comparison rules. What a route says of fields adds to what the service says; its caps replace the service's.

    Fields are written `$.item.price`, `$.items[].sku`, `$.by_id.*`, `$..name`, `header:name`, `form:name`, `status`,
    `line`.
    """

    fills: ClassVar[Struct | None] = policy.ComparePolicy()
    ignore: tuple[v.FieldPath, ...] | None = about("Fields whose differences do not count.")
    unordered: tuple[v.BodyPath, ...] | None = about("Lists whose order does not count.")
    identity: dict[v.BodyPath, v.Member] | None = about(
        "By list: the member that tells its elements apart, such as `id` or `node.id`. Absent: one is found."
    )
    tolerance: dict[v.BodyPath, v.Difference] | None = about(
        "By field: the largest difference of two numbers that is equal; `1%` is of the larger one."
    )
    redact: tuple[v.FieldPath, ...] | None = about("Fields to mask in examples, besides credentials and cookies.")
    redact_patterns: tuple[v.Pattern, ...] | None = about("Regular expressions; what they match is masked in examples.")
    max_decoded: v.Size | None = about("Larger bodies, decoded, are `incomparable`.")
    max_ratio: v.Count | None = about("The largest factor by which a compressed body may grow.")
    max_depth: v.Depth | None = about("How deep a JSON body may be nested.")
    max_time: v.Positive | None = about("How long comparing one pair may take.")


class RouteMatch(Section):
    path: v.Template | None = about("A template: `{name}` is one segment, a trailing `/*` any rest.")
    methods: tuple[v.Method, ...] | None = about("Absent: all.")
    host: v.Hosts | None = about("One name, or `*.` and a domain. Absent: any.")


class Route(Section):
    """A named request pattern with rules of its own. The first that matches takes the request; the rest is `other`."""

    needs: ClassVar[tuple[str, ...]] = ("name",)
    name: v.Name | None = about("Its name in metrics and reports. `other` is taken.")
    match: RouteMatch | None = about("Which requests. Absent: every one.")
    shadow: RouteShadow | None = about("Mirroring, where it differs from the service's.")
    compare: Compare | None = about("Comparison rules, besides the service's.")
    expose_flags: tuple[v.Text, ...] | None = about("Which flags its requests carry, instead of the service's.")


class Endpoints(Section):
    """Routes that nobody configured: path templates, tried after `routes`, under the rules of `other`."""

    fills: ClassVar[Struct | None] = policy.EndpointsPolicy()
    learn: v.Flag | None = about(
        "Learn templates such as `/users/{id}` from the paths of requests that match no route."
    )
    openapi: v.File | None = about(
        "An OpenAPI 3.0 or 3.1 or Swagger 2.0 file, YAML or JSON, whose paths are templates; read again on a reload."
    )
    max: v.Templates | None = about("How many templates there may be; the rest is counted as `other`.")


class ServiceMatch(Section):
    host: v.Hosts | None = about("The `Host` of its requests: one name, or `*.` and a domain. Absent: any.")
    path: v.Prefix | None = about("The path that its requests begin with, in whole segments.")


class Noise(Section):
    """How it is learned what differs without any change. With a `secondary` every mirrored request teaches it."""

    fills: ClassVar[Struct | None] = policy.NoisePolicy()
    resample: v.Share | None = about(
        "The share of mirrored GET, HEAD and OPTIONS requests that the primary is asked once more, such as `2%`."
    )
    fdr: v.DiscoveryRate | None = about("The share of false ones to be expected in the list of regressed fields.")
    max_age: v.Positive | None = about("How long a field that no longer differs by itself is still taken for noise.")


class Version(Section):
    """How it is known which build an arm runs: one of the three. A new one begins the evidence anew."""

    fills: ClassVar[Struct | None] = policy.VersionPolicy()
    header: v.FieldName | None = about("A response header that names it. It is never a difference.")
    get: v.Target | None = about("A path to ask each arm for, every 10 s: the first line of text, or JSON `version`.")
    static: v.Version | None = about("The name itself, to be changed with the build.")


class Isolation(Section):
    """What mirroring adds to the primary's latency, measured: now and then nothing is mirrored for 2 s.

    Held out requests count as `sampled_out`. Nothing is held out below 50 requests a second.
    """

    fills: ClassVar[Struct | None] = policy.IsolationPolicy()
    hold_out: v.HoldOut | None = about("The share of the time, at most 20%; `0%` turns it off.")


class Capture(Section):
    """Requests and the primary's responses are recorded, redacted, for `shadowproxy replay` and GoReplay.

    Bodies are kept up to `shadow.max_body` and `shadow.max_response`. No candidate is needed.
    """

    needs: ClassVar[tuple[str, ...]] = ("path",)
    fills: ClassVar[Struct | None] = policy.CapturePolicy("")
    path: v.File | None = about("The newest file; older ones stand beside it: `shop.gor`, `shop.1.gor`, `shop.2.gor`.")
    sample: v.Share | None = about("The share of the requests that is recorded.")
    max_file: v.Buffer | None = about("How large a file may become; a larger exchange is left out.")
    files: v.Few | None = about("How many files are kept, the newest one included.")
    responses: v.Flag | None = about("Whether responses are recorded too: they can stand for a primary in a replay.")
    methods: tuple[v.Method, ...] | None = about("The methods that are recorded. Absent: all.")


class Service(Section):
    """A primary, and what is tested against it. The first service that matches takes the request."""

    match: ServiceMatch | None = about("Which requests. Absent: every one.")
    upstreams: Upstreams | None = about("Where requests and copies go.")
    shadow: Shadow | None = about("Mirroring.")
    compare: Compare | None = about("Comparison rules.")
    isolation: Isolation | None = about("How the cost of mirroring is measured.")
    noise: Noise | None = about("How noise is learned.")
    version: Version | None = about("How it is known which build an arm runs.")
    accepted: v.File | None = about(
        "A file of accepted differences, as below. Absent: `accepted.yaml` in `data_dir`, where there is one."
    )
    capture: Capture | None = about("A recording of its traffic.")
    routes: tuple[Route, ...] | None = about("Request patterns, in the order in which they are tried.")
    endpoints: Endpoints | None = about("Routes that nobody configured.")
    expose_flags: tuple[v.Text, ...] | None = about(
        "The keys of the flags that requests carry; a `*` at the end is any rest. Absent: all that fit; `[]`: none."
    )
    rollout: Rollout | None = about("How users get from the primary to the candidate. Nothing moves before `start`.")


class Document(Service):
    """The whole file. With a single service its keys may stand at the top level."""

    listen: OneOrMany[v.Address] | None = about(
        "Where users are served: `host:port`, `[v6]:port`, `unix:/path`; one or a list. Port 0 is any free one."
    )
    workers: v.Workers | None = about("Processes that serve; `auto` is one per processor.")
    comparers: v.Processes | None = about("Processes that compare.")
    data_dir: v.File | None = about("Where examples and the last policy are kept.")
    drain: Drain | None = about("How the proxy ends.")
    tls: OneOrMany[Certificate] | None = about("TLS for users: one certificate, or a list of them with `names`.")
    trusted_proxies: tuple[v.Network, ...] | None = about(
        "Peers whose forwarding fields are believed: IPs, networks, `unix`."
    )
    proxy_protocol: v.Flag | None = about("Every connection begins with a PROXY protocol header (v1 or v2).")
    limits: Limits | None = about("What a client may send.")
    timeouts: ClientTimeouts | None = about("How long a client may take.")
    access_log: AccessLog | None = about("The log of requests.")
    log: Log | None = about("The log of the proxy itself, on standard error.")
    admin: Admin | None = about("The admin API.")
    probe: Probe | None = about("Health and readiness.")
    metrics: Metrics | None = about("A listener for `/metrics` alone.")
    store: Store | None = about("The kept examples.")
    freeze: tuple[FreezeWindow, ...] | None = about("When rollouts must not go on.")
    flags: Flags | None = about("Feature flags.")
    service: v.Name | None = about("The name of the single service whose keys stand at the top level.")
    services: dict[v.Name, Service] | None = about("Services by name.")

    def named(self) -> list[tuple[str, tuple[str, ...], Service]]:
        """Every service with its name and the path to it in the document."""
        if self.services is not None:
            return [(name, ("services", name), service) for name, service in self.services.items()]
        return [(self.service or DEFAULT_SERVICE, (), self)]


SERVICE_KEYS: Final = tuple(Service.model_fields)
