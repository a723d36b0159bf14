"""What a rollout did to traffic outlives the tree; a disk that fails or hangs holds up nobody and is not given up."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from shadowproxy.model.rollout import Chosen, Split, Sticky
from shadowproxy.runtime import splits_file
from shadowproxy.runtime.logs import Log, as_json
from shadowproxy.runtime.splits_file import RETRY, WITHIN, SplitsFile, restore, save

PROMOTED = Split("v2", 3, 1.0, leased=False, sticky=Sticky(header="x-user"), chosen=(Chosen(cookie="c", value="b"),))
BACK = Split("v2", recalled=1000.5)


def test_what_is_kept_comes_back_and_can_be_read_by_people(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    assert restore(data) == ({}, ())
    save(data, {"shop": PROMOTED, "blog": BACK})
    assert restore(data) == ({"shop": PROMOTED, "blog": BACK}, ())
    assert '    "shop": {\n      "rollout": "v2",' in (data / "splits.json").read_text()
    assert stat.S_IMODE((data / "splits.json").stat().st_mode) == 0o600


def test_nothing_is_kept_in_no_file_but_what_was_there_goes(tmp_path: Path) -> None:
    save(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    save(tmp_path, {"shop": PROMOTED})
    save(tmp_path, {})
    assert restore(tmp_path) == ({}, ())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"services": {"shop": {}}}', "required field `rollout`"),
        ('{"services": {}, "version": 2}', "its version is 2, this is for 1"),
        ('{"services": {"shop": {"rollout": "v2", "weight": 5}}}', "the weight of shop is 5, not between 0 and 1"),
        ("\xff\xfe", "malformed"),
        ("x" * 100, "too large"),
    ],
)
def test_a_file_that_cannot_be_understood_is_moved_away_and_nobody_is_told_that_all_is_well(
    text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits_file, "MAX_BYTES", 90)
    (tmp_path / "splits.json").write_bytes(text.encode("latin-1"))
    found, [said] = restore(tmp_path)
    assert found == {}
    assert why in said
    assert "every user is served by the primary until a rollout says otherwise, also where one was promoted" in said
    assert [path.name for path in tmp_path.iterdir()] == ["splits.json.corrupt"]


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "splits.json").mkdir()
    found, [said] = restore(tmp_path)
    assert (found, "cannot be read (Is a directory)" in said) == ({}, True)


class Disk:
    """Hands out pids for writes that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[Mapping[str, Split]] = []
        self.full = False
        self.lines: list[dict[str, object]] = []
        self.file = SplitsFile(self._start, Log("supervisor", as_json, self._line))

    def _start(self, splits: Mapping[str, Split]) -> int:
        if self.full:
            raise OSError("no more processes")
        self.begun.append(splits)
        return 100 + len(self.begun)

    def _line(self, line: bytes) -> bool:
        self.lines.append(json.loads(line))
        return True


def weights(disk: Disk) -> list[float]:
    return [splits["shop"].weight for splits in disk.begun]


def shop(weight: float) -> dict[str, Split]:
    return {"shop": Split("v2", weight=weight)}


def test_one_write_at_a_time_and_the_newest_last() -> None:
    disk = Disk()
    assert disk.file.next_due() == math.inf
    disk.file.keep(shop(0.1), 0.0)
    for weight in (0.2, 0.3):
        disk.file.keep(shop(weight), 1.0)
    disk.file.ended(7, 0, 1.5)
    assert weights(disk) == [0.1]
    disk.file.ended(101, 0, 2.0)
    assert weights(disk) == [0.1, 0.3]
    disk.file.ended(102, 0, 3.0)
    disk.file.expire(100.0)
    assert (weights(disk), disk.file.next_due(), disk.lines) == ([0.1, 0.3], math.inf, [])


def test_what_failed_is_written_again_and_then_as_it_is_by_then() -> None:
    disk = Disk()
    disk.file.keep(shop(0.1), 0.0)
    disk.file.ended(101, 256, 1.0)
    disk.file.expire(1.0 + RETRY - 0.1)
    assert (weights(disk), disk.file.next_due()) == ([0.1], 1.0 + RETRY)
    disk.file.expire(1.0 + RETRY)
    assert weights(disk) == [0.1, 0.1]
    disk.file.keep(shop(0.0), 7.0)
    disk.file.ended(102, 256, 8.0)
    disk.file.expire(8.0 + RETRY)
    assert weights(disk) == [0.1, 0.1, 0.0]


def test_without_room_for_a_process_it_is_tried_again_as_well() -> None:
    disk = Disk()
    disk.full = True
    disk.file.keep(shop(0.1), 0.0)
    disk.full = False
    disk.file.expire(RETRY)
    assert weights(disk) == [0.1]
    assert "no more processes" in str(disk.lines[0]["error"])
    assert disk.lines[0]["event"] == splits_file.NOT_KEPT


def test_a_disk_that_hangs_is_said_and_its_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *which: killed.append(which))
    disk = Disk()
    disk.file.keep(shop(0.1), 0.0)
    disk.file.expire(WITHIN - 0.1)
    assert killed == []
    disk.file.expire(WITHIN)
    disk.file.expire(WITHIN + 1)
    assert killed == [(101, signal.SIGKILL)]
    assert disk.lines[0]["error"] == "writing takes longer than 10 s"
    disk.file.keep(shop(0.2), 20.0)
    assert weights(disk) == [0.1], "a process that the kernel does not let go of is waited for"
    disk.file.ended(101, signal.SIGKILL, 30.0)
    disk.file.expire(30.0 + RETRY)
    assert weights(disk) == [0.1, 0.2]
