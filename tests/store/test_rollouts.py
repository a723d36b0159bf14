"""States survive with what they were derived from, whatever the disk does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from shadowproxy.rollout.chain import canonical, digest
from shadowproxy.rollout.facts import Facts
from shadowproxy.rollout.logged import Reload
from shadowproxy.rollout.values import State
from shadowproxy.store import StoreError, audit_file, rollout_log, schema
from shadowproxy.store.audit import AuditLog, AuditPage
from shadowproxy.store.audit_file import FILE_NAME, HEAD_NAME
from shadowproxy.store.rollouts import RolloutStore, UnreadableStatesError
from tests.store.rollouts import LEDGER, PLAN, START, command, entry, facts, fill, state

Make = Callable[..., RolloutStore]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[RolloutStore] = []

    def build(**bounds: int) -> RolloutStore:
        made.append(RolloutStore(tmp_path / "data", **bounds))
        return made[-1]

    yield build
    for store in made:
        store.close()


def sql(store: RolloutStore, statement: str, *values: object) -> list[tuple[object, ...]]:
    """What somebody does to the file behind the store's back."""
    with closing(sqlite3.connect(store._path)) as database, database:
        return database.execute(statement, values).fetchall()


def page(store: RolloutStore, service: str, limit: int, offset: int, attempt: int | None = None) -> AuditPage:
    return AuditLog(store._path.parent).page(service, limit, offset, attempt)


def verify(store: RolloutStore) -> list[str]:
    return AuditLog(store._path.parent).verify()


def test_states_are_found_again(make: Make) -> None:
    store = make()
    assert store.load() == {}
    store.commit(START)
    store.commit(msgspec.structs.replace(START, service="mail"))
    store.commit(state(1001.0), facts(1001.0))
    again = make().load()
    assert list(again) == ["checkout", "mail"]
    assert canonical(again["checkout"]) == canonical(state(1001.0))
    assert again["mail"].ledger == LEDGER


def test_the_log_has_what_states_were_derived_from_with_what_was_decided(make: Make) -> None:
    store = make()
    fill(store, 3)
    store.commit(state(1010.0), Reload(1010.0, PLAN))
    fill(store, 1, "mail")
    items = list(store.facts("checkout", 1))
    assert [item.number for item in items] == [1, 2, 3, 4, 5, 6]
    assert [item.cause for item in items[1:]] == [
        *(facts(1000.0 + tick) for tick in (1, 2, 3)),
        command(1003.5),
        Reload(1010.0, PLAN),
    ]
    assert items[0].cause == msgspec.msgpack.decode(msgspec.msgpack.encode(START), type=State)
    assert items[0].entries == (entry(1000.0, "started", "ann"),)
    assert items[3].entries == (entry(1003.0, weight=0.05, checks=["a", "b"]),)
    assert items[4].state == digest(canonical(state(1003.5)))
    assert store.attempts() == {"checkout": [1], "mail": [1]}
    assert list(store.facts("checkout", 2)) == []


def test_an_entry_says_what_it_was_decided_from(make: Make) -> None:
    store = make()
    fill(store, 3)
    paused, held, started = page(store, "checkout", 10, 0).items
    assert (started.policy, started.log, started.attempt, started.who) == ("f00d", 1, 1, "ann")
    assert (held.action, held.plan, held.log, held.what) == (
        "held",
        PLAN.hash,
        4,
        {"weight": 0.05, "checks": ["a", "b"]},
    )
    assert held.facts == sql(store, "SELECT lower(hex(hash)) FROM log WHERE number = 4")[0][0]
    assert (paused.reason, paused.previous) == ("because it is 1003.5", held.hash)
    assert page(store, "checkout", 1, 1).items == [held]
    assert page(store, "checkout", 10, 0, attempt=2).items == []


def test_without_what_it_was_derived_from_a_state_is_set(make: Make) -> None:
    store = make()
    store.commit(START, facts(1000.0))
    make().commit(state(1001.0), facts(1001.0))  # by one that does not know the state before
    store.commit(state(1002.0), facts(1002.0))  # nor does this one, now
    store.commit(state(1003.0), facts(1003.0))
    assert [type(item.cause) for item in store.facts("checkout", 1)] == [State, State, State, Facts]
    assert verify(store) == []


def test_an_attempt_ends_with_what_began_the_next_one(make: Make) -> None:
    store = make()
    fill(store, 2)
    store.commit(state(1010.0, attempt=2), command(1010.0, "retry"), [entry(1010.0, "started", "ann")])
    store.commit(state(1011.0, attempt=2), facts(1011.0))
    *_, last = store.facts("checkout", 1)
    assert (last.cause, last.entries[0].action) == (command(1010.0, "retry"), "started")
    first, second = store.facts("checkout", 2)
    assert isinstance(first.cause, State)
    assert (first.cause.attempt, first.state) == (2, last.state)
    assert second.cause == facts(1011.0)
    assert page(store, "checkout", 1, 0, attempt=2).items[0].action == "started"


def test_documents_go_with_a_state_or_with_words_of_their_own(make: Make) -> None:
    store = make()
    store.commit(START, documents={"watch": b"ann", "x": b"1"})
    store.keep({"freeze": b"f", "x": None}, entry(1000.0, "freeze_started", "ann", until=None))
    store = make()
    assert store.documents() == {"watch": b"ann", "freeze": b"f"}
    (said,) = page(store, "", 10, 0).items
    assert (said.action, said.attempt, said.log) == ("freeze_started", None, None)
    store.commit(START, documents={"watch": None})
    assert store.documents() == {"freeze": b"f"}


# Retention.


def test_the_log_is_kept_of_ten_attempts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_log, "_SWEEP", 3)
    store = make()
    for attempt in range(1, 13):
        fill(store, 2, attempt=attempt, at=1000.0 * attempt)
    assert store.attempts() == {"checkout": list(range(3, 13))}
    assert page(store, "checkout", 1, 0, attempt=1).total == 2, "entries stay"
    assert verify(store) == []
    for tick in range(20):
        store.commit(state(20_000.0 + tick, attempt=12), facts(20_000.0 + tick))
    assert sql(store, "SELECT min(number) FROM log") == [(9,)]
    assert verify(store) == []
    dropped = [each for each in page(store, "checkout", 100, 0).items if each.action == "log.dropped"]
    assert [each.what["through"] for each in dropped] == [8, 4]
    assert "items up to 4 are dropped" in dropped[-1].reason


def test_the_log_is_bounded_by_bytes_in_the_middle_of_an_attempt(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_log, "CHUNK", 10)
    store = make(max_log_bytes=8_000)
    fill(store, 30, "mail", at=10.0)
    for tick in range(300):
        store.commit(state(1000.0 + tick), facts(1000.0 + tick) if tick else None)
    assert sql(store, "SELECT sum(bytes) < 9000 FROM chunks") == [(1,)]
    assert sql(store, "SELECT sum(length(body)) < 12000 FROM log WHERE service = 'checkout'") == [(1,)]
    assert sql(store, "SELECT count(*) FROM chunks WHERE service = 'mail'") == [(1,)], (
        "its newest, from which it goes on"
    )
    first, *_, last = store.facts("checkout", 1)
    assert isinstance(first.cause, State)
    assert first.number > 1
    assert last.at == 1299.0
    assert verify(store) == []
    sql(store, "DELETE FROM log WHERE service = 'checkout' AND number <= ?", first.number)
    assert verify(store)[0].startswith(f"item {first.number} of the log of checkout is missing")


# What the disk does.


def test_a_full_disk_is_said_and_nothing_is_kept_of_it(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make()
    fill(store, 1)
    real = schema.open_writer

    def open_on_a_full_disk(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = real(path, prepare)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    big = {"big": b"x" * 60_000}
    with monkeypatch.context() as patched:
        patched.setattr(schema, "open_writer", open_on_a_full_disk)
        store.close()
        with pytest.raises(StoreError, match="full"):
            store.commit(state(1010.0), facts(1010.0), [entry(1010.0)], documents=big)
    store.close()
    assert store.load()["checkout"].at == 1001.5
    store.commit(state(1010.0), facts(1010.0), [entry(1010.0)], documents=big)
    assert verify(store) == []
    assert list(store.facts("checkout", 1))[-1].cause == facts(1010.0)


def test_a_lock_and_a_directory_in_the_way_are_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "_BUSY_MS", 100)
    store = make()
    fill(store, 1)
    with closing(sqlite3.connect(store._path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.commit(state(1010.0), facts(1010.0))
    store.commit(state(1010.0), facts(1010.0))
    store.close()
    store._path.rename(store._path.with_name("away"))
    store._path.mkdir()
    with pytest.raises(StoreError, match=FILE_NAME):
        store.load()
    store._path.rmdir()
    store._path.with_name("away").rename(store._path)
    assert store.load()["checkout"].at == 1010.0


def test_a_file_that_is_deleted_in_use_is_written_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    store = make()
    fill(store, 3)
    for path in store._path.parent.iterdir():
        path.unlink()
    store._path.parent.rmdir()
    store.commit(state(1010.0), facts(1010.0), [entry(1010.0)])
    assert "was deleted while it was in use; it is written again" in caplog.text
    assert make().load()["checkout"].at == 1010.0
    assert [item.number for item in make().facts("checkout", 1)] == [1, 2, 3, 4, 5, 6]
    assert verify(store) == []


def test_a_file_that_is_replaced_in_use_is_gone_on_with(make: Make) -> None:
    store = make()
    fill(store, 3)
    store._path.rename(store._path.with_name("away"))
    AuditLog(store._path.parent).append(1.0, "ann", "diffs.reset", "shop", {}, "why not")
    store.commit(state(1010.0), facts(1010.0), [entry(1010.0)])
    assert [item.number for item in store.facts("checkout", 1)] == [1]
    assert verify(store)[0].startswith("entries 1 to 3 are missing: the first there is entry 4")


def test_a_corrupt_file_is_moved_away_and_never_silently_empty(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    store = make()
    fill(store, 3)
    store.close()
    store._path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreError, match="not a database; moved to"):
        store.load()
    assert store.load() == {}
    assert "up to entry 3 and every rollout's state, is gone" in caplog.text
    assert [each.action for each in AuditLog(store._path.parent).page(None, 9, 0).items] == ["audit.lost"]


@pytest.mark.parametrize("body", [b"", b"\x81\xa1x", msgspec.msgpack.encode(START), msgspec.msgpack.encode("later")])
def test_a_state_that_cannot_be_read_is_named(make: Make, body: bytes) -> None:
    store = make()
    fill(store, 3)
    fill(store, 2, "mail")
    sql(store, "UPDATE states SET body = ? WHERE service = 'checkout'", body)
    with pytest.raises(UnreadableStatesError, match="the state of checkout cannot be read: it is not what") as raised:
        store.load()
    assert list(raised.value.states) == ["mail"]
    sql(store, "UPDATE log SET state = ? WHERE service = 'checkout'", digest(body))
    if body != msgspec.msgpack.encode(START):
        with pytest.raises(StoreError, match="the state of checkout cannot be read: "):
            store.load()


def test_a_newer_file_is_left_as_it_is(make: Make) -> None:
    store = make()
    fill(store, 1)
    store.close()
    sql(store, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema 99 is newer"):
        store.load()
    with pytest.raises(StoreError, match="schema 99 is newer"):
        AuditLog(store._path.parent).append(1.0, "ann", "diffs.reset", "shop", {}, "why not")


def test_what_the_disk_took_in_spite_of_an_error_is_not_kept_twice(make: Make) -> None:
    store = make()
    fill(store, 2)
    before = dict(store._kept)
    store.commit(state(1010.0), facts(1010.0), [entry(1010.0)])
    store._kept = before  # as it is when the commit raised
    store.commit(state(1010.0), facts(1010.0), [entry(1010.0)])
    store.commit(state(1011.0), facts(1011.0))
    assert [item.at for item in store.facts("checkout", 1)][-2:] == [1010.0, 1011.0]
    assert [each.action for each in page(store, "checkout", 9, 0).items] == ["held", "paused", "started"]


def test_a_log_that_somebody_took_away_is_begun_again(make: Make) -> None:
    store = make()
    fill(store, 3)
    sql(store, "DELETE FROM chunks")
    store.commit(state(1010.0), facts(1010.0))
    assert [type(item.cause) for item in store.facts("checkout", 1)] == [State]
    assert verify(store)[0].startswith("the chunks of the log of checkout were changed")
    sql(store, "DELETE FROM log")
    store.commit(state(1011.0), facts(1011.0))
    store.commit(state(1012.0, attempt=20), facts(1012.0))
    store.commit(state(1013.0, attempt=20), facts(1013.0))
    assert store.load()["checkout"].at == 1013.0
    assert verify(store)[0].startswith("item")


def test_the_second_copy_is_not_ahead_of_the_disk(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_log, "CHUNK", 2)
    store = make(max_log_bytes=100)
    fill(store, 1)
    head = store._path.with_name(HEAD_NAME)
    before = head.read_text()
    for at in range(2000, 2010):  # items are dropped, and no second waits for the disk
        store.commit(state(1.0 * at), facts(1.0 * at))
    assert page(store, "checkout", 1, 0).items[0].action == "log.dropped"
    assert head.read_text() == before
    assert verify(store) == []
    store.commit(state(2010.0), facts(2010.0), [entry(2010.0)])
    assert head.read_text().startswith(f"{page(store, 'checkout', 1, 0).items[0].number} ")
