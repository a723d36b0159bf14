"""Flags in rollouts: a share of the users gets a variant, what comes of it is looked at, and back it goes at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shadowproxy.flags.fields import parse
from tests.e2e.flags import ON_OFF, change, written
from tests.e2e.harness import Proxy, eventually
from tests.e2e.rollouts import USER, VERSION, Load, Operator, Version, users, versions
from tests.e2e.talk import holds, settings

BAKE = {"for": "2s", "requests": 60}
RAMP = {"flag": "new-checkout", "variant": "on", "weights": ["20%", "50%", "100%"], "bake": BAKE}


@dataclass
class Shop(Version):
    """Fails a share of the requests that carry `new-checkout`, and keeps count of who carries it."""

    flag_errors: float = 0.0
    with_flag: int = 0
    without_flag: int = 0

    def answer(self, head: bytes) -> tuple[bytes, float]:
        line = next((row for row in head.split(b"\r\n") if row.lower().startswith(b"feature-flags:")), b":")
        found = parse(line.partition(b":")[2].strip()) or {}
        has = found.get(b"new-checkout") == b"new-checkout"
        self.with_flag += has
        self.without_flag += not has
        if b"/flag " in head.split(b"\r\n")[0]:
            body = b'{"flag": true}' if has else b'{"flag": false}'
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), 0.0
        before, self.errors = self.errors, self.flag_errors if has and self.flag_errors else self.errors
        try:
            return super().answer(head)
        finally:
            self.errors = before

    def share(self, seconds: float = 1.0) -> float:
        """Of the requests that come from now on."""
        had, had_not = self.with_flag, self.without_flag
        time.sleep(seconds)
        has, has_not = self.with_flag - had, self.without_flag - had_not
        return has / max(1, has + has_not)


@dataclass
class Scene:
    proxy: Proxy
    operator: Operator
    blue: Shop
    green: Shop
    load: Load
    file: Path


@contextmanager
def playing(directory: Path, stages: list[dict[str, Any]], candidate: bool = False, **more: Any) -> Generator[Scene]:
    file = written(directory / "flags.json", {"new-checkout": ON_OFF})
    with versions(kind=Shop) as (blue, green):
        assert isinstance(blue, Shop)
        assert isinstance(green, Shop)
        plan = {"name": "feature", "sticky": {"by": f"header:{USER}"}, "warmup": "0s", "lease": "5s", "stages": stages}
        config = settings(
            blue.url,
            green.url if candidate else None,
            rollout={**plan, "checks": [{"check": "error_rate"}], **more},
            flags={"file": str(file)},
            workers=2,
            **({"version": {"header": VERSION}} if candidate else {}),
        )
        with Proxy.start(directory / "proxy", config) as proxy, users(proxy.port, rate=250, count=2000) as load:
            yield Scene(proxy, Operator(proxy), blue, green, load, file)


def test_a_good_flag_reaches_everybody_without_any_candidate(tmp_path: Path) -> None:
    with playing(tmp_path, [{"flag": RAMP}]) as scene:
        assert scene.blue.share() == 0.0
        scene.operator.act("start")
        status = scene.operator.until_stage("new-checkout")
        assert status["flags"] == [{"flag": "new-checkout", "variant": "on", "share": 0.2}]
        assert 0.1 < scene.blue.share() < 0.3
        assert scene.proxy.metrics().total("shadowproxy_rollout_flag_ratio", flag="new-checkout") > 0
        status = scene.operator.until_phase("promoted", 90)
        assert "everybody has new-checkout=on" in status["why"]
        assert scene.blue.share() == 1.0
        assert scene.load.failures() == {}
        # The promotion is in the definition: the rollout has nothing to do any more.
        change(scene.proxy, "set", flag="new-checkout", variant="on", reason="promoted")
        scene.operator.until(lambda status: status["phase"] == "pending", 20)
        assert scene.blue.share(0.5) == 1.0


def test_a_bad_flag_is_off_again_within_a_second(tmp_path: Path) -> None:
    with playing(tmp_path, [{"flag": {**RAMP, "bake": {"for": "60s"}}}]) as scene:
        scene.blue.flag_errors = 0.5
        scene.operator.act("start")
        status = scene.operator.until_phase("rolled_back", 60)
        assert "error_rate: with new-checkout=on" in status["why"]
        assert "without it" in status["why"]
        time.sleep(1.0)
        assert scene.blue.share() == 0.0
        assert status["flags"] == []


def told(scene: Scene, user: str) -> bool:
    """Whether a request of this user carries the flag."""
    import httpx

    return bool(httpx.get(f"{scene.proxy.url}/flag", headers={USER: user}).json()["flag"])


def test_sdks_are_told_what_requests_carry(tmp_path: Path) -> None:
    import httpx

    with playing(tmp_path, [{"flag": {**RAMP, "weights": ["50%"], "bake": {"for": "60s"}}}]) as scene:
        scene.operator.act("start")
        scene.operator.until_stage("new-checkout")
        eventually(lambda: scene.blue.with_flag > 0, 10)
        counts = {True: 0, False: 0}
        for number in range(40):
            user = f"u{number}"
            asked = {"context": {"targetingKey": user}}
            url = f"{scene.proxy.admin}/ofrep/v1/evaluate/flags/new-checkout"
            said = httpx.post(url, json=asked).json()
            assert said["reason"] == ("SPLIT" if said["value"] else "STATIC")
            counts[said["value"]] += 1
            assert told(scene, user) is said["value"], user
        assert min(counts.values()) > 5


@pytest.mark.parametrize("action", ["kill", "disable"])
def test_a_flag_that_is_switched_off_holds_its_rollout(tmp_path: Path, action: str) -> None:
    with playing(tmp_path, [{"flag": {**RAMP, "bake": {"for": "60s"}}}]) as scene:
        scene.operator.act("start")
        eventually(lambda: scene.blue.with_flag > 0, 10)
        change(scene.proxy, action, flag="new-checkout", reason="it burns")
        time.sleep(0.5)
        assert scene.blue.share() == 0.0
        held = scene.operator.until(lambda status: [each["reason"] for each in status["holds"]] == ["flag"], 10)
        if action == "kill":
            assert held["holds"][0]["detail"] == "new-checkout was killed by local: it burns"
        change(scene.proxy, "enable", flag="new-checkout")
        scene.operator.until(lambda status: not status["holds"], 10)
        eventually(lambda: scene.blue.share(0.3) > 0, 10)


def test_a_signal_and_a_silent_control_take_the_flag_back(tmp_path: Path) -> None:
    with playing(tmp_path, [{"flag": {**RAMP, "bake": {"for": "60s"}}}]) as scene:
        scene.operator.act("start")
        eventually(lambda: scene.blue.with_flag > 0, 10)
        [control] = [
            pid for pid in scene.proxy.tree() if Path(f"/proc/{pid}/comm").read_text().strip() == "shadowproxy:ctl"
        ]
        os.kill(control, signal.SIGSTOP)
        try:
            eventually(lambda: scene.blue.share(0.3) == 0.0, 15)  # its lease of five seconds
        finally:
            os.kill(control, signal.SIGCONT)
        eventually(lambda: scene.blue.share(0.3) > 0, 10)
        os.kill(scene.proxy.process.pid, signal.SIGUSR2)
        eventually(lambda: scene.blue.share(0.3) == 0.0, 5)
        scene.operator.until(lambda status: status["phase"] != "running", 10)
        assert holds(lambda: scene.blue.share(0.2) == 0.0, 1.0)


def test_the_whole_way_deploy_off_canary_flag_expand(tmp_path: Path) -> None:
    """The pro tip: version 2 comes with the feature off, gets 5 % of the users, the flag some of those, then all."""
    stages = [
        {"name": "mirror", "shadow": {}, "bake": {"for": "1s"}},
        {"canary": {"weight": "20%"}, "bake": BAKE},
        {"flag": {**RAMP, "weights": ["50%", "100%"], "bake": {"for": "2s", "requests": 20}}},
        {"name": "expand", "progressive": {"weights": ["60%", "100%"], "holdback": "5%"}, "bake": BAKE},
    ]
    with playing(tmp_path, stages, candidate=True) as scene:
        scene.operator.act("start")
        scene.operator.until_stage("canary 20%", 60)
        assert scene.green.with_flag == 0
        status = scene.operator.until_stage("new-checkout", 60)
        assert (status["weight"], status["flags"][0]["share"]) == (0.2, 0.5)
        assert 0.3 < scene.green.share() < 0.7
        scene.operator.until_stage("expand", 90)
        status = scene.operator.until_phase("promoted", 120)
        assert scene.green.share() == 1.0
        assert scene.load.flips() == []


def test_a_feature_that_fails_on_the_candidate_takes_everything_back(tmp_path: Path) -> None:
    stages = [
        {"canary": {"weight": "20%"}, "bake": BAKE},
        {"flag": {**RAMP, "weights": ["50%", "100%"], "bake": {"for": "60s"}}},
    ]
    with playing(tmp_path, stages, candidate=True) as scene:
        scene.green.flag_errors = 0.5
        scene.operator.act("start")
        status = scene.operator.until_phase("rolled_back", 90)
        assert "with new-checkout=on" in status["why"]
        assert (status["weight"], status["flags"]) == (0.0, [])
        time.sleep(1.0)
        assert scene.load.share(time.monotonic() - 0.5) == 0.0
