"""How the demo judges and tells the rollout of version 3."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from shadowproxy.admin.rollout_values import RolloutStatus, WatchStatus
from shadowproxy.demo.traffic import Outcome
from shadowproxy.demo.walk import NEW, OLD, Walk
from shadowproxy.model.rollout import FAIL, PASS
from shadowproxy.rollout.values import CheckResult

STATUS = RolloutStatus(
    service="shop",
    name="shop-v3",
    attempt=1,
    phase="promoted",
    stage="",
    weight=1.0,
    holds=[],
    why="so it is",
    at=0.0,
    strategy="",
    change_class="feature",
    plan="",
    pending_plan="",
    identity={},
    steps=[],
    bake=None,
    checks=[],
    watch=WatchStatus(False, 60.0),
    missing=[],
    next="",
    finish_at=None,
    finish_why="",
    override_until=None,
    started_at=None,
    ended_at=None,
    settled=False,
    fault="",
    earlier=[],
)


def status(phase: str, verdict: str = PASS) -> RolloutStatus:
    check = CheckResult(
        name="error_rate", kind="error_rate", mode="enforce", verdict=verdict, words="candidate 22% of 41"
    )
    return msgspec.structs.replace(STATUS, phase=phase, checks=[check])


def got(**servers: int) -> Outcome:
    return Outcome(
        Counter({200: sum(servers.values())}), Counter({f"shop/{name[1:]}": n for name, n in servers.items()})
    )


def test_a_promotion_after_which_all_users_have_the_new_version_is_as_meant() -> None:
    walk = Walk(status("promoted"), 40.0, got(v1=60, v3=40), got(v3=10))
    assert walk.is_as_meant
    assert walk.says() == [
        "Version 3 took all users over in 40 s, step by step on evidence.",
        "Meanwhile: 100 answers (60 by shop/1, 40 by shop/3), 0 without a whole one.",
        "Afterwards: 10 answers (10 by shop/3), 0 without a whole one.",
    ]


def test_a_rollback_by_the_check_that_is_there_for_the_fault_is_as_meant() -> None:
    during = got(v1=980, v3=20)
    during.statuses = Counter({200: 995, 500: 5})
    walk = Walk(status("rolled_back", FAIL), 20.0, during, got(v1=10), "errors", 2.04)
    assert walk.is_as_meant
    assert walk.finding.found
    assert walk.says()[:3] == [
        "errors: one answer in four is a 500, from the first users on.",
        "Rolled back 2.0 s later: candidate 22% of 41.",
        "Until then version 3 had 2.0% of 1,000 requests, of which 5 failed.",
    ]


@pytest.mark.parametrize(
    ("walk", "says"),
    [
        (Walk(status("rolled_back", FAIL), 9.0, got(v1=9), got(v1=9)), "should have been promoted: so it is"),
        (
            Walk(status("promoted"), 9.0, got(v1=9), got(v3=9), "errors"),
            "should have been rolled back for it: so it is",
        ),
        (Walk(status("rolled_back"), 9.0, got(v1=9), got(v1=9), "errors"), "It is rolled_back and should have been"),
        (Walk(status("promoted"), 9.0, got(v1=9), got(v3=9, v1=1)), "9 by shop/3"),
        (Walk(status("promoted"), 9.0, Outcome(broken=1), got(v3=9)), "1 without a whole one"),
    ],
    ids=[
        "not promoted",
        "not rolled back",
        "rolled back for another reason",
        "users elsewhere",
        "a user without answer",
    ],
)
def test_anything_else_is_not_as_meant_and_is_said(walk: Walk, says: str) -> None:
    assert not walk.is_as_meant
    assert says in "\n".join(walk.says())


def test_versions_of_the_shop_are_told_apart() -> None:
    assert (OLD, NEW) == ("shop/1", "shop/3")
