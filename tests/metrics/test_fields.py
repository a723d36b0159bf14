from __future__ import annotations

import random

from shadowproxy.metrics.fields import MAX_NAME, FieldKey, FieldTable
from shadowproxy.model.pair import FieldCount


def count(field: str, pairs: int = 1, service: str = "shop") -> FieldCount:
    return FieldCount(service, "item", field, "body_value", pairs)


def shown(table: FieldTable) -> dict[str, int]:
    return {key.field: pairs for key, pairs in table.exported()}


def test_few_fields_are_all_exported_by_name() -> None:
    table = FieldTable()
    table.add([count("$.a", 2), count("$.b")])
    table.add([count("$.a")])
    assert shown(table) == {"$.a": 3, "$.b": 1}
    assert len(table) == 2


def test_more_fields_than_places_are_counted_as_other() -> None:
    table = FieldTable(top=2)
    table.add([count("$.a", 5), count("$.b", 5), count("$.c", 5)])
    assert shown(table) == {"$.a": 5, "$.b": 5, "other": 5}


def test_each_service_has_places_of_its_own() -> None:
    table = FieldTable(top=1)
    table.add([count("$.a"), count("$.a", service="mail")])
    assert [key.field for key, _ in table.exported()] == ["$.a", "$.a"]


def test_a_field_that_grows_large_gets_a_name() -> None:
    table = FieldTable(top=1)
    table.add([count("$.noise", 3)])
    table.add([count("$.real", 5)])
    assert shown(table) == {"$.noise": 3, "other": 5}
    table.add([count("$.real", 1)])
    assert shown(table) == {"$.real": 1, "other": 5}


def test_beyond_the_bound_fields_share_one_row() -> None:
    table = FieldTable(top=1, most=2)
    table.add([count(f"$.k{i}") for i in range(100)])
    assert len(table) == 3
    assert sum(shown(table).values()) == 100


def test_names_are_cut() -> None:
    table = FieldTable()
    table.add([count("$." + "x" * 10_000)])
    assert [len(key.field) for key, _ in table.items()] == [MAX_NAME]


def test_no_exported_counter_ever_goes_down() -> None:
    draw = random.Random(11)
    table = FieldTable(top=5, most=20)
    last: dict[FieldKey, int] = {}
    for _ in range(400):
        table.add([count(f"$.k{int(draw.paretovariate(0.7))}", draw.randint(1, 4))])
        now = dict(table.exported())
        assert len(now) <= 6
        for key, pairs in now.items():
            assert pairs >= last.get(key, 0)
        last.update(now)


def test_what_was_kept_is_restored_exactly() -> None:
    first = FieldTable(top=2, most=4)
    first.add([count(f"$.k{i}", i + 1) for i in range(8)])
    second = FieldTable(top=2, most=4)
    second.restore(first.take_changed())
    assert dict(second.exported()) == dict(first.exported())
    assert first.take_changed() == []
    for table in (first, second):
        table.add([count("$.k0", 9), count("$.new", 3)])
    assert dict(second.exported()) == dict(first.exported())
    assert dict(second.items()) == dict(first.items())
