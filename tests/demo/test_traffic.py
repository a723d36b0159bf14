"""The plan of the demo's traffic."""

from __future__ import annotations

from collections import Counter

from shadowproxy.demo.shop import ROUTES
from shadowproxy.demo.traffic import Request, plan


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(200) == plan(200)
    assert plan(200) != plan(200, seed=2)


def test_traffic_is_mostly_reading_and_reaches_every_route() -> None:
    requests = plan(3000)
    methods = Counter(request.method for request in requests)
    assert methods["GET"] / 3000 > 0.85
    assert methods["HEAD"] > 0
    assert methods["POST"] > 0
    shapes = {"/".join("{}" if part.isdigit() else part for part in path(r).split("/")) for r in requests}
    assert len(shapes) == len(ROUTES)


def path(request: Request) -> str:
    return request.target.partition("?")[0]


def test_some_ids_are_popular_and_every_failing_kind_is_asked_for() -> None:
    requests = plan(3000)
    items = Counter(path(r) for r in requests if r.target.startswith("/items/"))
    assert items.most_common(1)[0][1] > 10
    assert len(items) > 300
    orders = [int(path(r).split("/")[2]) for r in requests if r.method == "GET" and r.target.startswith("/orders/")]
    assert sum(identity % 10 == 7 for identity in orders) >= 10
    prices = [int(path(r).split("/")[2]) for r in requests if r.target.startswith("/prices/")]
    assert sum(identity % 8 == 0 for identity in prices) >= 20


def test_a_request_is_written_as_a_client_writes_it() -> None:
    assert Request("POST", "/orders", "a", b"{}").encode("shop").endswith(b"Content-Length: 2\r\n\r\n{}")
    assert b"Content-Length" not in Request("GET", "/", "a").encode("shop")


def test_users_are_many_and_told_apart() -> None:
    assert b"\r\nX-User-Id: 17\r\n" in Request("GET", "/", "a", user=17).encode("shop")
    assert b"X-User-Id" not in Request("GET", "/", "a").encode("shop")
    assert len({request.user for request in plan(3000)}) > 2700
