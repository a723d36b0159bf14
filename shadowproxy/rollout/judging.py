"""What a check says: pass, fail or inconclusive, in a sentence for an engineer at three in the morning."""

from __future__ import annotations

from math import exp
from typing import Final

from shadowproxy.model.rollout import ERROR_RATE, FAIL, INCONCLUSIVE, PASS, Check, Plan, Step
from shadowproxy.model.totals import ENOUGH_PAIRS
from shadowproxy.rollout import strata, weighing
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.values import Both, CheckResult
from shadowproxy.rollout.weighing import Weight

ENOUGH: Final = ENOUGH_PAIRS
"""Requests of each arm, or mirrored pairs, of a step: with fewer a rate does not pass."""
ENOUGH_USERS: Final = 10
"""Sticky users of each arm."""


def has_enough(check: Check, ledger: Ledger) -> bool:
    """Whether the present step has fed the check."""
    tally = ledger.tally
    served = min(tally.requests) >= ENOUGH and (not any(tally.users) or min(tally.users) >= ENOUGH_USERS)
    return served or (check.kind == ERROR_RATE and tally.pairs >= ENOUGH)


def judged(check: Check, ledger: Ledger, plan: Plan, step: Step, now: float, weight: Weight | None) -> CheckResult:
    """`weight` is its evidence of harm, of a check that bets."""
    if weight is None:
        return CheckResult(check.name, check.kind, check.mode, INCONCLUSIVE, "no answer yet")
    verdict = FAIL if weight.is_enough else PASS if has_enough(check, ledger) else INCONCLUSIVE
    requests, bad = _shown(check, ledger)
    words = ", ".join(
        f"{arm} {_percent(bad[i], requests[i])} of {requests[i]:,}" for i, arm in ((1, "candidate"), (0, "primary"))
    )
    return CheckResult(
        check.name,
        check.kind,
        check.mode,
        verdict,
        f"{check.name}: {words}; evidence {exp(min(weight.log_e, 700.0)):.3g} of the {exp(weight.needed):.3g} needed",
        weight.log_e,
        weight.needed,
        bad[0] / requests[0] if requests[0] else None,
        bad[1] / requests[1] if requests[1] else None,
        not_worse=weighing.better(ledger, check) >= weighing.NOT_WORSE,
    )


def _shown(check: Check, ledger: Ledger) -> tuple[Both, Both]:
    """Requests of each arm and how many of them went wrong."""
    tally = ledger.tally
    if not any(tally.requests) and check.kind == ERROR_RATE:
        return (tally.pairs, tally.pairs), tally.pairs_failed
    return tally.requests, getattr(tally, strata.RATES.get(check.kind, "failed"))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "nothing"
