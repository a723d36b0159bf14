from __future__ import annotations

import pytest

from shadowproxy.replay.pacing import AtOnce, Even, Lateness, Pace, Recorded

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("pace", "due"),
    [
        (Recorded(10 * SECOND, 1.0), [0.0, 0.05, 0.15]),
        (Recorded(10 * SECOND, 2.0), [0.0, 0.025, 0.075]),
        (Recorded(10 * SECOND, 0.5), [0.0, 0.1, 0.3]),
        (Even(4.0), [0.0, 0.25, 0.5]),
        (AtOnce(), [0.0, 0.0, 0.0]),
    ],
)
def test_when_requests_are_due(pace: Pace, due: list[float]) -> None:
    times = [10 * SECOND, 10 * SECOND + 50_000_000, 10 * SECOND + 150_000_000]
    assert [pace.due(number, at) for number, at in enumerate(times)] == pytest.approx(due)


def test_lateness_is_never_negative_and_has_quantiles() -> None:
    lateness = Lateness()
    assert (lateness.last, lateness.most, lateness.quantile(0.99)) == (0.0, 0.0, 0.0)
    for each in range(100):
        lateness.add((each - 1) / 1000)
    assert lateness.most == 0.098
    assert lateness.quantile(0.5) == 0.049
    assert lateness.quantile(1.0) == 0.098
    lateness.add(-5.0)
    assert lateness.last == 0.0
