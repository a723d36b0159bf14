"""Elements of arrays that have names, and those that have none."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.compare.identity import anchors
from shadowproxy.model.policy import ComparePolicy
from tests.compare.builders import example, found, pair, response, ruled, verdict


def items(*names: Any, **others: Any) -> list[dict[str, Any]]:
    return [{"id": name, "title": f"Title {name}", "price": 10, "at": f"12:0{name}", **others} for name in names]


def with_items(*names: Any, **others: Any) -> dict[str, Any]:
    return {"items": items(*names, **others)}


@pytest.mark.parametrize("place", [0, 2, 4])
def test_one_inserted_element_is_one_difference_wherever_it_stands(place: int) -> None:
    a = with_items(1, 2, 3, 4)
    b = with_items(1, 2, 3, 4, at="other")
    b["items"].insert(place, items(9)[0])
    assert found(a, b) == {("$.items[]", "body_extra"), ("$.items[].at", "body_value")}
    assert found(b, a) == {("$.items[]", "body_missing"), ("$.items[].at", "body_value")}


def test_a_page_that_moved_on_is_a_missing_and_an_extra_element() -> None:
    assert found(with_items(1, 2, 3, 4), with_items(2, 3, 4, 5)) == {
        ("$.items[]", "body_missing"),
        ("$.items[]", "body_extra"),
    }


def test_another_order_of_the_names_is_one_difference_beside_what_else_changed() -> None:
    assert found(with_items(1, 2, 3), with_items(3, 1, 2)) == {("$.items", "body_order")}
    changed = with_items(3, 1, 2)
    changed["items"][0]["price"] = 11
    assert found(with_items(1, 2, 3), changed) == {("$.items", "body_order"), ("$.items[].price", "body_value")}
    changed["items"].append(items(7)[0])
    assert found(with_items(1, 2, 3), changed) == {
        ("$.items", "body_order"),
        ("$.items[].price", "body_value"),
        ("$.items[]", "body_extra"),
    }


def test_an_order_that_equal_elements_alone_give_away_is_seen() -> None:
    a, b = with_items(1, 2, 3, 4, 5), with_items(1, 2, 3, 4, 5)
    b["items"][0], b["items"][4] = b["items"][4] | {"price": 1}, b["items"][0]
    assert found(a, b) == {("$.items", "body_order"), ("$.items[].price", "body_value")}


def test_without_a_name_in_common_arrays_are_compared_in_order() -> None:
    assert found(with_items(1, 2), with_items(8, 9)) == {
        ("$.items[].id", "body_value"),
        ("$.items[].title", "body_value"),
        ("$.items[].at", "body_value"),
    }


def test_a_changed_name_alone_is_a_changed_value() -> None:
    a = [{"name": "Red", "hex": "#f00", "n": 1}, {"name": "Green", "hex": "#0f0", "n": 2}]
    b = [{"name": "Red", "hex": "#f00", "n": 1}, {"name": "green", "hex": "#0f0", "n": 2}]
    assert found(a, b) == {("$[].name", "body_value")}
    assert found(a, [*b, {"name": "Blue", "hex": "#00f", "n": 3}]) == {
        ("$[].name", "body_value"),
        ("$[]", "body_extra"),
    }


def test_a_replaced_element_is_a_missing_and_an_extra_one() -> None:
    assert found(with_items(1, 2, 3), with_items(1, 7, 3)) == {
        ("$.items[]", "body_missing"),
        ("$.items[]", "body_extra"),
    }


def test_names_whose_type_changed_still_name_the_same() -> None:
    a = with_items(1, 2, 3)
    for kind in (str, float):
        b = {"items": [each | {"id": kind(each["id"])} for each in items(1, 2, 3, 4)]}
        assert found(a, b) == {("$.items[].id", "body_type"), ("$.items[]", "body_extra")}


@pytest.mark.parametrize("name", ["_id", "uuid", "key", "sku", "code", "slug", "name", "Id"])
def test_names_are_found_under_several_members(name: str) -> None:
    a = [{name: f"n{n}", "x": n, "y": n, "z": n} for n in range(6)]
    b = [each | {"z": -1} for each in a if each["x"] != 2]
    assert found(a, b) == {("$[]", "body_missing"), ("$[].z", "body_value")}


def test_names_of_a_node_are_found() -> None:
    a = {"edges": [{"node": {"id": n, "x": n}, "cursor": f"c{n}"} for n in range(4)]}
    b = {"edges": [{"node": {"id": n, "x": n}, "cursor": f"c{n + 1}"} for n in range(1, 4)]}
    assert found(a, b) == {("$.edges[]", "body_missing"), ("$.edges[].cursor", "body_value")}


def test_members_that_repeat_or_are_no_names_name_nothing() -> None:
    a = [{"id": 1, "x": 1}, {"id": 1, "x": 2}, {"id": 2, "x": 3}]
    assert found(a, [{"id": 2, "x": 4}]) == {("$", "body_size"), ("$[].id", "body_value"), ("$[].x", "body_value")}
    b: list[dict[str, Any]] = [{"id": None, "x": 1}, {"id": None, "x": 2}]
    assert found(b, b[1:]) == {("$", "body_size")}
    c = [{"id": {"a": 1}, "x": 1}, {"id": {"a": 2}, "x": 2}]
    assert found(c, c[1:]) == {("$", "body_size")}


def test_an_ignored_member_names_nothing() -> None:
    rules = ComparePolicy(ignore=("$.items[].id",))
    a = {"items": [{"id": n, "x": n} for n in (1, 2, 3)]}
    b = {"items": [{"id": n, "x": x} for n, x in ((3, 1), (2, 2), (1, 3))]}
    assert verdict(a, b, rules) == "ignored"
    assert verdict(a, b) == "mismatch"


def test_a_configured_name_comes_before_those_that_are_found() -> None:
    rules = ComparePolicy(identity={"$.items": "ref"})
    a = {"items": [{"id": n, "ref": f"r{n}", "x": n, "y": n} for n in range(4)]}
    b = {"items": [{"id": n + 1, "ref": f"r{n}", "x": n, "y": n} for n in range(4) if n != 1]}
    assert found(a, b, rules) == {("$.items[].id", "body_value"), ("$.items[]", "body_missing")}


def test_a_configured_name_may_lie_deeper_be_missing_or_repeat() -> None:
    rules = ComparePolicy(identity={"$": "meta.uid"})
    a = [{"meta": {"uid": n}, "v": n, "w": 1, "u": 1} for n in (1, 2, 2, 3)] + [{"v": 0, "w": 0, "u": 1}]
    b = [{"meta": {"uid": n}, "v": n, "w": 2, "u": 1} for n in (9, 1, 2, 2, 3)] + [{"v": 0, "w": 5, "u": 1}]
    assert found(a, b, rules) == {("$[]", "body_extra"), ("$[].w", "body_value")}


def test_a_configured_name_tells_all_elements_apart_though_none_is_in_both() -> None:
    rules = ComparePolicy(identity={"$.items": "id"})
    assert found(with_items(1, 2), {"items": []}, rules) == {("$.items[]", "body_missing")}
    assert found(with_items(1, 2), {"items": []}) == {("$.items", "body_size")}


def test_a_configured_name_that_no_element_has_changes_nothing() -> None:
    rules = ComparePolicy(identity={"$.items": "nothing"})
    assert found(with_items(1, 2, 3), with_items(2, 3), rules) == {("$.items[]", "body_missing")}


def test_unordered_arrays_with_names_are_matched_by_them() -> None:
    rules = ComparePolicy(unordered=("$.items",))
    assert ruled(with_items(1, 2, 3), with_items(3, 1, 2), rules) == {("$.items", "body_order")}
    changed = with_items(3, 1, 2, price=11, title="x")
    assert found(with_items(1, 2, 3), changed, rules) == {
        ("$.items[].price", "body_value"),
        ("$.items[].title", "body_value"),
    }


def test_one_inserted_element_without_a_name_is_one_difference_beside_what_else_changed() -> None:
    a = [{"n": n, "p": n, "q": n} for n in range(100)]
    b = [dict(each) for each in a]
    b[70]["p"] = -1
    b.insert(20, {"n": 1000, "p": 1, "q": 2})
    assert found(a, b) == {("$", "body_size"), ("$[].p", "body_value")}
    assert found(b, a) == {("$", "body_size"), ("$[].p", "body_value")}


@given(st.permutations(range(12)), st.integers(0, 12))
def test_anchors_are_the_longest_run_in_both_orders(order: list[int], extra: int) -> None:
    a = [b"%d" % n for n in range(12)]
    b = [b"%d" % n for n in order] + [b"x"] * extra
    run = anchors(a, b)
    assert all(a[i] == b[j] for i, j in run)
    assert all(x < y for one, two in pairwise(run) for x, y in zip(one, two, strict=True))
    best = [1] * 12
    for i in range(12):
        best[i] = 1 + max((best[j] for j in range(i) if order[j] < order[i]), default=0)
    assert len(run) == max(best)


@given(st.randoms(use_true_random=False), st.integers(1, 30), st.booleans())
def test_whatever_came_went_and_moved_is_told_by_names(rng: random.Random, count: int, unordered: bool) -> None:
    """Against the plain meaning: names on one side alone, names in another order, values that changed."""
    a = [{"id": n, "u": n, "v": 0, "w": 0} for n in range(count)]
    b = [dict(each) for each in a if rng.random() < 0.9]
    b += [{"id": count + n, "u": -n - 1, "v": -n - 1, "w": -n - 1} for n in range(rng.randrange(3))]
    if rng.random() < 0.5:
        rng.shuffle(b)
    for each in b:
        if rng.random() < 0.1:
            each["v"] += 100
    ours, theirs = {each["id"]: each for each in a}, {each["id"]: each for each in b}
    common = [each["id"] for each in a if each["id"] in theirs]
    if 2 * len(common) < min(len(a), len(b)) or not common:
        return
    expected = set()
    if ours.keys() - theirs.keys():
        expected.add(("$[]", "body_missing"))
    if theirs.keys() - ours.keys():
        expected.add(("$[]", "body_extra"))
    if any(ours[name]["v"] != theirs[name]["v"] for name in common):
        expected.add(("$[].v", "body_value"))
    if not unordered and common != [each["id"] for each in b if each["id"] in ours]:
        expected.add(("$", "body_order"))
    rules = ComparePolicy(unordered=("$",)) if unordered else ComparePolicy()
    assert found(a, b, rules) == expected


def test_an_example_explains_named_elements_by_name() -> None:
    a = with_items(*range(1, 9))
    b = with_items(*range(1, 9))
    del b["items"][1]
    b["items"][4]["price"] = 12
    b["items"].insert(0, {"id": 77, "title": "New"})
    made = example(pair(response(a), response(b)))
    assert made.explanation == [
        '$.items[id=2] is missing; the primary has {"id":2,"title":"Title 2","price":10,"at":"12:02"}.',
        '$.items[id=77] is new: {"id":77,"title":"New"}.',
        "$.items[id=6].price changed from 10 to 12 (+20.0 %).",
    ]
    by_kind = {each.kind: each for each in made.differences}
    assert by_kind["body_value"].primary == "10"
    assert by_kind["body_extra"].shadow == '{"id":77,"title":"New"}'


def test_an_example_of_another_order_shows_the_names_in_order() -> None:
    made = example(pair(response(with_items(1, 2, 3)), response(with_items(3, 1, 2))))
    assert made.explanation == ["$.items holds the same in another order."]
    assert (made.differences[0].primary, made.differences[0].shadow) == ('["1","2","3"]', '["3","1","2"]')


def test_secret_names_are_masked_in_explanations() -> None:
    rules = ComparePolicy(redact=("$[].id",))
    a = [{"id": f"customer{n}", "x": n, "y": 1, "z": 1} for n in range(5)]
    b = [dict(each) for each in a[1:]][::-1]
    b[0]["y"] = 2
    made = example(pair(response(a), response(b)), rules)
    assert "customer" not in str(made)
    assert any("[id=~" in sentence for sentence in made.explanation)


def test_the_example_of_a_long_resized_array_shows_what_differs_and_no_more() -> None:
    a = [{"n": n, "p": n, "q": "x" * 50} for n in range(2000)]
    b = [dict(each) for each in a]
    b[1500]["p"] = -1
    del b[700]
    made = example(pair(response(a), response(b)))
    assert made.explanation == [
        "$ has 1,999 elements, the primary's 2,000.",
        "$[1500].p changed from 1500 to -1 (-100.1 %).",
    ]
