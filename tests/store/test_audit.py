"""The audit keeps what it was told, in order, on disk."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from shadowproxy.store import StoreError, audit_file
from shadowproxy.store.audit import AuditEntry, AuditLog
from shadowproxy.store.audit_file import FILE_NAME, HEAD_NAME


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


# Files from before the chain.


def old(directory: Path) -> None:
    """A file as it was written before entries had hashes."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as database, database:
        database.execute(
            "CREATE TABLE audit (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL,"
            " action TEXT NOT NULL, service TEXT NOT NULL, what BLOB NOT NULL, reason TEXT NOT NULL,"
            " error TEXT NOT NULL)"
        )
        for number in range(1, 4):
            values = (1000.0 + number, "ann", "diffs.accept", "shop", b'{"n": 1}', "by design", "")
            database.execute("INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", values)


def test_entries_from_before_the_chain_are_brought_into_it(tmp_path: Path) -> None:
    old(tmp_path)
    log = AuditLog(tmp_path)
    seal, *before = log.page(None, 10, 0).items
    assert (seal.number, seal.who, seal.action, seal.what) == (4, "shadowproxy", "audit.sealed", {"through": 3})
    assert seal.reason == "entries up to 3 are older than the chain of hashes: it covers them from now on"
    assert [(entry.number, entry.what, entry.reason) for entry in before] == [
        (number, {"n": 1}, "by design") for number in (3, 2, 1)
    ]
    write(log, 5)
    assert log.verify() == []
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE audit SET what = '{}' WHERE number = 2")
    assert log.verify()[0].startswith("entry 2 (1970-01-01 00:16 UTC, diffs.accept of shop by ann) was changed")


def test_a_file_is_brought_into_the_chain_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "_BUSY_MS", 60_000)
    old(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write(AuditLog(tmp_path), number), range(4)))
    assert [entry.action for entry in AuditLog(tmp_path).page(None, 10, 0).items].count("audit.sealed") == 1
    assert AuditLog(tmp_path).verify() == []


def test_an_old_file_that_cannot_be_changed_is_said(tmp_path: Path) -> None:
    old(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            AuditLog(tmp_path).page(None, 1, 0)
        with pytest.raises(StoreError, match="locked"):
            AuditLog(tmp_path).verify()
    assert len(AuditLog(tmp_path).page(None, 9, 0).items) == 4


def test_many_entries_are_kept_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(audit_file, "_MANY", 2)
    for number in range(2):
        write(AuditLog(tmp_path), number)
        assert not caplog.text
    write(AuditLog(tmp_path), 3)
    assert "has 2 entries: they are kept for ever, and make it slow" in caplog.text


def test_a_second_copy_that_cannot_be_written_does_not_fail_the_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{HEAD_NAME}.new").mkdir()
    write(AuditLog(tmp_path), 1)
    assert "it is behind the audit until it can be written" in caplog.text
    (tmp_path / f"{HEAD_NAME}.new").rmdir()
    write(AuditLog(tmp_path), 2)
    assert AuditLog(tmp_path).verify() == []
