from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shadowproxy.metrics.fields import FieldKey, FieldRow
from shadowproxy.model.pair import Difference
from shadowproxy.model.policy import StorePolicy
from shadowproxy.model.totals import CauseTotal
from shadowproxy.store import DiffQuery, Kept, Known, StoreError, schema, sqlite
from shadowproxy.store.sqlite import SqliteStore
from tests.store.examples import example

KEY = FieldKey("shop", "item", "$.price", "body_type")
Make = Callable[..., SqliteStore]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Stores without their thread: a test writes with `step`."""
    made: list[SqliteStore] = []

    def build(epoch: str = "e1", **bounds: Any) -> SqliteStore:
        policy = StorePolicy(**{"max_age": 10 * time.time(), **bounds})
        made.append(SqliteStore(tmp_path / "data", policy, epoch))
        return made[-1]

    yield build
    for store in made:
        store._disconnect()


def test_examples_are_found_again_newest_first(make: Make) -> None:
    store = make()
    store.offer([example(1), example(2), example(3)])
    assert store.step()
    page = store.find(DiffQuery(limit=2))
    assert [item.id for item in page.items] == ["ex00003", "ex00002"]
    assert (page.total, page.limit, page.offset) == (3, 2, 0)
    assert [item.id for item in store.find(DiffQuery(offset=2)).items] == ["ex00001"]
    assert store.example("ex00002") == example(2)


def test_the_beginning_of_an_id_is_enough_where_it_is_the_only_one(make: Make) -> None:
    store = make()
    store.offer([example(1), example(12, id="ex00001b"), example(3, id="zz9")])
    store.step()
    found = store.example("zz")
    assert found is not None
    assert found.id == "zz9"
    assert store.example("ex") is None
    assert store.example("nothing") is None
    exact = store.example("ex00001")
    assert exact is not None
    assert exact.id == "ex00001"
    assert store.example("%") is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (DiffQuery(), {"1", "2", "3", "4"}),
        (DiffQuery(service="mail"), {"2"}),
        (DiffQuery(route="item"), {"1", "3", "4"}),
        (DiffQuery(arm="secondary"), {"4"}),
        (DiffQuery(field="$.price"), {"1", "2", "4"}),
        (DiffQuery(kind="candidate_timeout"), {"3"}),
        (DiffQuery(field="$.price", kind="status"), set()),
        (DiffQuery(field="$.hidden"), set()),
        (DiffQuery(service="'; DROP TABLE examples; --"), set()),
    ],
)
def test_filters(make: Make, query: DiffQuery, expected: set[str]) -> None:
    store = make()
    by_rule = Difference("$.hidden", "body_value", "1", "2", by_rule=True)
    store.offer(
        [
            example(1, id="1", differences=[by_rule, *example().differences]),
            example(2, id="2", service="mail", route="other"),
            example(3, id="3", failure="candidate_timeout", differences=[], shadow_status=None),
            example(4, id="4", arm="secondary"),
        ]
    )
    store.step()
    page = store.find(query)
    assert {item.id for item in page.items} == expected
    assert page.total == len(expected)


def test_a_summary_names_the_first_difference_that_counts(make: Make) -> None:
    store = make()
    store.offer([example(1), example(2, failure="candidate_refused", differences=[], shadow_status=None)])
    store.step()
    failed, differing = store.find(DiffQuery()).items
    assert (differing.field, differing.kind, differing.differences) == ("$.price", "body_type", 1)
    assert (failed.field, failed.kind, failed.failure) == (None, "candidate_refused", "candidate_refused")


def test_the_newest_example_of_each_field_is_shown(make: Make) -> None:
    store = make()
    store.offer([example(1), example(2), example(3, failure="candidate_error", differences=[])])
    store.offer([example(4, arm="secondary")])
    store.step()
    found = {(each.field, each.kind): each for each in store.field_examples()}
    assert set(found) == {("$.price", "body_type"), ("", "candidate_error")}
    assert found["$.price", "body_type"].id == "ex00002"
    assert found["$.price", "body_type"].shadow == '"1.5"'
    assert found["$.price", "body_type"].curl.endswith("items/2'")


def test_bounds_hold_and_the_rare_one_stays(make: Make) -> None:
    store = make(max_examples=5)
    store.offer([example(0, cause="rare")])
    for number in range(1, 40):
        store.offer([example(number)])
        store.step()
    kept = [item.id for item in store.find(DiffQuery()).items]
    assert kept == ["ex00039", "ex00038", "ex00037", "ex00009", "ex00000"], "the newest, the smallest, the rare one"
    figures = store.figures()
    assert (figures.examples, figures.evicted, figures.available) == (5, 35, True)


def test_the_bounds_know_what_was_there_before(make: Make) -> None:
    first = make()
    first.offer(example(number) for number in range(6))
    first.step()
    first._disconnect()
    second = make(max_examples=4)
    assert second.figures().examples == 6
    second.offer([example(9)])
    second.step()
    assert [item.id for item in second.find(DiffQuery()).items] == ["ex00009", "ex00005", "ex00004", "ex00003"]


def test_an_example_that_comes_twice_is_kept_once(make: Make) -> None:
    store = make()
    store.offer([example(1), example(1)])
    store.step()
    assert store.find(DiffQuery()).total == store.figures().examples == 1


def test_a_full_queue_costs_examples_and_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_WAITING", 2)
    store = make()
    store.offer(example(number) for number in range(5))
    assert store.figures().dropped == {"queue_full": 3, "unwritable": 0}


def test_waiting_bytes_are_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "MAX_WAITING_BYTES", 2_000)
    store = make()
    store.offer(example(number) for number in range(5))
    waiting = 5 - store.figures().dropped["queue_full"]
    assert 0 < waiting < 5
    store.step()
    store.offer([example(9)])
    store.step()
    assert store.find(DiffQuery()).total == waiting + 1


def test_field_counts_survive_and_are_not_mixed_with_another_instance(make: Make) -> None:
    store = make("e1")
    store.keep(Kept([(KEY, FieldRow(3, 1, True))], [(("shop", "item", "depth"), 4)], [("rate", 5)]))
    store.step()
    store.keep(Kept([(KEY, FieldRow(7, 1, True))]))
    store.step()
    kept = store.kept()
    assert list(kept.fields) == [(KEY, FieldRow(7, 1, True))]
    assert list(kept.incomparable) == [(("shop", "item", "depth"), 4)]
    assert list(kept.suppressed) == [("rate", 5)]
    assert make("e2").kept() == Kept([], [], [])
    assert make("e1").kept() == kept


def test_counts_of_instances_long_gone_are_forgotten(make: Make) -> None:
    store = make("gone")
    store.keep(Kept([(KEY, FieldRow(1))]))
    store.step()
    later = make("e2", max_age=-1.0)
    later.step()
    assert make("gone").kept() == Kept([], [], [])


def test_the_directory_and_the_file_are_for_the_owner_alone(make: Make, tmp_path: Path) -> None:
    make()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "examples.sqlite").stat().st_mode & 0o777 == 0o600


def test_the_thread_writes_and_ends_when_asked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, StorePolicy(max_age=10 * time.time()), "e1")
    store.start()
    store.offer(example(number) for number in range(200))
    store.keep(Kept([(KEY, FieldRow(3))]))
    store.close(10.0)
    assert store.find(DiffQuery()).total == 200
    assert len(store.kept().fields) == 1


def test_the_thread_ends_although_the_disk_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    store = SqliteStore(tmp_path / "data", StorePolicy(), "e1")
    store.start()
    store.offer([example(1)])
    store.close(10.0)
    assert store.figures().dropped["unwritable"] == 1


# Disks that fail


def test_a_locked_file_costs_examples_until_it_is_free(make: Make, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    store = make()
    with closing(sqlite3.connect(tmp_path / "data" / "examples.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in (1, 2):
            store.offer([example(number)])
            store.keep(Kept([(KEY, FieldRow(number))]))
            assert not store.step()
        other.execute("ROLLBACK")
    assert store.figures().dropped["unwritable"] == 2
    assert not store.figures().available
    assert "locked" in store.figures().why
    assert store.step()
    assert store.figures().available
    assert list(store.kept().fields) == [(KEY, FieldRow(2))], "counts are not lost"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2, "once per change of state"
    assert "locked" in said[0]
    assert "writable again" in said[1]


def test_a_full_disk_costs_examples_until_there_is_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make()
    store.offer([example(1)])
    assert store.step()
    full = [True]
    real = schema.open_writer

    def open_on_a_full_disk(path: Path, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = real(path, prepare)
        if full[0]:
            connection.execute("PRAGMA max_page_count = 1")
        return connection

    monkeypatch.setattr(schema, "open_writer", open_on_a_full_disk)
    store._disconnect()
    store.offer([example(2, primary_body="x" * 60_000)])
    assert not store.step()
    assert "full" in store.figures().why
    assert store.find(DiffQuery()).total == 1, "what is there can be read"
    full[0] = False
    store.offer([example(3, primary_body="x" * 60_000)])
    assert store.step()
    assert store.find(DiffQuery()).total == store.figures().examples == 2


def test_a_corrupt_file_is_set_aside(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "data" / "examples.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 500)
    store = make()
    assert not store.figures().available
    assert store.step()
    store.offer([example(1)])
    assert store.step()
    assert store.find(DiffQuery()).total == 1
    assert (tmp_path / "data" / "examples.sqlite.corrupt").read_bytes().startswith(b"this is no")


def test_a_corrupt_file_that_cannot_be_moved_is_reported(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data" / "examples.sqlite"
    file.parent.mkdir()
    file.write_bytes(b"this is no database" * 500)

    def refuse(path: Path) -> Path:
        raise PermissionError("not here")

    monkeypatch.setattr(schema, "set_aside", refuse)
    assert "cannot be moved away: not here" in make().figures().why


def test_a_deleted_file_is_made_anew(make: Make, tmp_path: Path) -> None:
    store = make()
    store.offer([example(1)])
    store.step()
    for file in (tmp_path / "data").iterdir():
        file.unlink()
    store.offer([example(2)])
    assert store.step()
    assert [item.id for item in store.find(DiffQuery()).items] == ["ex00002"]


def test_a_file_of_a_later_version_is_left_alone(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "data" / "examples.sqlite"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as later:
        later.execute("PRAGMA user_version = 99")
    before = file.read_bytes()
    store = make()
    store.offer([example(1)])
    assert not store.step()
    assert "schema 99 is newer" in store.figures().why
    assert file.read_bytes() == before


def test_reading_what_is_not_there_says_why(make: Make, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    store = make()
    assert "exists" in store.figures().why or "directory" in store.figures().why
    with pytest.raises(StoreError, match=r"examples\.sqlite: "):
        store.find(DiffQuery())


def test_what_was_learned_outlives_the_instance_and_can_be_forgotten(make: Make) -> None:
    first = make("e1")
    first.learn(
        [Known("cause", "shop", "a", b"1"), Known("cause", "shop", "b", b"2"), Known("noise", "shop", "a", b"3")]
    )
    assert first.step()
    first.learn([Known("cause", "shop", "a", b"4"), Known("cause", "shop", "b", None)])
    assert first.step()
    assert make("e2").known("cause") == [Known("cause", "shop", "a", b"4")]
    assert make("e2").known("noise") == [Known("noise", "shop", "a", b"3")]


def test_what_could_not_be_written_is_learned_with_the_next_write(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make()
    with monkeypatch.context() as full:
        full.setattr(store, "_write", refuse_to_write)
        store.learn([Known("cause", "shop", "a", b"1")])
        assert not store.step()
    store.learn([Known("cause", "shop", "b", b"2")])
    assert store.step()
    assert [item.key for item in store.known("cause")] == ["a", "b"]


def refuse_to_write(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


def test_a_file_of_the_first_version_is_brought_up_to_date(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "data" / "examples.sqlite"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as earlier:
        earlier.executescript(f"{schema._FIRST} PRAGMA user_version = 1;")
    store = make()
    store.offer([example(1)])
    store.learn([Known("cause", "shop", "a", b"1")])
    assert store.step()
    assert store.example("ex00001") is not None
    assert len(store.known("cause")) == 1


def cause(number: int = 1, **changes: Any) -> CauseTotal:
    values: dict[str, Any] = {
        "service": "shop",
        "route": "item",
        "id": f"c-{number}",
        "keys": (("$.price", "body_type"),),
        "primary_status": 200,
        "shadow_status": 200,
        "failure": "",
        "epoch": "e1",
    }
    return CauseTotal(**{**values, **changes})


def test_a_cause_finds_its_smallest_example_of_whichever_instance(make: Make) -> None:
    first = make("e1")
    first.offer(
        [
            example(1, cause="c-1", primary_body="x" * 500),
            example(2, cause="c-1", primary_body="x"),
            example(3, cause="c-1", primary_body="x" * 90),
            example(4, cause="c-2", differences=[], failure="candidate_timeout"),
            example(5, cause="c-3", primary_body=""),
        ]
    )
    first.step()
    store = make("e2")
    failed = cause(2, keys=(), failure="candidate_timeout", primary_status=0, shadow_status=None)
    shown = store.cause_examples(
        [cause(1), failed, cause(9), cause(8, example="ex00003"), cause(3, keys=(("$", "x"),))]
    )
    assert {name: each.id for name, each in shown.items()} == {
        "c-1": "ex00002",
        "c-2": "ex00004",
        "c-8": "ex00003",
        "c-3": "ex00005",
    }
    assert (shown["c-1"].field, shown["c-1"].primary, shown["c-1"].shadow) == ("$.price", "1.5", '"1.5"')
    assert shown["c-1"].curl.endswith("items/2'")
    assert (shown["c-2"].field, shown["c-2"].kind, shown["c-2"].primary) == ("", "candidate_timeout", "200")
    assert (shown["c-3"].primary, shown["c-3"].shadow) == (None, None)
    whole = store.cause_example(cause(1))
    assert whole is not None
    assert whole.primary_body == "x"
    assert store.cause_example(cause(9)) is None


def test_a_smallest_example_is_read_back_as_such(make: Make) -> None:
    first = make(max_examples=10)
    first.offer(example(number, primary_body="x" * (300 - number)) for number in range(1, 4))
    first.offer([example(4, primary_body="x"), *(example(n, primary_body="x" * 900) for n in range(5, 9))])
    first.step()
    first._disconnect()
    second = make(max_examples=3)
    second.offer([example(9, primary_body="x" * 900)])
    second.step()
    assert [item.id for item in second.find(DiffQuery()).items] == ["ex00009", "ex00008", "ex00004"]


def test_a_file_of_the_second_version_keeps_its_examples(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "data" / "examples.sqlite"
    file.parent.mkdir()
    whole = msgspec.to_builtins(example(1))
    del whole["cause"]
    with closing(sqlite3.connect(file)) as earlier:
        earlier.executescript(f"{schema._FIRST} {schema._SECOND} PRAGMA user_version = 2;")
        earlier.execute(
            "INSERT INTO examples VALUES (1, 'ex00001', 'e0', 'shop', 'item', 'candidate', ?, 'item: x', 9, '', ?, ?)",
            (time.time(), b"", msgspec.msgpack.encode({**whole, "signature": "item: $.price"})),
        )
        earlier.commit()
    store = make()
    assert store.step()
    found = store.example("ex00001")
    assert found is not None
    assert found.cause == ""
    assert store.figures().examples == 1
