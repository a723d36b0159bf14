"""When a plan is over if all goes well: bakes, requests at a rate, freezes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from shadowproxy.model.rollout import (
    APPROVE,
    BLUE_GREEN,
    CANARY,
    PROGRESSIVE,
    RUNNING,
    SHADOW,
    SOAK,
    Bake,
    Chosen,
    FreezeWindow,
    Plan,
    Stage,
)
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.projecting import Freezes, Projected, project, project_on
from shadowproxy.rollout.values import Progress, State

HOUR = 3600.0
NOON = datetime.fromisoformat("2026-05-01T12:00Z").timestamp()
"""A Friday."""

MIRROR = Stage("mirror", SHADOW, Bake(HOUR, 1800), sample=0.5)
RAMP = Stage("ramp", PROGRESSIVE, Bake(HOUR, 3600), weights=(0.1, 0.5, 1.0), holdback=0.02)
SOAKED = Stage("soak", SOAK, Bake(2 * HOUR))


def freezes(*windows: FreezeWindow, manual: tuple[ManualFreeze, ...] = (), override: float = 0.0) -> Freezes:
    return Freezes(windows, manual, "checkout", "feature", override)


def window(begins: float, ends: float, **values: Any) -> FreezeWindow:
    """Hours after noon."""
    return FreezeWindow("quiet", start=NOON + begins * HOUR, end=NOON + ends * HOUR, **values)


def plan(*stages: Stage, warmup: float = 0.0) -> Plan:
    return Plan("v2", stages, warmup=warmup)


def hours(parts: tuple[Projected, ...]) -> list[tuple[float | None, float | None]]:
    """Begin and end of each part, in hours after noon."""
    return [
        tuple(None if at is None else round((at - NOON) / HOUR, 3) for at in (one.begins, one.ends))  # type: ignore[misc]
        for one in parts
    ]


def test_parts_follow_each_other_by_their_bakes() -> None:
    parts = project(plan(MIRROR, RAMP, SOAKED), freezes(), NOON)
    assert [part.step.name for part in parts] == ["mirror", "ramp 10%", "ramp 50%", "ramp 98%", "soak"]
    assert hours(parts) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6)]


def test_requests_are_those_of_the_arm_under_test_at_the_rate_of_users() -> None:
    parts = project(plan(MIRROR, RAMP), freezes(), NOON, rate=2.0)
    assert [part.rate for part in parts] == [1.0, 0.2, 1.0, 1.96]
    assert hours(parts) == [(0, 1), (1, 6), (6, 7), (7, 8)], "1,800 copies at 1/s, 3,600 requests at 0.2/s, 1/s, 1.96/s"


def test_nothing_counts_in_the_warm_up_after_each_rise() -> None:
    parts = project(plan(MIRROR, RAMP, SOAKED, warmup=0.5 * HOUR), freezes(), NOON, rate=10.0)
    assert hours(parts) == [(0, 1), (1, 2.5), (2.5, 4), (4, 5.5), (5.5, 7.5)]


def test_what_chosen_users_send_nobody_knows() -> None:
    switch = Stage("switch", BLUE_GREEN, Bake(HOUR, 100), chosen=(Chosen(header="x-preview"),), keep_blue=2 * HOUR)
    preview, switched = project(plan(switch), freezes(), NOON, rate=10.0)
    assert (preview.rate, switched.rate) == (None, 10.0)
    assert hours((preview, switched)) == [(0, 1), (1, 3)]


def test_approvals_are_taken_as_given() -> None:
    parts = project(plan(MIRROR, Stage("go", APPROVE), SOAKED), freezes(), NOON)
    assert hours(parts) == [(0, 1), (1, 1), (1, 3)]


def test_a_start_waits_until_no_freeze_forbids_it() -> None:
    [part] = project(plan(MIRROR), freezes(window(-1, 2)), NOON)
    assert hours((part,)) == [(2, 3)]
    assert [wait.names for wait in part.waits] == [("quiet",)]


def test_a_clock_stands_in_a_freeze() -> None:
    [part] = project(plan(SOAKED), freezes(window(1.5, 4)), NOON)
    assert hours((part,)) == [(0, 4.5)]
    assert [wait.until for wait in part.waits] == [NOON + 4 * HOUR]


def test_requests_are_counted_in_a_freeze_and_the_next_part_waits_for_its_end() -> None:
    slow = Stage("slow", CANARY, Bake(0, 3600), weights=(0.5,))
    first, then = project(plan(slow, SOAKED), freezes(window(0.5, 3)), NOON, rate=1.0)
    assert hours((first, then)) == [(0, 3), (3, 5)]


def test_a_bake_goes_through_as_many_freezes_as_there_are() -> None:
    nights = FreezeWindow("nights", cron="0 18 * * *", seconds=14 * HOUR)
    [part] = project(plan(Stage("soak", SOAK, Bake(24 * HOUR))), freezes(nights), NOON)
    assert hours((part,)) == [(0, 6 + 14 + 10 + 14 + 8)]
    assert len(part.waits) == 2


def test_inside_of_allow_windows_alone() -> None:
    office = FreezeWindow("office", kind="allow", cron="0 8 * * 1-5", seconds=9 * HOUR)
    [part] = project(plan(Stage("soak", SOAK, Bake(6 * HOUR))), freezes(office), NOON)
    assert hours((part,)) == [(0, 5 + 63 + 1)], "from five on Friday to eight on Monday"


def test_a_freeze_that_lets_rollouts_go_on_forbids_the_start_alone() -> None:
    goes_on = window(0, 2, in_flight="continue")
    assert hours(project(plan(MIRROR, SOAKED), freezes(goes_on), NOON)) == [(2, 3), (3, 5)]
    assert hours(project(plan(MIRROR, SOAKED), freezes(goes_on), NOON - HOUR / 2)) == [(-0.5, 0.5), (0.5, 2.5)]


def test_a_freeze_that_takes_users_back_ends_the_projection() -> None:
    back = window(1.5, 2, in_flight="rollback")
    parts = project(plan(MIRROR, RAMP), freezes(back), NOON)
    assert hours(parts) == [(0, 1), (1, None), (None, None), (None, None)]
    assert {part.why for part in parts[1:]} == {"it is rolled back: quiet is active"}
    [mirrored] = project(plan(Stage("mirror", SHADOW, Bake(2 * HOUR))), freezes(back), NOON)
    assert hours((mirrored,)) == [(0, 2.5)], "nobody has to be taken back while requests are only mirrored"


def test_without_an_end_of_a_freeze_there_is_no_end_of_the_plan() -> None:
    by_hand = ManualFreeze("f1", "anna", "incident", since=NOON + HOUR / 2)
    parts = project(plan(MIRROR, SOAKED), freezes(manual=(by_hand,)), NOON)
    assert hours(parts) == [(0, None), (None, None)]
    assert parts[0].why == "no end in sight: frozen by anna: incident"
    stuck = project(plan(MIRROR), freezes(manual=(by_hand,)), NOON + HOUR)
    assert hours(stuck) == [(None, None)]


def test_freezes_that_leave_no_time_have_no_end() -> None:
    hardly = FreezeWindow("hardly", cron="* * * * *", seconds=59.99)
    [part] = project(plan(Stage("soak", SOAK, Bake(1000 * HOUR))), freezes(hardly), NOON + 59.995)
    assert part.ends is None
    assert part.why == "freezes leave it hardly any time"


def test_copies_that_are_not_sent_never_come() -> None:
    [part] = project(plan(Stage("mirror", SHADOW, Bake(HOUR, 5), sample=0.0)), freezes(), NOON, rate=10.0)
    assert (part.ends, part.why) == (None, "the candidate gets no requests")


def running(step: int, **progress: Any) -> State:
    return State(
        "checkout",
        plan(MIRROR, RAMP, SOAKED, warmup=600.0),
        phase=RUNNING,
        step=step,
        at=NOON,
        progress=Progress(**progress),
    )


@pytest.mark.parametrize(
    ("progress", "first"),
    [
        ({}, 600.0 + HOUR),
        ({"warm": 600.0}, HOUR),
        ({"warm": 900.0, "baked": 0.75 * HOUR, "requests": 3600}, 0.25 * HOUR),
        ({"warm": 900.0, "baked": HOUR, "requests": 3000}, 600.0),
        ({"warm": 900.0, "baked": HOUR, "requests": 4000}, 0.0),
    ],
)
def test_a_running_part_needs_what_is_left_of_it(progress: dict[str, Any], first: float) -> None:
    part, *rest = project_on(running(2, **progress), freezes(), rate=2.0)
    assert part.step.name == "ramp 50%"
    assert part.ends == NOON + first
    assert [one.step.name for one in rest] == ["ramp 98%", "soak"]
    assert rest[0].begins == part.ends
    assert rest[0].ends == part.ends + 600 + HOUR


def test_an_override_holds_for_its_time() -> None:
    frozen = window(-1, 5)
    [part] = project_on(running(4), freezes(frozen, override=NOON + HOUR))
    assert hours((part,)) == [(0, 6)], "an hour under the override, one more after the freeze"
    [part] = project_on(running(4), freezes(frozen, override=NOON + 3 * HOUR))
    assert hours((part,)) == [(0, 2)]
