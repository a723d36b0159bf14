from __future__ import annotations

from shadowproxy.model.rollout import Bake, Chosen, Stage
from shadowproxy.rollout.steps import first_of, has_users, steps
from tests.rollout.plans import BAKE, FIRST, GO, MIRROR, RAMP, SOAK, plan

GREEN = Chosen(header="x-preview", value="green")
BLUE_GREEN = Stage("swap", "blue_green", bake=BAKE, chosen=(GREEN,), keep_blue=3600.0)


def test_a_weight_is_a_step_and_the_holdback_caps_it() -> None:
    row = steps(plan(MIRROR, FIRST, RAMP))
    assert [(step.name, step.weight) for step in row] == [
        ("mirror", 0.0),
        ("first", 0.05),
        ("ramp 25%", 0.25),
        ("ramp 50%", 0.5),
        ("ramp 98%", 0.98),
    ]
    assert [(step.stage, step.part) for step in row] == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]


def test_approval_and_soak_keep_what_was_before() -> None:
    chosen = Stage("first", "canary", bake=BAKE, weights=(0.05,), chosen=(GREEN,))
    _, _, soaked, asked = steps(plan(MIRROR, chosen, SOAK, GO))
    assert (soaked.weight, soaked.chosen, soaked.bake.seconds) == (0.05, (GREEN,), 30.0)
    assert (asked.weight, asked.chosen, asked.sample, asked.bake) == (0.05, (GREEN,), 1.0, Bake())


def test_a_plan_may_begin_with_an_approval() -> None:
    first, *_ = steps(plan(GO, FIRST))
    assert (first.kind, first.weight) == ("approve", 0.0)


def test_blue_green_is_a_preview_and_a_switch_that_bakes_as_long_as_blue_is_kept() -> None:
    preview, switch = steps(plan(BLUE_GREEN))
    assert (preview.weight, preview.chosen, preview.bake.seconds) == (0.0, (GREEN,), 20.0)
    assert (switch.weight, switch.chosen, switch.bake.seconds) == (1.0, (), 3600.0)
    assert (switch.bake.requests, has_users(preview), has_users(switch)) == (100, True, True)


def test_the_share_that_is_mirrored_holds_until_another_is_said() -> None:
    little = Stage("mirror", "shadow", bake=BAKE, sample=0.1)
    assert [step.sample for step in steps(plan(little, FIRST))] == [0.1, 0.1]


def test_a_stage_is_found_by_its_name() -> None:
    whole = plan(MIRROR, FIRST, RAMP, SOAK)
    assert [first_of(whole, name) for name in ("mirror", "ramp", "soak", "none")] == [0, 2, 5, None]
