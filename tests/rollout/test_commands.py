from __future__ import annotations

import pytest
from msgspec.structs import replace

from shadowproxy.model.rollout import FreezeWindow, Stage
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.steps import steps
from tests.rollout.conftest import Checks
from tests.rollout.plans import BAKE, FIRST, GO, MIRROR, NOW, RAMP, Run, facts, plan

HOUR = 3600.0
FROZEN = ManualFreeze("f1", "eva", "the sale", NOW - 60)
WINDOW = FreezeWindow("weekend", start=NOW - HOUR, end=NOW + HOUR, manual=True)


def started(*stages: Stage, **more: object) -> Run:
    run = Run(*stages, **more)
    run.do("start")
    return run


def test_starting_twice_is_one_start() -> None:
    run = started()
    before = run.state
    assert run.do("start", "bob") == before
    assert run.actions == ["started"]


def test_the_first_of_two_operators_wins_and_the_second_is_told() -> None:
    run = started(GO, FIRST)
    run.do("approve", "ana")
    assert run.refused("approve", "bob") == "already approved by ana"
    run.tick(2)
    assert run.state.step == 1
    assert run.refused("approve", "bob") == "already approved by ana"
    assert run.do("approve", "ana") is not None
    assert run.actions.count("approved") == 1


def test_approval_without_anything_to_approve_says_what_will_wait() -> None:
    run = started(MIRROR, GO, FIRST)
    assert run.refused("approve") == "nothing waits for approval: it is in mirror, go is what will wait"


def test_a_command_meant_for_another_attempt_is_refused() -> None:
    run = started()
    run.do("rollback")
    run.do("retry")
    assert run.refused("rollback", attempt=1) == "attempt 1 is over; 2 is running since 2025-11-13 02:13 UTC"
    assert run.refused("rollback", attempt=3) == "there is no attempt 3 yet: the present one is 2"
    assert run.do("rollback", attempt=2).phase == "rolled_back"


def test_pause_holds_until_resume_and_says_who() -> None:
    run = started()
    run.do("pause", "ana", reason="a look at the logs")
    assert run.do("pause", "bob") == run.state
    run.tick(100)
    assert run.state.step == 0
    assert [(hold.reason, hold.by, hold.since) for hold in run.state.holds] == [("operator", "ana", NOW)]
    assert "a look at the logs" in run.refused("promote", "bob")
    run.do("resume")
    assert run.until(part=1) < 30
    assert run.actions == ["started", "paused", "resumed", "advanced"]


def test_resume_says_what_holds_where_nobody_paused() -> None:
    run = started(GO, FIRST)
    assert run.do("resume") == run.state
    run.tick()
    assert "approval: go waits for approval" in run.refused("resume")


def test_promote_skips_the_bake_and_is_marked_as_manual() -> None:
    run = started()
    run.tick()
    run.do("promote", "ana", reason="tested by hand")
    assert (run.state.step, run.state.weight) == (1, 0.05)
    assert run.entries[-1].what["manual"] is True
    assert run.entries[-1].by == "ana"
    run.do("promote", full=True)
    assert (run.state.phase, run.state.weight) == ("promoted", 1.0)
    assert run.do("promote") == run.state


def test_who_promotes_at_the_same_time_or_once_more_passes_over_nothing() -> None:
    run = started(FIRST, RAMP)
    run.tick()
    run.do("promote", "ana")
    assert "has only just begun, not every worker runs it yet: promoted by ana" in run.refused("promote", "bob")
    run.tick(applied=False)
    assert "not every worker runs it yet" in run.refused("promote", "bob")
    run.tick()
    step = run.state.step
    run.do("promote", "bob")
    assert run.state.step == step + 1


def test_promote_out_of_a_part_that_is_over_is_refused() -> None:
    run = started(FIRST, RAMP)
    run.tick()
    part = steps(run.state.plan)[0].name
    run.do("promote", "ana", stage=part)
    run.tick()
    assert f", not in {part}: promoted by ana" in run.refused("promote", "bob", stage=part)
    run.do("promote", "bob", stage=steps(run.state.plan)[1].name)
    assert run.state.step == 2


def test_promote_is_refused_while_a_check_fails(checks: Checks) -> None:
    run = started()
    checks.say("fail", words="5 % against 1 %")
    run.tick()
    assert "error_rate: 5 % against 1 %" in run.refused("promote")
    assert "error_rate: 5 % against 1 %" in run.refused("promote", full=True)


@pytest.mark.parametrize("phase", ["pending", "running", "promoted", "rolled_back", "aborted"])
def test_every_command_in_every_phase_is_obeyed_or_refused_in_a_sentence(phase: str) -> None:
    for action in ("start", "approve", "pause", "resume", "promote", "abort", "rollback", "retry"):
        run = Run()
        if phase != "pending":
            run.do("start")
        if phase == "promoted":
            run.do("promote", full=True)
        elif phase in ("rolled_back", "aborted"):
            run.do("rollback" if phase == "rolled_back" else "abort")
        answer = run.ask(action, "ana", given=None)
        assert len(answer.why) > 20 if hasattr(answer, "why") else answer[0].plan == run.state.plan


def test_an_unknown_command_lists_those_there_are() -> None:
    assert run_words(Run().refused("go")) >= {"start", "rollback", "retry"}


def run_words(text: str) -> set[str]:
    return set(text.replace(",", "").split())


def test_retry_starts_a_new_attempt_from_the_first_stage_or_the_one_that_is_named() -> None:
    run = started()
    run.until(part=2)
    run.do("rollback", reason="looked bad")
    run.do("retry")
    assert (run.state.attempt, run.state.step, run.state.weight) == (2, 0, 0.0)
    run.do("abort")
    assert run.refused("retry", stage="rump") == "there is no stage 'rump'; there are mirror, first, ramp"
    run.do("retry", stage="ramp")
    assert (run.state.attempt, run.state.step, run.state.weight) == (3, 2, 0.25)
    assert [(one.number, one.phase) for one in run.state.earlier] == [(1, "rolled_back"), (2, "aborted")]


def test_retry_while_it_runs_is_refused() -> None:
    assert started().refused("retry") == "attempt 1 runs: `abort` or `rollback` first"


def test_start_after_the_end_names_retry() -> None:
    run = started()
    run.do("abort")
    assert run.refused("start") == "attempt 1 is aborted: `retry` starts the next attempt"


def test_going_back_twice_is_going_back_once() -> None:
    run = started()
    run.do("rollback")
    assert run.do("rollback") == run.do("abort") == run.state
    assert "has not started" in Run().refused("rollback")


@pytest.mark.parametrize("action", ["start", "retry"])
def test_a_freeze_stops_starting_and_says_until_when(action: str) -> None:
    run = Run()
    if action == "retry":
        run.do("abort")
    frozen = facts(freezes=(replace(FROZEN, until=NOW + HOUR),))
    why = run.refused(action, given=frozen)
    assert why == "frozen by eva: the sale, until 2025-11-13 03:13 UTC; it cannot be overridden"


def test_a_freeze_stops_promotion_unless_what_is_in_flight_goes_on() -> None:
    run = started()
    assert "frozen by eva" in run.refused("promote", given=facts(freezes=(FROZEN,)))
    run.tick()
    run.do("promote", given=facts(freezes=(replace(FROZEN, in_flight="continue"),)))
    assert run.state.step == 1


@pytest.mark.parametrize(
    ("reason", "until", "why"),
    [
        ("", HOUR, "only with a reason"),
        ("  ", HOUR, "only with a reason"),
        ("hot", 25 * HOUR, "at most 24 hours"),
        ("hot", -1.0, "at most 24 hours"),
    ],
)
def test_an_override_needs_a_reason_and_an_end(reason: str, until: float, why: str) -> None:
    run = Run()
    run.put(windows=(WINDOW,))
    assert why in run.refused("start", reason=reason, override=NOW + until)


def test_a_freeze_that_permits_nobody_is_not_overridden() -> None:
    frozen = facts(freezes=(FROZEN,))
    why = Run().refused("start", override=NOW + HOUR, given=frozen)
    assert why == "frozen by eva: the sale, with no end in sight; it cannot be overridden"


def test_an_override_is_audited_and_lasts_as_long_as_was_said() -> None:
    run = Run(plan().stages[1])
    run.put(windows=(WINDOW,))
    assert "an override with a reason would do it" in run.refused("start")
    run.do("start", override=NOW + 10)
    assert run.actions == ["overridden", "started"]
    run.tick(9)
    assert run.held == set()
    run.tick(2)
    assert run.held == {"freeze"}
    run.do("resume", override=run.state.at + HOUR)
    assert run.actions[-1] == "overridden"
    run.tick(1)
    assert run.held == set()


def test_a_window_that_permits_nobody_is_not_overridden_later_either() -> None:
    run = started()
    run.do("resume", override=NOW + 2 * HOUR)
    run.tick(1, freezes=(FROZEN,))
    assert run.held == {"freeze"}


def test_an_override_ends_also_where_the_clock_is_set_back() -> None:
    run = Run()
    run.put(windows=(WINDOW,), override=NOW + 30 * HOUR)
    assert "weekend is active" in run.refused("start")


def test_without_an_audit_nothing_is_started_and_everything_is_taken_back() -> None:
    dead = facts(store=False)
    run = Run()
    assert "the audit cannot be written" in run.refused("start", given=dead)
    run.do("start")
    run.tick()
    assert "the audit cannot be written" in run.refused("promote", given=dead)
    assert run.do("rollback", given=dead).phase == "rolled_back"


def test_going_back_waits_for_nothing() -> None:
    for action in ("abort", "rollback"):
        run = started(FIRST, RAMP)
        run.put(windows=(replace(WINDOW, manual=False),))
        run.tick(3, store=False, applied=False)
        assert run.state.weight > 0
        run.do(action, given=facts(store=False, freezes=(FROZEN,)), override=None)
        assert run.state.weight == 0.0


def test_a_failed_check_is_not_resumed(checks: Checks) -> None:
    run = started(Stage("first", "canary", bake=BAKE, weights=(0.05,)), on_fail="pause")
    checks.say("fail", harm="error_rate")
    run.tick()
    checks.say("pass")
    run.tick(100)
    assert (run.state.weight, run.state.phase, run.held) == (0.0, "running", {"failed"})
    assert "`retry` starts a new attempt" in run.refused("resume")
    assert "not with a check that fails (error_rate)" in run.refused("promote")
    run.do("retry")
    assert (run.state.attempt, run.state.weight, run.held) == (2, 0.05, set())


def test_what_was_removed_from_the_configuration_cannot_be_started() -> None:
    run = Run()
    run.put(is_configured=False)
    assert run.refused("start") == "the configuration has no rollout for this service any more"
