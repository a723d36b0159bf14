from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.fields import FieldTree
from shadowproxy.compare.findings import ABSENT, Findings
from shadowproxy.compare.limits import Deadline, IncomparableError
from shadowproxy.compare.trees import same
from shadowproxy.compare.walker import Walker
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import Clock, found, ruled, verdict

scalars = st.sampled_from([None, True, False, 0, 1, 2, 0.0, 1.0, -0.0, 1.5, "", "a", "1", 2**70])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c d"]), inner, max_size=3),
    max_leaves=12,
)


def naive_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(naive_same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(naive_same, a, b))
    return bool(a == b)


def without(needle: Any, hay: list[Any]) -> list[Any] | None:
    for place, value in enumerate(hay):
        if naive_same(needle, value):
            return hay[:place] + hay[place + 1 :]
    return None


def naive_reordered(a: list[Any], b: list[Any]) -> bool:
    rest: list[Any] | None = b
    for value in a:
        rest = without(value, rest or [])
        if rest is None:
            return False
    return not rest


ANY = "whatever"
"""In place of a kind: what differs in arrays of unequal length is told elsewhere."""


def naive_walk(field: str, a: Any, b: Any) -> set[tuple[str, str]]:
    """The rules of the walker, said as simply as possible, for values that differ."""
    if naive_same(a, b):
        return set()
    if type(a) is not type(b):
        return {(field, "body_type")}
    if isinstance(a, dict):
        differences: set[tuple[str, str]] = set()
        for key in a.keys() | b.keys():
            below = f"{field}['{key}']" if " " in key else f"{field}.{key}"
            if key not in b:
                differences.add((below, "body_missing"))
            elif key not in a:
                differences.add((below, "body_extra"))
            else:
                differences |= naive_walk(below, a[key], b[key])
        return differences
    if not isinstance(a, list):
        return {(field, "body_value")}
    if len(a) != len(b):
        return {(field, "body_size"), (f"{field}[]", ANY)}
    if naive_reordered(a, b):
        return {(field, "body_order")}
    differences = set()
    for x, y in zip(a, b, strict=True):
        differences |= naive_walk(f"{field}[]", x, y)
    return differences


def below_resized(field: str, expected: set[tuple[str, str]]) -> bool:
    return any(kind is ANY and field.startswith(array) for array, kind in expected)


def has_zero(value: Any) -> bool:
    """-0.0 equals 0.0 and yet is written otherwise: such elements are compared in place, not found reordered."""
    if isinstance(value, dict):
        return any(map(has_zero, value.values()))
    if isinstance(value, list):
        return any(map(has_zero, value))
    return isinstance(value, float) and value == 0.0


def walk(a: Any, b: Any) -> set[tuple[str, str]]:
    findings = Findings()
    Walker(Deadline(Clock(), 1.0)).walk(FieldTree().root, a, b, findings)
    assert not findings.ruled
    return set(findings.counted)


@given(values, values)
def test_the_walker_agrees_with_a_naive_one(a: Any, b: Any) -> None:
    if same(a, b) or has_zero([a, b]):
        return
    expected = naive_walk("$", a, b)
    actual = {each for each in walk(a, b) if not below_resized(each[0], expected)}
    assert actual == {each for each in expected if not below_resized(each[0], expected)}


@given(values, values)
def test_same_is_equality_of_types_and_values(a: Any, b: Any) -> None:
    assert same(a, a)
    assert same(a, b) == same(b, a)
    if not has_zero([a, b]):
        assert same(a, b) == naive_same(a, b)


def test_negative_zero_is_zero() -> None:
    assert found({"a": [0.0, {"b": 0.0}]}, {"a": [-0.0, {"b": -0.0}]}) == set()


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        (1, 2, "body_value"),
        ("a", "b", "body_value"),
        (True, False, "body_value"),
        (1, 1.0, "body_type"),
        (1, True, "body_type"),
        (1.0, True, "body_type"),
        (None, 0, "body_type"),
        ("1", 1, "body_type"),
        ([], {}, "body_type"),
        (2**80, 2**80 + 1, "body_value"),
    ],
)
def test_a_changed_member_has_the_kind_of_its_change(a: Any, b: Any, kind: str) -> None:
    assert found({"x": a, "same": [1, {"y": True}]}, {"x": b, "same": [1, {"y": True}]}) == {("$.x", kind)}


def test_types_are_seen_where_python_calls_values_equal() -> None:
    assert found({"a": {"b": [1, 1]}}, {"a": {"b": [1, True]}}) == {("$.a.b[]", "body_type")}
    assert found([{"n": 1}], [{"n": 1.0}]) == {("$[].n", "body_type")}


def test_missing_and_extra_members() -> None:
    assert found({"a": 1, "b": 2}, {"b": 2, "c": 3}) == {("$.a", "body_missing"), ("$.c", "body_extra")}
    assert found({"a": None}, {}) == {("$.a", "body_missing")}


def test_many_elements_that_differ_alike_are_one_field() -> None:
    a = {"items": [{"v": 1, "w": 1}, {"v": 2, "w": "x"}]}
    b = {"items": [{"v": 8, "w": "1"}, {"v": 9, "w": "y"}]}
    assert found(a, b) == {("$.items[].v", "body_value"), ("$.items[].w", "body_type"), ("$.items[].w", "body_value")}


def test_another_order_is_one_difference() -> None:
    assert found({"t": ["a", "b", "c"]}, {"t": ["c", "b", "a"]}) == {("$.t", "body_order")}
    assert found([{"a": 1, "b": 2}, {"a": 3}], [{"a": 3}, {"b": 2, "a": 1}]) == {("$", "body_order")}
    assert found(["a", "b"], ["b", "c"]) == {("$[]", "body_value")}
    assert found(["a", "bb"], ["bb", "c"]) == {("$[]", "body_value")}


@pytest.mark.parametrize(
    ("a", "b"), [([1, 2, 3], [1, 3]), ([1, 2], [1, 2, 3]), ([2, 3], [1, 2, 3]), ([], [1]), ([1, 1], [1, 1, 1])]
)
def test_one_inserted_or_lost_element_is_one_difference(a: list[int], b: list[int]) -> None:
    assert found({"x": a}, {"x": b}) == {("$.x", "body_size")}


def test_what_else_changed_in_a_resized_array_is_found() -> None:
    a = [{"n": 1, "p": 1}, {"n": 2, "p": 2}]
    b = [{"n": 1, "p": "1"}, {"n": 2, "p": 2}, {"n": 3}, {"n": 4}]
    assert found(a, b) == {("$", "body_size"), ("$[].p", "body_type")}


def test_values_kept_as_written_are_numbers() -> None:
    assert walk({"n": 1}, {"n": 2}) == {("$.n", "body_value")}
    a, b = b'{"n": 1e999, "m": 1e999}', b'{"n": 2e999, "m": "1e999"}'
    assert verdict(a, b) == "mismatch"
    assert found(a, b) == {("$.n", "body_value"), ("$.m", "body_type")}
    assert found(b'{"n": 1e999}', b'{"n": 7}') == {("$.n", "body_value")}


def test_a_member_that_occurs_twice_differs_from_one_that_occurs_once() -> None:
    assert found(b'{"a": 1, "a": 2}', b'{"a": 2}') == {("$.a", "body_type")}
    assert found(b'{"a": 1, "a": 2}', b'{"a": 3, "a": 2}') == {("$.a[]", "body_value")}
    assert verdict(b'{"a": 1, "a": 2}', b'{"a": 1,"a": 2}') == "match"


def test_ignored_fields_are_put_down_to_the_rule() -> None:
    rules = ComparePolicy(ignore=("$.updated_at", "$..trace", "$.gone", "$.stock.*"))
    a = {"updated_at": 1, "x": [{"trace": "a"}], "gone": [1], "stock": {"a": 1, "b": {"c": 1}}}
    b = {"updated_at": "2", "x": [{"trace": "b"}], "stock": {"a": 2, "b": {}}}
    assert found(a, b, rules) == set()
    assert ruled(a, b, rules) == {
        ("$.updated_at", "body_type"),
        ("$.x[].trace", "body_value"),
        ("$.gone", "body_missing"),
        ("$.stock.a", "body_value"),
        ("$.stock.b", "body_value"),
    }


def test_tolerance_is_absolute_and_reaches_over_number_types() -> None:
    rules = ComparePolicy(tolerance={"$.s": 0.1, "$.n[]": 2})
    assert verdict({"s": 1.0}, {"s": 1.1}, rules) == "ignored"
    assert verdict({"s": 1}, {"s": 1.05}, rules) == "ignored"
    assert verdict({"s": 1.0}, {"s": 1.11}, rules) == "mismatch"
    assert verdict({"s": 1.0}, {"s": "1.0"}, rules) == "mismatch"
    assert verdict({"s": True}, {"s": 1}, rules) == "mismatch"
    assert verdict({"n": [10**18]}, {"n": [10**18 + 2]}, rules) == "ignored"
    assert verdict({"n": [10**18]}, {"n": [10**18 + 3]}, rules) == "mismatch"
    assert verdict({"s": 10**400}, {"s": 1.0}, rules) == "mismatch"
    assert verdict({"t": 1.0}, {"t": 1.05}, rules) == "mismatch"


def test_unordered_arrays_are_multisets() -> None:
    rules = ComparePolicy(unordered=("$.tags",))
    assert verdict({"tags": ["a", "b", "b"]}, {"tags": ["b", "a", "b"]}, rules) == "ignored"
    assert ruled({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, rules) == {("$.tags", "body_order")}
    assert found({"tags": ["a", "b", "b"]}, {"tags": ["b", "a"]}, rules) == {("$.tags[]", "body_missing")}
    assert found({"tags": ["a"]}, {"tags": ["b", "a", 1]}, rules) == {("$.tags[]", "body_extra")}
    assert found({"tags": ["a", "c"]}, {"tags": ["b", "a"]}, rules) == {
        ("$.tags[]", "body_missing"),
        ("$.tags[]", "body_extra"),
    }
    assert found({"tags": [1, True]}, {"tags": [True, 1.0]}, rules) == {
        ("$.tags[]", "body_missing"),
        ("$.tags[]", "body_extra"),
    }


def test_left_over_objects_are_compared_with_what_they_resemble() -> None:
    rules = ComparePolicy(unordered=("$",))
    a = [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}, {"id": 3, "n": "c"}]
    b = [{"id": 3, "n": "c"}, {"id": 2, "n": "B"}, {"id": 1, "n": "a"}]
    assert found(a, b, rules) == {("$[].n", "body_value")}
    assert found(a, [*b, {"id": 4}], rules) == {("$[].n", "body_value"), ("$[]", "body_extra")}
    assert found([{"x": 1}], [{"y": 1}], rules) == {("$[]", "body_missing"), ("$[]", "body_extra")}


def test_rules_hold_inside_unordered_arrays() -> None:
    rules = ComparePolicy(unordered=("$", "$[].l"), ignore=("$[].at",), tolerance={"$[].s": 0.1})
    a = [{"id": 1, "at": 1, "s": 0.0}, {"id": 2, "l": [1, 2]}, [0.0]]
    b = [[-0.0], {"id": 2, "l": [2, 1]}, {"id": 1, "at": 2, "s": 0.05}]
    assert verdict(a, b, rules) == "ignored"


def test_the_ends_of_a_resized_array_are_found_under_the_rules() -> None:
    rules = ComparePolicy(ignore=("$[].at",))
    a = [{"id": n, "at": n} for n in range(4)]
    b = [{"id": n, "at": n + 100} for n in range(4) if n != 1]
    assert found(a, b, rules) == {("$[]", "body_missing")}
    for each in (*a, *b):
        each["n"] = each.pop("id")
    assert found(a, b, rules) == {("$", "body_size")}


def test_the_time_is_over_when_the_clock_says_so() -> None:
    findings = Findings()
    walker = Walker(Deadline(Clock(step=1.0), 0.5))
    a = {f"k{n}": n for n in range(100)}
    with pytest.raises(IncomparableError, match="too_slow"):
        walker.walk(FieldTree().root, a, dict.fromkeys(a, -1), findings)
    with pytest.raises(IncomparableError, match="too_slow"):
        walker.walk(FieldTree().root, [1, 2], [2, 1], findings)


def test_absent_says_so() -> None:
    assert repr(ABSENT) == "ABSENT"
