"""A rollout that was started, with users, in the shortened times of a test.

    with rolling(directory, [MIRROR, CANARY]) as scene:
        scene.operator.until_phase("promoted")

Both versions fail one request in twenty throughout: what was there before is not held against the candidate.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.harness import Proxy, eventually
from tests.e2e.rollouts import Load, Operator, Version, rollout_settings, users, versions

FAILING: Final = 0.05
BACK: Final = 2.0
"""Seconds in which a decision has reached every user."""
BAKE: Final = {"for": "3s", "requests": 300}
MIRROR: Final = {"name": "mirror", "shadow": {"sample": "100%"}, "bake": BAKE}
CANARY: Final = {"name": "first users", "canary": {"weight": "20%"}, "bake": BAKE}
EVERYBODY: Final = {"name": "everybody", "progressive": {"weights": ["100%"], "holdback": "5%"}, "bake": BAKE}
ERRORS, BROKEN, SLOW, SLUGGISH, FIELDS = "error_rate", "broken", "latency_p99", "sluggish", "regressed_fields"
CHECKS: Final = [
    {"check": ERRORS, "max_relative": "50%", "max_absolute": "3pp"},
    {"name": BROKEN, "check": ERRORS, "max": "25%"},
    {"check": SLOW, "max_relative": "100%", "max_absolute": "100ms"},
    {"name": SLUGGISH, "check": "latency_p50", "max": "150ms"},
    {"check": FIELDS},
]


def fails(candidate: Version) -> None:
    candidate.errors = 0.5


def slows(candidate: Version) -> None:
    candidate.delay = 0.3


def differs(candidate: Version) -> None:
    candidate.body = {"price": "seven"}


@dataclass
class Scene:
    """Version 1, version 2, and everybody else."""

    blue: Version
    green: Version
    proxy: Proxy
    operator: Operator
    load: Load

    def share(self, moment: float | None = None) -> float:
        """The candidate's share of the users, once what was decided until now (or then) has reached them."""
        since = (time.monotonic() if moment is None else moment) + BACK
        eventually(lambda: self.load.served(since).total() > 200)
        return self.load.share(since)


@contextmanager
def rolling(
    directory: Path,
    stages: Sequence[dict[str, Any]],
    *,
    count: int = 1000,
    top: dict[str, Any] | None = None,
    **plan: Any,
) -> Generator[Scene, None, None]:
    """With so many users. `top` are keys of the configuration beside the rollout's, `plan` further ones of its own."""
    with ExitStack() as stack:
        blue, green = stack.enter_context(versions(errors=FAILING))
        top = {"workers": 2, "noise": {"resample": "10%"}, **(top or {})}
        config = rollout_settings(blue, green, top=top, **{"stages": stages, "checks": CHECKS, **plan})
        proxy = stack.enter_context(Proxy.start(directory / "proxy", config))
        load = stack.enter_context(users(proxy.port, count=count))
        operator = Operator(proxy)
        operator.until_phase("pending")
        operator.act("start")
        yield Scene(blue, green, proxy, operator, load)
