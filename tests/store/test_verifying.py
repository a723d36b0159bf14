"""Whatever is done to the audit behind its back is found, and the first place is named."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from shadowproxy.rollout.chain import link
from shadowproxy.store import StoreError
from shadowproxy.store.audit import AuditLog
from shadowproxy.store.audit_file import FILE_NAME, HEAD_NAME, ITEMS, RECORDS
from shadowproxy.store.rollouts import RolloutStore
from tests.store.rollouts import command, entry, facts, fill, state

ENTRIES = 9
COLUMNS = {
    "at": 1.5,
    "who": "eve",
    "action": "rollback",
    "service": "bar",
    "what": b"[]",
    "reason": "because",
    "error": "no",
    "attempt": 7,
    "plan": "beef",
    "policy": "beef",
    "log": 3,
    "facts": b"beef",
    "previous": b"beef",
    "hash": b"beef",
}
LOGGED = {
    "service": "shop",
    "attempt": 7,
    "at": 1.5,
    "kind": "gone",
    "body": b"beef",
    "state": b"beef",
    "previous": b"beef",
    "hash": b"beef",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    store = RolloutStore(directory)
    fill(store, 9)
    AuditLog(directory).append(1100.0, "ann", "diffs.reset", "shop", {}, "why not")
    fill(store, 3, "mail", at=2000.0)
    store.close()
    return directory


@pytest.fixture
def there(written: Path, tmp_path: Path) -> Path:
    for path in written.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def sql(directory: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(directory / FILE_NAME)) as database, database:
        for statement in statements:
            database.execute(statement, values)


def verify(directory: Path) -> list[str]:
    return AuditLog(directory).verify()


def test_what_nobody_touched_is_as_it_was(there: Path) -> None:
    assert verify(there) == []
    assert AuditLog(there).page(None, 99, 0).total == ENTRIES
    assert (there / HEAD_NAME).read_text().startswith(f"{ENTRIES} ")
    assert (there / HEAD_NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", range(1, ENTRIES + 1))
@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_entry_is_named(there: Path, number: int, column: str) -> None:
    sql(there, f"UPDATE audit SET {column} = ? WHERE number = {number}", values=(COLUMNS[column],))
    (said,) = verify(there)
    assert re.match(rf"entry {number} \(.*\) was changed", said), said


def test_the_name_of_an_entry_is_a_sentence(there: Path) -> None:
    sql(there, "UPDATE audit SET reason = 'else' WHERE number = 6")
    (said,) = verify(there)
    name = "entry 6 (1970-01-01 00:18 UTC, diffs.reset of shop by ann)"
    assert said == f"{name} was changed: it does not have the hash that it was written with"
    sql(there, "UPDATE audit SET at = 'soon', service = '' WHERE number = 6")
    assert verify(there)[0].startswith("entry 6 ('soon', diffs.reset by ann) was changed")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("= 1", "entry 1 is missing: the first there is entry 2 ("),
        (
            "= 4",
            "entry 4 is missing: entry 3 (1970-01-01 00:16 UTC, held of checkout by shadowproxy) is followed",
        ),
        ("BETWEEN 2 AND 5", "entries 2 to 5 are missing: entry 1 ("),
        ("< 9", "entries 1 to 8 are missing: the first there is entry 9 ("),
        ("= 9", "entry 9 is missing: audit.head knows of it, 8 is the last"),
        ("> 3", "entries 4 to 9 are missing: audit.head knows of it, 3 is the last"),
        ("> 0", "entries 1 to 9 are missing: audit.head knows of it, 0 is the last"),
    ],
)
def test_a_missing_entry_is_named(there: Path, gone: str, said: str) -> None:
    sql(there, f"DELETE FROM audit WHERE number {gone}")
    assert verify(there)[0].startswith(said)


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM chunks", "UPDATE chunks SET first = first + 1", "UPDATE chunks SET items = items - 1"],
)
def test_a_log_whose_chunks_were_changed_is_named(there: Path, change: str) -> None:
    sql(there, f"{change} WHERE service = 'checkout'")
    (said,) = verify(there)
    assert said.startswith("the chunks of the log of checkout were changed: they have ")


def test_entries_at_the_end_are_missed_without_the_second_copy_as_well(there: Path) -> None:
    (there / HEAD_NAME).unlink()
    assert verify(there) == ["audit.head is missing: whether entries after 9 were taken away cannot be told"]
    sql(there, "DELETE FROM audit WHERE number > 7")
    assert verify(there)[0] == "entries 8 to 9 are missing: the file's own count knows of it, 7 is the last"
    sql(there, "UPDATE sqlite_sequence SET seq = 7 WHERE name = 'audit'")
    assert verify(there)[0] == "entries 8 to 9 are missing: the state of mail knows of it, 7 is the last"


def test_a_second_copy_that_cannot_be_read_is_as_good_as_none(there: Path, caplog: pytest.LogCaptureFixture) -> None:
    (there / HEAD_NAME).write_text("nine")
    assert verify(there)[0].startswith("audit.head is missing")
    assert "does not hold a number and a hash" in caplog.text


def test_a_missing_file_is_missed(there: Path) -> None:
    (there / FILE_NAME).unlink()
    assert verify(there) == [f"{there / FILE_NAME} is missing: it had 9 entries"]


@pytest.mark.parametrize("numbers", [(1, 2), (4, 7), (8, 9)])
def test_entries_that_changed_places_are_named(there: Path, numbers: tuple[int, int]) -> None:
    first, second = numbers
    sql(
        there,
        f"UPDATE audit SET number = 99 WHERE number = {first}",
        f"UPDATE audit SET number = {first} WHERE number = {second}",
        f"UPDATE audit SET number = {second} WHERE number = 99",
    )
    (said,) = verify(there)
    assert re.match(rf"entry {first} \(.*\) was moved to where it is: it was entry {second}$", said), said


def test_an_entry_that_was_put_in_is_named(there: Path) -> None:
    sql(
        there,
        "UPDATE audit SET number = -number WHERE number > 4",
        "UPDATE audit SET number = 1 - number WHERE number < 0",
    )
    columns = "number, at, who, action, service, what, reason, error"
    sql(there, f"INSERT INTO audit ({columns}) VALUES (5, 1, 'eve', 'x', '', '', '', '')")
    assert verify(there)[0].startswith("entry 5 (1970-01-01 00:00 UTC, x by eve) was changed")
    sql(there, "DELETE FROM audit WHERE number = 5")
    assert verify(there)[0].startswith("entry 5 is missing: entry 4 (")


def rehashed(directory: Path, number: int) -> bytes:
    """An entry is changed by somebody who knows how it is hashed; its new hash."""
    sql(directory, f"UPDATE audit SET reason = 'else' WHERE number = {number}")
    with closing(sqlite3.connect(directory / FILE_NAME)) as database, database:
        record = database.execute(f"{RECORDS} WHERE number = ?", (number,)).fetchone()
        (previous,) = database.execute("SELECT previous FROM audit WHERE number = ?", (number,)).fetchone()
        hash_ = link(previous, record)
        database.execute("UPDATE audit SET hash = ? WHERE number = ?", (hash_, number))
    return hash_


def test_an_entry_whose_hash_was_made_anew_is_named_by_the_one_after_it(there: Path) -> None:
    rehashed(there, 4)
    (said,) = verify(there)
    assert re.match(r"entry 4 \(.*\) was replaced: entry 5 \(.*\) followed another one$", said), said


def test_the_last_entry_is_named_by_the_second_copy(there: Path) -> None:
    rehashed(there, 9)
    (said,) = verify(there)
    assert re.match(r"entry 9 \(.*\) was replaced: audit.head has another hash of it$", said), said


def test_what_comes_after_does_not_cover_it_up(there: Path) -> None:
    rehashed(there, 9)
    AuditLog(there).append(1200.0, "ann", "diffs.reset", "shop", {}, "why not")
    assert re.match(r"entry 9 \(.*\) was replaced: entry 10 ", verify(there)[0])
    sql(there, "DELETE FROM audit WHERE number > 8", "UPDATE sqlite_sequence SET seq = 8 WHERE name = 'audit'")
    AuditLog(there).append(1200.0, "ann", "diffs.reset", "shop", {}, "why not")
    assert verify(there)[0].startswith("entries 9 to 10 are missing: entry 8 (")
    (there / HEAD_NAME).unlink()
    sql(there, "DELETE FROM audit WHERE number > 7")
    AuditLog(there).append(1200.0, "ann", "diffs.reset", "shop", {}, "why not")
    assert verify(there)[0].startswith("entries 8 to 11 are missing: entry 7 (")


def test_the_second_copy_may_be_behind_but_not_wrong(there: Path) -> None:
    number, hash_ = (there / HEAD_NAME).read_text().split()
    store = RolloutStore(there)
    store.load()
    store.commit(state(1200.0), command(1200.0), [entry(1200.0)])
    store.close()
    (there / HEAD_NAME).write_text(f"{number} {hash_}\n")  # it died before it could write that
    assert verify(there) == []
    (there / HEAD_NAME).write_text(f"{number} {hash_[:-2]}00\n")
    assert re.match(r"entry 9 \(.*\) was replaced: audit.head", verify(there)[0])


# The log.


@pytest.mark.parametrize("number", [1, 4, 11])
@pytest.mark.parametrize("column", LOGGED)
def test_a_changed_item_is_named(there: Path, number: int, column: str) -> None:
    sql(
        there, f"UPDATE log SET {column} = ? WHERE service = 'checkout' AND number = {number}", values=(LOGGED[column],)
    )
    said = verify(there)[0]
    if column == "service":
        assert re.match(rf"item {number} of the log of checkout is missing", said), said
    else:
        assert re.match(rf"item {number} of the log of checkout \(.*\) was changed", said), said
    assert AuditLog(there).verify(logs=False) == []


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("= 1", "item 1 of the log of checkout is missing: the first there is item 2 "),
        (
            "= 5",
            "item 5 of the log of checkout is missing: item 4 of the log of checkout (1970-01-01 00:16 UTC, facts)",
        ),
        ("= 11", "item 11 of the log of checkout is missing: the state or a decision was derived from it"),
        ("> 0", "items 1 to 11 of the log of checkout are missing: the state or a decision was derived from it"),
    ],
)
def test_a_missing_item_is_named(there: Path, gone: str, said: str) -> None:
    sql(there, f"DELETE FROM log WHERE service = 'checkout' AND number {gone}")
    assert verify(there)[0].startswith(said)


def test_items_after_the_last_entry_are_missed_by_the_state(there: Path) -> None:
    store = RolloutStore(there)
    store.load()
    for at in (1200.0, 1201.0):
        store.commit(state(at), facts(at))
    store.close()
    sql(there, "DELETE FROM log WHERE service = 'checkout' AND number = 13")
    assert verify(there) == ["item 13 of the log of checkout is missing: the state or a decision was derived from it"]


def test_facts_that_changed_places_are_named(there: Path) -> None:
    with closing(sqlite3.connect(there / FILE_NAME)) as database, database:
        bodies = database.execute(
            "SELECT number, body FROM log WHERE service = 'checkout' AND number IN (3, 4)"
        ).fetchall()
        for (number, _), (_, body) in zip(bodies, reversed(bodies), strict=True):
            database.execute("UPDATE log SET body = ? WHERE service = 'checkout' AND number = ?", (body, number))
    assert verify(there)[0].startswith("item 3 of the log of checkout (1970-01-01 00:16 UTC, facts) was changed")


def chain_anew(directory: Path) -> None:
    """Somebody who knows how items are hashed gives all of them new hashes."""
    with closing(sqlite3.connect(directory / FILE_NAME)) as database, database:
        last = b""
        for *record, _, _ in database.execute(f"{ITEMS} WHERE service = 'checkout' ORDER BY number").fetchall():
            hash_ = link(last, record)
            values = (last, hash_, record[0])
            database.execute("UPDATE log SET previous = ?, hash = ? WHERE service = 'checkout' AND number = ?", values)
            last = hash_
        database.execute("UPDATE states SET log_hash = ? WHERE service = 'checkout'", (last,))


def test_a_log_that_was_made_anew_is_not_what_was_decided_from(there: Path) -> None:
    chain_anew(there)
    assert verify(there) == []
    sql(there, "UPDATE log SET at = 1.5 WHERE service = 'checkout' AND number = 3")
    chain_anew(there)
    (said,) = verify(there)
    told = "entry 2 (1970-01-01 00:16 UTC, held) was decided by item 4"
    assert said == f"item 4 of the log of checkout was replaced: {told} and has another hash of it"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("body = x'80'", "the state of checkout was changed: the last item of its log has another hash of it"),
        ("log_hash = x'80'", "the state of checkout does not belong to item 11, the last of its log: one was replaced"),
        ("log = 10", "the state of checkout does not belong to item 11, the last of its log: one was replaced"),
        ("log = 12", "item 12 of the log of checkout is missing: the state or a decision was derived"),
        ("entry_hash = x'80'", "entry 5 (1970-01-01 00:16 UTC, paused of checkout by ann) was replaced: the state of"),
        ("entry = 99", "entries 10 to 99 are missing: the state of checkout knows of it, 9 is the last"),
    ],
)
def test_a_changed_state_is_named(there: Path, change: str, said: str) -> None:
    sql(there, f"UPDATE states SET {change} WHERE service = 'checkout'")
    assert verify(there)[0].startswith(said)


def test_a_state_that_was_taken_away_is_named(there: Path) -> None:
    sql(there, "DELETE FROM states WHERE service = 'mail'")
    assert verify(there) == ["the state of mail is missing"]


# A disk that turns bits.


QUESTIONS: tuple[Callable[[RolloutStore, AuditLog], object], ...] = (
    lambda _, log: log.verify(),
    lambda _, log: log.page(None, 99, 0),
    lambda store, _: [list(store.facts(*each)) for each in (("checkout", 1), ("mail", 1))],
    lambda store, _: store.load(),
    lambda store, _: store.documents(),
    lambda store, _: store.commit(state(3000.0), facts(3000.0), [entry(3000.0)]),
    lambda _, log: log.append(1.0, "ann", "diffs.reset", "shop", {}, "why not"),
)


def test_whatever_bytes_of_the_file_change_it_is_named_or_said(written: Path, tmp_path: Path) -> None:
    draw = random.Random(11)
    whole = (written / FILE_NAME).read_bytes()
    for number in range(120):
        directory = tmp_path / str(number)
        shutil.copytree(written, directory)
        changed = bytearray(whole)
        for _ in range(draw.choice([1, 5, 50])):
            # Half of them in the first page: what the tables are.
            changed[draw.randrange(len(whole) if draw.random() < 0.5 else 4096)] = draw.randrange(256)
        (directory / FILE_NAME).write_bytes(changed)
        store, log = RolloutStore(directory), AuditLog(directory)
        for question in QUESTIONS:
            with suppress(StoreError):
                question(store, log)
        store.close()
        shutil.rmtree(directory)
