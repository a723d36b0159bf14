"""The stages that a `strategy` stands for."""

from __future__ import annotations

from typing import Final

from shadowproxy.model.rollout import APPROVE, BLUE_GREEN, CANARY, PROGRESSIVE, SHADOW, SOAK, Bake, Chosen, Stage

HOLDBACK: Final = 0.02
"""Stays with the primary while the last weight bakes: without it there is nothing to compare with."""

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_MIRROR: Final = Stage("mirror", SHADOW, Bake(30 * _MINUTE, 1000), sample=1.0)

STRATEGIES: Final[dict[str, tuple[Stage, ...]]] = {
    "shadow": (Stage("mirror", SHADOW, Bake(_HOUR, 5000), sample=1.0), Stage("go", APPROVE)),
    "canary": (
        _MIRROR,
        Stage("canary 5%", CANARY, Bake(_HOUR, 2000), weights=(0.05,)),
        Stage("canary 25%", CANARY, Bake(_HOUR, 5000), weights=(0.25,)),
        Stage("everybody", PROGRESSIVE, Bake(_HOUR, 5000), weights=(1.0,), holdback=HOLDBACK),
    ),
    "progressive": (
        _MIRROR,
        Stage("ramp", PROGRESSIVE, Bake(10 * _MINUTE, 1000), weights=(0.05, 0.1, 0.25, 0.5, 1.0), holdback=HOLDBACK),
        Stage("soak", SOAK, Bake(_HOUR)),
    ),
    "blue-green": (
        _MIRROR,
        Stage(
            "switch",
            BLUE_GREEN,
            Bake(10 * _MINUTE),
            chosen=(Chosen(header="x-preview", value="green"),),
            keep_blue=_HOUR,
        ),
    ),
}
