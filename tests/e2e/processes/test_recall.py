"""Splits that control publishes reach every process; a signal takes them back, with control and the disk dead too."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.e2e.harness import eventually
from tests.e2e.processes.conftest import Starter, Tree, launch

PROMOTED = {"rollout": "v2", "weight": 1.0, "leased": False}
WITHIN = 1.0
"""Seconds in which everybody is back."""


def publish(tree: Tree, split: dict[str, Any] | None) -> None:
    """Let control say this split: it is killed, and the one that follows finds it."""
    (tree.directory / "data" / "split").write_text(json.dumps(split))
    [pid] = eventually(lambda: tree.children("ctl"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: pid not in tree.children("ctl"))


def weights(tree: Tree, workers: int = 2) -> set[float | None]:
    """By which weight each worker splits."""
    splits = [about["split"] for about in tree.abouts(workers).values()]
    return {split["weight"] if split else None for split in splits}


def kept(tree: Tree) -> dict[str, Any]:
    return json.loads((tree.directory / "data" / "splits.json").read_text())["services"]


def recall(tree: Tree) -> float:
    """Seconds until every worker of the two sends everybody to the primary."""
    started = time.monotonic()
    tree.signal(signal.SIGUSR2)
    eventually(lambda: weights(tree) == {0.0})
    return time.monotonic() - started


def test_a_split_reaches_every_worker_and_those_that_come_later_and_the_disk(trees: Starter) -> None:
    tree = trees(workers=2)
    assert weights(tree) == {None}
    publish(tree, PROMOTED)
    eventually(lambda: weights(tree) == {1.0})
    eventually(lambda: kept(tree)["default"]["weight"] == 1.0)
    before = {about["pid"] for about in tree.abouts(2).values()}
    tree.signal(signal.SIGUSR1)
    eventually(lambda: not before & set(tree.children("w")))
    assert weights(tree) == {1.0}
    publish(tree, None)
    eventually(lambda: weights(tree) == {None})
    eventually(lambda: kept(tree) == {})


def test_a_recall_needs_no_control_and_a_control_that_comes_back_does_not_undo_it(trees: Starter) -> None:
    tree = trees(workers=2)
    publish(tree, PROMOTED)
    eventually(lambda: weights(tree) == {1.0})
    [control] = eventually(lambda: tree.children("ctl"))
    os.kill(control, signal.SIGSTOP)
    assert recall(tree) < WITHIN
    os.kill(control, signal.SIGKILL)
    refused = eventually(lambda: tree.logged("a split is not put in force"))
    assert "its users were recalled and control has not heard of it" in refused[0]["why"]
    assert weights(tree) == {0.0}
    said = tree.about()["split"]["recalled"]
    publish(tree, {**PROMOTED, "recalled": said})
    eventually(lambda: weights(tree) == {1.0})


def test_a_recall_while_the_configuration_is_read_stays_when_that_ends(trees: Starter) -> None:
    tree = trees(workers=2)
    publish(tree, PROMOTED)
    eventually(lambda: weights(tree) == {1.0})
    tree.rewrite(launch=launch(tree.directory, workers=2), limits={"line": 4096}, slow=2.0)
    tree.signal(signal.SIGHUP)
    assert recall(tree) < WITHIN
    assert tree.about()["line"] != 4096
    about = eventually(lambda: (a := tree.about())["line"] == 4096 and a)
    assert (about["sequence"], weights(tree)) == (4, {0.0})


def test_the_disk_holds_up_no_recall_and_is_written_as_soon_as_it_can_be(trees: Starter) -> None:
    tree = trees(workers=2)
    publish(tree, PROMOTED)
    eventually(lambda: kept(tree)["default"]["weight"] == 1.0)
    data = tree.directory / "data"
    data.rename(tree.directory / "away")
    data.touch()
    assert recall(tree) < WITHIN
    eventually(lambda: any("are not kept on disk" in line["event"] for line in tree.log()))
    data.unlink()
    Path(tree.directory / "away").rename(data)
    eventually(lambda: kept(tree)["default"]["weight"] == 0.0)


def test_what_was_in_force_is_so_again_after_a_restart(trees: Starter) -> None:
    tree = trees(workers=2)
    publish(tree, PROMOTED)
    eventually(lambda: kept(tree)["default"]["weight"] == 1.0)
    tree.process.kill()
    eventually(lambda: tree.survivors() == [])
    again = trees(json.loads(tree.config.read_text()))
    assert weights(again) == {1.0}
    assert recall(again) < WITHIN
    eventually(lambda: kept(tree)["default"]["weight"] == 0.0)
