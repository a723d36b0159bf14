"""What values look like, and when a look is new."""

from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.compare.findings import ABSENT
from shadowproxy.compare.shapes import ENOUGH, FADING, MAX_FIELDS, MAX_SHAPES, Looks, LooksTable, shape_of


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("7f9c2ba4-e88f-4a2b-9c01-1234567890ab", "uuid"),
        ("2026-11-25T22:30:00Z", "time"),
        ("2026-11-25 22:30:00.123+02:00", "time"),
        ("2026-11-25", "date"),
        ("Wed, 25 Nov 2026 22:30:00 GMT", "http-date"),
        ("1795559400", "epoch"),
        (1795559400, "epoch"),
        (1795559400123, "epoch"),
        ("42", "integer"),
        (42, "integer e3"),
        (1234, "integer e6"),
        (-5, "integer below 0 e3"),
        (0, "integer e0"),
        (10**60, "integer, huge"),
        (1.5, "number"),
        (-1.5, "number below 0"),
        ("-1.50", "number"),
        ("a@example.org", "email"),
        ("https://example.org/x?y=1", "url"),
        ("10.0.0.1:8080", "address"),
        ('W/"abc"', "etag"),
        ("deadbeef01", "hex 10"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.abc123", "token"),
        ("N/A", "text 1-4"),
        ("a longer text with words", "text 17-64"),
        ("x" * 5000, "text over 256"),
        ("", "text, empty"),
        ("  ", "text, empty"),
        (None, "null"),
        (True, "boolean"),
        (ABSENT, "absent"),
        ([], "array, empty"),
        ([1, 2], "array"),
        ([b"10"], "integer"),
        ({"a": 1}, "object"),
        (b"\xff\x00", "text 1-4"),
    ],
)
def test_a_look_says_type_format_and_length(value: Any, shape: str) -> None:
    assert shape_of(value) == shape


def seen(*values: Any, times: int = 1) -> Looks:
    looks = Looks()
    for _ in range(times):
        for value in values:
            looks.see(value)
    return looks


def uuids(count: int) -> list[str]:
    return [f"7f9c2ba4-e88f-4a2b-9c01-{number:012x}" for number in range(count)]


def test_nothing_is_new_before_enough_was_seen() -> None:
    assert not seen(*uuids(ENOUGH - 1)).is_new("N/A")
    assert seen(*uuids(ENOUGH)).is_new("N/A")


def test_another_value_of_a_known_look_is_not_new() -> None:
    assert not seen(*uuids(500)).is_new("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("value", [12_500.0, 0.0005, 1e300, 5e-324, -12.5])
def test_a_number_of_another_magnitude_is_new(value: float) -> None:
    looks = seen(*(10.0 + number / 7 for number in range(50)))
    assert looks.is_new(value)
    assert not looks.is_new(999.5)


def test_zero_and_what_is_no_number_are_looks_as_well() -> None:
    looks = seen(0.0, float("inf"), 1.5, times=20)
    assert not any(map(looks.is_new, (-0.0, float("inf"), 2.5)))


def test_a_look_that_comes_now_and_then_is_known() -> None:
    assert not seen(*uuids(50), None).is_new(None)


def test_of_few_values_another_one_is_new_though_it_looks_alike() -> None:
    looks = seen("low", "mid", "top", times=100)
    assert looks.is_new("odd")
    assert not looks.is_new("mid")


def test_of_many_values_none_is_new_by_itself() -> None:
    assert not seen(*(f"w{number:02d}" for number in range(40)), times=10).is_new("odd")


def test_few_values_must_have_been_seen_often_before_they_are_the_only_ones() -> None:
    assert not seen("low", "mid", times=20).is_new("odd")


def test_the_number_of_looks_is_bounded_and_then_nothing_is_called_new() -> None:
    looks = seen(*("f" * 7 + "0" * number for number in range(1, MAX_SHAPES + 10)))
    assert len(looks.shapes) == MAX_SHAPES
    assert not looks.is_new(None)


def test_looks_that_are_not_seen_any_more_fade() -> None:
    looks = seen(None, *uuids(5))
    for number in range(FADING):
        looks.see(f"7f9c2ba4-e88f-4a2b-9c02-{number:012x}")
    assert looks.is_new(None)
    assert looks.total <= FADING


def test_a_table_is_kept_and_restored_without_the_values_themselves() -> None:
    table = LooksTable()
    for _ in range(300):
        table.see("item", "$.tier", "gold-secret", "silver")
    (row,) = table.take_changed("shop")
    assert table.take_changed("shop") == []
    assert "gold" not in repr(row)
    again = LooksTable()
    again.restore([row])
    assert again.is_new("item", "$.tier", "wooden")
    assert not again.is_new("item", "$.tier", "silver")
    assert not again.is_new("item", "$.other", "wooden")


def test_a_table_is_bounded_and_lets_go_of_what_was_unseen_longest() -> None:
    table = LooksTable()
    for number in range(MAX_FIELDS + 1):
        table.see("item", f"$.f{number}", *uuids(ENOUGH))
    assert not table.is_new("item", "$.f0", "N/A")
    assert table.is_new("item", "$.f1", "N/A")
    assert len(table.take_changed("shop")) == MAX_FIELDS
