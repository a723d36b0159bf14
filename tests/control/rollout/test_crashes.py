"""Control may be killed before and after anything that it does: what it writes, and what it asks the supervisor for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from shadowproxy.control.rollout import controller, journal
from shadowproxy.model.rollout import ABORTED, CANARY, FLAG, PROMOTED, ROLLED_BACK, Bake, Plan, Stage
from shadowproxy.rollout.replaying import replay
from tests.control.rollout.rig import Rig

BAKE = Bake(seconds=2.0, requests=60)
PLAN = Plan("v2", tuple(Stage(f"{weight:.0%}", CANARY, BAKE, weights=(weight,)) for weight in (0.05, 0.5)))
FLAGGED = Plan(
    "v2",
    (
        Stage("users", CANARY, BAKE, weights=(0.05,)),
        Stage("feature", FLAG, BAKE, weights=(0.1, 1.0), flag="new", variant="on"),
    ),
)
LEAST_ACTS = 10
"""What a whole rollout does."""
DEATHS = pytest.mark.parametrize("after", [False, True], ids=["before", "after"])


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "RETRY_EVERY", 0.0)
    monkeypatch.setattr(controller, "FIRST_LOOK", 0.0)


@asynccontextmanager
async def dying(directory: Path, at: int, after: bool, plan: Plan = PLAN) -> AsyncIterator[Rig]:
    rig = Rig(directory, plan)
    rig.dies_at, rig.dies_after = at, after
    yield rig
    rig.is_dead = False
    await rig.close()


@DEATHS
async def test_the_rollout_goes_on_and_no_weight_is_skipped_or_given_twice(tmp_path: Path, after: bool) -> None:
    for death in count(1):
        async with dying(tmp_path / f"{death}", death, after) as rig:
            await rig.tick()
            await rig.do("start")
            await rig.tick(16)
            await rig.do("start")  # the one before may have been lost
            await rig.tick(16)
            if rig.acts < death:
                break
            assert (rig.state.phase, rig.state.attempt, rig.weight) == (PROMOTED, 1, 1.0), death
            weights = [split.weight for _, split in rig.sent if split]
            assert weights == sorted(weights), death
            assert set(weights) == {0.05, 0.5, 1.0}, death
            again = replay(rig.log())
            assert (again.is_exact, again.gaps) == (True, ()), (death, again)
    assert death > LEAST_ACTS


@DEATHS
async def test_a_flag_is_ramped_share_by_share_and_stays_where_it_was(tmp_path: Path, after: bool) -> None:
    for death in count(1):
        async with dying(tmp_path / f"{death}", death, after, FLAGGED) as rig:
            await rig.tick()
            await rig.do("start")
            await rig.tick(16)
            await rig.do("start")  # the one before may have been lost
            await rig.tick(16)
            if rig.acts < death:
                break
            assert (rig.state.phase, rig.state.attempt, rig.weight) == (PROMOTED, 1, 1.0), death
            shares = [sum(each.weight for each in split.flags) for _, split in rig.sent if split]
            assert shares == sorted(shares), death
            assert set(shares) == {0.0, 0.1, 1.0}, death
            again = replay(rig.log())
            assert (again.is_exact, again.gaps) == (True, ()), (death, again)
    assert death > LEAST_ACTS


@DEATHS
async def test_a_flag_that_went_off_stays_off(tmp_path: Path, after: bool) -> None:
    for death in range(1, 4):
        async with dying(tmp_path / f"{death}", 0, after, FLAGGED) as rig:
            await rig.tick()
            await rig.do("start")
            await rig.until(1)
            assert rig.split is not None
            assert [(each.flag, each.weight) for each in rig.split.flags] == [("new", 0.1)]
            rig.dies_at = rig.acts + death
            await rig.do("rollback")
            was_off = rig.split is None or not rig.split.flags
            await rig.tick(5)
            assert was_off == (after or death > 1)
            assert not was_off or rig.split is None or not rig.split.flags, death


@DEATHS
async def test_users_who_are_back_stay_back(tmp_path: Path, after: bool) -> None:
    for death in range(1, 4):
        async with dying(tmp_path / f"{death}", 0, after) as rig:
            await rig.tick()
            await rig.do("start")
            await rig.tick(2)
            assert rig.weight == 0.05
            rig.dies_at = rig.acts + death
            await rig.do("abort")
            were_back = rig.weight == 0.0
            await rig.tick(5)
            assert were_back == (after or death > 1)
            assert not were_back or (rig.weight, rig.state.phase) in {(0.0, ABORTED), (0.0, ROLLED_BACK)}, death
