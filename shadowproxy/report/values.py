"""What a report says: plain, frozen, the same in every rendering. Durations are seconds, shares 0..1."""

from __future__ import annotations

from msgspec import Struct


class Quantiles(Struct, frozen=True):
    count: int
    p50: float
    p95: float
    p99: float


class Books(Struct, frozen=True):
    """One mirrored arm: eligible = sampled_out + dropped + sent, and sent = compared + lost + in_flight.

    `unaccounted` is what each line lacks: 0 at rest, at most one per worker in motion.
    """

    eligible: int
    sampled_out: int
    dropped: dict[str, int]
    sent: int
    compared: int
    lost: dict[str, int]
    in_flight: int
    unaccounted: tuple[int, int]


class Shown(Struct, frozen=True):
    """One stored example: both values, and the request as a command. `id` is for `shadowproxy diffs show`."""

    id: str
    primary: str | None
    candidate: str | None
    curl: str


class FieldReport(Struct, frozen=True):
    """A field in which `pairs` pairs differ; `share` of the pairs that could be compared.

    Without a field: the candidate gave no whole response, in the way that `kind` (`candidate_*`) says.
    """

    field: str
    kind: str
    pairs: int
    share: float
    example: Shown | None


class RouteReport(Struct, frozen=True):
    """One route. Dictionaries are by arm first; counts of zero are left out, except of verdicts."""

    name: str
    requests: int
    """The primary's exchanges: what users asked."""
    codes: dict[str, dict[str, int]]
    books: dict[str, Books]
    verdicts: dict[str, dict[str, int]]
    kinds: dict[str, int]
    failures: list[FieldReport]
    fields: list[FieldReport]
    """The most frequent, largest first."""
    incomparable: dict[str, int]
    latency: dict[str, Quantiles]
    delta: Quantiles | None
    """Candidate minus primary, of the same request."""
    slower: bool
    slower_why: str
    mismatches: int
    """Pairs of the candidate that differ."""


class ServiceReport(Struct, frozen=True):
    """`verdict` is `pass`, `fail` or `inconclusive`; `exit_code` 0, 1 or 3; `compared` without the incomparable."""

    name: str
    upstreams: dict[str, list[str]]
    requests: int
    compared: int
    mismatches: int
    routes: list[RouteReport]
    verdict: str
    exit_code: int
    conclusion: str


class Report(Struct, frozen=True):
    """`generated_at` and `started_at` are Unix times. `notes` say what is missing and why."""

    version: str
    epoch: str
    policy: int
    """The policy's sequence number."""
    started_at: float
    generated_at: float
    services: list[ServiceReport]
    verdict: str
    exit_code: int
    conclusion: str
    notes: list[str] = []
