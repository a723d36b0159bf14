"""Each strategy brings a good candidate to its end, and users back from a bad one, in the shortened times of a test.

Both versions fail one request in twenty throughout: what was there before is not held against the candidate.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Proxy, eventually
from tests.e2e.rollouts import Load, Operator, Version, rollout_settings, users, versions

FAILING = 0.05
BAKE = {"for": "3s", "requests": 300}
MIRROR = {"name": "mirror", "shadow": {"sample": "100%"}, "bake": BAKE}
STAGES: dict[str, list[dict[str, Any]]] = {
    "shadow": [MIRROR, {"name": "go", "approve": {}}],
    "canary": [
        MIRROR,
        {"name": "first users", "canary": {"weight": "20%"}, "bake": BAKE},
        {"name": "everybody", "progressive": {"weights": ["100%"], "holdback": "5%"}, "bake": BAKE},
    ],
    "progressive": [
        MIRROR,
        {"name": "ramp", "progressive": {"weights": ["20%", "50%", "100%"], "holdback": "5%"}, "bake": BAKE},
    ],
    "blue-green": [
        MIRROR,
        {
            "name": "switch",
            "blue_green": {"preview": {"header": "x-preview: green"}, "keep_blue": "3s"},
            "bake": {"for": "3s", "requests": 50},
        },
    ],
}
CHECKS = [
    {"check": "error_rate", "max_relative": "50%", "max_absolute": "3pp"},
    {"name": "broken", "check": "error_rate", "max": "25%"},
    {"check": "latency_p99", "max_relative": "100%", "max_absolute": "100ms"},
    {"name": "slow", "check": "latency_p50", "max": "150ms"},
    {"check": "regressed_fields"},
]
BACK = 2.0
"""Seconds in which a decision has reached every user."""


def fails(candidate: Version) -> None:
    candidate.errors = 0.5


def slows(candidate: Version) -> None:
    candidate.delay = 0.3


def differs(candidate: Version) -> None:
    candidate.body = {"price": "seven"}


@dataclass
class Scene:
    """A rollout that was started, with users."""

    blue: Version
    green: Version
    proxy: Proxy
    operator: Operator
    load: Load


@contextmanager
def rolling(directory: Path, strategy: str) -> Generator[Scene, None, None]:
    with ExitStack() as stack:
        blue, green = stack.enter_context(versions(errors=FAILING))
        config = rollout_settings(
            blue, green, top={"noise": {"resample": "10%"}}, stages=STAGES[strategy], checks=CHECKS
        )
        proxy = stack.enter_context(Proxy.start(directory / "proxy", config))
        load = stack.enter_context(users(proxy.port))
        if strategy == "blue-green":
            stack.enter_context(users(proxy.port, rate=50, x_preview="green"))
        operator = Operator(proxy)
        operator.until_phase("pending")
        operator.act("start")
        yield Scene(blue, green, proxy, operator, load)


@pytest.mark.parametrize("strategy", STAGES)
def test_a_good_candidate_gets_all_the_way(tmp_path: Path, strategy: str) -> None:
    with rolling(tmp_path, strategy) as scene:
        if strategy == "shadow":
            scene.operator.until_stage("go")
            assert scene.load.share() == 0.0
            scene.operator.act("approve")
        scene.operator.until_phase("promoted", 120)
        promoted = time.monotonic() + BACK
        eventually(lambda: scene.load.served(promoted).total() > 200)
        assert scene.load.share(promoted) == 1.0
    assert scene.load.flips() == []
    assert scene.load.failures().keys() == {500}, "what the versions failed, and nothing of ours"


@pytest.mark.parametrize(
    ("strategy", "stage", "harm"),
    [
        ("shadow", "mirror", fails),
        ("shadow", "mirror", slows),
        ("shadow", "mirror", differs),
        ("canary", "first users", fails),
        ("canary", "first users", slows),
        ("progressive", "mirror", differs),
        ("progressive", "ramp", fails),
        ("progressive", "ramp", slows),
        ("blue-green", "switch", fails),
        ("blue-green", "mirror", differs),
    ],
)
def test_a_bad_candidate_is_rolled_back(
    tmp_path: Path, strategy: str, stage: str, harm: Callable[[Version], None]
) -> None:
    with rolling(tmp_path, strategy) as scene:
        scene.operator.until_stage(stage)
        harm(scene.green)
        status = scene.operator.until_phase("rolled_back", 120)
        back = time.monotonic() + BACK
        eventually(lambda: scene.load.served(back).total() > 200)
        assert (scene.load.share(back), status["weight"]) == (0.0, 0.0)
        assert status["why"].startswith("rolled back: ")
    assert scene.load.failures(back)[500] < 0.1 * scene.load.served(back).total()


def test_a_candidate_that_breaks_after_the_switch_is_switched_back(tmp_path: Path) -> None:
    with rolling(tmp_path, "blue-green") as scene:
        scene.operator.until(lambda now: now["weight"] == 1.0)
        fails(scene.green)
        scene.operator.until_phase("rolled_back")
        back = time.monotonic() + BACK
        eventually(lambda: scene.load.served(back).total() > 200)
        assert scene.load.share(back) == 0.0
