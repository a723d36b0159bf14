"""Each strategy brings a good candidate to its end, and users back from a bad one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.rolling import (
    BAKE,
    BROKEN,
    CANARY,
    ERRORS,
    EVERYBODY,
    FIELDS,
    MIRROR,
    SLOW,
    SLUGGISH,
    differs,
    fails,
    rolling,
    slows,
)
from tests.e2e.rollouts import Version, users

RAMP = {"name": "ramp", "progressive": {"weights": ["20%", "50%", "100%"], "holdback": "5%"}, "bake": BAKE}
PREVIEW = {"preview": {"header": "x-preview: green"}, "keep_blue": "3s"}
SWITCH = {"name": "switch", "blue_green": PREVIEW, "bake": {"for": "3s", "requests": 50}}
STAGES: dict[str, list[dict[str, Any]]] = {
    "shadow": [MIRROR, {"name": "go", "approve": {}}],
    "canary": [MIRROR, CANARY, EVERYBODY],
    "progressive": [MIRROR, RAMP],
    "blue-green": [MIRROR, SWITCH],
}
CAUGHT_BY = {fails: (ERRORS, BROKEN), slows: (SLOW, SLUGGISH), differs: (FIELDS,)}


@pytest.mark.parametrize("strategy", STAGES)
def test_a_good_candidate_gets_all_the_way(tmp_path: Path, strategy: str) -> None:
    with rolling(tmp_path, STAGES[strategy]) as scene, users(scene.proxy.port, rate=50, x_preview="green"):
        if strategy == "shadow":
            scene.operator.until_stage("go")
            assert scene.share() == 0.0
            scene.operator.act("approve")
        scene.operator.until_phase("promoted", 120)
        assert scene.share() == 1.0
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
        ("blue-green", "mirror", differs),
        ("blue-green", "switch", fails),
    ],
)
def test_a_bad_candidate_is_rolled_back(
    tmp_path: Path, strategy: str, stage: str, harm: Callable[[Version], None]
) -> None:
    with rolling(tmp_path, STAGES[strategy]) as scene, users(scene.proxy.port, rate=50, x_preview="green"):
        scene.operator.until_stage(stage)
        harm(scene.green)
        status = scene.operator.until_phase("rolled_back", 120)
        assert (scene.share(), status["weight"]) == (0.0, 0.0)
    assert any(name in status["why"] for name in CAUGHT_BY[harm]), status["why"]


def test_a_candidate_that_breaks_after_the_switch_is_switched_back(tmp_path: Path) -> None:
    with rolling(tmp_path, STAGES["blue-green"]) as scene, users(scene.proxy.port, rate=50, x_preview="green"):
        scene.operator.until(lambda now: now["weight"] == 1.0)
        fails(scene.green)
        status = scene.operator.until_phase("rolled_back")
        assert scene.share() == 0.0
    assert BROKEN in status["why"], "with nobody left to compare with it is the limit that counts"
