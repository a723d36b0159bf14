"""What the analysis of one attempt remembers from tick to tick: bets, counts and series, all of it bounded.

It survives msgpack bit for bit, so that what was decided from it can be decided again.
"""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.evidence.unpaired import ASIDE, Bets
from shadowproxy.rollout.values import Both, FieldsFact, GateAnswer


class Stakes(Struct, frozen=True, array_like=True):
    """The bets of one source of one check: on harm since the attempt and since the epoch began, and on its being no
    worse than tolerated in this epoch.
    """

    attempt: Bets = ()
    epoch: Bets = ()
    better: Bets = ()


class Tally(Struct, frozen=True, array_like=True):
    """What was counted in the present step. `pairs` are mirrored ones, `pairs_failed` by arm."""

    seconds: float = 0.0
    requests: Both = (0, 0)
    failed: Both = (0, 0)
    client_errors: Both = (0, 0)
    answered: Both = (0, 0)
    users: Both = (0, 0)
    users_failed: Both = (0, 0)
    users_client_errors: Both = (0, 0)
    chosen: Both = (0, 0)
    """Requests of chosen users, and how many of them failed."""
    pairs: int = 0
    pairs_failed: Both = (0, 0)


class Histograms(Struct, frozen=True, array_like=True):
    """Answers by bin of `model.bins.FINE_EDGES`, of the primary and of the candidate."""

    primary: dict[int, int] = {}
    candidate: dict[int, int] = {}

    @property
    def counts(self) -> Both:
        return sum(self.primary.values()), sum(self.candidate.values())


class Ledger(Struct, frozen=True):
    """`seed` makes what is drawn by lot the same each time. `part` are the stage and part that `tally` is about."""

    seed: str
    epoch: int = 1
    keyed: int = 0
    """The first epoch in which sticky keys were told, 0: none yet."""
    part: tuple[int, int] = (-1, -1)
    tally: Tally = Tally()
    latency: Histograms = Histograms()
    """Of the step."""
    pool: Histograms = Histograms()
    """A stratum that is not large enough yet."""
    pool_weight: float = 0.0
    pooled: int = 0
    """Answers in the strata of this epoch."""
    stakes: dict[str, dict[str, Stakes]] = {}
    """By check and source."""
    ratio: Bets = (0.0,) * len(ASIDE)
    drawn: Both = (0, 0)
    """Keys, or requests without sticky ones, that the ratio of this epoch is about."""
    fields: FieldsFact | None = None
    gates: dict[str, GateAnswer] = {}
    fed: tuple[str, ...] = ()
    """Checks that an earlier step had enough data for."""
