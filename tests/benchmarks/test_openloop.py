from itertools import pairwise

import pytest

from benchmarks.openloop import Window, arrivals


def test_arrivals_keep_the_rate_and_the_time() -> None:
    moments = arrivals(5000, 4, seed=3)
    assert len(moments) == pytest.approx(20_000, rel=0.03)
    assert list(moments) == sorted(moments)
    assert 0 < moments[0] < moments[-1] < 4


def test_a_seed_is_a_schedule() -> None:
    assert arrivals(1000, 1, seed=3) == arrivals(1000, 1, seed=3)
    assert arrivals(1000, 1, seed=3) != arrivals(1000, 1, seed=4)


def test_gaps_are_exponential_so_bursts_happen() -> None:
    moments = arrivals(1000, 20, seed=1)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(mean**2, rel=0.05)


def test_a_window_is_summed_up_in_milliseconds() -> None:
    window = Window(5)
    window.latencies.extend(number / 1000 for number in range(1, 101))
    window.lags.append(0.0001)
    summary = window.summary()
    assert (summary["p50_ms"], summary["p99_ms"], summary["max_ms"]) == pytest.approx((50, 99, 100))
    assert summary["lag_p99_ms"] == pytest.approx(0.1)
    assert summary["count"] == 100


def test_a_window_without_answers_has_no_percentiles() -> None:
    assert "p99_ms" not in Window(5).summary()
