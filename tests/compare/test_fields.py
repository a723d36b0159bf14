from __future__ import annotations

from shadowproxy.compare.fields import (
    MAX_MEMBERS,
    MAX_NODES,
    MAX_TEXT,
    Field,
    FieldTree,
    Rule,
    looks_like_id,
)
from shadowproxy.compare.paths import compile_path
from shadowproxy.compare.tolerance import Tolerance


def tree(*ignored: str) -> FieldTree:
    return FieldTree([Rule(compile_path(text), ignore=True) for text in ignored])


def test_a_field_is_written_by_its_members_and_elements() -> None:
    field = FieldTree().root.member("items").element().member("a key")
    assert field.text == "$.items[]['a key']"
    assert FieldTree().root.text == "$"


def test_a_known_field_is_the_same_object() -> None:
    root = FieldTree().root
    assert root.member("a") is root.member("a")
    assert root.element() is root.element()
    assert root.member("123") is root.member("456")


def test_a_rule_applies_where_its_path_ends() -> None:
    root = tree("$.items[].sku").root
    assert not root.ignored
    assert not root.member("items").ignored
    assert root.member("items").element().member("sku").ignored
    assert not root.member("items").member("sku").ignored
    assert not root.element().member("sku").ignored


def test_a_deep_rule_applies_at_any_depth() -> None:
    root = tree("$.a..id").root
    assert root.member("a").member("id").ignored
    assert root.member("a").member("b").element().element().member("id").ignored
    assert not root.member("id").ignored


def test_a_star_stands_for_members_and_elements() -> None:
    root = tree("$.stock.*").root
    assert not root.member("stock").ignored
    assert root.member("stock").member("berlin").ignored
    assert root.member("stock").element().ignored


def test_only_fields_that_a_rule_can_still_reach_are_not_plain() -> None:
    root = tree("$.a.b").root
    assert not root.plain
    assert root.member("other").plain
    assert not root.member("a").member("b").plain
    assert root.member("a").member("b").member("c").plain


def test_the_wider_of_two_tolerances_holds() -> None:
    near, far, share = Tolerance(0.1), Tolerance(0.5), Tolerance(relative=0.01)
    rules = [Rule(compile_path(path), tolerance=each) for path, each in (("$.x", near), ("$.*", far), ("$.y", share))]
    root = FieldTree(rules).root
    assert root.member("x").tolerance == far
    assert root.member("y").tolerance == Tolerance(0.5, 0.01)
    assert root.tolerance is None


def test_the_last_rule_says_what_names_the_elements() -> None:
    rules = [Rule(compile_path(path), identity=(name,)) for path, name in (("$.*", "a"), ("$.x", "b"), ("$.y", "c"))]
    root = FieldTree(rules).root
    assert (root.member("x").identity, root.member("z").identity, root.identity) == (("b",), ("a",), None)


def test_names_that_are_ids_fold_into_a_star() -> None:
    root = FieldTree().root
    for key in (
        "17",
        "550e8400-e29b-41d4-a716-446655440000",
        "-1.5",
        "10.0.0.1",
        "2024-01-31",
        "2024-01",
        "2024-01-31T12:00:00Z",
        "5f43a1b2c3d4e5f60718",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "cus_9s6XKzkNRiz8i3",
        "order-12345",
        "https://shop.example/items/1",
        "ann@shop.example",
        "x" * 65,
    ):
        assert root.member(key).text == "$.*"
    for key in (
        "price",
        "v2",
        "deadbeefdeadbeef",
        "item-17",
        "iso-885",
        "paymentMethodConfigurationV2",
        "a_long_name_1_2_3_4",
    ):
        assert root.member(key).text == f"$.{key}"
        assert not looks_like_id(key)


def test_private_names_fold_into_a_star() -> None:
    root = FieldTree(private=lambda key: key.startswith("cust")).root
    assert root.member("cust-1").text == "$.*"
    assert root.member("name").text == "$.name"


def test_more_members_than_a_parent_may_have_fold_but_not_those_that_rules_name() -> None:
    root = tree("$.keep").root
    for n in range(MAX_MEMBERS):
        assert root.member(f"k{n}x").text == f"$.k{n}x"
    assert root.member("one_more").text == "$.*"
    assert root.member("k0x").text == "$.*"
    assert root.member("keep").text == "$.keep"
    assert root.member("keep").ignored
    assert set(root.members) == {"keep"}


def test_an_id_that_a_rule_names_keeps_its_rule() -> None:
    root = tree("$.by_id.17").root
    assert root.member("by_id").member("17").ignored
    assert not root.member("by_id").member("18").ignored


def test_a_full_tree_still_judges_right_and_stops_growing() -> None:
    grown = tree("$..secret", "$.deep[].x")
    fields: list[Field] = [grown.root]
    while not grown.full:
        fields = [field.member(f"m{n}") for field in fields for n in range(MAX_MEMBERS) if not grown.full]
    assert grown.nodes <= MAX_NODES + 1
    last = fields[-1]
    assert last.member("new").text == f"{last.text}.*"
    assert last.member("new") is not last.member("new")
    assert last.element().member("secret").ignored
    assert last.element() is not last.element()
    assert last.member("secret").ignored


def test_a_written_field_is_bounded() -> None:
    field = FieldTree().root
    for _ in range(30):
        field = field.member("a_rather_long_name")
    assert len(field.text) == MAX_TEXT
    assert field.text.endswith("…")
    assert field.element().text == field.text
