from __future__ import annotations

from shadowproxy.compare.tables import MAX_FIELDS, FieldTable, ReasonTable
from shadowproxy.model.pair import FieldCount


def test_pairs_are_counted_per_field_and_kind() -> None:
    table = FieldTable()
    table.count("shop", "item", [("$.a", "body_value"), ("$.b", "body_type")])
    table.count("shop", "item", [("$.a", "body_value")])
    table.count("shop", "list", [("$.a", "body_value")])
    assert sorted(table.harvest(), key=str) == [
        FieldCount("shop", "item", "$.a", "body_value", 2),
        FieldCount("shop", "item", "$.b", "body_type", 1),
        FieldCount("shop", "list", "$.a", "body_value", 1),
    ]
    assert table.harvest() == []


def test_past_its_bound_a_service_counts_other_once_a_pair() -> None:
    table = FieldTable()
    table.count("shop", "item", [(f"$.f{n}", "body_value") for n in range(MAX_FIELDS)])
    table.harvest()
    table.count(
        "shop", "item", [("$.x", "body_value"), ("$.y", "body_value"), ("$.z", "body_type"), ("$.f1", "body_value")]
    )
    table.count("other", "item", [("$.x", "body_value")])
    assert sorted(table.harvest(), key=str) == [
        FieldCount("other", "item", "$.x", "body_value", 1),
        FieldCount("shop", "item", "$.f1", "body_value", 1),
        FieldCount("shop", "item", "other", "body_type", 1),
        FieldCount("shop", "item", "other", "body_value", 1),
    ]


def test_reasons_are_counted_per_route() -> None:
    table = ReasonTable()
    for _ in range(3):
        table.count("shop", "item", "too_slow")
    table.count("shop", "item", "ratio")
    assert table.harvest() == [("shop", "item", "too_slow", 3), ("shop", "item", "ratio", 1)]
    assert table.harvest() == []
