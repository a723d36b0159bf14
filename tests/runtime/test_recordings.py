"""Recordings are written whole, rotated, and never larger than they may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadowproxy.capture import GoReplayReader, Record
from shadowproxy.capture.goreplay import SEPARATOR
from shadowproxy.model.pair import Exchange, RecordedResponse
from shadowproxy.model.policy import CapturePolicy, Policy, ServicePolicy
from shadowproxy.runtime.logs import Log, as_text
from shadowproxy.runtime.recordings import Recordings, RotatingFile

REQUEST = b"GET / HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


def record(size: int, letter: bytes = b"x") -> bytes:
    return letter * (size - len(SEPARATOR)) + SEPARATOR


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Scene:
    def __init__(self, directory: Path, **rules: Any) -> None:
        self.now = 1000.0
        self.lines: list[str] = []
        log = Log("comparer:0", as_text, lambda line: not self.lines.append(line.decode()))
        self.recordings = Recordings(log, lambda: self.now)
        self.path = directory / "cap" / "shop.gor"
        self.apply(CapturePolicy(str(self.path), **rules))

    def apply(self, capture: CapturePolicy | None) -> None:
        self.recordings.apply(Policy((ServicePolicy("shop", 0, {}, capture=capture),)))

    def write(self, request: bytes = REQUEST, answer: bytes | None = ANSWER, number: int = 1) -> str:
        response = RecordedResponse(204, b"No Content", b"", b"", 0.25)
        exchange = Exchange(number, "shop", "other", "r", 1700000000.5, "c1", b"", b"", response)
        return self.recordings.write(exchange, request, answer)

    def records(self) -> list[Record]:
        return GoReplayReader().feed(self.path.read_bytes())


def test_an_exchange_becomes_two_records(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.write() == ""
    assert scene.write(answer=None, number=2) == ""
    at = 1_700_000_000_500_000_000
    assert [(r.kind, r.id, r.at, r.latency, r.connection, r.payload) for r in scene.records()] == [
        ("1", "c1-1", at, 0, "c1", REQUEST),
        ("2", "c1-1", at, 250_000_000, "", ANSWER),
        ("1", "c1-2", at, 0, "c1", REQUEST),
    ]
    assert stat.S_IMODE(scene.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(scene.path.parent.stat().st_mode) == 0o700


def test_what_would_end_a_record_early_or_fill_a_file_is_not_written(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_file=1000)
    assert scene.write(REQUEST + SEPARATOR + b"1 x 5 0\nGET /forged") == "separator"
    assert scene.write(answer=ANSWER + SEPARATOR) == "separator"
    assert scene.write(REQUEST + b"x" * 1000) == "max_file"
    assert not scene.path.exists()


def test_a_service_that_is_not_recorded_any_more(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write()
    scene.apply(None)
    assert scene.write() == "shutdown"
    assert len(scene.records()) == 2


def test_a_reload_goes_on_where_nothing_changed_and_elsewhere_where_it_did(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.write()
    scene.apply(CapturePolicy(str(scene.path)))
    scene.write()
    other = tmp_path / "other.gor"
    scene.apply(CapturePolicy(str(other)))
    scene.write()
    assert len(scene.records()) == 4
    assert len(GoReplayReader().feed(other.read_bytes())) == 2
    scene.recordings.close()


def test_a_file_that_cannot_be_written_is_said_once_and_tried_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.path.parent.mkdir()
    scene.path.mkdir()
    assert [scene.write(), scene.write()] == ["unwritable"] * 2
    scene.path.rmdir()
    assert scene.write() == "unwritable"
    scene.now += 1.0
    assert scene.write() == ""
    first, second = scene.lines
    assert "a recording cannot be written" in first
    assert "Is a directory" in first
    assert "a recording is written again" in second


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_what_is_no_file_is_left_alone(tmp_path: Path, make: Any) -> None:
    scene = Scene(tmp_path)
    scene.path.parent.mkdir()
    make(scene.path)
    assert scene.write() == "unwritable"
    assert "no regular file" in scene.lines[0] or "No such device" in scene.lines[0]


def test_a_full_disk_leaves_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    scene.write()
    plain = os.write

    def half(fd: int, data: bytes) -> int:
        return plain(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    assert scene.write() == "unwritable"
    monkeypatch.setattr(os, "write", plain)
    scene.now += 1.0
    assert scene.write() == ""
    assert len(scene.records()) == 4
    assert GoReplayReader().feed(scene.path.read_bytes()) == scene.records()


# The file.


def test_full_files_are_rotated_and_the_oldest_goes(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "a.gor", 100, 3)
    for number in range(9):
        file.append(record(50, b"%d" % number))
    assert names(tmp_path) == ["a.1.gor", "a.2.gor", "a.gor"]
    assert [(tmp_path / name).read_bytes()[:1] for name in names(tmp_path)] == [b"6", b"4", b"8"]
    file.close()


def test_a_single_file_begins_anew(tmp_path: Path) -> None:
    file = RotatingFile(tmp_path / "a.gor", 100, 1)
    for letter in (b"a", b"b", b"c"):
        file.append(record(50, letter))
    assert names(tmp_path) == ["a.gor"]
    assert (tmp_path / "a.gor").read_bytes() == record(50, b"c")
    file.close()


def test_a_file_is_gone_on_with_after_a_restart_unless_it_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "a.gor"
    for _ in range(2):
        file = RotatingFile(path, 1000, 3)
        file.append(record(50))
        file.close()
    assert path.read_bytes() == record(50) * 2
    path.write_bytes(record(50) + b"half")
    file = RotatingFile(path, 1000, 3)
    file.append(record(60))
    assert path.read_bytes() == record(60)
    assert (tmp_path / "a.1.gor").read_bytes() == record(50) + b"half"
    file.close()


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.gor"
    file = RotatingFile(path, 1000, 3)
    file.append(record(50, b"a"))
    path.rename(tmp_path / "taken.gor")
    file.append(record(50, b"b"))
    path.unlink()
    file.append(record(50, b"c"))
    assert path.read_bytes() == record(50, b"c")
    assert (tmp_path / "taken.gor").read_bytes() == record(50, b"a")
    file.close()


def test_smaller_bounds_than_before_are_kept_at_once(tmp_path: Path) -> None:
    for name, size in (("a.gor", 500), ("a.1.gor", 90), ("a.2.gor", 90), ("a.7.gor", 90), ("b.1.gor", 900)):
        (tmp_path / name).write_bytes(record(size))
    file = RotatingFile(tmp_path / "a.gor", 100, 4)
    file.append(record(50))
    kept = {name: (tmp_path / name).stat().st_size for name in names(tmp_path)}
    assert kept == {"a.gor": 50, "b.1.gor": 900}
    file.close()


def test_a_file_of_others_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "a.gor"
    path.touch(0o644)
    file = RotatingFile(path, 1000, 3)
    file.append(record(50))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.close()


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(20, 100), max_size=30), files=st.integers(1, 4))
def test_all_files_together_stay_within_their_bound(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], files: int
) -> None:
    directory = tmp_path_factory.mktemp("recordings")
    file = RotatingFile(directory / "a.gor", 100, files)
    for size in sizes:
        file.append(record(size))
        found = [path.stat().st_size for path in directory.iterdir()]
        assert len(found) <= files
        assert max(found) <= 100
    file.close()
