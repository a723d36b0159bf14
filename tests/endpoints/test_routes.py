"""Templates become routes with rows of their own, as many as there is room for; what is there already keeps its row."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from shadowproxy.endpoints.routes import RESERVED_ROWS, learned, with_templates
from shadowproxy.model.policy import (
    ComparePolicy,
    EndpointsPolicy,
    Policy,
    Registry,
    RoutePolicy,
    ServicePolicy,
    ShadowPolicy,
)

SHADOW = ShadowPolicy(sample=0.25)
COMPARE = ComparePolicy(ignore=("$.at",))


def world(**endpoints: object) -> tuple[Policy, Registry]:
    registry = Registry()
    item = RoutePolicy("item", registry.route("shop", "item"), "/items/{id}")
    other = RoutePolicy("other", registry.route("shop", "other"), shadow=SHADOW, compare=COMPARE)
    shop = ServicePolicy(
        "shop",
        registry.service("shop"),
        {},
        (item,),
        other,
        endpoints=EndpointsPolicy(**endpoints),  # type: ignore[arg-type]
    )
    mail = ServicePolicy(
        "mail", registry.service("mail"), {}, (), RoutePolicy("other", registry.route("mail", "other"))
    )
    return Policy((shop, mail)), registry


def test_a_template_gets_a_row_and_the_rules_of_other() -> None:
    policy, registry = world()
    grown, rows, left_out = with_templates(policy, registry, {"shop": ["/a/{id}"], "gone": ["/b"]}, "learned", 1024)
    assert grown.services[0].routes[1:] == (
        RoutePolicy("/a/{id}", 3, "/a/{id}", shadow=SHADOW, compare=COMPARE, origin="learned"),
    )
    assert rows.routes == {**registry.routes, "shop\n/a/{id}": 3}
    assert (left_out, len(registry.routes), policy.services[0].templates) == ({}, 3, ())
    assert grown.services[1] is policy.services[1]
    assert learned(grown) == {"shop": ["/a/{id}"]}


def test_a_template_that_is_there_is_not_added_again_and_one_that_was_there_gets_its_row_back() -> None:
    policy, registry = world()
    first, rows, _ = with_templates(policy, registry, {"shop": ["/a", "/b"]}, "learned", 1024)
    assert with_templates(first, rows, {"shop": ["/b", "/a"]}, "learned", 1024) == (first, rows, {})
    later, rows, _ = with_templates(policy, rows, {"shop": ["/c", "/b"]}, "learned", 1024)
    assert [(route.name, route.index) for route in later.services[0].templates] == [("/c", 5), ("/b", 4)]


def test_there_are_at_most_as_many_as_the_service_may_have() -> None:
    policy, registry = world(max=3)
    policy, registry, left_out = with_templates(policy, registry, {"shop": ["/o1", "/o2"]}, "openapi", 1024)
    assert left_out == {}
    policy, registry, left_out = with_templates(policy, registry, {"shop": ["/a", "/b", "/c"]}, "learned", 1024)
    assert [(route.name, route.origin) for route in policy.services[0].templates] == [
        ("/o1", "openapi"),
        ("/o2", "openapi"),
        ("/a", "learned"),
    ]
    assert left_out == {"shop": 2}
    assert not policy.services[0].learns


@pytest.mark.parametrize(("rows", "found"), [(RESERVED_ROWS + 5, ["/a", "/b"]), (RESERVED_ROWS, []), (10, [])])
def test_rows_are_left_to_later_configurations(rows: int, found: list[str]) -> None:
    policy, registry = world()
    policy, registry, left_out = with_templates(policy, registry, {"shop": ["/a", "/b", "/c"]}, "learned", rows)
    assert [route.name for route in policy.services[0].templates] == found
    assert left_out == {"shop": 3 - len(found)}
    assert len(registry.routes) == 3 + len(found)


def test_a_service_that_does_not_learn_gets_what_was_written_for_it_alone() -> None:
    policy, registry = world(learn=False)
    assert not policy.services[0].learns
    assert with_templates(policy, registry, {"shop": ["/a"]}, "learned", 1024)[0] == policy
    assert with_templates(policy, registry, {"shop": ["/a"]}, "openapi", 1024)[0] != policy


def test_learning_ends_when_there_is_no_room() -> None:
    service = replace(world()[0].services[0], endpoints=EndpointsPolicy(max=1))
    assert service.learns
    policy, _, _ = with_templates(Policy((service,)), Registry(), {"shop": ["/a"]}, "learned", 1024)
    assert not policy.services[0].learns
