"""Whether the audit and the rollouts' logs are as they were written. What is found is said in sentences: of each chain
the first thing, since what follows a break proves nothing more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from shadowproxy.rollout.chain import digest, link
from shadowproxy.rollout.phrases import moment
from shadowproxy.store.audit_file import DROPPED, ENTRIES, HEAD_NAME, ITEMS, Head

_NEAR: Final = 1_000
"""So far away from its place a record is looked for that was moved."""
_NEWEST_KNOWN: Final = """
SELECT max(CAST(log AS INTEGER)) FROM (SELECT service, log FROM audit UNION ALL SELECT service, log FROM states)
WHERE service = ?
"""

Row = tuple[Any, ...]


class Kind(Struct, frozen=True):
    """How a chain's records are called: one, many, and whose."""

    one: str
    many: str
    of: str = ""

    def name(self, row: Row) -> str:
        """Of a row as it is in the file, however it was changed."""
        if self.one == "entry":
            number, at, who, action, service, *_ = row
            words = f"{action} of {service} by {who}" if service else f"{action} by {who}"
        else:
            number, _, _, at, words, *_ = row
        return f"{self.one} {number}{self.of} ({_when(at)}, {words})"

    def missing(self, first: int, last: int) -> str:
        if first == last:
            return f"{self.one} {first}{self.of} is missing"
        return f"{self.many} {first} to {last}{self.of} are missing"


ENTRY: Final = Kind("entry", "entries")


def verify(database: sqlite3.Connection, head: Head | None, logs: bool) -> list[str]:
    """In one view of the file, with its logs or without. `head` is what stands beside it. Raises `schema.ERRORS`."""
    database.execute("BEGIN")
    problem = _entries(database, head)
    if problem or not logs:
        return [problem] if problem else []  # the logs are judged by the entries
    services = database.execute("SELECT service FROM states UNION SELECT service FROM log ORDER BY 1").fetchall()
    return [problem for (service,) in services if (problem := _log(database, service))]


def _entries(database: sqlite3.Connection, head: Head | None) -> str:
    last, problem = _chain(database.execute(f"{ENTRIES} ORDER BY number"), Head(), ENTRY)
    if problem:
        return problem
    for witness, known in _witnesses(database, head):
        if known.number > last.number:
            return f"{ENTRY.missing(last.number + 1, known.number)}: {witness} knows of it, {last.number} is the last"
        row = database.execute(f"{ENTRIES} WHERE number = ?", (known.number,)).fetchone()
        if row and known.hash and row[-1] != known.hash:
            return f"{ENTRY.name(row)} was replaced: {witness} has another hash of it"
    if last.number and head is None:
        return f"{HEAD_NAME} is missing: whether entries after {last.number} were taken away cannot be told"
    return ""


def _witnesses(database: sqlite3.Connection, head: Head | None) -> Iterator[tuple[str, Head]]:
    """Who else knows an entry, and which."""
    if head:
        yield HEAD_NAME, head
    for row in database.execute("SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'audit'"):
        yield "the file's own count", Head(*row)
    for service, *entry in database.execute("SELECT service, CAST(entry AS INTEGER), entry_hash FROM states"):
        yield f"the state of {service}", Head(*entry)


def _log(database: sqlite3.Connection, service: str) -> str:
    """The log of one service: its chain from where it was last cut off, its heads in the audit, and the state."""
    start = _cut(database, service)
    items = Kind("item", "items", f" of the log of {service}")
    rows = database.execute(
        f"{ITEMS} WHERE service = ? AND number > ? ORDER BY number",
        (service, start.number),
    )
    last, problem = _chain(rows, start, items)
    if problem:
        return problem
    (known,) = database.execute(_NEWEST_KNOWN, (service,)).fetchone()
    if known is not None and known > last.number:
        return f"{items.missing(last.number + 1, known)}: the state or a decision was derived from it"
    for number, at, action, log, facts, found in database.execute(
        "SELECT a.number, a.at, a.action, a.log, a.facts, l.hash FROM audit AS a"
        " LEFT JOIN log AS l ON l.service = a.service AND l.number = a.log"
        " WHERE a.service = ? AND a.log > ? ORDER BY a.number",
        (service, start.number),
    ):
        if found != facts:
            told = f"entry {number} ({_when(at)}, {action}) was decided by item {log}"
            return f"item {log}{items.of} was replaced: {told} and has another hash of it"
    return _chunks(database, service, start) or _state(database, service, last)


def _chunks(database: sqlite3.Connection, service: str, start: Head) -> str:
    """A log is read by its chunks, and what belongs to none is deleted as old: they begin where it was last cut off."""
    first, every = database.execute(
        "SELECT min(first), coalesce(sum(items), 0) FROM chunks WHERE service = ?", (service,)
    ).fetchone()
    (kept,) = database.execute(
        "SELECT count(*) FROM log WHERE service = ? AND number > ?", (service, start.number)
    ).fetchone()
    if kept and (first != start.number + 1 or every != kept):
        return f"the chunks of the log of {service} were changed: they have {every} of its {kept} items"
    return ""


def _state(database: sqlite3.Connection, service: str, last: Head) -> str:
    row = database.execute(
        "SELECT s.body, s.log, s.log_hash, l.state FROM states AS s"
        " LEFT JOIN log AS l ON l.service = s.service AND l.number = s.log WHERE s.service = ?",
        (service,),
    ).fetchone()
    if row is None:
        return f"the state of {service} is missing"
    body, number, hash_, state = row
    if (number, hash_) != (last.number, last.hash):
        return f"the state of {service} does not belong to item {last.number}, the last of its log: one was replaced"
    if digest(body) != state:
        return f"the state of {service} was changed: the last item of its log has another hash of it"
    return ""


def _cut(database: sqlite3.Connection, service: str) -> Head:
    """Up to where the log was dropped on purpose, as the newest entry about that says."""
    row = database.execute(
        "SELECT what FROM audit WHERE service = ? AND action = ? ORDER BY number DESC LIMIT 1", (service, DROPPED)
    ).fetchone()
    if row is None:
        return Head()
    what = msgspec.json.decode(row[0])
    return Head(what["through"], bytes.fromhex(what["hash"]))


def _chain(rows: Iterable[Row], last: Head, kind: Kind) -> tuple[Head, str]:
    """Follow a chain after `last`. Rows begin with the number and end with the hash before and their own.

    Returns the last link, and what is wrong with the first record that is not as it was.
    """
    before = ""
    for row in rows:
        number, *record, previous, hash_ = row
        if number > last.number + 1:
            place = f"{before} is followed by {kind.name(row)}" if before else f"the first there is {kind.name(row)}"
            return last, f"{kind.missing(last.number + 1, number - 1)}: {place}"
        if link(previous, (number, *record)) != hash_:
            near = range(max(1, number - _NEAR), number + _NEAR)
            was = next((other for other in near if link(previous, (other, *record)) == hash_), None)
            if was is not None:
                return last, f"{kind.name(row)} was moved to where it is: it was {kind.one} {was}"
            return last, f"{kind.name(row)} was changed: it does not have the hash that it was written with"
        if previous != last.hash:
            return last, f"{before or 'what came before'} was replaced: {kind.name(row)} followed another one"
        last, before = Head(number, hash_), kind.name(row)
    return last, ""


def _when(at: object) -> str:
    return moment(at) if isinstance(at, float) else repr(at)
