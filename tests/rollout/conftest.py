from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.model.rollout import ENFORCE, PASS
from shadowproxy.rollout import analysis
from shadowproxy.rollout.values import CheckResult


class Checks:
    """What the analysis says from now on: one result, and why users have to go back, if they have to."""

    def __init__(self) -> None:
        self.results: tuple[CheckResult, ...] = ()
        self.harm = ""

    def say(self, verdict: str = PASS, kind: str = "error_rate", name: str = "", harm: str = "", **more: Any) -> None:
        said = {"mode": ENFORCE, "words": f"it is {verdict}", **more}
        self.results = (CheckResult(name or kind, kind, verdict=verdict, **said),)
        self.harm = harm


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    says = Checks()
    monkeypatch.setattr(analysis, "judge", lambda *_: says.results)
    monkeypatch.setattr(analysis, "overall", lambda *_: analysis.Harm(words=says.harm))
    return says
