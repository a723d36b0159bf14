"""The file of examples: its tables; and how any SQLite file is opened. Functions raise `ERRORS`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

VERSION: Final = 3
ERRORS: Final = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a file can raise; the last one where it is so corrupt that the message about it is no text."""
BUSY_SECONDS: Final = 0.25
"""How long a statement waits for another process's lock before it gives up."""

_FIRST: Final = """
CREATE TABLE examples (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    service TEXT NOT NULL,
    route TEXT NOT NULL,
    arm TEXT NOT NULL,
    at REAL NOT NULL,
    signature TEXT NOT NULL,
    size INTEGER NOT NULL,
    curl TEXT NOT NULL,
    summary BLOB NOT NULL,
    whole BLOB NOT NULL
);
CREATE INDEX examples_by_age ON examples (at);
CREATE TABLE differences (
    number INTEGER NOT NULL REFERENCES examples ON DELETE CASCADE,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    primary_value TEXT,
    shadow_value TEXT
);
CREATE INDEX differences_by_example ON differences (number);
CREATE TABLE fields (
    epoch TEXT NOT NULL,
    service TEXT NOT NULL,
    route TEXT NOT NULL,
    field TEXT NOT NULL,
    kind TEXT NOT NULL,
    pairs INTEGER NOT NULL,
    hidden INTEGER NOT NULL,
    named INTEGER NOT NULL,
    saved REAL NOT NULL,
    PRIMARY KEY (epoch, service, route, field, kind)
) WITHOUT ROWID;
CREATE TABLE incomparable (
    epoch TEXT NOT NULL,
    service TEXT NOT NULL,
    route TEXT NOT NULL,
    reason TEXT NOT NULL,
    pairs INTEGER NOT NULL,
    saved REAL NOT NULL,
    PRIMARY KEY (epoch, service, route, reason)
) WITHOUT ROWID;
CREATE TABLE suppressed (
    epoch TEXT NOT NULL,
    reason TEXT NOT NULL,
    examples INTEGER NOT NULL,
    saved REAL NOT NULL,
    PRIMARY KEY (epoch, reason)
) WITHOUT ROWID;
"""
_SECOND: Final = """
CREATE TABLE knowledge (
    kind TEXT NOT NULL,
    service TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    saved REAL NOT NULL,
    PRIMARY KEY (kind, service, key)
) WITHOUT ROWID;
"""
_THIRD: Final = """
ALTER TABLE examples RENAME COLUMN signature TO cause;
CREATE INDEX examples_by_cause ON examples (cause, size);
"""
_STEPS: Final = (_FIRST, _SECOND, _THIRD)
"""What brings a file from each version to the next."""


class NewerSchema(sqlite3.Error):
    """The file was written by a later version of shadowproxy; it is left as it is."""


def open_writer(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """A writing connection that is prepared; the file and its directory are made where they are missing.

    The caller uses it from one thread at a time. Transactions are begun explicitly.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write and that makes no file."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", timeout=BUSY_SECONDS, uri=True)
    connection.execute("PRAGMA query_only = 1")
    return connection


def set_aside(path: Path) -> Path:
    """Move a corrupt file out of the way, replacing what was moved there before; returns where it is now."""
    aside = path.with_name(path.name + ".corrupt")
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def is_same_file(path: Path, inode: int) -> bool:
    """Whether an open file still has its name: SQLite would go on writing to a deleted one."""
    try:
        return path.stat().st_ino == inode
    except FileNotFoundError:
        return False


def is_corrupt(error: BaseException) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    # The low byte is the primary code of an extended one (sqlite.org/rescode.html).
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def version(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def refuse_newer(connection: sqlite3.Connection, newest: int) -> None:
    """Raises NewerSchema where the file's version is above `newest`."""
    if version(connection) > newest:
        raise NewerSchema(f"schema {version(connection)} is newer than {newest}, which this version writes")


def tune(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not wait for each other, and the disk is waited for at checkpoints only."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -1024")
    connection.execute(f"PRAGMA journal_size_limit = {4 * 1024 * 1024}")


def prepare(connection: sqlite3.Connection) -> None:
    """The tables of examples."""
    refuse_newer(connection, VERSION)
    tune(connection)
    connection.execute("PRAGMA foreign_keys = 1")
    found = version(connection)
    if found < VERSION:
        steps = "".join(_STEPS[found:])
        connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
