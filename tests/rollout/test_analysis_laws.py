"""Whatever the facts are: an answer for each check, harm exactly where an enforced check that bets fails, a ledger that
stays small and survives.
"""

from __future__ import annotations

from math import inf, isnan, nan
from random import Random

import msgspec
import pytest

from shadowproxy.model.rollout import (
    CHECK_KINDS,
    ENFORCE,
    FAIL,
    OBSERVE,
    SAMPLE_RATIO,
    SLOW_BURN,
    STAGE_KINDS,
    Bake,
    Check,
    Plan,
    Step,
    Sticky,
)
from shadowproxy.rollout import analysis
from shadowproxy.rollout.facts import Answer, Both, Facts, FieldsFact, GateAnswer, KeyCounts, PairCounts, RouteCounts
from shadowproxy.rollout.ledger import Ledger

BETTING = {kind for kind in CHECK_KINDS if kind not in (SAMPLE_RATIO, SLOW_BURN)}
LAST_BIN = 630


def any_number(draw: Random) -> int:
    return draw.choice([0, 0, 1, 3, 60, 10**4, 10**7, 10**9])


def any_pair(draw: Random) -> Both:
    return any_number(draw), any_number(draw)


def part_of(draw: Random, both: Both) -> Both:
    primary, candidate = (draw.choice([0, most, draw.randint(0, most)]) for most in both)
    return primary, candidate


def any_plan(draw: Random) -> Plan:
    checks = [
        Check(
            kind,
            kind,
            mode=draw.choice([ENFORCE, ENFORCE, OBSERVE]),
            max_relative=draw.choice([None, 0.0, 0.1, 5.0]),
            max_absolute=draw.choice([None, 0.0, 0.001, 1.0]),
            max=draw.choice([None, 0.0, 0.01, 1.0]),
            max_slope=draw.choice([None, 0.0, 0.1]),
        )
        for kind in CHECK_KINDS
    ]
    against, slope = draw.choice([None, "primary"]), draw.choice([None, 0.1])
    checks.append(Check("memory", "promql", max=draw.choice([None, 0.0]), against=against, max_slope=slope, step=1.0))
    checks.append(Check("ask", "webhook"))
    sticky = draw.choice([None, Sticky(header="x-user")])
    return Plan("v2", (), checks=tuple(checks), sticky=sticky, false_rollback=draw.choice([0.01, 0.5, 1e-6]))


def any_step(draw: Random, stage: int) -> Step:
    bake = Bake(draw.choice([0.0, 3.0, 1e6]), evidence=draw.choice(["no_failure", "not_worse"]))
    weight = draw.choice([0.0, 0.01, 0.1, 0.5, 0.98, 1.0])
    return Step(stage, 0, "part", draw.choice(STAGE_KINDS), weight, bake, sample=draw.choice([None, 0.0, 1.0]))


def any_bins(draw: Random) -> dict[int, int]:
    return {draw.choice([0, 5, 300, LAST_BIN]): 1 + any_number(draw) for _ in range(draw.choice([0, 1, 4]))}


def any_facts(draw: Random, at: float) -> Facts:
    requests, keys = any_pair(draw), any_pair(draw)
    routes = [RouteCounts(name, requests, part_of(draw, requests), part_of(draw, requests)) for name in "ab"]
    pairs = PairCounts("a", *(any_number(draw) for _ in range(4)), {"p50": any_pair(draw), "p99": any_pair(draw)})
    fields = FieldsFact(draw.choice([0.0, -50.0, 1e4]), ("$.a",) * draw.choice([0, 1, 9]), any_number(draw))
    value, beside = draw.choice([1.0, nan, inf, 1e300, -1e300]), draw.choice([0.0, 1.0, 1e-300])
    answer = draw.choice([Answer(), Answer(why="no"), Answer(((at, value),), ((at, beside),))])
    return Facts(
        draw.choice([at, 0.0, 1e9]),
        draw.choice([0.0, 1.0, 1.0, -3.0, 1e-9, nan, inf, 3600.0]),
        routes=tuple(routes[: draw.choice([0, 1, 2])]),
        chosen=(5, 2),
        latency=(any_bins(draw), any_bins(draw)),
        keys=draw.choice([None, KeyCounts(keys, part_of(draw, keys), part_of(draw, keys))]),
        pairs=draw.choice([(), (pairs,)]),
        fields=draw.choice([None, fields]),
        answers={"memory": answer},
        gates={"ask": GateAnswer(at, "pass")},
    )


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_facts_are(seed: int) -> None:
    draw = Random(seed)
    plan, step = any_plan(draw), any_step(draw, 0)
    ledger = analysis.begin(plan, "shop:1")
    for t in range(1, 30):
        if draw.random() < 0.1:
            ledger = analysis.new_epoch(ledger)
        if draw.random() < 0.2:
            step = any_step(draw, t)
        facts = any_facts(draw, float(t))
        ledger = analysis.observe(ledger, plan, step, facts, step.weight, counts=draw.random() < 0.9)
        results = analysis.judge(ledger, plan, step, facts.at)
        assert [result.name for result in results] == [check.name for check in plan.checks]
        assert not any(isnan(result.log_e) for result in results)
        failing = [
            result.name
            for result in results
            if result.verdict == FAIL and result.mode == ENFORCE and result.kind in BETTING
        ]
        assert list(analysis.overall(ledger, plan, step, facts.at).checks) == failing
        packed = msgspec.msgpack.encode(ledger)
        assert len(packed) < 20_000
        assert msgspec.msgpack.decode(packed, type=Ledger) == ledger
