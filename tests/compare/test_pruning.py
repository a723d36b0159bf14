from __future__ import annotations

from typing import Any

from hypothesis import given

from shadowproxy.compare.fields import FieldTree
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.pruning import CUT, MAX_ELEMENTS, MAX_NODES, MAX_STRING, Pruner
from shadowproxy.compare.trees import same
from shadowproxy.compare.walker import Walker
from tests.compare.builders import Clock
from tests.compare.test_walker import has_zero, values, walk


def pruned(a: Any, b: Any) -> tuple[Any, Any]:
    return Pruner(Walker(Deadline(Clock(), 1.0))).prune(FieldTree().root, a, b)


def size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(size, value.values()))
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


@given(values, values)
def test_the_pruned_values_differ_as_the_whole_ones_do(a: Any, b: Any) -> None:
    if same(a, b) or has_zero([a, b]):
        return
    left, right = pruned(a, b)
    assert walk(left, right) == walk(a, b)


def test_only_what_differs_is_kept_at_its_place() -> None:
    a = {"a": 1, "b": {"c": 1, "d": [{"x": 1}, {"x": 2, "y": 3}]}, "gone": [1]}
    b = {"a": 1, "b": {"c": 1, "d": [{"x": 1}, {"x": 5, "y": 3}]}, "new": 2}
    assert pruned(a, b) == (
        {"b": {"d": [None, {"x": 2}]}, "gone": [1]},
        {"b": {"d": [None, {"x": 5}]}, "new": 2},
    )


def test_short_plain_arrays_stay_whole() -> None:
    assert pruned([1, 2, 3], [3, 2, 1]) == ([1, 2, 3], [3, 2, 1])


def test_what_is_kept_is_bounded() -> None:
    wide = {f"k{n}": [n] * 50 for n in range(1000)}
    for a, b in ((wide, {}), ({}, wide), (wide, dict.fromkeys(wide, 1)), ([wide] * 500, [[wide]] * 500)):
        left, right = pruned(a, b)
        assert size(left) + size(right) < 4 * MAX_NODES + 4 * MAX_ELEMENTS
    deep: Any = 1
    other: Any = 2
    for _ in range(MAX_NODES + 10):
        deep, other = {"a": deep}, {"a": other}
    left, _ = pruned(deep, other)
    assert CUT in str(left)
    assert pruned({"a": "x" * 9999}, {"a": 1})[0] == {"a": "x" * MAX_STRING + CUT}
