"""Who changed what, when and why: an append-only table in a file of its own.

A change is written here before it is made; one that then could not be made has a second entry that says so.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from shadowproxy.store import StoreError
from shadowproxy.store.schema import BUSY_SECONDS, open_reader

FILE_NAME: Final = "audit.sqlite"
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    service TEXT NOT NULL,
    what BLOB NOT NULL,
    reason TEXT NOT NULL,
    error TEXT NOT NULL
)
"""
_OF: Final = "FROM audit WHERE :service IS NULL OR service = :service"


class AuditEntry(Struct, frozen=True):
    """`who` is a token's name, the subject of a client certificate, or `local`. `at` is Unix time.

    `error` says why a change did not come about; else it is empty.
    """

    number: int
    at: float
    who: str
    action: str
    service: str
    what: dict[str, Any]
    reason: str
    error: str = ""


class AuditPage(Struct, frozen=True):
    """Newest first."""

    items: list[AuditEntry]
    total: int
    limit: int
    offset: int


class AuditLog:
    """`audit.sqlite` in `directory`. Every call may wait for the disk and raises StoreError."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def append(
        self, at: float, who: str, action: str, service: str, what: dict[str, Any], reason: str, error: str = ""
    ) -> None:
        """On disk when this returns."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)) as database:
                database.execute("PRAGMA synchronous = FULL")
                database.execute(_TABLE)
                database.execute(
                    "INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
                    (at, who, action, service, msgspec.json.encode(what), reason, error),
                )
        except (sqlite3.Error, OSError) as error_:
            raise StoreError(f"{self._path}: {error_}") from error_

    def page(self, service: str | None, limit: int, offset: int) -> AuditPage:
        """Of all services, or of one."""
        if not self._path.exists():
            return AuditPage([], 0, limit, offset)
        values = {"service": service, "limit": limit, "offset": offset}
        try:
            with closing(open_reader(self._path)) as database:
                (total,) = database.execute(f"SELECT count(*) {_OF}", values).fetchone()
                rows = database.execute(f"SELECT * {_OF} ORDER BY number DESC LIMIT :limit OFFSET :offset", values)
                items = [_entry(*row) for row in rows]
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"{self._path}: {error}") from error
        return AuditPage(items, total, limit, offset)


def _entry(
    number: int, at: float, who: str, action: str, service: str, what: bytes, reason: str, error: str
) -> AuditEntry:
    return AuditEntry(number, at, who, action, service, msgspec.json.decode(what), reason, error)
