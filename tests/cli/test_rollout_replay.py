from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shadowproxy.model.rollout import CANARY, SHADOW, Bake, Plan, Stage
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.logged import Cause, Ordered
from shadowproxy.rollout.replaying import derived
from shadowproxy.rollout.values import Command, Refusal, State
from shadowproxy.store.audit_file import FILE_NAME
from shadowproxy.store.rollouts import RolloutStore
from tests.cli.conftest import Run

AT = 1_764_115_200.0
PLAN = Plan("cup-v2", (Stage("mirror", SHADOW, Bake(2.0)), Stage("users", CANARY, Bake(60.0), weights=(0.05,))))
OTHER = """
upstreams: {primary: {urls: ["http://127.0.0.1:1"]}, candidate: {urls: ["http://127.0.0.1:2"]}}
service: shop
rollout: {name: cup-v2, warmup: 0s, stages: [{name: mirror, shadow: {sample: 100%}, bake: {for: 1h}}]}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A rollout that was started, and a few ticks of it."""
    store, state = RolloutStore(tmp_path / "data"), begin("shop", PLAN, (), AT)
    store.commit(state)

    def keep(state: State, cause: Cause) -> State:
        outcome = derived(state, cause)
        assert not isinstance(outcome, Refusal)
        store.commit(outcome[0], cause, outcome[1])
        return outcome[0]

    state = keep(state, Ordered(Command("start", "ann", "it is time", AT + 1), Facts(AT + 1)))
    for second in range(2, 6):
        state = keep(state, Facts(AT + second, elapsed=1.0, compared=9))
    keep(state, Ordered(Command("rollback", "ann", "", AT + 9), Facts(AT + 9)))
    store.close()
    return tmp_path / "data"


def test_every_decision_comes_out_as_it_did(run: Run, data: Path) -> None:
    code, out, err = run("rollout", "replay", "--data", str(data))
    assert (code, err) == (0, "")
    first, verdict = out.splitlines()
    assert first.startswith("shop, attempt 1: ")
    assert first.endswith("2025-11-26 00:00:00 UTC to 2025-11-26 00:00:09 UTC")
    assert verdict == "  everything comes out as it did, bit for bit"
    found = json.loads(run("rollout", "replay", "--data", str(data), "-o", "json")[1])
    assert (found["attempts"][0]["replay"]["differing"], found["problems"]) == (0, [])


def test_another_plan_would_have_decided_otherwise(run: Run, data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(OTHER)
    code, out, err = run("rollout", "replay", "--data", str(data), "--policy", str(tmp_path / "other.yaml"))
    assert (code, err) == (0, "")
    assert f"instead of {PLAN.hash}:" in out
    assert "would not have gone on to users" in out


def test_a_decision_that_was_changed_is_named(run: Run, data: Path) -> None:
    with closing(sqlite3.connect(data / FILE_NAME)) as database, database:
        database.execute("UPDATE audit SET reason = 'nothing happened' WHERE number = 1")
    code, out, err = run("rollout", "replay", "--data", str(data))
    assert code == 1
    assert "nothing happened" in out
    assert err.startswith("shadowproxy: ")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("audit SET what = 7 WHERE number = 1", "entry 1 (2025-11-26 00:00 UTC, started of shop by ann) was changed"),
        ("audit SET at = 'soon' WHERE number = 1", "entry 1 ('soon', started of shop by ann) was changed"),
        (
            "log SET kind = 'gone' WHERE number = 3",
            "item 3 of the log of shop (2025-11-26 00:00 UTC, gone) was",
        ),
        (
            "log SET body = x'80' WHERE number = 3",
            "item 3 of the log of shop (2025-11-26 00:00 UTC, facts) was",
        ),
    ],
)
def test_what_cannot_be_read_any_more_is_named(run: Run, data: Path, change: str, says: str) -> None:
    with closing(sqlite3.connect(data / FILE_NAME)) as database, database:
        database.execute(f"UPDATE {change}")
    code, _, err = run("rollout", "replay", "--data", str(data))
    assert code in {1, 2}
    assert err.startswith(f"shadowproxy: {says}")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--attempt", "7"), "no log of such a rollout is kept"), (("--service", "mail"), "no log of such a rollout")],
)
def test_what_is_not_kept_is_said(run: Run, data: Path, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run("rollout", "replay", "--data", str(data), *arguments)
    assert (code, out) == (2, "")
    assert says in err


def test_a_directory_without_an_audit_is_one_line(run: Run, tmp_path: Path) -> None:
    code, _, err = run("rollout", "replay", "--data", str(tmp_path))
    assert code == 2
    assert err.count("\n") == 1
    assert not (tmp_path / FILE_NAME).exists()
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    code, _, err = run("rollout", "replay", "--data", str(tmp_path))
    assert code == 2
    assert FILE_NAME in err
