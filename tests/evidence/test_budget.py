"""One budget for all checks, epochs and looks."""

from __future__ import annotations

from math import exp, log

import pytest

from shadowproxy.evidence import budget, coin


def test_attempt_and_epochs_share_the_budget() -> None:
    alpha = 0.01
    shares = [exp(-budget.of_epoch(alpha, j)) for j in range(1, 20_000)]
    assert exp(-budget.of_attempt(alpha)) == pytest.approx(alpha / 2)
    assert alpha / 2 * 0.999 < sum(shares) < alpha / 2


def test_the_mean_never_needs_more_than_bonferroni() -> None:
    values = [log(300.0), 0.0, log(0.01)]
    assert exp(coin.log_mean(values)) == pytest.approx((300 + 1 + 0.01) / 3)
    assert budget.log_highest(values) == pytest.approx(log(100.0))
    assert budget.log_highest(values) <= coin.log_mean(values)
    assert coin.log_mean([1e6, 0.0]) == pytest.approx(1e6, rel=1e-6)
