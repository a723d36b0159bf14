from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.model.rollout import Chosen, Failures, Split, Sticky
from shadowproxy.rollout.traffic import traffic
from tests.rollout.plans import FIRST, GO, MIRROR, NOW, SOAK, Run

GREEN = Chosen(header="x-preview", value="green")
STICKY = Sticky(header="x-user")


def test_what_runs_is_leased_and_does_as_the_plan_says() -> None:
    failures = Failures(statuses=(429,))
    run = Run(MIRROR, replace(FIRST, chosen=(GREEN,)), sticky=STICKY, failures=failures, excluded=("/probe",))
    run.do("start")
    assert traffic(run.state) == Split(
        "checkout-v2", weight=0.0, sticky=STICKY, sample=1.0, failures=failures, excluded=("/probe",)
    )
    run.until(part=1)
    split = traffic(run.state)
    assert split is not None
    assert (split.weight, split.chosen, split.leased) == (0.05, (GREEN,), True)


def test_the_chosen_stay_through_approval_and_soak_and_do_not_matter_at_the_end() -> None:
    run = Run(replace(FIRST, chosen=(GREEN,)), GO, SOAK)
    run.do("start")
    for part in (1, 2):
        run.until(part=part)
        split = traffic(run.state)
        assert split is not None
        assert split.chosen == (GREEN,)
        if part == 1:
            run.do("approve")
    run.tick()
    run.do("promote")
    split = traffic(run.state)
    assert split is not None
    assert (split.weight, split.chosen, split.leased) == (1.0, (), False)


def test_nothing_is_said_of_traffic_where_nothing_runs() -> None:
    run = Run()
    assert traffic(run.state) is None
    run.do("abort")
    assert traffic(run.state) is None


def test_a_recall_is_acknowledged_and_then_named_in_every_split() -> None:
    run = Run(FIRST)
    run.do("start")
    run.tick(recalled=NOW)
    assert traffic(run.state) == Split("checkout-v2", leased=False, recalled=NOW)
    run.do("retry")
    split = traffic(run.state)
    assert split is not None
    assert (split.weight, split.recalled, split.attempt) == (0.05, NOW, 2)
