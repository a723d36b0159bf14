"""The file of the audit: its tables, how an entry joins the chain, and where its head is kept a second time.

Every entry's hash covers the one before it (`rollout.chain`). The number and the hash of the newest stand in
`audit.head` as well, so that entries taken from the end are missed. Numbers are never used again: after a loss the next
entry leaves a gap that stays. Functions raise `schema.ERRORS`.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from shadowproxy.rollout.chain import BEGINNING, encode_json, link
from shadowproxy.rollout.values import PRODUCT
from shadowproxy.store import schema

FILE_NAME: Final = "audit.sqlite"
HEAD_NAME: Final = "audit.head"
VERSION: Final = 1
_BUSY_MS: Final = 1_000
"""How long a transaction waits for another one to be over: with many entries, and the disk's own time for each."""
_MANY: Final = 1_000_000
"""Entries are kept for ever; from so many on that is said."""

_AUDIT: Final = """
CREATE TABLE audit (
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
_CHAINED: Final = (
    "ALTER TABLE audit ADD COLUMN attempt INTEGER",
    "ALTER TABLE audit ADD COLUMN plan TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE audit ADD COLUMN policy TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE audit ADD COLUMN log INTEGER",
    "ALTER TABLE audit ADD COLUMN facts BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE audit ADD COLUMN previous BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE audit ADD COLUMN hash BLOB NOT NULL DEFAULT x''",
    "CREATE INDEX audit_by_service ON audit (service, number)",
)
_ROLLOUTS: Final = (
    """
    CREATE TABLE states (
        service TEXT PRIMARY KEY,
        body BLOB NOT NULL,
        log INTEGER NOT NULL,
        log_hash BLOB NOT NULL,
        entry INTEGER NOT NULL,
        entry_hash BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE log (
        number INTEGER NOT NULL,
        service TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        body BLOB NOT NULL,
        state BLOB NOT NULL,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (service, number)
    ) STRICT
    """,
    """
    CREATE TABLE chunks (
        service TEXT NOT NULL,
        first INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        at REAL NOT NULL,
        items INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        PRIMARY KEY (service, first)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE TABLE documents (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID",
)
RECORDS: Final = """
SELECT number, at, who, action, service, what, reason, error, attempt, plan, policy, log, facts FROM audit
"""
"""What the hash of an entry covers, in this order."""
ENTRIES: Final = RECORDS.replace(" FROM", ", previous, hash FROM")
ITEMS: Final = "SELECT number, service, attempt, at, kind, body, state, previous, hash FROM log"
"""Of an item too the hash covers all before `previous`."""
DROPPED: Final = "log.dropped"
"""The action of an entry that says up to where a rollout's log was dropped because it is old."""


_replacing = threading.Lock()
log = logging.getLogger(__name__)


class Draft(Struct, frozen=True):
    """An entry that has no number yet. `what` is JSON; `log` and `facts` are number and hash of the
    item of the rollout's log that it was decided by.
    """

    at: float
    who: str
    action: str
    service: str
    what: bytes
    reason: str
    error: str = ""
    attempt: int | None = None
    plan: str = ""
    policy: str = ""
    log: int | None = None
    facts: bytes = b""


class Head(Struct, frozen=True):
    """The newest entry; number 0: there is none."""

    number: int = 0
    hash: bytes = BEGINNING


def open_writer(path: Path) -> sqlite3.Connection:
    """As `schema.open_writer`; what is committed is on disk. An older file is brought into the chain first."""
    return schema.open_writer(path, lambda database: _prepare(database, path))


def append(database: sqlite3.Connection, path: Path, drafts: Iterable[Draft]) -> Head:
    """Add entries in the transaction that is open, and return the newest. When it is committed call `keep_head`."""
    head = _last(database)
    known = read_head(path) or Head()
    (used,) = database.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    if known.number >= head.number:
        # The chain goes on from what was there: where that was changed or is gone, the new entry does not fit.
        head = known
    head = Head(max(head.number, used), head.hash)
    for draft in drafts:
        head = _insert(database, head, draft)
    return head


def read_head(path: Path) -> Head | None:
    """What stands beside the file at `path`; None where nothing does that can be understood."""
    file = path.with_name(HEAD_NAME)
    try:
        number, hash_ = file.read_text("ascii").split()
        return Head(int(number), bytes.fromhex(hash_))
    except FileNotFoundError:
        return None
    except ValueError:
        log.error("%s does not hold a number and a hash", file)
        return None


def keep_head(path: Path, head: Head) -> None:
    """Replace the second copy, unless it is newer. That it cannot be is logged: the entries are on disk already."""
    file = path.with_name(HEAD_NAME)
    new = file.with_name(file.name + ".new")
    with _replacing:
        try:
            known = read_head(path)
            if known and known.number >= head.number:
                return
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as out:
                out.write(f"{head.number} {head.hash.hex()}\n")
                out.flush()
                os.fsync(out.fileno())
            new.replace(file)
        except OSError as error:
            log.warning("%s: %s; it is behind the audit until it can be written", file, error)


def failed(path: Path, error: Exception) -> str:
    """What to say of an error. A corrupt file is moved away, so that the next call begins another one."""
    if not schema.is_corrupt(error):
        return f"{path}: {error}"
    try:
        aside = _set_aside(path)
    except OSError as blocked:
        return f"{path}: {error}; it cannot be moved away: {blocked}"
    log.error("%s: %s; moved to %s", path, error, aside)
    return f"{path}: {error}; moved to {aside}"


def _set_aside(path: Path) -> Path:
    """Move a file away, beside those moved before; returns where it is. The head stays: numbers go on."""
    taken = len(list(path.parent.glob(f"{path.name}.corrupt-*")))
    aside = path.with_name(f"{path.name}.corrupt-{taken + 1}")
    path.replace(aside)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        wal.replace(aside.with_name(aside.name + "-wal"))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    return aside


def _last(database: sqlite3.Connection) -> Head:
    row = database.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return Head(*row) if row else Head()


def _insert(database: sqlite3.Connection, head: Head, draft: Draft) -> Head:
    record = (
        head.number + 1,
        float(draft.at),
        draft.who,
        draft.action,
        draft.service,
        draft.what,
        draft.reason,
        draft.error,
        draft.attempt,
        draft.plan,
        draft.policy,
        draft.log,
        draft.facts,
    )
    hash_ = link(head.hash, record)
    database.execute(
        "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*record, head.hash, hash_)
    )
    return Head(head.number + 1, hash_)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    schema.refuse_newer(database, VERSION)
    schema.tune(database)
    database.execute("PRAGMA synchronous = FULL")
    database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    if schema.version(database) < VERSION:
        database.execute("BEGIN IMMEDIATE")
        head = _migrate(database, path) if schema.version(database) < VERSION else Head()
        database.execute("COMMIT")
        if head.number:
            keep_head(path, head)
    number = _last(database).number
    if number >= _MANY:
        log.warning("%s has %d entries: they are kept for ever, and make it slow", path, number)


def _migrate(database: sqlite3.Connection, path: Path) -> Head:
    """Make the tables; hash entries that are older than the chain, and say in one more that they were."""
    is_new = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone() is None
    for statement in ((_AUDIT,) if is_new else ()) + _CHAINED + _ROLLOUTS:
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {VERSION}")
    previous, number = BEGINNING, 0
    for record in database.execute(f"{RECORDS} ORDER BY number").fetchall():
        number, hash_ = record[0], link(previous, record)
        database.execute("UPDATE audit SET previous = ?, hash = ? WHERE number = ?", (previous, hash_, number))
        previous = hash_
    return _first_words(database, path, number)


def _first_words(database: sqlite3.Connection, path: Path, number: int) -> Head:
    """What a file begins with that has no chain yet but something before it."""
    known = read_head(path)
    if number:
        action, what = "audit.sealed", {"through": number}
        reason = f"entries up to {number} are older than the chain of hashes: it covers them from now on"
    elif known:
        action, what = "audit.lost", {"through": known.number}
        reason = (
            f"{path.name} was not there: what it held, up to entry {known.number} and every rollout's state, is gone"
        )
        log.error("%s: %s", path, reason)
    else:
        return Head()
    return append(database, path, [Draft(time.time(), PRODUCT, action, "", encode_json(what), reason)])
