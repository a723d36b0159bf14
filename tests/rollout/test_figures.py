from __future__ import annotations

from math import log

from msgspec.structs import replace

from shadowproxy.model.rollout import CANARY, SHADOW, Bake, Plan, Stage
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.figures import figures
from shadowproxy.rollout.values import CheckResult, Hold, Progress

PLAN = Plan(
    "cup-v2",
    (
        Stage("mirror", SHADOW, Bake(60.0, 200)),
        Stage("users", CANARY, Bake(3600.0), weights=(0.05, 0.25)),
    ),
)


def test_a_rollout_that_waits_is_in_no_stage() -> None:
    found = figures(begin("shop", PLAN, (), 5.0), 6.0)
    assert (found.name, found.phase, found.stage, found.weight, found.settled) == ("cup-v2", "pending", 0, 0.0, True)


def test_the_parts_of_a_stage_are_one_stage_and_bakes_are_shares() -> None:
    state = replace(
        begin("shop", PLAN, (), 5.0),
        phase="running",
        step=2,
        weight=0.25,
        progress=Progress(spent=90.0, baked=1800.0, requests=7),
        holds=(Hold("freeze", 5.0),),
    )
    found = figures(state, 6.0)
    assert (found.stage, found.weight, found.seconds, found.holds) == (2, 0.25, 90.0, ("freeze",))
    assert found.baked == {"time": 0.5}
    assert figures(replace(state, step=0), 6.0).baked == {"time": 1.0, "requests": 0.035}


def test_evidence_is_told_over_its_threshold_and_only_where_there_is_one() -> None:
    results = (
        CheckResult("error_rate", "error_rate", "enforce", "pass", log_e=log(2.0), needed=log(200.0)),
        CheckResult("memory", "promql", "enforce", "pass"),
    )
    found = figures(replace(begin("shop", PLAN, (), 5.0), results=results), 6.0)
    assert {name: round(value, 9) for name, value in found.evidence.items()} == {"error_rate": -2.0}


def test_a_promotion_is_unsettled_as_long_as_it_is_one() -> None:
    assert not figures(replace(begin("shop", PLAN, (), 5.0), phase="promoted"), 6.0).settled


def test_an_override_of_a_freeze_lasts_until_its_time() -> None:
    state = replace(begin("shop", PLAN, (), 5.0), override=10.0)
    assert [figures(state, now).overridden for now in (5.0, 9.9, 10.0)] == [True, True, False]
