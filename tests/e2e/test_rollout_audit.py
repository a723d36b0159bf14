"""What a proxy decided comes out of its log in another process, and nobody changes the audit without being named."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.e2e.harness import Proxy, eventually
from tests.e2e.rollouts import Operator, rollout_settings, users, versions

BAKE = {"for": "2s", "requests": 20}
STAGES = [
    {"name": "mirror", "shadow": {"sample": "100%"}, "bake": BAKE},
    {"name": "first users", "canary": {"weight": "20%"}, "bake": BAKE},
    {"name": "half", "canary": {"weight": "50%"}, "bake": BAKE},
]
CHECKS = [{"check": "error_rate"}, {"check": "client_error_rate"}, {"check": "sample_ratio"}, {"check": "slow_burn"}]


def replay(data: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, answer, and what was said beside it."""
    command = [sys.executable, "-m", "shadowproxy.cli", "rollout", "replay", "--data", str(data), "-o", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout), done.stderr


def kill_control(proxy: Proxy, operator: Operator) -> None:
    def control() -> int:
        found = [pid for pid in proxy.tree() if Path(f"/proc/{pid}/comm").read_text().strip() == "shadowproxy:ctl"]
        assert len(found) == 1, found
        return found[0]

    before = control()
    os.kill(before, signal.SIGKILL)
    eventually(lambda: control() != before and operator.status())


def test_all_that_was_decided_comes_out_of_the_log_of_a_proxy_that_runs_and_of_one_that_has_ended(
    tmp_path: Path,
) -> None:
    with versions() as (blue, green):
        config = rollout_settings(blue, green, stages=STAGES, checks=CHECKS)
        with Proxy.start(tmp_path / "proxy", config) as proxy, users(proxy.port, 100, connections=8):
            operator = Operator(proxy)
            operator.act("start")
            operator.until_stage("first users")
            kill_control(proxy, operator)
            operator.act("pause")
            operator.post("diffs/reset", reason="a test says so")
            operator.act("resume")
            operator.until(lambda now: now["stage"] in {"half", "first users"} and now["bake"]["seconds"] > 1)
            operator.act("rollback")
            code, running, said = replay(proxy.data)
            assert (code, said) == (0, ""), running
            operator.act("retry")
            operator.until_phase("promoted")
            entries = proxy.api("audit?limit=200")["items"]
        data = proxy.data
    assert {"started", "advanced", "paused", "diffs.reset", "resumed", "rolled_back", "retried", "promoted"} <= {
        entry["action"] for entry in entries
    }
    assert all(later["previous"] == earlier["hash"] for later, earlier in pairwise(entries))
    code, ended, said = replay(data)
    assert (code, said) == (0, ""), ended
    assert [each["attempt"] for each in ended["attempts"]] == [1, 2]
    for each in ended["attempts"]:
        assert (each["replay"]["differing"], each["replay"]["gaps"]) == (0, [])
        assert each["replay"]["items"] > 4
    with closing(sqlite3.connect(data / "audit.sqlite")) as database, database:
        database.execute("UPDATE audit SET who = 'nobody' WHERE action = 'rolled_back'")
    code, _, said = replay(data)
    assert code == 1
    assert "rolled_back of " in said
    assert "by nobody) was changed" in said
