"""What `shadowproxy status` shows of everything there is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.admin.rollout_values import FreezeStatus
from shadowproxy.admin.values import ReloadStatus, ServiceStatus, Status, UpstreamStatus, WorkerStatus
from shadowproxy.model.totals import Interval, Isolation, RolloutFigures, StoreFigures
from shadowproxy.report import build
from shadowproxy.rollout.values import CheckResult
from tests.cli.conftest import Run
from tests.cli.rollouts import AT, HALFWAY
from tests.report.facts import facts, mirror, route

STATUS = Status(
    version="1.2.3",
    epoch="e",
    policy=4,
    fingerprint="abc",
    ready=True,
    started_at=1000.0,
    at=1090.0,
    services=[
        ServiceStatus(
            "shop",
            "*/",
            {
                "primary": UpstreamStatus(["http://a"], 1, {"active": 2, "idle": 0}, False),
                "candidate": UpstreamStatus(["http://b"], 0, {}, True),
            },
            ["item"],
            1234,
            10,
            1,
            9,
            3,
        )
    ],
    workers=[WorkerStatus(0, True, 0.1, 4, 12, 0, 2048, 0.0005, False, True)],
    restarts={"worker": 1, "comparer": 0, "control": 0},
    reloads=ReloadStatus(2, 0, True, 1000.0, []),
    store=StoreFigures(3, 900, True),
)


@pytest.fixture
def well(answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A proxy that mirrors and has no rollout, asked from no terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    answers["/api/v1/status"] = STATUS
    answers["/api/v1/freeze"] = []
    answers["/api/v1/report"] = build(facts(route(mirror(match=60))))
    return answers


def test_status(run: Run, well: dict[str, Any]) -> None:
    code, out, _ = run("status")
    assert code == 0
    for part in (
        "shadowproxy 1.2.3 · ready · up 1m 30s · policy 4 (abc)",
        "shop  */  1,234 requests · 9 compared · 3 differ · 1 in flight",
        "primary    http://a  1 of 1 in rotation · 2 active",
        "candidate  http://b  0 of 1 in rotation · BREAKER OPEN",
        "worker 0   fresh · policy 4 · 12 connections · 2 KiB held · lag 500 µs · shedding",
        "restarts   worker 1 · comparer 0 · control 0",
        "store      examples 3 · 1 KiB",
    ):
        assert part in out
    assert json.loads(run("status", "-o", "json")[1])["fingerprint"] == "abc"


def test_a_status_shows_the_isolation_proof(run: Run, well: dict[str, Any]) -> None:
    interval = Interval(0.002, 0.001, 0.003)
    known = Isolation("measuring", 0.05, 2.0, 400.0, 50.0, 9, {}, 1.0, {"p50": interval}, {"p95": 4, "p99": 40})
    well["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], isolation=known)])
    assert "\n  isolation  mirroring adds p50 +2.0 ms [+1.0, +3.0] to the primary's latency; p95 " in run("status")[1]
    well["/api/v1/status"] = replace(
        STATUS, services=[replace(STATUS.services[0], isolation=replace(known, state="slow", slots=0, added={}))]
    )
    assert "  isolation  off below 50 requests/s (now 400)" in run("status")[1].splitlines()


ROLLOUT = RolloutFigures("checkout-v2", "running", 2, 0.05, ("freeze",))
WEEKEND = FreezeStatus(
    "weekend", "configuration", "window", True, None, AT + 3600, ["feature"], [], "hold", "nobody in"
)


def test_where_a_rollout_is_and_what_it_needs(run: Run, well: dict[str, Any]) -> None:
    well["/api/v1/status"] = replace(STATUS, at=AT, services=[replace(STATUS.services[0], rollout=ROLLOUT)])
    well["/api/v1/rollout"] = HALFWAY
    well["/api/v1/freeze"] = [WEEKEND, replace(WEEKEND, name="night", active=False)]
    _, out, _ = run("status")
    for part in (
        "  freeze     weekend until Wed 01:00 UTC: no feature change: nobody in",
        "  rollout    checkout-v2 · attempt 2 · running · first users · 5% to the candidate",
        "  hold       freeze for 12 min: weekend is active",
        "  requests   ████████████████░░░░  16,210 of 20,000",
        "  missing    9 h 20 min of bake; more data for latency_p99",
        "  next       ramp 25%, 25% of the users are the candidate's",
        "  watch      ann holds it for 5 min",
    ):
        assert part in out
    assert "night" not in out
    assert "\x1b" not in out


def test_a_check_that_fails_is_there_with_its_words(run: Run, well: dict[str, Any]) -> None:
    failed = CheckResult("error_rate", "error_rate", "enforce", "fail", "candidate 9%, primary 0.1%: fails")
    well["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], rollout=ROLLOUT)])
    well["/api/v1/rollout"] = replace(HALFWAY, checks=[failed])
    assert "  check      ✗ error_rate: candidate 9%, primary 0.1%: fails" in run("status")[1]


def test_what_differs_and_the_books(run: Run, well: dict[str, Any]) -> None:
    _, out, _ = run("status")
    assert "  rollout    none in the configuration: it mirrors and compares" in out
    assert "  verdict    ✓ no regression in 60 compared pairs" in out
    books = json.loads(run("status", "-o", "json")[1])["verdicts"]["shop"]["books"]
    assert books["eligible"] == books["sampled_out"] + books["dropped"] + books["sent"]
    assert f"eligible {books['eligible']} = sampled out" in out


def test_as_json_it_has_everything_that_is_shown(run: Run, well: dict[str, Any]) -> None:
    well["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], rollout=ROLLOUT)])
    well["/api/v1/rollout"] = HALFWAY
    well["/api/v1/freeze"] = [WEEKEND]
    found = json.loads(run("status", "-o", "json")[1])
    assert found["rollouts"]["shop"]["stage"] == "first users"
    assert found["freezes"][0]["name"] == "weekend"
    assert found["verdicts"]["shop"]["verdict"] == "pass"


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_no_line_is_longer_than_the_terminal(
    run: Run, well: dict[str, Any], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    well["/api/v1/status"] = replace(STATUS, services=[replace(STATUS.services[0], rollout=ROLLOUT)])
    well["/api/v1/rollout"] = HALFWAY
    lines = run("status")[1].splitlines()
    assert max(len(line) for line in lines[2:] if line.startswith("  ")) <= columns


def test_a_status_that_is_not_well(run: Run, well: dict[str, Any]) -> None:
    well["/api/v1/status"] = replace(
        STATUS,
        ready=False,
        workers=[replace(STATUS.workers[0], fresh=False, age=9.0, draining=True)],
        reloads=ReloadStatus(0, 1, False, 1.0, ["a.yaml:3:1: workers: not a number"]),
        store=StoreFigures(0, 0, False, {"unwritable": 7}, 0, "disk full"),
    )
    code, out, _ = run("status")
    assert code == 1
    for part in ("NOT READY", "silent for 9 s", "draining", "a.yaml:3:1", "7 given up", "cannot be written: disk full"):
        assert part in out
