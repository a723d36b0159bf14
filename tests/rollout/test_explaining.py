from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.model.rollout import Chosen, FreezeWindow
from shadowproxy.rollout.attempts import reload
from shadowproxy.rollout.explaining import explain
from tests.rollout.conftest import Checks
from tests.rollout.plans import FIRST, GO, MIRROR, NOW, RAMP, Run, plan


def told(run: Run) -> str:
    return "\n".join(explain(run.state, run.state.at))


def test_what_waits_says_so() -> None:
    assert explain(Run().state, NOW) == [
        "checkout-v2 waits to be started; all users are with the primary.",
        "Newest: waits to be started.",
    ]


def test_what_runs_says_where_it_is_what_is_missing_and_what_comes_next() -> None:
    run = Run()
    run.do("start", reason="release day")
    run.tick(12)
    assert explain(run.state, run.state.at) == [
        "Attempt 1 of checkout-v2 is in mirror, part 1 of 5, since 2025-11-13 02:13 UTC: no user is the candidate's.",
        "Newest: started by ana (release day); mirror begins at 0%.",
        "Nothing holds it.",
        "Still missing: 9 s of bake.",
        "Next: first, 5% of the users are the candidate's.",
    ]


def test_who_holds_it_why_and_since_when() -> None:
    run = Run(GO, FIRST)
    run.do("start")
    run.tick(30)
    run.do("pause", "bob", reason="lunch")
    run.tick(60)
    assert "Held (approval) for 1 min 29 s: go waits for approval." in told(run)
    assert "Held (operator) by bob for 1 min: paused by bob (lunch)." in told(run)


def test_checks_that_fail_or_lack_data_are_named(checks: Checks) -> None:
    run = Run()
    run.do("start")
    checks.say("inconclusive", words="needs about 400 more requests")
    run.tick(50)
    assert "Held (inconclusive) for 29 s: error_rate: needs about 400 more requests." in told(run)
    checks.say("fail", "slow_burn", "memory", words="it rises by 7% an hour")
    run.tick()
    assert "Held (slow_burn) for 0 s: memory: it rises by 7% an hour." in told(run)
    assert told(run).count("7% an hour") == 1


def test_who_is_chosen_is_told_and_not_while_all_are_back(checks: Checks) -> None:
    run = Run(replace(FIRST, chosen=(Chosen(header="x-beta"),)), on_fail="pause")
    run.do("start")
    assert "5% of the users and chosen users are the candidate's." in told(run)
    checks.say("fail", harm="error_rate: worse")
    run.tick()
    assert "no user is the candidate's." in told(run)


def test_a_failure_that_a_person_decides_about_is_told_once_and_with_what_can_be_done(checks: Checks) -> None:
    run = Run(FIRST, on_fail="pause")
    run.do("start")
    run.tick(3)
    checks.say("fail", words="twice as many: fails", harm="error_rate: twice as many: fails")
    run.tick()
    assert explain(run.state, run.state.at)[1:] == [
        "Held (failed) for 0 s: error_rate: twice as many: fails.",
        "Next: `retry` starts attempt 2, `rollback` and `abort` end this one.",
    ]


def test_the_last_part_ends_in_promotion_and_a_promotion_wants_to_be_configured() -> None:
    run = Run(FIRST)
    run.do("start")
    run.tick(3)
    assert "Next: promotion, all users are the candidate's." in told(run)
    run.until("promoted")
    assert "Make v2 the primary; until then `rollback` goes back." in told(run)


def test_what_is_back_says_how_to_go_on() -> None:
    run = Run(MIRROR, FIRST, RAMP)
    run.do("start")
    run.do("rollback", reason="pager")
    assert "was rolled back at 2025-11-13 02:13 UTC" in told(run)
    assert "Newest: rolled back by ana (pager)." in told(run)
    assert "`retry` starts attempt 2." in told(run)


def test_what_else_is_so_is_told() -> None:
    run = Run(MIRROR, FIRST)
    window = FreezeWindow("weekend", start=NOW + 3600, end=NOW + 7200, manual=True)
    run.do("start")
    run.state, _ = reload(run.state, plan(FIRST), (window,), NOW)
    assert f"A changed plan ({plan(FIRST).hash}) waits for the next attempt" in told(run)
    assert "A freeze begins or ends at 2025-11-13 03:13 UTC." in told(run)
    run.put(override=NOW + 60)
    assert "they are overridden" in told(run)
    run.state = replace(run.state, is_configured=False)
    assert "The configuration has no rollout for this service any more." in told(run)
