from __future__ import annotations

import json
from typing import Any

import pytest

from shadowproxy.admin.rollout_values import WatchStatus
from shadowproxy.cli import live
from shadowproxy.cli.client import ClientError
from shadowproxy.cli.watch import LostError, Vigil
from tests.cli.conftest import Run
from tests.cli.rollouts import AT, HALFWAY, rollout

PATH = "/api/v1/watch"
HELD = WatchStatus(True, 60.0, "ann", AT, AT + 60)
OTHERS = ClientError("", status=409, detail="ben holds the watch")


def actions(orders: dict[str, Any]) -> list[str]:
    return [body["action"] for _, body in orders["sent"]]


def test_the_watch_is_held_until_the_rollout_is_over_and_released(
    run: Run, answers: dict[str, Any], orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = rollout(phase="promoted", weight=1.0, ended_at=AT + 5, why="the plan is done")
    monkeypatch.setattr(live, "sleep", lambda _: answers.update({"/api/v1/rollout": over}))
    answers["/api/v1/rollout"] = HALFWAY
    orders[PATH] = HELD
    code, out, err = run("watch", "--service", "shop")
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].endswith("promoted · 100% to the candidate: the plan is done")
    assert out.splitlines()[-1] == "the watch is released"
    assert orders["sent"] == [(PATH, {"action": each, "service": "shop"}) for each in ("hold", "release")]
    (line,) = run("watch", "-o", "json")[1].splitlines()
    assert json.loads(line)["phase"] == "promoted"


def test_ctrl_c_releases_the_watch(
    run: Run, answers: dict[str, Any], orders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "sleep", interrupted)
    answers["/api/v1/rollout"] = HALFWAY
    orders[PATH] = HELD
    assert run("watch")[0] == 0
    assert actions(orders) == ["hold", "release"]


def test_a_watch_is_renewed_well_before_it_lapses(answers: dict[str, Any], orders: dict[str, Any]) -> None:
    times = iter((100.0, 100.0, 119.0, 120.0, 120.0, 139.0, 140.0, 140.0))
    answers["/api/v1/rollout"] = HALFWAY
    orders[PATH] = HELD
    vigil = Vigil("there:1", None, None, lambda: next(times))
    assert [vigil() for _ in range(5)] == [HALFWAY] * 5
    assert actions(orders) == ["hold", "renew", "renew"]


def test_a_lapsed_watch_is_taken_again_and_said(
    answers: dict[str, Any],
    orders: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from shadowproxy.cli import client

    now, send = 100.0, client.send
    answers["/api/v1/rollout"] = HALFWAY
    orders[PATH] = HELD
    vigil = Vigil("there:1", None, None, lambda: now)
    vigil()

    def lapsed(admin: str, token: str | None, path: str, body: Any) -> bytes:
        answer = send(admin, token, path, body)
        if body["action"] == "renew":
            raise ClientError("", status=409, detail="the watch is not held any more")
        return answer

    monkeypatch.setattr(client, "send", lapsed)
    now = 200.0
    vigil()
    assert actions(orders) == ["hold", "renew", "hold"]
    assert "shadowproxy: the watch had lapsed: the watch is not held any more" in capsys.readouterr().err


def test_a_watch_that_was_handed_over_is_not_said_to_be_taken_again(
    answers: dict[str, Any], orders: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    answers["/api/v1/rollout"] = HALFWAY
    orders[PATH] = HELD
    vigil = Vigil("there:1", None, None, lambda: now)
    vigil()
    now, orders[PATH] = 200.0, OTHERS
    with pytest.raises(LostError, match="ben holds the watch"):
        vigil()
    assert actions(orders) == ["hold", "renew", "hold"]
    assert capsys.readouterr().err == ""


def test_somebody_elses_watch_is_not_taken(run: Run, answers: dict[str, Any], orders: dict[str, Any]) -> None:
    orders[PATH] = OTHERS
    assert run("watch") == (1, "", "shadowproxy: ben holds the watch\n")
    with pytest.raises(LostError):
        Vigil("there:1", None, None)()


def test_a_watch_that_nobody_answers_is_an_error(run: Run, orders: dict[str, Any]) -> None:
    orders[PATH] = ClientError("no admin API answers at there:1")
    assert run("watch") == (2, "", "shadowproxy: no admin API answers at there:1\n")
    with pytest.raises(ClientError):
        Vigil("there:1", None, None).release()


def test_the_watch_is_handed_over(run: Run, orders: dict[str, Any]) -> None:
    orders[PATH] = WatchStatus(True, 60.0, "ben", AT, AT + 60)
    code, out, _ = run("watch", "--handover", "ben", "-m", "lunch")
    assert (code, out) == (0, "ben holds the watch now, and has 60 s to begin: shadowproxy watch\n")
    assert orders["sent"] == [(PATH, {"action": "handover", "to": "ben", "reason": "lunch"})]
    assert json.loads(run("watch", "--handover", "ben", "-o", "json")[1])["holder"] == "ben"
    orders[PATH] = OTHERS
    assert run("watch", "--handover", "ben")[0] == 1
