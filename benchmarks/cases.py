"""What is measured: the cases as one table, and the order in which a run takes them. Pure."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

ORDER_SEED = 7


class Candidate(StrEnum):
    """What the candidate does during a case."""

    ABSENT = "absent"  # nothing is mirrored
    LIVE = "live"  # answers the primary's bytes, as fast
    FROZEN = "frozen"  # stopped by SIGSTOP with its connections open
    REFUSING = "refusing"  # nobody listens
    SLOW = "slow"  # the primary's bytes, SLOW_MS late: ten times and more what the primary takes through any proxy here


class Load(StrEnum):
    SATURATION = "saturation"
    STEADY = "steady"  # the same rate for everyone: CPU per request depends on how many requests a wake-up finds
    HALF = "half"  # half of what the contestant itself can do


SLOW_MS = 10.0
STEADY_RATE = 5_000.0  # requests/s


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the results. Rounds and seconds in a full run and in a quick one; no rounds: left out of it."""

    name: str
    candidate: Candidate
    load: Load
    path: str = "/item"
    rounds: int = 2
    seconds: float = 3.0
    quick_rounds: int = 1
    quick_seconds: float = 1.0
    noise: bool = False  # the A/A line is taken here

    @property
    def mirrors(self) -> bool:
        return self.candidate is not Candidate.ABSENT


_FULL, _HALF, _STEADY = Load.SATURATION, Load.HALF, Load.STEADY

CASES: tuple[Case, ...] = (
    Case("forward", Candidate.ABSENT, _FULL, rounds=4, quick_seconds=2, noise=True),
    Case("mirror", Candidate.LIVE, _FULL, rounds=4, quick_seconds=2, noise=True),
    Case("frozen", Candidate.FROZEN, _FULL, rounds=3),
    Case("refusing", Candidate.REFUSING, _FULL, rounds=1, quick_rounds=0),
    Case("slow", Candidate.SLOW, _FULL, rounds=1),
    Case("forward 1 MiB down", Candidate.ABSENT, _FULL, "/blob", seconds=2, rounds=1, quick_rounds=0),
    Case("mirror 1 MiB down", Candidate.LIVE, _FULL, "/blob", seconds=2, rounds=1, quick_rounds=0),
    Case("forward 1 MiB up", Candidate.ABSENT, _FULL, "/upload", seconds=2, rounds=1, quick_rounds=0),
    Case("mirror 1 MiB up", Candidate.LIVE, _FULL, "/upload", seconds=2, rounds=1, quick_rounds=0),
    Case("forward steady", Candidate.ABSENT, _STEADY, rounds=2, noise=True),
    Case("mirror steady", Candidate.LIVE, _STEADY, rounds=2, noise=True),
    Case("forward at half", Candidate.ABSENT, _HALF, rounds=1, quick_rounds=0),
    Case("mirror at half", Candidate.LIVE, _HALF, rounds=1),
    Case("frozen at half", Candidate.FROZEN, _HALF, rounds=1, quick_rounds=0),
    Case("refusing at half", Candidate.REFUSING, _HALF, rounds=1, quick_rounds=0),
    Case("slow at half", Candidate.SLOW, _HALF, rounds=1, quick_rounds=0),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How long a run is: rounds and seconds of the cases, law 1's pairs, and the minute of a frozen candidate."""

    quick: bool
    pairs: int
    pair_seconds: float
    after_freeze_seconds: float
    frozen_minute_seconds: float

    def rounds(self, case: Case) -> int:
        return case.quick_rounds if self.quick else case.rounds

    def seconds(self, case: Case) -> float:
        return case.quick_seconds if self.quick else case.seconds


FULL = Scale(quick=False, pairs=10, pair_seconds=3, after_freeze_seconds=10, frozen_minute_seconds=60)
QUICK = Scale(quick=True, pairs=2, pair_seconds=1, after_freeze_seconds=2, frozen_minute_seconds=5)
LAW_STATES = (Candidate.ABSENT, Candidate.LIVE, Candidate.FROZEN, Candidate.REFUSING, Candidate.SLOW)
WARM_UP_SECONDS = 1.0
OVERHEAD_SECONDS = 1.3  # starting and stopping a contestant and its candidate


@dataclass(frozen=True, slots=True)
class Step:
    """One sample to take."""

    case: Case
    contestant: str
    round: int


def interleaved(case_contestants: Sequence[tuple[Case, str]], rounds: Mapping[str, int]) -> list[Step]:
    """Every (case, contestant) once a round while its case has rounds left, in an order shuffled anew each round.

    The order is the same in every run. Rounds of different cases lie together: drift of the machine hits all alike.
    """
    draw = random.Random(ORDER_SEED)
    steps: list[Step] = []
    for number in range(max(rounds.values(), default=0)):
        due = [Step(case, name, number) for case, name in case_contestants if number < rounds[case.name]]
        draw.shuffle(due)
        steps += due
    return steps


@dataclass(frozen=True, slots=True)
class Pair:
    """Two runs of law 1 in a row: mirroring off, and on with the candidate in `state`. ABSENT: off twice (A/A)."""

    number: int
    state: Candidate
    off_first: bool


def law_pairs(count: int) -> list[Pair]:
    """`count` pairs of each state, the states shuffled in every round; who goes first alternates within a state."""
    draw = random.Random(ORDER_SEED)
    pairs: list[Pair] = []
    for number in range(count):
        states = list(LAW_STATES)
        draw.shuffle(states)
        pairs += [Pair(number, state, (number + LAW_STATES.index(state)) % 2 == 0) for state in states]
    return pairs


def estimated_seconds(steps: Sequence[Step], scale: Scale, pairs: int) -> float:
    """About how long these samples and `pairs` pairs of each state of law 1 take."""
    around = OVERHEAD_SECONDS + WARM_UP_SECONDS
    total = sum(scale.seconds(step.case) + around for step in steps)
    if pairs:
        total += pairs * len(LAW_STATES) * 2 * (scale.pair_seconds + around)
        total += pairs * scale.after_freeze_seconds + scale.frozen_minute_seconds
    return total
