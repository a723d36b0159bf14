from __future__ import annotations

import pytest
from msgspec.structs import replace

from shadowproxy.model.rollout import Bake, Check, FreezeWindow, Stage
from shadowproxy.rollout.facts import ManualFreeze, PairCounts, RouteCounts
from shadowproxy.rollout.traffic import traffic
from tests.rollout.conftest import Checks
from tests.rollout.plans import BAKE, FIRST, GO, MIRROR, NOW, RAMP, Run

FROZEN = ManualFreeze("f1", "eva", "the sale", 0.0)
BURNS = Check("memory", "promql", max_slope=0.05 / 3600)


def started(*stages: Stage, **more: object) -> Run:
    run = Run(*stages, **more)
    run.do("start")
    return run


@pytest.mark.parametrize(
    ("reason", "given"),
    [
        ("freeze", {"freezes": (FROZEN,)}),
        ("store", {"store": False}),
        ("applying", {"applied": False}),
        ("primary_broken", {"healthy": {"primary": False, "candidate": True}}),
    ],
)
def test_while_it_holds_nothing_bakes_and_nothing_advances(reason: str, given: dict[str, object]) -> None:
    run = started()
    run.tick(10)
    run.tick(1, **given)
    baked, since = run.state.progress.baked, run.state.at
    run.tick(100, **given)
    assert run.held == {reason}
    assert (run.state.step, run.state.progress.baked) == (0, baked)
    assert run.state.holds[0].since == since
    run.tick(2)
    assert run.held == set()
    assert run.until(part=1) < 15


def test_a_hold_is_told_once_when_it_begins_and_once_when_it_ends() -> None:
    run = started()
    run.tick(5)
    run.tick(5, freezes=(FROZEN,))
    run.tick(5)
    told = [(one.action, one.what.get("reason")) for one in run.entries[1:]]
    assert told == [("held", "freeze"), ("released", "freeze")]
    run.tick(3, applied=False)
    run.tick(3)
    assert len(run.entries) == 3


def test_supervision_that_is_required_holds_while_nobody_watches() -> None:
    run = started(supervise="required")
    run.tick(100)
    assert (run.held, run.state.step) == ({"unsupervised"}, 0)
    assert run.until(part=1, watch="ana") < 25
    run.tick(3)
    assert run.held == {"unsupervised"}


def test_evidence_goes_on_and_takes_back_without_a_watch(checks: Checks) -> None:
    run = started(FIRST, supervise="required")
    run.tick(5)
    assert run.state.progress.requests > 0
    checks.say("fail", harm="error_rate: worse")
    run.tick()
    assert run.state.phase == "rolled_back"


@pytest.mark.no_cover
def test_approval_waits_as_long_as_it_takes() -> None:
    run = started(GO, FIRST)
    run.tick(10_000)
    assert run.held == {"approval"}
    run.do("approve")
    assert run.until(part=1) < 3


@pytest.mark.parametrize(
    ("on_timeout", "phase", "step"), [("hold", "running", 0), ("rollback", "rolled_back", 0), ("advance", "running", 1)]
)
def test_an_approval_that_does_not_come_in_time(on_timeout: str, phase: str, step: int) -> None:
    run = started(replace(GO, timeout=60.0, on_timeout=on_timeout), FIRST)
    run.tick(59)
    assert (run.state.phase, run.held) == ("running", {"approval"})
    run.tick(2)
    assert (run.state.phase, run.state.step) == (phase, step)
    if on_timeout == "hold":
        assert run.held == {"approval", "timeout"}
        assert run.state.holds[0].detail == "go waits for approval"
        run.do("approve")
        assert run.until(part=1) < 3


@pytest.mark.parametrize(
    ("on_timeout", "phase", "step"), [("hold", "running", 0), ("rollback", "rolled_back", 0), ("advance", "running", 1)]
)
def test_a_bake_that_does_not_end_in_time(on_timeout: str, phase: str, step: int) -> None:
    bake = Bake(seconds=20.0, requests=10**6, timeout=60.0, on_timeout=on_timeout)
    run = started(Stage("first", "canary", bake=bake, weights=(0.05,)), RAMP)
    run.tick(61)
    assert (run.state.phase, run.state.step) == (phase, step)
    if on_timeout == "hold":
        assert "timeout" in run.held
        run.do("resume")
        run.tick(60)
        assert "timeout" not in run.held


@pytest.mark.parametrize("on_timeout", ["hold", "rollback"])
def test_a_part_that_ends_as_its_time_does_has_ended_in_time(on_timeout: str) -> None:
    bake = Bake(seconds=20.0, timeout=21.0, on_timeout=on_timeout)
    run = started(Stage("first", "canary", bake=bake, weights=(0.05,)), RAMP)
    run.tick(21)
    assert (run.state.phase, run.state.step) == ("running", 1)


def test_a_cap_that_was_passed_waits_for_a_person_also_where_all_is_there_by_now() -> None:
    bake = Bake(seconds=20.0, timeout=10.0)
    run = started(Stage("first", "canary", bake=bake, weights=(0.05,)), RAMP)
    run.tick(60)
    assert (run.state.step, run.held) == (0, {"timeout"})
    run.do("resume")
    run.tick()
    assert run.state.step == 1


def test_advancing_in_time_passes_over_no_other_hold_and_no_failure(checks: Checks) -> None:
    bake = Bake(seconds=20.0, requests=10**6, timeout=60.0, on_timeout="advance")
    run = started(Stage("first", "canary", bake=bake, weights=(0.05,)), RAMP)
    run.tick(100, freezes=(FROZEN,))
    assert run.state.step == 0
    checks.say("fail")
    run.tick(100)
    assert run.state.step == 0
    checks.say("inconclusive")
    run.tick(1)
    assert run.state.step == 1


def test_time_and_requests_without_evidence_hold_and_say_what_is_missing(checks: Checks) -> None:
    run = started()
    checks.say("inconclusive", words="needs about 400 more requests")
    run.tick(10)
    assert run.held == set()
    run.tick(100)
    assert run.held == {"inconclusive"}
    assert run.state.holds[0].detail == "error_rate: needs about 400 more requests"
    assert run.state.progress.baked > 100
    checks.say("pass")
    run.tick()
    assert run.state.step == 1


@pytest.mark.parametrize("kind", ["sample_ratio", "slow_burn"])
def test_a_guard_that_speaks_up_holds_until_a_person_lets_it_go(kind: str, checks: Checks) -> None:
    run = started(FIRST, RAMP)
    checks.say("inconclusive", kind)
    run.tick(10)
    checks.say("fail", kind)
    run.tick(100)
    assert (run.state.phase, run.state.step, run.held) == ("running", 0, {kind})
    assert kind in run.refused("promote")
    run.do("resume", reason="it is the cache")
    run.tick(30)
    assert run.state.step == 1
    run.tick()
    assert run.held == {kind}


def test_a_trend_of_a_query_is_a_slow_burn_and_its_limit_is_none(checks: Checks) -> None:
    run = started(FIRST, RAMP, checks=(BURNS,))
    checks.say("fail", "promql", "memory")
    run.tick()
    assert run.held == {"slow_burn"}
    run = started(FIRST, RAMP, checks=(Check("memory", "promql", max=100.0),))
    run.tick()
    assert run.state.phase == "rolled_back"


def test_a_query_with_a_trend_that_breaks_its_limit_sends_users_back(checks: Checks) -> None:
    run = started(FIRST, RAMP, checks=(replace(BURNS, max=100.0),))
    checks.say("fail", "promql", "memory", log_e=0.5, needed=4.6)
    run.tick()
    assert run.state.phase == "rolled_back"


def test_a_query_without_an_answer_holds_also_where_only_its_trend_matters(checks: Checks) -> None:
    run = started(checks=(BURNS,))
    checks.say("inconclusive", "promql", "memory", words="no answer yet", needed=4.6)
    run.tick(100)
    assert run.held == {"inconclusive"}


def test_a_guard_lacks_nothing(checks: Checks) -> None:
    run = started()
    checks.say("inconclusive", "slow_burn")
    assert run.until(part=1) < 25


def test_the_stronger_answer_is_waited_for_where_the_plan_wants_it(checks: Checks) -> None:
    run = started(Stage("first", "canary", bake=replace(BAKE, evidence="not_worse"), weights=(0.05,)), RAMP)
    checks.say("pass", words="not shown not to be worse")
    run.tick(100)
    assert (run.state.step, run.held) == (0, {"inconclusive"})
    checks.say("pass", not_worse=True)
    run.tick()
    assert run.state.step == 1


def test_a_part_may_be_over_before_its_time_once_that_is_shown(checks: Checks) -> None:
    run = started(Stage("first", "canary", bake=replace(BAKE, early=True), weights=(0.05,)), RAMP)
    checks.say("pass")
    run.tick(5)
    assert run.state.step == 0
    checks.say("pass", not_worse=True)
    run.tick(1, freezes=(FROZEN,))
    assert run.state.step == 0
    run.tick()
    assert run.state.step == 1
    assert "over before its time: the candidate is shown not to be worse" in run.state.why


@pytest.mark.parametrize(
    ("weight", "kind"), [(1.0, "error_rate"), (1.0, "sample_ratio"), (0.05, "slow_burn"), (0.05, "regressed_fields")]
)
def test_what_cannot_be_shown_makes_no_part_early(checks: Checks, weight: float, kind: str) -> None:
    run = started(Stage("first", "canary", bake=replace(BAKE, early=True), weights=(weight,)), RAMP)
    checks.say("pass", kind, not_worse=True)
    run.tick(5)
    assert run.state.step == 0


def test_without_checks_nothing_is_shown_and_nothing_is_early() -> None:
    run = started(Stage("first", "canary", bake=replace(BAKE, early=True), weights=(0.05,)), RAMP)
    run.tick(15)
    assert run.state.step == 0


def test_a_gate_is_waited_for_while_the_bake_goes_on(checks: Checks) -> None:
    run = started()
    checks.say("inconclusive", "webhook", "load test")
    run.tick(100)
    assert run.held == {"gate"}
    checks.say("pass", "webhook", "load test")
    run.tick()
    assert run.state.step == 1


def test_a_gate_that_says_no_sends_users_back(checks: Checks) -> None:
    run = started(FIRST)
    checks.say("fail", "webhook", "load test", words="it said no")
    run.tick()
    assert (run.state.phase, run.state.why) == ("rolled_back", "rolled back: load test: it said no")


def test_a_check_that_is_only_observed_decides_nothing(checks: Checks) -> None:
    run = started()
    checks.say("fail", "promql", mode="observe")
    assert run.until(part=1) < 25


def test_at_weight_1_only_what_needs_no_baseline_is_needed(checks: Checks) -> None:
    swap = Stage("swap", "blue_green", bake=BAKE)
    limit = Check("slow", "promql", max=1.0)
    run = started(swap, checks=(Check("error_rate", "error_rate"), limit))
    run.until(part=1)
    checks.say("inconclusive")
    assert run.until("promoted") < 25
    run = started(swap, checks=(Check("error_rate", "error_rate"), limit))
    checks.say("pass")
    run.until(part=1)
    checks.say("inconclusive", "promql", "slow")
    run.tick(100)
    assert run.held == {"inconclusive"}


def test_a_primary_that_breaks_while_the_candidate_is_well_moves_nobody_onto_it(checks: Checks) -> None:
    run = started(FIRST, RAMP)
    run.tick(5)
    checks.say("fail", harm="error_rate: worse")
    broken = (RouteCounts("item", (100, 100), failed=(40, 2)),)
    run.put(progress=replace(run.state.progress, recent=()))
    run.tick(5, routes=broken)
    assert (run.state.phase, run.state.weight, run.held) == ("running", 0.05, {"primary_broken"})
    assert "the primary fails 40% of its requests and the candidate 2%" in run.state.why
    run.tick(15)
    assert run.state.phase == "rolled_back"


def test_a_freeze_that_rolls_back_moves_nobody_onto_a_broken_primary() -> None:
    back = replace(FROZEN, in_flight="rollback")
    dead = {"primary": False}
    run = started(FIRST)
    run.tick(3, freezes=(back,), healthy=dead)
    assert run.held == {"freeze", "primary_broken"}
    run.tick(1, freezes=(back,))
    assert run.state.phase == "rolled_back"


def test_nor_does_a_time_that_is_over() -> None:
    bake = Bake(seconds=20.0, requests=10**6, timeout=10.0, on_timeout="rollback")
    run = started(Stage("first", "canary", bake=bake, weights=(0.05,)))
    run.tick(30, healthy={"primary": False})
    assert run.state.phase == "running"
    run.tick()
    assert run.state.phase == "rolled_back"


def test_where_both_are_broken_users_go_back(checks: Checks) -> None:
    run = started(FIRST)
    checks.say("fail", harm="error_rate: worse")
    run.tick(3, routes=(RouteCounts("item", (100, 100), failed=(40, 60)),), healthy={"primary": False})
    assert run.state.phase == "rolled_back"


def test_pairs_show_a_broken_primary_while_mirroring() -> None:
    run = started(MIRROR)
    run.tick(3, routes=(), pairs=(PairCounts("item", neither=50, primary_only=50),))
    assert run.held == {"primary_broken"}


@pytest.mark.parametrize(
    ("in_flight", "phase"), [("hold", "running"), ("continue", "promoted"), ("rollback", "rolled_back")]
)
def test_a_freeze_in_flight(in_flight: str, phase: str) -> None:
    run = started(FIRST)
    run.put(windows=(FreezeWindow("weekend", start=NOW, end=NOW + 1000, in_flight=in_flight),))
    run.tick(100)
    assert run.state.phase == phase


def test_a_freeze_that_rolls_back_only_holds_where_nobody_is_served_by_the_candidate() -> None:
    run = started(MIRROR)
    run.tick(100, freezes=(replace(FROZEN, in_flight="rollback"),))
    assert (run.state.phase, run.held) == ("running", {"freeze"})


def test_a_freeze_of_features_lets_a_fix_pass() -> None:
    run = started(change_class="fix")
    assert run.until(part=1, freezes=(FROZEN,)) < 25


def test_a_pause_on_failure_sends_back_the_chosen_too(checks: Checks) -> None:
    run = started(FIRST, on_fail="pause")
    checks.say("fail", harm="error_rate")
    run.tick()
    split = traffic(run.state)
    assert split is not None
    assert (split.weight, split.chosen) == (0.0, ())


def test_harm_that_was_found_while_the_primary_was_broken_is_not_forgotten(checks: Checks) -> None:
    run = started(FIRST, RAMP)
    dead = {"primary": False}
    checks.say("fail", harm="error_rate: worse")
    run.tick(3, healthy=dead)
    checks.say("pass")
    run.tick(60, healthy=dead)
    assert (run.state.step, run.state.weight) == (0, 0.05)
    run.tick()
    assert (run.state.phase, run.state.why) == ("rolled_back", "rolled back: error_rate: worse")
