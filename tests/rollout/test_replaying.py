"""Every decision comes out of the log as it was made, or it is said which does not; another plan is held against it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from shadowproxy.model.rollout import CHECK_KINDS, Bake, Check, Plan, Sticky
from shadowproxy.rollout.logged import Logged
from shadowproxy.rollout.replaying import replay
from shadowproxy.rollout.what_if import against
from tests.rollout.logs import Log, logs
from tests.rollout.plans import FIRST, GO, MIRROR, RAMP, SOAK, plan

CHECKS = (
    *(Check(kind, kind, max_relative=0.1, max_absolute=0.001) for kind in CHECK_KINDS),
    Check("memory", "promql", promql="rss", against="primary", max_slope=0.001, max=2.0),
    Check("gate", "webhook", url="http://gate"),
)
PLAN = plan(MIRROR, GO, FIRST, RAMP, SOAK, warmup=2.0, checks=CHECKS)
STICKY = replace(PLAN, sticky=Sticky(header="x-user"), on_fail="pause")


def promoted(plan: Plan) -> Log:
    log = Log(plan)
    log.order("start")
    log.tick(200)
    assert log.state.phase == "promoted"
    return log


@settings(max_examples=60, deadline=None)
@given(logs(PLAN) | logs(STICKY))
def test_whatever_happened_comes_out_again_bit_for_bit(log: Log) -> None:
    found = replay(log.items)
    assert found.mismatches == ()
    assert found.is_exact
    assert found.gaps == ()
    assert found.items == len(log.items)
    assert found.decisions == sum(len(item.entries) for item in log.items)


@settings(max_examples=20, deadline=None)
@given(logs(PLAN))
def test_the_same_plan_would_have_done_the_same(log: Log) -> None:
    found = against(log.items, PLAN)
    assert found is not None
    changed = [item for item in log.items if getattr(item.cause, "plan", PLAN) != PLAN]
    assert changed or found.differences == found.caveats == ()


def test_a_replay_says_what_it_went_over() -> None:
    log = promoted(plan())
    found = replay(log.items)
    assert (found.since, found.until, found.items) == (log.items[0].at, log.state.at, len(log.items))
    assert found.decisions == 6


def at(log: Log, action: str) -> int:
    return next(i for i, item in enumerate(log.items) if any(each.action == action for each in item.entries))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "held"}, "the log has `held` by shadowproxy (mirror is over"),
        ({"by": "eve"}, "the log has `advanced` by eve"),
        ({"why": "I say so"}, "(I say so); now it is `advanced` by shadowproxy (mirror is over"),
        ({"what": {}}, "the log has `advanced`"),
        (None, "the log has no decision; now it is `advanced` by shadowproxy"),
    ],
)
def test_a_decision_that_comes_out_otherwise_is_said(change: dict[str, Any] | None, said: str) -> None:
    log = promoted(plan())
    place = at(log, "advanced")
    item = log.items[place]
    entries = () if change is None else (replace(item.entries[0], **change),)
    log.items[place] = replace(item, entries=entries)
    found = replay(log.items)
    assert (found.is_exact, found.differing) == (False, 1)
    assert said in found.mismatches[0]
    assert f"(item {item.number}): " in found.mismatches[0]


def test_facts_that_were_changed_make_another_state() -> None:
    log = promoted(plan())
    log.items[30] = replace(log.items[30], cause=replace(log.items[30].cause, elapsed=2.0))
    (said,) = replay(log.items).mismatches
    assert said.endswith("(item 31): the state comes out otherwise: now it is running, step 1, 5%")


def test_a_command_that_would_be_refused_now_is_said() -> None:
    log = promoted(plan())
    place = at(log, "started")
    log.items.insert(place + 1, log.items[place])
    log.items[place] = replace(
        log.items[place], cause=replace(log.items[place].cause, command=_unknown(log.items[place]))
    )
    (said,) = replay(log.items).mismatches
    assert "the log has `started` by ana" in said
    assert "now it is refused, there is no command 'dance'" in said


def _unknown(item: Logged) -> Any:
    return replace(item.cause.command, action="dance")  # type: ignore[union-attr]


def test_after_a_mismatch_it_goes_on_with_the_next_state() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(5)
    log.keep(log.state)
    log.tick(30)
    log.items[3] = replace(log.items[3], state=b"another")
    log.items[-2] = replace(log.items[-2], state=b"another")
    found = replay(log.items)
    assert [said.partition("(item ")[2].partition(")")[0] for said in found.mismatches] == ["4", "37"]


def test_a_state_that_was_set_is_a_gap() -> None:
    log = Log(plan())
    log.order("start")
    log.tick(5)
    log.keep(replace(log.state, weight=0.5))
    log.tick(5)
    found = replay(log.items)
    assert found.is_exact
    (said,) = found.gaps
    assert said.endswith("(item 8): the state was set, and what led to it was not kept")


def test_nothing_is_decided_in_the_order_of_a_set() -> None:
    script = (
        "from tests.rollout.logs import Log\nfrom tests.rollout.test_replaying import STICKY\n"
        "log = Log(STICKY); log.order('start'); log.tick(60); print([item.state.hex() for item in log.items])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        for seed in ("1", "2")
    ]
    assert said[0].stdout == said[1].stdout


# Another plan.


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
