from __future__ import annotations

import pytest

from shadowproxy.rollout.traffic import traffic
from tests.rollout.plans import Run


def test_a_plan_is_run_from_start_to_promotion() -> None:
    run = Run()
    assert traffic(run.state) is None
    run.do("start")
    weights = [run.state.weight]
    for _ in range(200):
        run.tick()
        if run.state.weight != weights[-1]:
            weights.append(run.state.weight)
    assert weights == [0.0, 0.05, 0.25, 0.5, 0.98, 1.0]
    assert run.state.phase == "promoted"
    split = traffic(run.state)
    assert split is not None
    assert (split.weight, split.leased) == (1.0, False)
    assert run.actions == ["started", *["advanced"] * 4, "promoted"]


@pytest.mark.parametrize("action", ["abort", "rollback"])
def test_going_back_sends_all_users_to_the_primary(action: str) -> None:
    run = Run()
    run.do("start")
    run.until(part=2)
    assert run.state.weight == 0.25
    run.do(action)
    assert (run.state.weight, traffic(run.state)) == (0.0, None)
