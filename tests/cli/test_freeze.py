from __future__ import annotations

import json
from typing import Any

import pytest

from shadowproxy.admin.rollout_values import FreezeStatus, FreezeTurn
from shadowproxy.cli.client import ClientError
from tests.cli.conftest import Run
from tests.cli.rollouts import AT

SALE = FreezeStatus("f-1", "manual", "deny", True, AT, None, ["feature"], [], "hold", "a sale", "f-1", "ann")


def test_freezes_are_listed(run: Run, answers: dict[str, Any]) -> None:
    answers["/api/v1/freeze"] = [SALE]
    code, out, _ = run("freeze", "list", "--service", "shop")
    assert code == 0
    assert out.startswith("f-1  deny · ACTIVE · until it is ended\n")
    assert answers["asked"][0][3] == {"service": "shop"}
    assert json.loads(run("freeze", "list", "-o", "json")[1])[0]["by"] == "ann"


def test_a_freeze_is_started(run: Run, orders: dict[str, Any]) -> None:
    orders["/api/v1/freeze/start"] = SALE
    given = ("--until", "2h", "--service", "shop", "--service", "mail", "--class", "fix", "--in-flight", "continue")
    code, out, _ = run("freeze", "start", "-m", "a sale", *given)
    assert code == 0
    assert out.startswith("f-1  deny · ACTIVE")
    assert orders["sent"][0][1] == {
        "reason": "a sale",
        "until": "2h",
        "services": ["shop", "mail"],
        "classes": ["fix"],
        "in_flight": "continue",
    }
    assert run("freeze", "start", "-m", "x")[0] == 0
    assert orders["sent"][1][1] == {"reason": "x", "in_flight": "hold"}
    assert json.loads(run("freeze", "start", "-m", "x", "-o", "json")[1])["id"] == "f-1"


def test_what_a_freeze_cannot_stop_or_do_is_said_with_what_it_can(run: Run) -> None:
    for option, right in (
        ("--class", "'feature', 'fix', 'security'"),
        ("--in-flight", "'hold', 'continue', 'rollback'"),
    ):
        code, _, err = run("freeze", "start", "-m", "x", option, "hotfix")
        assert (code, right in err) == (2, True), err


def test_a_freeze_is_ended(run: Run, orders: dict[str, Any]) -> None:
    orders["/api/v1/freeze/end"] = SALE
    assert run("freeze", "end", "f-1", "-m", "over")[:2] == (0, "f-1 is over: a sale\n")
    assert orders["sent"][0][1] == {"id": "f-1", "reason": "over"}
    assert json.loads(run("freeze", "end", "-m", "x", "-o", "json")[1])["id"] == "f-1"
    orders["/api/v1/freeze/end"] = ClientError("", status=409, detail="there is no freeze 'f-2': none stands")
    assert run("freeze", "end", "f-2", "-m", "x") == (1, "", "shadowproxy: there is no freeze 'f-2': none stands\n")


@pytest.mark.parametrize("command", ["start", "end"])
def test_a_freeze_needs_a_reason(run: Run, command: str) -> None:
    code, _, err = run("freeze", command)
    assert code == 2
    assert "--reason" in err


def test_the_calendar_is_a_line_for_each_turn(run: Run, answers: dict[str, Any]) -> None:
    turns = [
        FreezeTurn("weekend", "deny", 1_764_115_200.0, 1_764_118_800.0),
        FreezeTurn("fair", "deny", 1_764_115_200.0, None),
    ]
    answers["/api/v1/freeze/calendar"] = turns
    first, second = run("freeze", "calendar", "--days", "7")[1].splitlines()
    assert first.startswith("2025-11-26T00:00:00Z  until 2025-11-26T01:00:00Z  ")
    assert first.endswith("deny  weekend")
    assert "until it is ended" in second
    assert answers["asked"][0][3] == {"days": 7}
    answers["/api/v1/freeze/calendar"] = []
    assert run("freeze", "calendar")[1] == "no freeze in the next 28 days\n"
