"""A rollout in the middle of its plan, as the API shows it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from shadowproxy.admin.rollout_values import BakeStatus, RolloutStatus, StepStatus, WatchStatus
from shadowproxy.rollout.values import Attempt, CheckResult, Hold

AT = 1_764_115_200.0
"""2025-11-26 00:00 UTC, a Wednesday."""

HALFWAY = RolloutStatus(
    service="shop",
    name="checkout-v2",
    attempt=2,
    phase="running",
    stage="first users",
    weight=0.05,
    holds=[Hold("freeze", AT - 720, "shadowproxy", "weekend is active")],
    why="the stage mirror was over: 30 min and 5,000 requests without a failed check",
    at=AT,
    strategy="canary",
    change_class="feature",
    plan="3fa9c2d18b7e6f50",
    pending_plan="",
    identity={"primary": "v1", "candidate": "v2"},
    steps=[
        StepStatus("mirror", "shadow", 0.0, False, 1800, 5000, "over"),
        StepStatus("go", "approve", 0.0, False, 0, 0, "over"),
        StepStatus("first users", "canary", 0.05, False, 86400, 20000, "now", AT + 33600),
        StepStatus("ramp 25%", "progressive", 0.25, False, 600, 2000, "coming", AT + 34200),
        StepStatus("soak", "soak", 0.98, False, 86400, 0, "coming", AT + 120600),
    ],
    bake=BakeStatus(AT - 60000, 52800, 86400, 16210, 20000, 0.0),
    checks=[
        CheckResult("error_rate", "error_rate", "enforce", "pass", "candidate 0.11%, primary 0.12%: passes"),
        CheckResult(
            "latency_p99",
            "latency_p99",
            "enforce",
            "inconclusive",
            "p99 of the candidate 230 ms in 12, primary 225 ms in 480: needs more",
        ),
        CheckResult("memory", "promql", "observe", "fail", "it grows by 7% an hour, at most 5% is right"),
    ],
    watch=WatchStatus(True, 60.0, "ann", AT - 300, AT + 50),
    missing=["9 h 20 min of bake", "more data for latency_p99"],
    next="ramp 25%, 25% of the users are the candidate's",
    finish_at=AT + 120600,
    finish_why="",
    override_until=None,
    started_at=AT - 70000,
    ended_at=None,
    settled=True,
    fault="",
    earlier=[Attempt(1, "77", "rolled_back", AT - 200000, AT - 190000, {}, "error_rate failed")],
)  # fmt: skip


def rollout(**changes: Any) -> RolloutStatus:
    return replace(HALFWAY, **changes)
