"""The breaker opens after failures in a row, probes once a second and closes at the first success."""

from __future__ import annotations

from shadowproxy.shadow.breaker import Breaker


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(3)
    for _ in range(3):
        breaker.failed(now)
    assert breaker.open
    return breaker


def test_it_opens_only_after_failures_in_a_row() -> None:
    breaker = Breaker(3)
    for _ in range(5):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()
    assert not breaker.open
    assert breaker.allows(0.0)


def test_open_it_lets_one_through_each_second() -> None:
    breaker = opened(10.0)
    assert not breaker.allows(10.9)
    assert breaker.allows(11.0)
    assert not breaker.allows(11.0)
    assert not breaker.allows(11.9)
    breaker.failed(11.5)
    assert breaker.allows(12.0)


def test_one_success_closes_it_and_the_row_starts_anew() -> None:
    breaker = opened()
    breaker.succeeded()
    assert breaker.allows(0.0)
    breaker.failed(0.0)
    breaker.failed(0.0)
    assert not breaker.open
