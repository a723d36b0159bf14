"""What is still missing, in requests and in time: enough data, or enough evidence."""

from __future__ import annotations

from math import ceil, inf
from typing import Final, NamedTuple

from shadowproxy.model.rollout import ERROR_RATE, Check, Step
from shadowproxy.model.totals import ENOUGH_PAIRS
from shadowproxy.rollout import bets
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.phrases import count, span

ENOUGH: Final = ENOUGH_PAIRS
"""Requests of each arm, or mirrored pairs, of a step: with fewer nothing passes."""
ENOUGH_USERS: Final = (5, 10)
"""Sticky users of the primary, which is known already where a small holdback is left, and of the candidate."""
_OF: Final = (" of the primary", " of the candidate")


class Missing(NamedTuple):
    """About so many more, `of` whom. `seconds` at the present rate; None: nothing comes."""

    number: int
    noun: str
    of: str
    seconds: float | None

    @property
    def words(self) -> str:
        eta = "none came so far" if self.seconds is None else f"about {span(ceil(self.seconds))} at the present rate"
        return f"needs about {count(self.number, f'more {self.noun}')}{self.of} ({eta})"


def data(check: Check, ledger: Ledger, step: Step) -> Missing | None:
    """What a check that bets lacks in this step, the longest to wait for; None: it has enough."""
    lacking = [
        Missing(want - have, noun, of, (want - have) * ledger.tally.seconds / have if have else None)
        for have, want, noun, of in _wanted(check, ledger, step)
        if have < want
    ]
    return max(lacking, key=lambda one: inf if one.seconds is None else one.seconds, default=None)


def answers(have: int, ledger: Ledger) -> Missing | None:
    """The second answers to one request that are missing before fields are judged; None: there are enough."""
    want = ENOUGH - have
    if want <= 0:
        return None
    return Missing(want, "second answer", "", want * ledger.seconds / have if have else None)


def _wanted(check: Check, ledger: Ledger, step: Step) -> list[tuple[int, int, str, str]]:
    """What it has, what it needs, and of what."""
    tally = ledger.tally
    requests = ledger.latency.counts if check.kind in bets.LATENCIES else tally.requests
    own = requests[1] + (tally.chosen[0] + tally.pairs if check.kind == ERROR_RATE else 0)
    by_itself = [(own, ENOUGH, "request", _OF[1])] if bets.LIMIT in bets.sources(check) else []
    if step.share >= 1.0 or not bets.compares(check):
        return by_itself
    if step.share <= 0.0:
        if not bets.has_pairs(check) or (by_itself and own >= ENOUGH):
            return []
        return [(tally.pairs, ENOUGH, "mirrored request", "")]
    if not any(tally.users):
        return [(have, ENOUGH, "request", of) for have, of in zip(requests, _OF, strict=True)]
    if check.kind in bets.LATENCIES:  # of a sticky user the first answer counts
        return [(have, want, "user", of) for have, want, of in zip(requests, ENOUGH_USERS, _OF, strict=True)]
    return [
        *((have, ENOUGH, "request", of) for have, of in zip(requests, _OF, strict=True)),
        *((have, want, "user", of) for have, want, of in zip(tally.users, ENOUGH_USERS, _OF, strict=True)),
    ]


def evidence(missing: float, best: float, ledger: Ledger) -> Missing | None:
    """How many requests bring the `missing` logarithm of evidence if the best bet of this epoch goes on winning as it
    did; None: it does not win.
    """
    if best <= 0.0 or missing <= 0.0 or not ledger.trials:
        return None
    number = ceil(missing * ledger.trials / best)
    return Missing(number, "request", "", number * ledger.seconds / ledger.trials)
