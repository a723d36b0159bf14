"""In the middle of a rollout: a slow burn, a broken primary, another build, a signal, the end of the whole tree."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from tests.e2e.harness import Proxy, eventually
from tests.e2e.rolling import CANARY, EVERYBODY, FAILING, MIRROR, fails, rolling
from tests.e2e.rollouts import GREEN, Operator, users

LONG = {"name": "long", "canary": {"weight": "50%"}, "bake": {"for": "24s", "requests": 100}}


def held_by(status: dict[str, Any], reason: str) -> bool:
    return any(hold["reason"] == reason for hold in status["holds"])


def test_what_creeps_up_holds_a_rollout_where_it_is(tmp_path: Path) -> None:
    checks = [{"check": "error_rate", "max_relative": "50%", "max_absolute": "3pp"}, {"check": "slow_burn"}]
    stages = [{**LONG, "bake": {"for": "40s"}}, EVERYBODY]
    with rolling(tmp_path, stages, checks=checks) as scene:
        for version in (scene.blue, scene.green):
            version.delay = 0.02
        scene.operator.until_stage("long")
        scene.green.grow(0.004)
        status = scene.operator.until(lambda now: held_by(now, "slow_burn"), 90)
        [hold] = [hold for hold in status["holds"] if hold["reason"] == "slow_burn"]
        assert "rises by" in hold["detail"]
        assert 0.4 < scene.share() < 0.6
        assert scene.operator.status()["stage"] == "long"


def test_another_build_of_the_candidate_begins_with_the_first_stage_again(tmp_path: Path) -> None:
    with rolling(tmp_path, [MIRROR, LONG]) as scene:
        scene.operator.until_stage("long")
        scene.green.version = "2.1"
        status = scene.operator.until(lambda now: now["attempt"] == 2)
        assert (status["phase"], status["stage"], status["weight"]) == ("running", "mirror", 0.0)
        assert [(each["number"], each["identity"]["candidate"]) for each in status["earlier"]] == [(1, "2.0")]
        again = time.monotonic()
        assert scene.operator.until_stage("long")["identity"]["candidate"] == "2.1"
        assert 0.4 < scene.share() < 0.6
        assert time.monotonic() - again > 3


def test_another_build_of_the_primary_holds_until_somebody_says_that_it_may_go_on(tmp_path: Path) -> None:
    with rolling(tmp_path, [LONG, EVERYBODY]) as scene:
        scene.operator.until_stage("long")
        scene.blue.version = "1.1"
        scene.operator.until(lambda now: held_by(now, "primary_changed"))
        assert 0.4 < scene.share() < 0.6
        scene.operator.act("resume")
        assert not held_by(scene.operator.until_stage("everybody"), "primary_changed")


def test_a_signal_ends_the_attempt_and_the_next_one_may_raise_the_weight_again(tmp_path: Path) -> None:
    with rolling(tmp_path, [CANARY, LONG]) as scene:
        scene.operator.until_stage("long")
        scene.proxy.process.send_signal(signal.SIGUSR2)
        back = time.monotonic() + 1.0
        status = scene.operator.until(lambda now: now["phase"] != "running")
        assert "SIGUSR2" in status["why"]
        eventually(lambda: time.monotonic() > back and scene.load.served(back).total() > 200)
        assert scene.load.served(back)[GREEN] == 0
        assert scene.operator.status()["weight"] == 0.0
        scene.operator.act("retry")
        scene.operator.until_stage("long")
        assert 0.4 < scene.share() < 0.6


def test_the_end_of_the_whole_tree_costs_a_rollout_nothing_but_the_time(tmp_path: Path) -> None:
    with rolling(tmp_path, [LONG, EVERYBODY], top={"data_dir": str(tmp_path / "data")}) as scene:
        before = scene.operator.until(lambda now: (now["bake"] or {}).get("seconds", 0) > 5)
        scene.proxy.kill()
        assert scene.proxy.config
        config = json.loads(scene.proxy.config.read_text())
        with Proxy.start(tmp_path / "again", config) as proxy, users(proxy.port) as load:
            operator = Operator(proxy)
            status = operator.until(lambda now: now["phase"] == "running")
            assert (status["stage"], status["attempt"]) == ("long", 1)
            assert before["bake"]["seconds"] <= status["bake"]["seconds"] < 24
            eventually(lambda: 0.4 < load.share(time.monotonic() - 1.0) < 0.6)
            operator.until_phase("promoted", 90)
            assert load.flips() == []


def test_while_the_primary_breaks_nobody_is_moved_onto_it(tmp_path: Path) -> None:
    with rolling(tmp_path, [LONG, EVERYBODY]) as scene:
        scene.operator.until_stage("long")
        scene.blue.errors = 0.6
        scene.operator.until(lambda now: held_by(now, "primary_broken"))
        assert 0.4 < scene.share() < 0.6
        assert scene.operator.status()["stage"] == "long"
        scene.blue.errors = FAILING
        scene.operator.until(lambda now: not held_by(now, "primary_broken"))
        assert scene.operator.status()["phase"] == "running"


def test_without_a_watch_a_bad_candidate_is_rolled_back_all_the_same(tmp_path: Path) -> None:
    with rolling(tmp_path, [LONG], supervise="required") as scene:
        scene.operator.until(lambda now: held_by(now, "unsupervised"))
        fails(scene.green)
        scene.operator.until_phase("rolled_back")
        assert scene.share() == 0.0


def test_a_promoted_version_that_is_put_where_the_primary_is_settles_the_rollout(tmp_path: Path) -> None:
    with rolling(tmp_path, [LONG]) as scene:
        scene.operator.until(lambda now: now["identity"].get("candidate"))
        scene.operator.act("promote", full=True)
        scene.operator.until_phase("promoted")
        eventually(lambda: scene.load.share(time.monotonic() - 0.5) == 1.0)
        scene.blue.version = scene.green.version
        scene.operator.until(lambda now: now["phase"] == "pending", 40)
        assert scene.share() == 0.0, "everybody is served where the configuration says"
