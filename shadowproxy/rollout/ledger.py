"""What the analysis of one attempt remembers from tick to tick: bets, counts and series, all of it bounded.

It survives msgpack bit for bit, so that what was decided from it can be decided again.
"""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.evidence.histograms import summed
from shadowproxy.evidence.ledger import RESTART_EVERY
from shadowproxy.evidence.unpaired import ASIDE, Bets
from shadowproxy.rollout.facts import Both, FieldsFact, GateAnswer, RouteCounts


class Stakes(Struct, frozen=True, array_like=True):
    """The bets of one source of one check: on harm since the attempt and since the epoch began, and on its being no
    worse than tolerated in this epoch. Those of the epoch begin anew every ten minutes with a share of the stake.
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

    def joined(self, other: Histograms) -> Histograms:
        return Histograms(summed(self.primary, other.primary), summed(self.candidate, other.candidate))


class Pool(Struct, frozen=True, array_like=True):
    """Strata that are not large enough yet, at this weight: of answers, of which `before` were in earlier ones, and of
    the counts of `routes`. `usual` are the primary's answers of the earlier ones.
    """

    answers: Histograms = Histograms()
    weight: float = 0.0
    before: int = 0
    routes: dict[str, RouteCounts] = {}
    usual: dict[int, int] = {}


class Cell(Struct, frozen=True, array_like=True):
    """Answers that will be one point of a series of latencies, and how long they have been gathered for."""

    answers: Histograms = Histograms()
    seconds: float = 0.0


class Series(Struct, frozen=True, array_like=True):
    """Points in time: seconds, candidate − primary, and the level that a rise is a share of.

    A point is the mean of `every` values; `gathered` are the sums of those that make no point yet, and their number.
    """

    points: tuple[tuple[float, float, float], ...] = ()
    every: int = 1
    gathered: tuple[float, float, float, int] = (0.0, 0.0, 0.0, 0)


class Scraped(Struct, frozen=True, array_like=True):
    """The values of a PromQL check in the present step: the newest, how many, how many of the last ones in a row were
    over the limit; and why there was no clear answer the last time.
    """

    at: float = 0.0
    candidate: float = 0.0
    primary: float | None = None
    values: int = 0
    over: int = 0
    why: str = ""


class Ledger(Struct, frozen=True):
    """`seed` makes what is drawn by lot the same each time. `part` are the stage and part of the present step."""

    seed: str
    epoch: int = 1
    trials: int = 0
    """Requests of the candidate in this epoch, mirrored ones and chosen users' as well, in `seconds`."""
    seconds: float = 0.0
    keyed: int = 0
    """The first epoch in which sticky keys were told, 0: none yet."""
    stakes: dict[str, dict[str, Stakes]] = {}
    """By check and source."""
    pool: Pool = Pool()
    ratio: Bets = (0.0,) * len(ASIDE)
    drawn: Both = (0, 0)
    """Keys, or requests without sticky ones, that the ratio of this epoch is about."""
    fields: FieldsFact | None = None
    gates: dict[str, GateAnswer] = {}
    part: tuple[int, int] = (-1, -1)
    tally: Tally = Tally()
    latency: Histograms = Histograms()
    cell: Cell = Cell()
    series: dict[str, Series] = {}
    """By check that looks for a slope."""
    scraped: dict[str, Scraped] = {}

    @property
    def restarts(self) -> int:
        """How often the bets on harm of this epoch have begun anew (`evidence.coin`)."""
        return 1 + int(self.seconds / RESTART_EVERY)
