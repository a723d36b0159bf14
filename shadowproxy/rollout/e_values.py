"""How much evidence of harm there is, over sources, checks and both horizons, against what is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, log, log1p
from typing import Final, NamedTuple

from shadowproxy.evidence import budget, coin
from shadowproxy.evidence.coin import log_sum
from shadowproxy.evidence.unpaired import Bets
from shadowproxy.model.rollout import ENFORCE, REGRESSED_FIELDS, Check, Plan
from shadowproxy.rollout import bets
from shadowproxy.rollout.ledger import Ledger, Stakes

ATTEMPT: Final = "attempt"
EPOCH: Final = "epoch"
HORIZONS: Final = (ATTEMPT, EPOCH)
BETTER: Final = "better"
NOT_WORSE: Final = log(20.0)
"""What evidence of being no worse has to reach: it is claimed wrongly in one of twenty epochs at most."""


class EValue(NamedTuple):
    """The logarithms of an e-value and of what it needs; `horizon` is the one that is nearer to it."""

    horizon: str
    log_e: float
    needed: float

    @property
    def is_enough(self) -> bool:
        return self.log_e >= self.needed


def has_evidence(check: Check) -> bool:
    """Whether it takes part in the budget of false rollbacks."""
    return check.kind == REGRESSED_FIELDS or bool(bets.sources(check))


def harm(ledger: Ledger, plan: Plan) -> dict[str, EValue]:
    """Of each check that bets, its evidence and what it needs, given the others.

    One of the enforced checks has enough exactly if all of them together have, within the budget.
    """
    checks = [check for check in plan.checks if has_evidence(check)]
    found = [value for horizon in HORIZONS for value in _of_horizon(ledger, plan, checks, horizon)]
    return {
        check.name: max(found[i :: len(checks)], key=lambda value: value.log_e - value.needed)
        for i, check in enumerate(checks)
    }


def _of_horizon(ledger: Ledger, plan: Plan, checks: Sequence[Check], horizon: str) -> Iterator[EValue]:
    """One for each of the checks."""
    enough = _threshold(ledger, plan, horizon)
    values = [_evidence(ledger, plan, check, horizon) for check in checks]
    for i, check in enumerate(checks):
        others = [value for j, value in enumerate(values) if j != i and checks[j].mode == ENFORCE]
        needed = _beside(others, enough, plan) if check.mode == ENFORCE else enough
        yield EValue(horizon, values[i], needed)


def _threshold(ledger: Ledger, plan: Plan, horizon: str) -> float:
    alpha = plan.false_rollback
    return budget.of_attempt(alpha) if horizon == ATTEMPT else budget.of_epoch(alpha, ledger.epoch)


def _beside(others: Sequence[float], enough: float, plan: Plan) -> float:
    """What one check must reach so that all reach `enough` together, but that at least itself."""
    every = enough + log(len(others) + 1)
    if not others or plan.sticky is not None:
        return every
    carried = log_sum(list(others)) - every
    return max(enough, every + log1p(-exp(carried))) if carried < 0.0 else enough


def _evidence(ledger: Ledger, plan: Plan, check: Check, horizon: str) -> float:
    if check.kind == REGRESSED_FIELDS:
        return ledger.fields.log_e if ledger.fields and horizon == ATTEMPT else 0.0
    stakes = ledger.stakes.get(check.name, {})
    mine = [stakes.get(source, Stakes()) for source in bets.sources(check)]
    if horizon == ATTEMPT:
        values = [of_bets(each.attempt) for each in mine]
    else:
        values = [coin.log_e(list(each.epoch), ledger.restarts) if each.epoch else 0.0 for each in mine]
    # A user's lot that one check has seen is no lot for the next one: of sticky users only the largest counts.
    return coin.log_mean(values) if plan.sticky is None else budget.log_highest(values)


def of_bets(bets: Bets) -> float:
    """The logarithm of the e-value of equal stakes; 0 of none."""
    return coin.log_mean(bets) if bets else 0.0


def best(ledger: Ledger, check: Check, what: str) -> float:
    """The best single bet of this epoch: `what` is EPOCH, on harm, or BETTER."""
    stakes = ledger.stakes.get(check.name, {})
    names = bets.proofs(check) if what == BETTER else bets.sources(check)
    return max((bet for name in names if name in stakes for bet in getattr(stakes[name], what)), default=0.0)


def better(ledger: Ledger, check: Check) -> float:
    """The logarithm of the evidence that it is no worse than tolerated."""
    stakes = ledger.stakes.get(check.name, {})
    return coin.log_mean([of_bets(stakes.get(source, Stakes()).better) for source in bets.proofs(check)])
