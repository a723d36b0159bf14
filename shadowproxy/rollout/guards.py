"""Checks that hold a rollout and never send users back: is the split as configured, does something creep up?

They have budgets of their own: one false hold in a thousand epochs for the split, and for a slope the share that the
plan grants to false rollbacks, in each step.
"""

from __future__ import annotations

from hashlib import blake2b
from math import log
from statistics import median
from typing import Final, NamedTuple

from shadowproxy.evidence import trend
from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, SLOW_BURN, Check, Plan, Step
from shadowproxy.rollout import bets, e_values
from shadowproxy.rollout.ledger import Ledger, Series
from shadowproxy.rollout.phrases import against, rate, span
from shadowproxy.rollout.series import block_seconds
from shadowproxy.rollout.shortfall import ENOUGH

RATIO_NEEDED: Final = log(1000.0)
MAX_SLOPE: Final = 0.05 / 3600.0
"""The rise of the candidate's median latency over the primary's that is tolerated unless said otherwise: 5 % of the
primary's in an hour.
"""


class Said(NamedTuple):
    verdict: str
    words: str
    log_e: float
    needed: float


def ratio(ledger: Ledger, step: Step) -> Said:
    """Whether the candidate has the share of users, or requests, that the weight says."""
    every, candidate = sum(ledger.drawn), ledger.drawn[1]
    evidence = e_values.of_bets(ledger.ratio)
    if not every:
        return Said(INCONCLUSIVE, "nobody is split yet", evidence, RATIO_NEEDED)
    words = (
        f"candidate {rate(candidate / every)} of {every:,}, {rate(step.share)} configured; "
        f"{against(evidence, RATIO_NEEDED)}"
    )
    if evidence >= RATIO_NEEDED:
        return Said(FAIL, f"{words}: the split is not the configured one", evidence, RATIO_NEEDED)
    if every < ENOUGH:
        return Said(INCONCLUSIVE, f"{words}: too few", evidence, RATIO_NEEDED)
    return Said(PASS, f"{words}: passes", evidence, RATIO_NEEDED)


def slope(check: Check, ledger: Ledger, plan: Plan, step: Step) -> Said:
    """Whether candidate − primary rises. It fails if that it rises is evident, and the slope's lower bound is above
    what is tolerated.
    """
    series = ledger.series.get(check.name, Series())
    blocks = trend.blocks([(at, value) for at, value, _ in series.points], block_seconds(step.bake))
    needed = log(1.0 / plan.false_rollback)
    if len(blocks) < trend.FEWEST:
        words = f"{len(blocks)} of {trend.FEWEST} blocks of time, each long enough to be a witness of its own"
        return Said(INCONCLUSIVE, words, 0.0, needed)
    name = f"{ledger.seed}:{check.name}:{step.stage}.{step.part}"
    evidence = trend.log_e([value for _, value in blocks], lambda j: _lot(f"{name}:{j}"))
    level = abs(median(point[2] for point in series.points)) or 1.0
    found = trend.Slope(*(each / level for each in trend.slope(blocks)))
    allowed = MAX_SLOPE if check.max_slope is None else check.max_slope
    estimate, lower, upper, most = (f"{each * 360_000.0:.3g}%/h" for each in (*found, allowed))
    words = f"{len(blocks)} blocks: rises by {estimate} ({lower} to {upper}, {most} allowed)"
    words += f"; {against(evidence, needed)}"
    if evidence < needed or found.lower <= allowed:
        return Said(PASS, f"{words}: passes", evidence, needed)
    words += _until(check, blocks[-1][1] / level, found.estimate)
    return Said(FAIL, f"{words}: fails", evidence, needed)


def _until(check: Check, now: float, rise: float) -> str:
    """When the tolerated difference is reached; all are shares of the level."""
    limit = bets.tolerance(check).relative if check.kind == SLOW_BURN else check.max_relative
    if limit is None:
        return ""
    if now >= limit:
        return f"; the limit of {rate(limit)} more than the primary is passed"
    return f"; {rate(limit)} more than the primary in about {span((limit - now) / rise)}"


def _lot(text: str) -> float:
    """Uniform in [0, 1), the same whenever it is drawn again."""
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big") / (1 << 48)
