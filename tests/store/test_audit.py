"""The audit keeps what it was told, in order, on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.store import StoreError
from shadowproxy.store.audit import FILE_NAME, AuditEntry, AuditLog


def write(log: AuditLog, number: int, service: str = "shop", error: str = "") -> None:
    log.append(1000.0 + number, "ann", "diffs.accept", service, {"n": number}, "by design", error)


def test_entries_are_kept_and_listed_newest_first(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    log = AuditLog(directory)
    assert log.page(None, 10, 0).items == []
    assert log.verify() == []
    assert not directory.exists()
    for number in range(1, 5):
        write(log, number, "mail" if number == 2 else "shop", "no room" if number == 3 else "")
    again = AuditLog(directory)
    page = again.page(None, 2, 1)
    third, second = page.items
    links = {"previous": third.previous, "hash": third.hash}
    assert third == AuditEntry(3, 1003.0, "ann", "diffs.accept", "shop", {"n": 3}, "by design", "no room", **links)
    assert (second.number, second.service, second.hash) == (2, "mail", third.previous)
    assert (page.total, page.limit, page.offset) == (4, 2, 1)
    assert [entry.number for entry in again.page("mail", 10, 0).items] == [2]
    assert (directory / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert again.verify() == []


def test_a_disk_that_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"audit\.sqlite: .*File exists"):
        write(AuditLog(tmp_path / "file"), 1)


def test_a_corrupt_file_is_moved_away_and_the_next_one_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for times in (1, 2):
        (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
        with pytest.raises(StoreError, match="not a database"):
            AuditLog(tmp_path).page(None, 1, 0)
        with pytest.raises(StoreError, match=f"not a database; moved to .*-{times}$"):
            write(AuditLog(tmp_path), 1)
        assert "not a database; moved to" in caplog.text
        write(AuditLog(tmp_path), 1)
    lost, written = reversed(AuditLog(tmp_path).page(None, 10, 0).items)
    assert (lost.action, lost.what, lost.number, written.number) == ("audit.lost", {"through": 1}, 2, 3)
    assert AuditLog(tmp_path).verify()[0].startswith("entry 1 is missing: the first there is entry 2")
