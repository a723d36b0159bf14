"""Both versions of the shop agree except where a fault was seeded or something differs by nature."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shadowproxy.demo.shop import FEATURE_FAULT, LATE_FAULTS, ROUTES, SLOWNESS, Reply, answer

NOISE = ("generated_at", "trace_id")


def both(method: str, path: str) -> tuple[Reply, Reply]:
    """The answers of version 1 and 2 where chance and time are the same."""
    one, two = (answer(version, method, path, 1700000000.5, Random(4)) for version in (1, 2))
    return one, two


def differing(one: Any, two: Any, path: str = "$") -> set[str]:
    if isinstance(one, dict) and isinstance(two, dict):
        return set().union(*(differing(one.get(key), two.get(key), f"{path}.{key}") for key in {*one, *two}), set())
    return set() if (type(one), one) == (type(two), two) else {path}


@pytest.mark.parametrize(
    ("template", "expected", "share"),
    [
        ("/items/{}", {"$.stock"}, 1.0),
        ("/users/{}", {"$.contact.phone"}, 1.0),
        ("/prices/{}", {"$.discount_percent"}, 1 / 8),
        ("/users/{}/recommendations", set(), 0.0),
    ],
)
def test_a_seeded_fault_shows_in_its_field_and_its_share(template: str, expected: set[str], share: float) -> None:
    found = [differing(*(reply.body for reply in both("GET", template.format(i)))) for i in range(1, 401)]
    assert set().union(*found) == expected
    assert sum(map(bool, found)) / 400 == pytest.approx(share)


def test_one_order_in_ten_fails_in_version_2_alone() -> None:
    replies = [both("GET", f"/orders/{i}") for i in range(1, 201)]
    assert {one.status for one, _ in replies} == {200}
    assert sum(two.status == 500 for _, two in replies) == 20
    assert all(one == two for one, two in replies if two.status == 200)


def test_recommendations_are_slower_in_version_2_alone() -> None:
    one, two = both("GET", "/users/3/recommendations")
    assert two.delay - one.delay == pytest.approx(SLOWNESS)
    assert both("GET", "/items/3")[0].delay == both("GET", "/items/3")[1].delay


def test_noise_is_in_every_answer_but_the_catalog() -> None:
    random = Random(1)
    for template in ("/items/7", "/users/7", "/users/7/recommendations", "/prices/7", "/orders/8"):
        first, second = (answer(1, "GET", template, now, random) for now in (1.0, 2.0))
        assert differing(first.body, second.body) == {f"$.{name}" for name in NOISE}
    assert answer(1, "GET", "/catalog", 1.0, random).body == answer(2, "GET", "/catalog", 2.0, random).body


def test_orders_and_carts_are_taken_and_the_rest_is_not_found() -> None:
    assert [both("POST", path)[0].status for path in ("/orders", "/carts/3/items")] == [201, 201]
    assert both("GET", "/nowhere")[0].status == 404
    assert len({name for name, _ in ROUTES}) == len(ROUTES)


def test_version_3_answers_as_version_1() -> None:
    for _, template in ROUTES:
        path = template.replace("{id}", "7").replace("{sku}", "8")
        one, three = (answer(version, "GET", path, 1700000000.5, Random(4)) for version in (1, 3))
        assert one == three


def test_a_late_fault_shows_as_it_says() -> None:
    def faulty(fault: str) -> list[Reply]:
        random = Random(4)
        return [answer(3, "GET", f"/items/{i}", 1700000000.5, random, fault) for i in range(1, 401)]

    assert sum(reply.status == 500 for reply in faulty("errors")) / 400 == pytest.approx(0.25, abs=0.06)
    assert min(reply.delay for reply in faulty("slow")) > 0.25
    assert all(isinstance(reply.body["stock"], str) for reply in faulty("diff"))
    assert set(LATE_FAULTS) == {"errors", "slow", "diff"}


def test_the_feature_is_in_prices_from_version_2_on_and_its_fault_in_them_alone() -> None:
    def prices(version: int, fault: str = "", *, has_feature: bool) -> list[Reply]:
        random = Random(5)
        return [
            answer(version, "GET", f"/prices/{i}", 1.0, random, fault, has_feature=has_feature) for i in range(1, 200)
        ]

    assert all("express_cents" in reply.body for reply in prices(3, has_feature=True))
    assert not any("express_cents" in reply.body for reply in prices(3, has_feature=False))
    assert not any("express_cents" in reply.body for reply in prices(1, has_feature=True))
    assert {reply.status for reply in prices(3, FEATURE_FAULT, has_feature=True)} == {500}
    assert {reply.status for reply in prices(3, FEATURE_FAULT, has_feature=False)} == {200}
    other = answer(3, "GET", "/items/4", 1.0, Random(5), FEATURE_FAULT, has_feature=True)
    assert other.status == 200
