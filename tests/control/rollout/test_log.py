"""What is driven leaves a log that all of it comes out of again."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.control.rollout import journal
from shadowproxy.model.rollout import PROMOTED, ROLLED_BACK
from shadowproxy.rollout.replaying import Replay, replay
from shadowproxy.store.audit import AuditLog
from shadowproxy.store.rollouts import RolloutStore
from tests.control.rollout.rig import Rig


def replays(directory: Path) -> list[Replay]:
    store = RolloutStore(directory)
    return [replay(store.facts("shop", attempt)) for attempt in store.attempts()["shop"]]


async def test_everything_that_was_decided_comes_out_of_the_log_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "RETRY_EVERY", 0.01)
    rig = Rig(tmp_path)
    await rig.tick(5)
    await rig.do("start")
    await rig.until(1)
    rig.start()
    await rig.tick(2)
    await rig.do("pause")
    await rig.tick(2)
    await rig.do("rollback")
    await rig.tick(5)
    assert rig.state.phase == ROLLED_BACK
    rig.start()
    await rig.tick(5)
    await rig.do("retry")
    await rig.until(2)
    await rig.tick(10)
    assert rig.state.phase == PROMOTED
    rig.configure(rollout=None)
    await rig.tick(2)
    await rig.close()
    for found in replays(tmp_path):
        assert (found.mismatches, found.gaps) == ((), ())
        assert found.decisions > 3
    assert AuditLog(tmp_path).verify() == []


async def test_seconds_in_which_nothing_runs_and_nothing_happens_are_not_logged(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.tick(50)
    (waiting,) = replays(tmp_path)
    await rig.do("start")
    await rig.tick(5)
    (running,) = replays(tmp_path)
    await rig.do("rollback")
    await rig.tick(50)
    await rig.close()
    (over,) = replays(tmp_path)
    assert waiting.items < 5
    assert running.items >= waiting.items + 6
    assert over.items == running.items + 1
    assert over.is_exact
    assert over.gaps == ()
