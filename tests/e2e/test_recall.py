"""A signal brings every user back within a second whoever else is dead, and a promotion outlives the whole tree."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Proxy, eventually
from tests.e2e.rolling import CANARY, rolling
from tests.e2e.rollouts import BLUE, GREEN, SERVED_BY, Operator, Version, users, versions
from tests.e2e.talk import ask, request, settings

WITHIN = 1.0
"""Seconds in which everybody is back."""


def promoted(data: Path, primary: Version, candidate: Version) -> dict[str, Any]:
    """A configuration, and on disk a rollout that has brought every user to the candidate."""
    data.mkdir()
    split = {"rollout": "v2", "weight": 1.0, "leased": False}
    (data / "splits.json").write_text(json.dumps({"services": {"default": split}, "version": 1}))
    return settings(primary.url, candidate.url, workers=2, data_dir=str(data))


def control(proxy: Proxy) -> int:
    [pid] = [pid for pid in proxy.tree() if Path(f"/proc/{pid}/comm").read_text().strip() == "shadowproxy:ctl"]
    return pid


def served(proxy: Proxy) -> set[str]:
    """By whom the next requests are."""
    answers = [ask(proxy.port, request("/items/7")) for _ in range(20)]
    return {value.decode() for answer in answers for value in answer.values(SERVED_BY.encode())}


def weight(data: Path) -> float:
    return json.loads((data / "splits.json").read_text())["services"]["default"]["weight"]


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_a_signal_brings_all_users_back_within_a_second_without_control(tmp_path: Path, death: signal.Signals) -> None:
    data = tmp_path / "data"
    with versions() as (blue, green), Proxy.start(tmp_path / "proxy", promoted(data, blue, green)) as proxy:
        with users(proxy.port) as load:
            eventually(lambda: load.served()[GREEN] > 300)
            assert load.share() == 1.0
            victim = control(proxy)
            os.kill(victim, death)
            proxy.process.send_signal(signal.SIGUSR2)
            back = time.monotonic() + WITHIN
            eventually(lambda: time.monotonic() > back)
            got = green.requests["users"]
            eventually(lambda: load.served(back)[BLUE] > 300)
            assert (load.share(back), green.requests["users"]) == (0.0, got)
        assert not load.failures()
        eventually(lambda: weight(data) == 0.0)
        if death == signal.SIGSTOP:
            os.kill(victim, signal.SIGCONT)


def test_a_promotion_serves_from_the_first_request_after_a_restart_and_a_recall_stays(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with versions() as (blue, green):
        config = promoted(data, blue, green)
        with Proxy.start(tmp_path / "first", config) as proxy:
            assert served(proxy) == {GREEN}
            proxy.process.send_signal(signal.SIGHUP)
            eventually(lambda: proxy.api("status")["policy"] == 2)
            assert served(proxy) == {GREEN}
        with Proxy.start(tmp_path / "second", config) as proxy:
            assert served(proxy) == {GREEN}
            assert blue.requests["users"] == 0
            proxy.process.send_signal(signal.SIGUSR2)
            eventually(lambda: weight(data) == 0.0)
            assert served(proxy) == {BLUE}
        with Proxy.start(tmp_path / "third", config) as proxy:
            assert served(proxy) == {BLUE}


@pytest.mark.parametrize("lost", ["splits.json", "audit.sqlite"])
def test_a_promotion_of_which_half_is_lost_stands_and_that_is_said(tmp_path: Path, lost: str) -> None:
    data = tmp_path / "data"
    with rolling(tmp_path, [CANARY], top={"data_dir": str(data)}) as scene:
        scene.operator.act("promote", full=True)
        scene.operator.until_phase("promoted")
        assert scene.share() == 1.0
        scene.proxy.stop()
        for path in data.glob(f"{lost}*"):
            path.write_text("{")
        assert scene.proxy.config is not None
        config = json.loads(scene.proxy.config.read_text())
        with Proxy.start(tmp_path / "again", config) as proxy:
            if lost != "splits.json":
                assert served(proxy) == {GREEN}, "from the first request"
            eventually(lambda: served(proxy) == {GREEN})
            assert Operator(proxy).until_phase("promoted")["weight"] == 1.0
            assert served(proxy) == {GREEN}
            errors = [line for line in proxy.log.read_text().splitlines() if '"level":"error"' in line]
            assert any(lost in line for line in errors), errors
