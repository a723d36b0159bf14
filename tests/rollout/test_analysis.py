"""The analysis over ticks: what fails, what passes, what is not known, and what survives."""

from __future__ import annotations

import msgspec
import pytest

from shadowproxy.model.rollout import FAIL, INCONCLUSIVE, PASS, Bake, Check, Plan, Step
from shadowproxy.rollout import analysis
from shadowproxy.rollout.ledger import Ledger
from shadowproxy.rollout.values import Facts, RouteCounts

CANARY = Step(0, 0, "canary", "canary", 0.1, Bake(600.0))


def plan(*checks: Check) -> Plan:
    return Plan("v2", (), checks=checks)


def tick(at: float, requests: tuple[int, int], failed: tuple[int, int] = (0, 0)) -> Facts:
    return Facts(at, 1.0, routes=(RouteCounts("item", requests, failed),))


def after(ticks: int, facts: Facts, this: Plan, step: Step = CANARY) -> Ledger:
    ledger = analysis.begin(this, "shop:1")
    for _ in range(ticks):
        ledger = analysis.observe(ledger, this, step, facts, step.weight)
    return ledger


ERRORS = plan(Check("error_rate", "error_rate"))


@pytest.mark.parametrize(
    ("failed", "verdict"), [((9, 1), PASS), ((9, 6), FAIL), ((0, 0), PASS)], ids=["alike", "worse", "none"]
)
def test_an_error_rate_passes_or_fails(failed: tuple[int, int], verdict: str) -> None:
    ledger = after(20, tick(0.0, (900, 100), failed), ERRORS)
    (result,) = analysis.judge(ledger, ERRORS, CANARY, 20.0)
    assert result.verdict == verdict
    assert analysis.overall(ledger, ERRORS, CANARY, 20.0).harm == (verdict == FAIL)


def test_no_data_is_never_a_pass() -> None:
    ledger = analysis.begin(ERRORS, "shop:1")
    for _ in range(3):
        (result,) = analysis.judge(ledger, ERRORS, CANARY, 0.0)
        assert result.verdict == INCONCLUSIVE
        ledger = analysis.observe(ledger, ERRORS, CANARY, tick(0.0, (9000, 0), (100, 0)), 0.1)


def test_four_errors_against_none_roll_nothing_back() -> None:
    ledger = after(1, tick(0.0, (9000, 1000), (0, 4)), ERRORS)
    assert not analysis.overall(ledger, ERRORS, CANARY, 20.0).harm


def test_the_ledger_survives_messagepack_bit_for_bit() -> None:
    ledger = after(7, tick(0.0, (901, 99), (9, 3)), ERRORS)
    builtins = msgspec.to_builtins(ledger)
    assert msgspec.convert(builtins, Ledger) == ledger
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ledger), type=Ledger) == ledger
