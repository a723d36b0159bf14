from __future__ import annotations

from msgspec.structs import replace

from shadowproxy.admin.rules import Differing, of_example, rules
from shadowproxy.model.pair import Difference
from shadowproxy.model.policy import RoutePolicy
from tests.store.examples import example

ROUTES = (RoutePolicy("item", 0, "/items/{id}"),)


def found(*keys: tuple[str, str], route: str = "item", service: str = "shop") -> list[tuple[str, list[str], str]]:
    return [(each.name, each.fields, each.lines) for each in rules(Differing(service, route, list(keys)), ROUTES)]


def test_fields_are_ignored_by_their_route() -> None:
    lines = """\
services:
  shop:
    routes:
    - name: item
      compare:
        ignore:
        - $.a
        - $.b
"""
    keys = ("$.a", "body_value"), ("$.b", "body_value"), ("$.a", "body_type")
    assert found(*keys) == [("ignore", ["$.a", "$.b"], lines)]


def test_of_a_route_that_nobody_configured_it_is_a_rule_of_the_service_and_says_so() -> None:
    [rule] = rules(Differing("default", "/learned/{id}", [("$.a", "body_value")]), ROUTES)
    assert rule.lines == "compare:\n  ignore:\n  - $.a\n"
    assert rule.note == "/learned/{id} is no configured route: this is a rule of the whole service."


def test_arrays_whose_order_may_be_what_differs_can_be_compared_without_it() -> None:
    names = [(name, fields) for name, fields, _ in found(("$.rows[].id", "body_value"), ("$.tags", "body_order"))]
    assert names == [("ignore", ["$.rows[].id", "$.tags"]), ("unordered", ["$.rows", "$.tags"])]


def test_of_an_example_what_counts_nothing_needs_no_rule() -> None:
    differences = [
        Difference("$.a", "body_value", "1", "2"),
        Difference("$.b", "body_value", "1", "2", noise=True),
        Difference("$.c", "body_value", "1", "2", by_rule=True),
        Difference("$.d", "body_value", "1", "2", accepted=True),
    ]
    assert of_example(example(1, differences=differences)).keys == [("$.a", "body_value")]
    assert list(rules(of_example(replace(example(1), failure="candidate_timeout")), ROUTES)) == []
