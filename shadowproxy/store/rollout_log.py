"""The rows of the rollouts' logs. A log is a chain in chunks; each chunk begins with a state, so that a log can begin
with any of them. Functions raise `schema.ERRORS`.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.rollout.chain import BEGINNING, encode_json, link
from shadowproxy.rollout.logged import Cause, Logged, decode, encode
from shadowproxy.rollout.values import PRODUCT, Entry, State
from shadowproxy.store.audit_file import DROPPED, Draft

CHUNK: Final = 3_600
"""Items of a chunk: an hour of ticks."""
ATTEMPTS: Final = 10
"""Of so many attempts of a service the log is kept."""
_SWEEP: Final = 1_000
"""So many rows are deleted at a time, to keep transactions short."""


class Item(Struct, frozen=True):
    """The last of a log: `state` is the digest of the state after it. Number 0: there is none."""

    number: int = 0
    attempt: int = 0
    state: bytes | None = None
    hash: bytes = BEGINNING


def last(database: sqlite3.Connection, service: str) -> Item:
    row = database.execute(
        "SELECT number, attempt, state, hash FROM log WHERE service = ? ORDER BY number DESC LIMIT 1", (service,)
    ).fetchone()
    return Item(*row) if row else Item()


def extend(
    database: sqlite3.Connection, last: Item, state: State, digest: bytes, cause: Cause | None, max_bytes: int
) -> tuple[Item, Item, list[Draft]]:
    """Add what changed a state; with a new chunk before too long, and where an attempt begins.

    Returns the last item, the one of the change, and what is to be said of old chunks that are dropped.
    """
    decided = _add(database, last, state.service, state.attempt, digest, cause or state)
    if cause is None:
        last = decided
    else:
        chunk = database.execute(
            "SELECT items < ? FROM chunks WHERE service = ? ORDER BY first DESC LIMIT 1", (CHUNK, state.service)
        ).fetchone()
        if state.attempt == last.attempt and chunk and chunk[0]:
            _sweep(database, state.service)
            return decided, decided, []
        last = _add(database, decided, state.service, state.attempt, digest, state)
    return last, decided, _retire(database, state, max_bytes)


def read(database: sqlite3.Connection, service: str, attempt: int) -> Iterator[Logged]:
    """An attempt from its first chunk that is left. Raises msgspec.MsgspecError and zlib.error too."""
    database.execute("BEGIN")
    (first,) = database.execute(
        "SELECT min(first) FROM chunks WHERE service = ? AND attempt = ?", (service, attempt)
    ).fetchone()
    if first is None:
        return
    decided = database.execute(
        "SELECT log, action, CAST(at AS REAL), who, reason, coalesce(CAST(what AS BLOB), x'') FROM audit"
        " WHERE service = ? AND log >= ? ORDER BY number",
        (service, first),
    )
    row = decided.fetchone()
    for number, its, at, kind, body, state in database.execute(
        "SELECT number, attempt, at, kind, body, state FROM log WHERE service = ? AND number >= ? ORDER BY number",
        (service, first),
    ):
        if its != attempt:
            break
        entries = []
        while row is not None and row[0] <= number:
            _, action, its_at, by, why, what = row
            entries.append(Entry(action, its_at, by, why, msgspec.json.decode(what)))
            row = decided.fetchone()
        yield Logged(number, at, decode(kind, zlib.decompress(body)), state, tuple(entries))


def attempts(database: sqlite3.Connection) -> dict[str, list[int]]:
    """By service, oldest first."""
    found = defaultdict[str, list[int]](list)
    for service, attempt in database.execute("SELECT DISTINCT service, attempt FROM chunks ORDER BY service, attempt"):
        found[service].append(attempt)
    return dict(found)


def _add(database: sqlite3.Connection, last: Item, service: str, attempt: int, digest: bytes, cause: Cause) -> Item:
    """What derives a state belongs to the attempt that it was derived from."""
    kind, encoded = encode(cause)
    begins = isinstance(cause, State)
    if not begins:
        attempt = last.attempt
    number = last.number + 1
    body = zlib.compress(encoded, 1)
    record = (number, service, attempt, float(cause.at), kind, body, digest)
    hash_ = link(last.hash, record)
    database.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*record, last.hash, hash_))
    if begins:
        database.execute(
            "INSERT INTO chunks VALUES (?, ?, ?, ?, 1, ?)", (service, number, attempt, cause.at, len(body))
        )
    else:
        database.execute(
            "UPDATE chunks SET items = items + 1, bytes = bytes + :bytes"
            " WHERE service = :service AND first = (SELECT max(first) FROM chunks WHERE service = :service)",
            {"bytes": len(body), "service": service},
        )
    return Item(number, attempt, digest, hash_)


def _retire(database: sqlite3.Connection, state: State, max_bytes: int) -> list[Draft]:
    """Give up the chunks of attempts that are too old, and the oldest of all while there are too many bytes."""
    (first,) = database.execute(
        "SELECT min(first) FROM chunks WHERE service = ? AND attempt > ?", (state.service, state.attempt - ATTEMPTS)
    ).fetchone()
    cuts = {state.service: first}
    (total,) = database.execute("SELECT sum(bytes) FROM chunks").fetchone()
    excess = total - max_bytes
    if excess > 0:
        excess += max_bytes // 8  # not for each chunk again
    for service, size, following in database.execute(
        "SELECT service, bytes, lead(first) OVER (PARTITION BY service ORDER BY first) FROM chunks ORDER BY at"
    ).fetchall():
        if excess <= 0:
            break
        if following is not None:
            cuts[service] = max(following, cuts.get(service, 0))
            excess -= size
    dropped = (_drop(database, service, first - 1, state.at) for service, first in cuts.items())
    return [draft for draft in dropped if draft]


def _drop(database: sqlite3.Connection, service: str, through: int, at: float) -> Draft | None:
    """Give up the chunks of a service until an item; the items are deleted bit by bit (`_sweep`)."""
    chunks = database.execute("DELETE FROM chunks WHERE service = ? AND first <= ?", (service, through))
    if not chunks.rowcount:
        return None
    row = database.execute("SELECT hash FROM log WHERE service = ? AND number = ?", (service, through)).fetchone()
    what = {"through": through, "hash": row[0].hex() if row else ""}
    reason = (
        f"the rollout's log is kept of {ATTEMPTS} attempts, as far as there is room: items up to {through} are dropped"
    )
    return Draft(at, PRODUCT, DROPPED, service, encode_json(what), reason)


def _sweep(database: sqlite3.Connection, service: str) -> None:
    """Delete some items that belong to no chunk."""
    database.execute(
        "DELETE FROM log WHERE service = :service AND number < min("
        "(SELECT min(first) FROM chunks WHERE service = :service),"
        " (SELECT min(number) FROM log WHERE service = :service) + :sweep)",
        {"service": service, "sweep": _SWEEP},
    )
