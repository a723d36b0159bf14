from __future__ import annotations

import json
from typing import Any

import pytest

from shadowproxy.admin.rollout_values import Explanation, HistoryEntry, HistoryPage
from shadowproxy.cli import live
from shadowproxy.cli.client import ClientError
from shadowproxy.rollout.values import Hold
from tests.cli.conftest import Run
from tests.cli.rollouts import AT, HALFWAY, rollout

PATH = "/api/v1/rollout"


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (("start",), {"reason": ""}),
        (("approve", "-m", "looks well"), {"reason": "looks well"}),
        (("resume", "--override", "2h", "-m", "a fix"), {"reason": "a fix", "override": {"until": "2h"}}),
        (("pause", "--service", "shop"), {"reason": "", "service": "shop"}),
        (("abort", "--attempt", "2"), {"reason": "", "attempt": 2}),
        (("rollback", "--reason", "slow"), {"reason": "slow"}),
        (("promote",), {"reason": ""}),
        (("promote", "--full", "-m", "now"), {"reason": "now", "full": True}),
        (("retry", "--from", "ramp"), {"reason": "", "stage": "ramp"}),
    ],
)
def test_a_command_is_sent_and_says_where_it_has_led(
    run: Run, orders: dict[str, Any], arguments: tuple[str, ...], body: dict[str, Any]
) -> None:
    path = f"{PATH}/{arguments[0]}"
    orders[path] = HALFWAY
    code, out, err = run("rollout", *arguments)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "checkout-v2 · attempt 2 · running · first users · 5% to the candidate"
    assert orders["sent"] == [(path, body)]
    assert json.loads(run("rollout", *arguments, "-o", "json")[1])["attempt"] == 2


def test_a_command_that_is_refused_exits_one_with_the_sentence_alone(run: Run, orders: dict[str, Any]) -> None:
    orders[f"{PATH}/approve"] = ClientError("there:1 answers 409: x", status=409, detail="nothing waits for approval")
    assert run("rollout", "approve") == (1, "", "shadowproxy: nothing waits for approval\n")
    orders[f"{PATH}/approve"] = ClientError("there:1 answers 400: it is wrong", status=400, detail="it is wrong")
    assert run("rollout", "approve") == (2, "", "shadowproxy: there:1 answers 400: it is wrong\n")


@pytest.mark.parametrize("action", ["abort", "rollback", "pause"])
def test_going_back_knows_a_way_where_nobody_answers(run: Run, orders: dict[str, Any], action: str) -> None:
    orders[f"{PATH}/{action}"] = ClientError("no admin API answers at there:1")
    code, out, err = run("rollout", action)
    assert (code, out) == (2, "")
    assert ("kill -USR2" in err) == (action != "pause")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"phase": "promoted"}, 0),
        ({"phase": "rolled_back"}, 1),
        ({"phase": "aborted"}, 1),
        ({"holds": [Hold("failed", AT)]}, 1),
    ],
)
def test_the_exit_code_of_a_status(run: Run, answers: dict[str, Any], changes: dict[str, Any], code: int) -> None:
    answers[PATH] = rollout(**changes)
    found, out, _ = run("rollout", "status", "--service", "shop")
    assert found == code
    assert "▸ first users" in out
    assert answers["asked"][0][2:] == (PATH, {"service": "shop"})
    assert run("rollout", "status", "-o", "json")[0] == code


def test_a_status_is_followed_line_by_line_until_the_rollout_is_over(
    run: Run, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = rollout(phase="rolled_back", weight=0.0, ended_at=AT + 5, why="error_rate failed")
    monkeypatch.setattr(live, "sleep", lambda _: answers.update({PATH: over}))
    answers[PATH] = HALFWAY
    code, out, _ = run("rollout", "status", "--watch")
    assert code == 1
    assert out.splitlines()[-1].endswith("rolled back · 0% to the candidate: error_rate failed")
    answers[PATH] = HALFWAY
    code, out, _ = run("rollout", "status", "-w", "-o", "json")
    assert [json.loads(line)["phase"] for line in out.splitlines()] == ["running", "rolled_back"]


def test_a_pipeline_does_not_wait_for_what_a_person_has_to_decide(
    run: Run, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "sleep", lambda _: answers.update({PATH: rollout(holds=[Hold("failed", AT)])}))
    answers[PATH] = HALFWAY
    code, out, _ = run("rollout", "status", "--watch")
    assert (code, "hold: failed" in out) == (1, True)


def test_a_status_that_nobody_answers_cannot_be_followed(
    run: Run, answers: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> bytes:
        raise ClientError("no admin API answers at there:1")

    monkeypatch.setattr("shadowproxy.cli.client.fetch", gone)
    assert run("rollout", "status", "--watch") == (2, "", "shadowproxy: no admin API answers at there:1\n")


def test_a_history_whose_chain_does_not_hold_exits_one(run: Run, answers: dict[str, Any]) -> None:
    entry = HistoryEntry(7, AT, "ann", "started", "ann started it", {})
    answers[f"{PATH}/history"] = HistoryPage("shop", [entry], 1, 50, 0, [])
    code, out, err = run("rollout", "history", "--limit", "3")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "    7  2025-11-26T00:00:00Z  started           ann              ann started it"
    assert answers["asked"][0][3] == {"limit": 3, "offset": 0}
    answers[f"{PATH}/history"] = HistoryPage("shop", [entry], 1, 50, 0, ["entry 6 is missing"])
    code, _, err = run("rollout", "history")
    assert (code, err) == (1, "shadowproxy: entry 6 is missing\n")
    assert json.loads(run("rollout", "history", "-o", "json")[1])["total"] == 1


def test_an_explanation_is_sentences(run: Run, answers: dict[str, Any]) -> None:
    answers[f"{PATH}/explain"] = Explanation("shop", ["It runs.", "word " * 30])
    code, out, _ = run("rollout", "explain")
    assert code == 0
    assert out.splitlines()[0] == "It runs."
    assert max(map(len, out.splitlines())) <= 100
    assert json.loads(run("rollout", "explain", "-o", "json")[1])["service"] == "shop"
