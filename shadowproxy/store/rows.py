"""Values to rows and back. Every function that takes a connection may raise sqlite3.Error."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from shadowproxy.metrics.fields import FieldKey, FieldRow
from shadowproxy.model.pair import Example
from shadowproxy.model.terms import CANDIDATE
from shadowproxy.model.totals import CauseTotal, FieldExample
from shadowproxy.store import DiffPage, DiffQuery, DiffSummary, Kept, Known
from shadowproxy.store.shelf import Slot

_MAX_DIFFERENCES: Final = 64
"""Differences of one example that can be searched for; the example itself holds all."""

_MATCHING: Final = """
FROM examples AS e
WHERE (:service IS NULL OR e.service = :service)
  AND (:route IS NULL OR e.route = :route)
  AND (:arm IS NULL OR e.arm = :arm)
  AND (:field IS NULL AND :kind IS NULL OR EXISTS (
    SELECT 1 FROM differences AS d
    WHERE d.number = e.number AND (:field IS NULL OR d.field = :field) AND (:kind IS NULL OR d.kind = :kind)))
"""
_COUNT: Final = f"SELECT count(*) {_MATCHING}"
_PAGE: Final = f"SELECT summary {_MATCHING} ORDER BY at DESC, number DESC LIMIT :limit OFFSET :offset"
_OF_CAUSE: Final = "FROM examples AS e WHERE e.cause = ? OR e.id = ? ORDER BY e.size, e.number LIMIT 1"
_VALUES: Final = "SELECT primary_value, shadow_value FROM differences WHERE number = ? AND field = ? AND kind = ?"
_FORGET: Final = (
    "DELETE FROM fields WHERE saved < ?",
    "DELETE FROM incomparable WHERE saved < ?",
    "DELETE FROM suppressed WHERE saved < ?",
    "DELETE FROM knowledge WHERE saved < ?",
)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_example: Final = msgspec.msgpack.Decoder(Example).decode
_decode_summary: Final = msgspec.msgpack.Decoder(DiffSummary).decode


class Item(Struct, frozen=True):
    """An example ready to be written: encoded once, so that its size is known. `size` in bytes."""

    example: Example
    whole: bytes
    size: int


class Changed(Struct):
    """The newest values that are not on disk yet."""

    fields: dict[FieldKey, FieldRow] = {}
    incomparable: dict[tuple[str, str, str], int] = {}
    suppressed: dict[str, int] = {}
    known: dict[tuple[str, str, str], bytes | None] = {}

    def __bool__(self) -> bool:
        return bool(self.fields or self.incomparable or self.suppressed or self.known)

    def update(self, newer: Kept | Changed) -> None:
        self.fields.update(newer.fields)
        self.incomparable.update(newer.incomparable)
        self.suppressed.update(newer.suppressed)
        if isinstance(newer, Changed):
            self.known.update(newer.known)

    def learn(self, items: Iterable[Known]) -> None:
        self.known.update(((item.kind, item.service, item.key), item.value) for item in items)

    def write(self, database: sqlite3.Connection, epoch: str, now: float) -> None:
        database.executemany(
            "INSERT OR REPLACE INTO fields VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (epoch, k.service, k.route, k.field, k.kind, row.pairs, row.hidden, row.named, now)
                for k, row in self.fields.items()
            ),
        )
        database.executemany(
            "INSERT OR REPLACE INTO incomparable VALUES (?, ?, ?, ?, ?, ?)",
            ((epoch, *key, pairs, now) for key, pairs in self.incomparable.items()),
        )
        database.executemany(
            "INSERT OR REPLACE INTO suppressed VALUES (?, ?, ?, ?)",
            ((epoch, reason, examples, now) for reason, examples in self.suppressed.items()),
        )
        database.executemany(
            "INSERT OR REPLACE INTO knowledge VALUES (?, ?, ?, ?, ?)",
            ((*key, value, now) for key, value in self.known.items() if value is not None),
        )
        database.executemany(
            "DELETE FROM knowledge WHERE kind = ? AND service = ? AND key = ?",
            (key for key, value in self.known.items() if value is None),
        )


def item(example: Example) -> Item:
    whole = _encode(example)
    return Item(example, whole, len(whole))


def insert(database: sqlite3.Connection, item: Item, epoch: str) -> int | None:
    """Write one example; returns its row, or None when one of that id is there already."""
    example = item.example
    found = database.execute(
        "INSERT OR IGNORE INTO examples VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            example.id,
            epoch,
            example.service,
            example.route,
            example.arm,
            example.at,
            example.cause,
            item.size,
            example.curl,
            _encode(summary(example)),
            item.whole,
        ),
    )
    number = found.lastrowid
    if found.rowcount != 1 or number is None:
        return None
    database.executemany(
        "INSERT INTO differences VALUES (?, ?, ?, ?, ?)", ((number, *row) for row in _searchable(example))
    )
    return number


def _searchable(example: Example) -> Iterator[tuple[str, str, str | None, str | None]]:
    """What an example can be found by: its fields, and the kind of a failure, which has no field."""
    if example.failure:
        shadow = None if example.shadow_status is None else str(example.shadow_status)
        yield "", example.failure, str(example.primary_status), shadow
    for difference in [each for each in example.differences if not (each.by_rule or each.accepted)][:_MAX_DIFFERENCES]:
        yield difference.field, difference.kind, difference.primary, difference.shadow


def summary(example: Example) -> DiffSummary:
    """One line about `example`."""
    field, kind, *_ = next(_searchable(example), ("", None))
    return DiffSummary(
        id=example.id,
        at=example.at,
        service=example.service,
        route=example.route,
        arm=example.arm,
        method=example.method,
        target=example.target,
        primary_status=example.primary_status,
        shadow_status=example.shadow_status,
        failure=example.failure,
        field=field or None,
        kind=kind,
        differences=len(example.differences),
    )


def slots(database: sqlite3.Connection) -> Iterator[tuple[str, Slot]]:
    """Every kept example, oldest first, with its cause."""
    for cause, *slot in database.execute("SELECT cause, number, at, size FROM examples ORDER BY at, number"):
        yield cause, Slot(*slot)


def delete(database: sqlite3.Connection, numbers: Iterable[int]) -> None:
    database.executemany("DELETE FROM examples WHERE number = ?", ((number,) for number in numbers))


def forget_instances(database: sqlite3.Connection, before: float) -> None:
    """Delete the counts that no instance has written since `before`, Unix time."""
    for statement in _FORGET:
        database.execute(statement, (before,))


def kept(database: sqlite3.Connection, epoch: str) -> Kept:
    return Kept(
        fields=[
            (FieldKey(*row[:4]), FieldRow(row[4], row[5], bool(row[6])))
            for row in database.execute(
                "SELECT service, route, field, kind, pairs, hidden, named FROM fields WHERE epoch = ?", (epoch,)
            )
        ],
        incomparable=[
            ((service, route, reason), pairs)
            for service, route, reason, pairs in database.execute(
                "SELECT service, route, reason, pairs FROM incomparable WHERE epoch = ?", (epoch,)
            )
        ],
        suppressed=database.execute("SELECT reason, examples FROM suppressed WHERE epoch = ?", (epoch,)).fetchall(),
    )


def known(database: sqlite3.Connection, kind: str) -> list[Known]:
    found = database.execute(
        "SELECT kind, service, key, value FROM knowledge WHERE kind = ? ORDER BY saved, service, key", (kind,)
    )
    return [Known(*row) for row in found]


def find(database: sqlite3.Connection, query: DiffQuery) -> DiffPage:
    values = msgspec.structs.asdict(query)
    (total,) = database.execute(_COUNT, values).fetchone()
    found = database.execute(_PAGE, values)
    return DiffPage([_decode_summary(summary) for (summary,) in found], total, query.limit, query.offset)


def example(database: sqlite3.Connection, prefix: str) -> Example | None:
    """The example of this id, else the only one whose id begins so."""
    found = database.execute(
        "SELECT whole FROM examples WHERE id = :id OR substr(id, 1, length(:id)) = :id ORDER BY id != :id LIMIT 2",
        {"id": prefix},
    ).fetchall()
    examples = [_decode_example(whole) for (whole,) in found]
    if len(examples) == 1 or (examples and examples[0].id == prefix):
        return examples[0]
    return None


def cause_example(database: sqlite3.Connection, cause: CauseTotal) -> Example | None:
    """The smallest example of a cause."""
    found = database.execute(f"SELECT e.whole {_OF_CAUSE}", (cause.id, cause.example)).fetchone()
    return _decode_example(found[0]) if found else None


def cause_examples(database: sqlite3.Connection, causes: Iterable[CauseTotal]) -> dict[str, FieldExample]:
    """The smallest example of each cause, by its id, with the values of its first field."""
    found = {}
    for cause in causes:
        field, kind = cause.shown
        row = database.execute(f"SELECT e.number, e.id, e.curl {_OF_CAUSE}", (cause.id, cause.example)).fetchone()
        if row is not None:
            number, example, curl = row
            primary, shadow = database.execute(_VALUES, (number, field, kind)).fetchone() or (None, None)
            found[cause.id] = FieldExample(cause.service, cause.route, field, kind, example, primary, shadow, curl)
    return found


def field_examples(database: sqlite3.Connection, epoch: str) -> list[FieldExample]:
    """The newest of each; with max() SQLite takes the other columns from the same row (sqlite.org/lang_select.html)."""
    found = database.execute(
        "SELECT e.service, e.route, d.field, d.kind, e.id, d.primary_value, d.shadow_value, e.curl, max(e.number)"
        " FROM differences AS d JOIN examples AS e USING (number) WHERE e.epoch = ? AND e.arm = ?"
        " GROUP BY e.service, e.route, d.field, d.kind",
        (epoch, CANDIDATE),
    )
    return [FieldExample(*row[:8]) for row in found]
