"""What a rollout is decided from: what happened since the last facts, and what is so now.

All of it is frozen and survives msgpack, so that a decision can be made again from what was kept. Times are Unix time,
durations seconds, pairs of numbers are (primary, candidate).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

ANOTHER: Final = "another"
GONE: Final = "gone"

Both = tuple[int, int]
"""Of the primary and of the candidate: by the arm that was drawn, also where the other one answered in the end."""


class RouteCounts(Struct, frozen=True, array_like=True):
    """Requests of one route since the last facts, while users are split; those of chosen users are left out."""

    route: str
    requests: Both = (0, 0)
    failed: Both = (0, 0)
    client_errors: Both = (0, 0)


class KeyCounts(Struct, frozen=True, array_like=True):
    """Sticky keys that were first seen, first failed or first met a client error in this epoch since the last facts."""

    seen: Both = (0, 0)
    failed: Both = (0, 0)
    client_errors: Both = (0, 0)


class PairCounts(Struct, frozen=True, array_like=True):
    """Mirrored pairs of one route since the last facts, by who failed, and by quantile those that it splits: (candidate
    above, primary above).
    """

    route: str
    neither: int = 0
    candidate_only: int = 0
    primary_only: int = 0
    both: int = 0
    splits: dict[str, tuple[int, int]] = {}

    @property
    def number(self) -> int:
        """All of them."""
        return self.neither + self.candidate_only + self.primary_only + self.both

    @property
    def failed(self) -> Both:
        """Those in which the primary failed, and those in which the candidate did."""
        return self.primary_only + self.both, self.candidate_only + self.both


class FieldsFact(Struct, frozen=True):
    """What is known of fields now. `log_e` is the logarithm of the mean of the field e-values of this attempt.

    `listed` are the regressed ones, as words; `learns`: whether noise is learned at all.
    """

    log_e: float = 0.0
    listed: tuple[str, ...] = ()
    answers: int = 0
    learns: bool = True


class Answer(Struct, frozen=True):
    """What Prometheus said to one check since the last facts: (time, value), rising. `why` it gave no answer."""

    candidate: tuple[tuple[float, float], ...] = ()
    primary: tuple[tuple[float, float], ...] = ()
    why: str = ""


class GateAnswer(Struct, frozen=True):
    """The newest word of a webhook: `said` is a verdict."""

    at: float
    said: str
    detail: str = ""


class ManualFreeze(Struct, frozen=True):
    """A freeze that somebody started by hand. `until` None: until it is ended."""

    id: str
    who: str
    reason: str
    since: float
    until: float | None = None
    services: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("feature",)
    in_flight: str = "hold"


class Facts(Struct, frozen=True):
    """What happened since the last facts, and what is so now.

    `elapsed` is measured by a clock that nobody sets. `applied`: every worker runs the policy that the state asked for.
    `latency` counts answered requests by bin (`model.bins`), of the primary and of the candidate; `firsts` those that
    sticky keys got first in this epoch, None: users are not sticky.
    `chosen` are requests of chosen users and how many of them failed. `identity` is the version of each arm, empty
    where it is not known. `healthy`: whether each arm can be reached at all. `watch` is who holds the watch.
    `settled`: the configuration's primary has the identity that the candidate had. `candidate`: whether the
    configuration has `another` one than the rollout is about, or it is `gone`; empty: neither.
    """

    at: float
    elapsed: float = 0.0
    applied: bool = True
    routes: tuple[RouteCounts, ...] = ()
    chosen: Both = (0, 0)
    latency: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    firsts: tuple[dict[int, int], dict[int, int]] | None = None
    keys: KeyCounts | None = None
    pairs: tuple[PairCounts, ...] = ()
    compared: int = 0
    fields: FieldsFact | None = None
    answers: dict[str, Answer] = {}
    gates: dict[str, GateAnswer] = {}
    identity: dict[str, str] = {}
    healthy: dict[str, bool] = {}
    store: bool = True
    watch: str = ""
    freezes: tuple[ManualFreeze, ...] = ()
    recalled: float = 0.0
    settled: bool = False
    candidate: str = ""
    flags: str = ""
    """Why a flag of the present part cannot be what the plan says; empty: nothing keeps it from that."""
