"""Another plan is held against a log: what it would have decided, and what nobody can know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from shadowproxy.model.rollout import Bake, Check
from shadowproxy.rollout.replaying import replay
from shadowproxy.rollout.what_if import against
from tests.rollout.logs import PLAN, Log, logs, promoted
from tests.rollout.plans import FIRST, GO, MIRROR, RAMP, plan


@pytest.mark.no_cover
@settings(max_examples=20, deadline=None)
@given(logs(PLAN))
def test_the_same_plan_would_have_done_the_same(log: Log) -> None:
    found = against(log.items, PLAN)
    assert found is not None
    changed = [item for item in log.items if getattr(item.cause, "plan", PLAN) != PLAN]
    assert changed or found.differences == found.caveats == ()


def test_a_longer_bake_would_have_gone_on_later() -> None:
    log = promoted(plan())
    slow = replace(MIRROR, bake=Bake(seconds=30.0, requests=100))
    found = against(log.items, plan(slow, FIRST, RAMP))
    assert found is not None
    first = found.differences[0]
    assert first.startswith("would have gone on to first at 2025-11-13 02:13:")
    assert "(10 s later): mirror is over: 30 s and " in first
    assert len(found.differences) == 5
    assert "would have promoted at" in found.differences[-1]
    (parted,) = found.caveats
    users = "the candidate would have had 0% of the users; it had 5%"
    assert parted == f"from 2025-11-13 02:13:41 UTC on {users}, and what is known of it then comes from those"
    assert found.end == "at the end of the attempt, 2025-11-13 02:16:40 UTC, it would be promoted"


def test_another_approval_would_have_been_waited_for() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(60)
    log.order("rollback")
    found = against(log.items, plan(MIRROR, GO, FIRST, RAMP))
    assert found is not None
    assert any(each.startswith("would have gone on to go at ") for each in found.differences)
    assert any(each.startswith("would not have gone on to ramp 25%, as it did at ") for each in found.differences)
    assert "would have been held by approval 1 time; it was 0 times" in found.differences
    assert found.end.endswith("it would be rolled back")


def test_a_command_that_the_other_plan_refuses_is_said() -> None:
    log = Log(plan(MIRROR, GO, FIRST))
    log.order("start")
    log.tick(30)
    log.order("approve")
    log.tick(3)
    found = against(log.items, plan(MIRROR, FIRST))
    assert found is not None
    assert any("would have refused the approve of ana at 2025-11-13 " in each for each in found.differences)
    assert "would have been held by approval 0 times; it was 1 time" in found.differences
    assert " in first with 5% of the users at the candidate" in found.end


def test_the_beginning_of_the_next_attempt_is_not_of_this_one() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(3)
    log.order("rollback")
    log.order("retry")
    found = against(log.items, plan())
    assert found is not None
    assert found.differences == ()
    assert found.end.endswith("it would be rolled back")


def test_what_nobody_asked_is_said() -> None:
    log = promoted(plan())
    checks = (Check("memory", "promql", promql="rss"),)
    found = against(log.items, plan(checks=checks, excluded=(), warmup=0.0))
    assert found is not None
    assert found.caveats[:2] == (
        "nobody asked memory: the log has no answers to them",
        "requests were counted by the log's plan, also where the other one has another exclude",
    )


def test_a_log_that_is_cut_off_begins_in_its_part() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(50)
    log.keep(log.state)
    begin = len(log.items) - 1
    log.tick(30)
    same = against(log.items[begin:], plan())
    assert same is not None
    cut = "what was before 2025-11-13 02:14:10 UTC is not kept: from there the other plan is followed"
    assert (same.differences, same.caveats) == ((), (cut,))
    assert same.end.endswith("it would be in ramp 50% with 50% of the users at the candidate")
    other = against(log.items[begin:], plan(FIRST))
    assert other is not None
    assert other.caveats[0] == cut
    assert other.end.endswith("it would be promoted")


def test_nothing_is_said_of_no_log() -> None:
    assert against([], plan()) is None
    assert replay([]).is_exact


def test_a_log_of_what_is_over_stays_over() -> None:
    log = promoted(plan())
    log.keep(log.state)
    log.tick(3)
    found = against(log.items[-4:], plan(MIRROR))
    assert found is not None
    assert (found.differences, found.caveats) == ((), ())
    assert found.end.endswith("promoted")
