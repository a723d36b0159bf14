"""What the counters say about routes and upstreams at one moment, summed over all workers: plain numbers.

`metrics.reading` makes them from shared memory; the exposition and the report read them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

ENOUGH_PAIRS: Final = 50
"""Fewer compared pairs than this are not enough to say anything (contract, exit code 3)."""


FRESH_SECONDS: Final = 5.0
"""A worker whose heart has not beaten for longer is not there. It beats at least twice a second."""


class Distribution(Struct, frozen=True):
    """How many values fell into each bin, seconds.

    `bins[i]` counts values in `(edges[i - 1], edges[i]]`; there is one bin more than edges, for what is larger.
    """

    edges: tuple[float, ...]
    bins: tuple[int, ...]
    sum: float = 0.0

    @property
    def count(self) -> int:
        return sum(self.bins)

    def quantile(self, q: float) -> float | None:
        """The value below which a share `q` (0..1) of the values lie, interpolated inside its bin.

        None without values. What lies beyond the first or last edge is taken to lie on it.
        """
        count = self.count
        if not count:
            return None
        rank = q * count
        below = 0
        for index, here in enumerate(self.bins):
            if here and below + here >= rank:
                return self._inside(index, max(0.0, rank - below) / here)
            below += here
        return self.edges[-1]

    def _inside(self, index: int, share: float) -> float:
        edges = self.edges
        if index == len(edges):
            return edges[-1]
        # A duration is never negative, so its first bin starts at 0; a difference's first bin is open below.
        low = edges[index - 1] if index else min(0.0, edges[0])
        return low + (edges[index] - low) * share

    def cumulative(self, buckets: tuple[float, ...]) -> Iterator[tuple[float, int]]:
        """`(upper edge, values up to it)` for each of `buckets`, a subset of the edges, and for infinity."""
        edges = self.edges
        below = 0
        taken = 0
        for bucket in buckets:
            upto = bisect_right(edges, bucket)
            below += sum(self.bins[taken:upto])
            taken = upto
            yield bucket, below
        yield float("inf"), below + sum(self.bins[taken:])


class MirrorTotals(Struct, frozen=True):
    """The books of one mirrored arm of a route. Counts by reason and verdict hold every word of their list."""

    eligible: int
    sampled_out: int
    sent: int
    in_flight: int
    dropped: dict[str, int]
    lost: dict[str, int]
    verdicts: dict[str, int]
    mismatches: dict[str, int]
    """By kind. One pair may count under several."""
    delta: Distribution
    """Of the arm's duration minus the primary's, for pairs in which neither failed."""
    outcomes: dict[str, int] = {}
    """Settled pairs by who failed (`model.terms.OUTCOMES`)."""
    judged: int = 0
    """Pairs whose durations were weighed as evidence; only of the candidate."""
    splits: dict[str, tuple[int, int]] = {}
    """Of these, by quantile, the pairs that it splits: the candidate above it, and the reference above it."""
    earlier: int = 0
    """Pairs compared before their evidence began, with an earlier version: `verdicts` and what follows is without."""

    @property
    def compared(self) -> int:
        return sum(self.verdicts.values()) + self.earlier

    @property
    def decided(self) -> int:
        """Compared pairs that say something."""
        return sum(self.verdicts.values()) - self.verdicts.get("incomparable", 0)

    @property
    def alone(self) -> tuple[int, int]:
        """Pairs in which only the arm failed, and pairs in which only the primary did."""
        return self.outcomes.get("shadow_only", 0), self.outcomes.get("primary_only", 0)

    @property
    def unaccounted(self) -> tuple[int, int]:
        """How far the two lines of the books are from balancing; both 0 at rest (design, law 2)."""
        given = self.eligible - self.sampled_out - sum(self.dropped.values()) - self.sent
        taken = self.sent - self.compared - sum(self.lost.values()) - self.in_flight
        return given, taken


class RouteTotals(Struct, frozen=True):
    """One route of one service. The dictionaries are by arm; `codes` by arm and code class."""

    service: str
    route: str
    codes: dict[str, dict[str, int]]
    durations: dict[str, Distribution]
    mirrors: dict[str, MirrorTotals]
    fallbacks: dict[str, int]
    triples: int = 0
    """Requests that the candidate and a second instance of the primary's version both answered."""
    resamples: dict[str, int] = {}
    """By result."""

    @property
    def any(self) -> bool:
        """Whether anything was ever counted here."""
        return any(any(codes.values()) for codes in self.codes.values()) or any(
            mirror.eligible for mirror in self.mirrors.values()
        )


class CaptureTotals(Struct, frozen=True):
    """What became of the exchanges of one service that were to be recorded. `dropped` by reason."""

    service: str
    written: int
    dropped: dict[str, int]


class UpstreamTotals(Struct, frozen=True):
    """One arm of one service. `connections` by state; `healthy` of `endpoints` URLs are in rotation."""

    service: str
    arm: str
    connections: dict[str, int]
    healthy: int
    endpoints: int
    breaker_open: bool


class WorkerTotals(Struct, frozen=True):
    """One counter block and the worker that writes it. `age`: seconds since its last heartbeat, None: nobody's."""

    block: int
    age: float | None
    sequence: int
    loop_lag: float
    connections: int
    accepted: int
    tunnels: int
    tunnels_open: int
    held_bytes: int
    draining: bool
    overloaded: bool
    log_dropped: int
    copies_received: int
    examples_skipped: int
    rejected: dict[str, int]
    flags: int = 0
    """Version of the flags in force."""

    @property
    def is_fresh(self) -> bool:
        return self.age is not None and self.age <= FRESH_SECONDS


class FieldExample(Struct, frozen=True):
    """The newest example of one field and kind on one route. `field` is empty where the shadow exchange failed."""

    service: str
    route: str
    field: str
    kind: str
    id: str
    primary: str | None
    shadow: str | None
    curl: str


class CauseTotal(Struct, frozen=True):
    """What is known of one cause (`pair.CauseCount` says what its parts mean), over all comparers and instances.

    `pairs` are of the instance `epoch`, `before` those of earlier ones, where of failed exchanges only those are known
    that a comparer has seen; `excused` of `pairs` are accepted since. `first_at` and `last_at` are over all of them;
    None: only the worker saw it, which counts and keeps no times.
    """

    service: str
    route: str
    id: str
    keys: tuple[tuple[str, str], ...]
    primary_status: int
    shadow_status: int | None
    failure: str
    epoch: str
    pairs: int = 0
    before: int = 0
    first_at: float | None = None
    last_at: float | None = None
    example: str = ""
    size: int = 0
    suggestion: str | None = None
    words: str = ""
    mixed: bool = False
    left_out: int = 0
    excused: int = 0

    @property
    def shown(self) -> tuple[str, str]:
        """The field and kind whose values stand for all: the statuses where they differ, else the first."""
        if not self.keys:
            return "", self.failure
        status = ("status", "status")
        return status if status in self.keys else self.keys[0]


class StoreFigures(Struct, frozen=True):
    """What the store says of itself."""

    examples: int = 0
    """Examples that are kept."""
    bytes: int = 0
    """What they take on disk."""
    available: bool = False
    """Whether it can be read and written."""
    dropped: dict[str, int] = {}
    """Examples that were not kept, by reason."""
    evicted: int = 0
    """Examples that made room for others."""
    why: str = ""
    """Why it is not available."""


class Interval(Struct, frozen=True):
    """An estimate with its lower and upper bound; None: not enough to bound it."""

    estimate: float
    """The estimate."""
    lower: float | None
    """Its lower bound."""
    upper: float | None
    """Its upper bound."""


class Isolation(Struct, frozen=True):
    """What mirroring adds to the primary's latency, from slots in which nothing was mirrored."""

    state: str
    """`starting`, `slow` (too few requests), `unmirrored` (no copies are sent) or `measuring`."""
    hold_out: float
    """The share of the slots that is held out."""
    slot_seconds: float
    """How long a slot is."""
    rate: float | None
    """Requests/s in the last seconds; None: not known."""
    least_rate: float
    """Requests/s that it takes to measure."""
    slots: int
    """Slots that were compared."""
    discarded: dict[str, int]
    """Slots that were held out in vain, by reason."""
    since: float | None
    """Since when slots are compared, Unix time; None: none is yet."""
    added: dict[str, Interval]
    """Seconds that mirroring adds, by percentile, with a 95 % interval."""
    more: dict[str, int]
    """About how many more slots it takes, by percentile."""


class FlagFigures(Struct, frozen=True):
    """Flags in numbers: evaluations by flag, variant and reason; whether the file as it is now is in force."""

    version: int = 0
    evaluations: dict[tuple[str, str, str], int] = {}
    is_loaded: bool = True


class RolloutFigures(Struct, frozen=True):
    """Where the rollout of a service is."""

    name: str
    """Of the rollout, in the configuration."""
    phase: str
    """`pending`, `running`, `promoted`, `rolled_back` or `aborted`."""
    stage: int = 0
    """The present stage, counted from 1; 0: none yet."""
    weight: float = 0.0
    """The share of the users that the candidate serves."""
    holds: tuple[str, ...] = ()
    """Reasons why it does not advance."""
    evidence: dict[str, float] = {}
    """log10 of the evidence of harm over its threshold, by check."""
    seconds: float = 0.0
    """Seconds since the present part was entered."""
    baked: dict[str, float] = {}
    """The share of what the bake asks for that is there, by `time` and `requests`, where it asks."""
    settled: bool = True
    """False: promoted, and the configuration's primary is not what was promoted yet."""
    overridden: bool = False
    """Freezes do not hold it, because somebody said so."""
    flags: dict[str, float] = {}
    """The share of the users who get a flag's variant from the rollout, by flag."""
