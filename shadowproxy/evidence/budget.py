"""How much evidence is enough, so that all checks, epochs and looks of a rollout share one budget of false alarms.

Half of the budget α is for one e-process per check over the whole attempt: it must reach 2/α. The other half is for
*epochs*: an e-process that never begins anew goes blind, as it has to win back first what a healthy day lost. Epoch j
begins at 1 again and gets α_j = α/(2j(j+1)), which add up to α/2.

Over checks the *mean* of the e-values decides: it is an e-value itself, however the checks depend on each other, and
never needs more than Bonferroni's largest. Checks that saw nothing are worth 1 and count.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log


def of_attempt(alpha: float) -> float:
    """The logarithm of what the evidence of a whole attempt must reach."""
    return log(2.0 / alpha)


def of_epoch(alpha: float, epoch: int) -> float:
    """The logarithm of what the evidence of an epoch (from 1) must reach."""
    return log(2.0 * epoch * (epoch + 1) / alpha)


def log_highest(values: Sequence[float]) -> float:
    """The logarithm of the largest of e-values over their number: at most their mean, and below 1/α with probability
    1 − α at least even where one of them tells what another is about to bet on.
    """
    return max(values) - log(len(values))
