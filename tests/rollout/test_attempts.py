from __future__ import annotations

import pytest
from msgspec.structs import replace

from shadowproxy.model.rollout import FreezeWindow, Plan
from shadowproxy.rollout.attempts import MAX_EARLIER, begin, reload
from shadowproxy.rollout.facts import RouteCounts
from shadowproxy.rollout.values import Entry
from tests.rollout.conftest import Checks
from tests.rollout.plans import FIRST, MIRROR, NOW, RAMP, Run, plan

WINDOW = FreezeWindow("weekend", start=NOW, end=NOW + 60)
V3 = {"primary": "v1", "candidate": "v3"}
V2 = {"primary": "v2", "candidate": "v2"}


def at_ramp(**more: object) -> Run:
    run = Run(MIRROR, FIRST, RAMP, **more)
    run.do("start")
    run.until(part=2)
    return run


def reloaded(run: Run, chosen: Plan | None, *windows: FreezeWindow) -> tuple[Entry, ...]:
    run.state, entries = reload(run.state, chosen, windows, run.state.at + 1)
    return entries


def test_a_plan_waits_to_be_started() -> None:
    state = begin("shop", plan(), (WINDOW,), NOW)
    assert (state.phase, state.attempt, state.weight, state.windows) == ("pending", 1, 0.0, (WINDOW,))


def test_a_new_version_of_the_candidate_is_a_new_attempt_from_the_first_stage() -> None:
    run = at_ramp()
    run.tick(identity=V3)
    assert (run.state.attempt, run.state.step, run.state.weight) == (2, 0, 0.0)
    assert run.state.identity == V3
    (earlier,) = run.state.earlier
    assert (earlier.number, earlier.phase, earlier.identity["candidate"]) == (1, "running", "v2")
    assert earlier.why == "the candidate runs v3, no longer v2"
    assert run.actions[-1] == "restarted"
    assert run.until(part=2, identity=V3) < 60


def test_a_new_version_warms_up_also_where_it_gets_less_than_the_one_before() -> None:
    run = Run(FIRST, RAMP, warmup=10.0)
    run.do("start")
    run.until(part=1)
    run.tick(identity=V3)
    run.tick(10, identity=V3)
    assert (run.state.weight, run.state.progress.baked) == (0.05, 0.0)


def test_a_new_version_of_a_paused_rollout_stays_paused() -> None:
    run = at_ramp()
    run.do("pause")
    run.tick(identity=V3)
    run.tick(50, identity=V3)
    assert (run.state.attempt, run.state.step, run.held) == (2, 0, {"operator"})


def test_a_version_that_is_not_known_or_only_now_known_changes_nothing() -> None:
    run = Run()
    run.do("start")
    run.put(identity={})
    run.tick(3, identity={})
    run.tick(3)
    run.tick(3, identity={"candidate": ""})
    run.tick(3)
    assert run.state.identity == {"primary": "v1", "candidate": "v2"}
    assert run.actions == ["started"]


def test_a_new_version_of_the_primary_holds_and_the_evidence_begins_anew() -> None:
    run = at_ramp()
    run.tick(5)
    epoch = run.state.epoch
    now = {"primary": "v1.1", "candidate": "v2"}
    run.tick(100, identity=now)
    assert (run.held, run.state.step, run.state.weight) == ({"primary_changed"}, 2, 0.25)
    assert run.state.epoch == epoch + 1
    run.do("resume", reason="a hotfix")
    assert run.until(part=3, identity=now) < 30


def test_what_failed_and_is_kept_is_not_started_by_a_new_version(checks: Checks) -> None:
    run = at_ramp(on_fail="pause")
    checks.say("fail", harm="worse")
    run.tick()
    checks.say("pass")
    run.tick(50, identity=V3)
    assert (run.state.attempt, run.state.weight, run.held) == (1, 0.0, {"failed"})
    assert run.actions[-1] == "version_changed"


def test_a_new_version_after_promotion_moves_nobody() -> None:
    run = at_ramp()
    run.do("promote", full=True)
    run.tick(5, identity=V3)
    assert (run.state.phase, run.state.weight, run.state.identity) == ("promoted", 1.0, V3)
    assert run.actions[-1] == "version_changed"


def test_another_candidate_in_the_configuration_is_a_new_attempt_whose_version_is_not_known() -> None:
    run = at_ramp()
    run.do("pause")
    run.tick(candidate="another")
    assert (run.state.attempt, run.state.step, run.state.weight) == (2, 0, 0.0)
    assert (run.state.identity, run.held, run.actions[-1]) == ({"primary": "v1"}, {"operator"}, "restarted")
    assert run.state.earlier[0].identity == V2 | {"primary": "v1"}
    run.tick(3, identity=V3)
    assert (run.state.attempt, run.state.identity["candidate"]) == (2, "v3")


def test_what_failed_and_is_kept_is_not_started_by_another_candidate(checks: Checks) -> None:
    run = at_ramp(on_fail="pause")
    checks.say("fail", harm="worse")
    run.tick()
    run.tick(candidate="another")
    assert (run.state.attempt, run.state.weight, run.held) == (1, 0.0, {"failed"})
    assert run.actions[-1] == "version_changed"


@pytest.mark.parametrize(("candidate", "is_promoted"), [("gone", False), ("gone", True), ("another", True)])
def test_nobody_stays_promised_to_a_candidate_that_the_configuration_has_no_more(
    candidate: str, is_promoted: bool
) -> None:
    run = at_ramp()
    if is_promoted:
        run.do("promote", full=True)
    run.tick(candidate=candidate)
    assert (run.state.phase, run.state.weight, run.actions[-1]) == ("rolled_back", 0.0, "rolled_back")
    assert "the configuration has" in run.state.why
    run.tick(candidate=candidate)
    assert run.actions[-1] == "rolled_back"


def test_a_promotion_that_is_the_primary_now_makes_room_for_another_candidate() -> None:
    run = at_ramp()
    run.do("promote", full=True)
    run.tick(settled=True, candidate="another", identity=V2)
    assert (run.state.phase, run.actions[-1]) == ("pending", "settled")


def test_a_promotion_settles_once_the_primary_is_that_version() -> None:
    run = at_ramp()
    run.do("promote", full=True)
    run.tick(5)
    assert run.state.phase == "promoted"
    run.tick(settled=True, identity=V2)
    assert (run.state.phase, run.state.attempt, run.state.weight) == ("pending", 2, 0.0)
    assert [(one.number, one.phase) for one in run.state.earlier] == [(1, "promoted")]
    assert run.actions[-1] == "settled"


def test_a_recall_rolls_back_and_a_retry_acknowledges_it() -> None:
    run = at_ramp()
    run.tick(recalled=NOW)
    assert (run.state.phase, run.state.weight, run.held) == ("rolled_back", 0.0, {"recalled"})
    run.tick(5, recalled=NOW)
    assert run.actions[-1] == "recalled"
    run.do("retry", stage="first")
    run.tick(5, recalled=NOW)
    assert (run.state.phase, run.state.weight, run.held) == ("running", 0.05, set())


@pytest.mark.parametrize("clock", [+60.0, -60.0])
def test_a_second_recall_is_one_whatever_the_clock_says(clock: float) -> None:
    run = at_ramp()
    run.tick(recalled=NOW)
    run.do("retry")
    run.tick(recalled=NOW)
    run.tick(recalled=NOW + clock)
    assert run.state.phase == "rolled_back"


@pytest.mark.parametrize("phase", ["pending", "aborted"])
def test_a_recall_of_nothing_is_noted(phase: str) -> None:
    run = Run()
    if phase == "aborted":
        run.do("abort")
    run.tick(recalled=NOW)
    assert (run.state.phase, run.state.recalled) == (phase, NOW)


def test_a_recall_of_a_promotion_rolls_it_back() -> None:
    run = at_ramp()
    run.do("promote", full=True)
    run.tick(recalled=NOW)
    assert (run.state.phase, run.state.weight) == ("rolled_back", 0.0)


def test_a_changed_plan_is_pending_while_an_attempt_runs_and_the_next_one_takes_it() -> None:
    run = at_ramp()
    other = plan(MIRROR, FIRST)
    (entry,) = reloaded(run, other)
    assert (entry.action, entry.what["pending"]) == ("plan_pending", other.hash)
    assert reloaded(run, other) == ()
    assert run.state.plan == plan(MIRROR, FIRST, RAMP)
    run.tick(5)
    run.do("rollback")
    run.do("retry")
    assert (run.state.plan, run.state.pending_plan) == (other, None)


def test_a_plan_that_is_changed_back_is_pending_no_longer() -> None:
    run = at_ramp()
    reloaded(run, plan(MIRROR))
    (entry,) = reloaded(run, plan(MIRROR, FIRST, RAMP))
    assert (entry.what["pending"], run.state.pending_plan) == (None, None)


def test_what_has_not_started_takes_a_changed_plan_at_once() -> None:
    run = Run()
    (entry,) = reloaded(run, plan(FIRST))
    assert (entry.action, run.state.plan, run.state.attempt) == ("plan_replaced", plan(FIRST), 1)


def test_what_is_back_makes_room_for_a_rollout_of_another_name() -> None:
    run = at_ramp()
    run.do("rollback")
    reloaded(run, plan(FIRST))
    assert (run.state.phase, run.state.pending_plan) == ("rolled_back", plan(FIRST))
    other = replace(plan(FIRST), name="checkout-v3")
    reloaded(run, other)
    assert (run.state.phase, run.state.plan, run.state.attempt) == ("pending", other, 2)
    assert [one.phase for one in run.state.earlier] == ["rolled_back"]


def test_a_promotion_keeps_its_users_whatever_plan_comes_next() -> None:
    run = at_ramp()
    run.do("promote", full=True)
    other = replace(plan(FIRST), name="checkout-v3")
    reloaded(run, other)
    assert (run.state.phase, run.state.weight) == ("promoted", 1.0)
    run.tick(settled=True, identity=V2)
    assert (run.state.phase, run.state.plan) == ("pending", other)


def test_why_an_attempt_ended_outlives_its_plan() -> None:
    run = at_ramp()
    run.do("promote", full=True, reason="a sale")
    promoted = run.state.why
    (entry,) = reloaded(run, None)
    assert (entry.action, run.state.why) == ("plan_removed", promoted)
    reloaded(run, replace(plan(FIRST), name="checkout-v3"))
    run.tick(settled=True, identity=V2)
    assert run.state.earlier[-1].why == promoted


def test_an_attempt_whose_plan_was_removed_goes_on() -> None:
    run = at_ramp()
    (entry,) = reloaded(run, None)
    assert entry.action == "plan_removed"
    assert reloaded(run, None) == ()
    assert not run.state.is_configured
    assert run.until(part=3) < 30
    reloaded(run, plan(MIRROR, FIRST, RAMP))
    assert run.state.is_configured


def test_freezes_are_those_of_now_also_for_an_attempt() -> None:
    run = at_ramp()
    (entry,) = reloaded(run, run.state.plan, WINDOW)
    assert (entry.action, entry.what["names"]) == ("freezes_changed", ["weekend"])
    run.tick()
    assert run.held == {"freeze"}


def test_an_entry_has_what_it_was_decided_from(checks: Checks) -> None:
    run = at_ramp()
    checks.say("fail", harm="worse", log_e=9.5)
    run.tick()
    what = run.entries[-1].what
    assert run.entries[-1].action == "failed"
    assert (what["weight"], what["phase"]) == ([0.25, 0.0], ["running", "rolled_back"])
    assert what["plan"] == run.state.plan.hash
    assert what["step"] == ["ramp 25%", "ramp 25%"]
    assert what["results"][0]["log_e"] == 9.5


def test_earlier_attempts_are_bounded() -> None:
    run = Run()
    run.do("abort")
    for _ in range(MAX_EARLIER + 10):
        run.do("retry")
        run.do("abort")
    assert len(run.state.earlier) == MAX_EARLIER
    assert run.state.attempt == MAX_EARLIER + 11


def test_each_part_begins_its_evidence_anew_once_it_is_warm() -> None:
    run = Run(MIRROR, FIRST, warmup=10.0)
    run.do("start")
    run.tick(5)
    first = run.state.epoch
    run.until(part=1)
    run.tick(8)
    assert (run.state.epoch, run.state.progress.begun) == (first, False)
    run.tick(4)
    assert (run.state.epoch, run.state.progress.begun) == (first + 1, True)
    assert run.state.ledger.epoch == 2


def test_the_evidence_begins_anew_every_six_hours() -> None:
    run = Run(replace(FIRST, bake=replace(FIRST.bake, seconds=1e6)))
    run.do("start")
    run.tick(3)
    epoch = run.state.epoch
    run.tick(1, elapsed=6 * 3600.0)
    assert run.state.epoch == epoch + 1


def test_a_candidate_that_fails_is_taken_back_by_the_evidence() -> None:
    from shadowproxy.model.rollout import Check

    run = Run(FIRST, RAMP, checks=(Check("error_rate", "error_rate", max_relative=0.1),))
    run.do("start")
    run.tick(5)
    worse = (RouteCounts("item", (100, 100), failed=(1, 30)),)
    assert run.until("rolled_back", routes=worse) < 10
    assert "error_rate" in run.state.why
