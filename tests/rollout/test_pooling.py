"""Strata fill by requests alone, each route its own, and never across two weights."""

from __future__ import annotations

from random import Random
from statistics import median

import pytest

from shadowproxy.rollout.facts import Both, Facts, RouteCounts
from shadowproxy.rollout.ledger import Histograms, Pool
from shadowproxy.rollout.pooling import pooled
from tests.rollout.alarms import USUAL, Watched, plan, step

NONE = Histograms()


def counts(route: str, requests: Both, failed: Both = (0, 0), client: Both = (0, 0)) -> RouteCounts:
    return RouteCounts(route, requests, failed, client)


def fed(*ticks: tuple[RouteCounts, ...], weight: float = 0.1, pool: Pool | None = None) -> tuple[Pool, list[str]]:
    """The pool after these ticks, and the routes that were compared, in order."""
    pool, found = pool or Pool(), []
    for routes in ticks:
        pool, full = pooled(pool, NONE, routes, weight)
        found += [route.route for route in full.routes]
    return pool, found


def test_a_quiet_route_waits_until_the_smaller_arm_can_be_expected_to_have_three() -> None:
    one = (counts("item", (9, 1)),)
    assert fed(one, one)[1] == []
    assert fed(one, one, one)[1] == ["item"]
    assert fed(one, one, weight=0.98)[1] == []


def test_a_busy_route_waits_for_nobody() -> None:
    pool, found = fed((counts("busy", (90, 10)), counts("quiet", (1, 0))))
    assert found == ["busy"]
    assert pool.routes == {"quiet": counts("quiet", (1, 0))}


def test_nothing_is_lost_while_it_waits() -> None:
    pool, full = pooled(Pool(), NONE, (counts("item", (15, 1), (2, 1), (0, 1)),), 0.1)
    pool, full = pooled(pool, NONE, (counts("item", (15, 2), (1, 0), (3, 0)),), 0.1)
    assert full.routes == (counts("item", (30, 3), (3, 1), (3, 1)),)
    assert not pool.routes


def test_what_waits_at_another_weight_is_not_compared() -> None:
    pool, _ = fed((counts("item", (9, 1)),))
    pool, found = fed((counts("item", (3, 2)),), weight=0.5, pool=pool)
    assert found == []
    assert pool.routes == {"item": counts("item", (3, 2))}


def test_an_arm_without_requests_is_compared_with_nothing() -> None:
    pool, found = fed((counts("item", (50, 0)),))
    assert found == []
    assert not pool.routes


def requests_until(seed: int, rate: float, failing: tuple[float, float], most: int = 20_000) -> int:
    """How many requests of one route it takes, a tick each second, at 10 %."""
    draw, watched, n = Random(seed), Watched(plan(USUAL), seed), 0
    while n < most:
        requests, failed = [0, 0], [0, 0]
        while draw.random() < rate:
            arm = draw.random() < 0.1
            requests[arm] += 1
            failed[arm] += draw.random() < failing[arm]
            n += 1
        route = counts("item", (requests[0], requests[1]), (failed[0], failed[1]))
        if watched.see(Facts(watched.at, 1.0, routes=(route,)), step(0.1)):
            break
    return n


@pytest.mark.parametrize(
    ("failing", "most"), [((0.01, 1.0), 130), ((0.01, 0.3), 500)], ids=["a dead candidate", "three in ten"]
)
def test_harm_takes_no_more_requests_where_they_come_one_by_one(failing: tuple[float, float], most: int) -> None:
    assert median(requests_until(seed, 0.3, failing) for seed in range(15)) <= most


@pytest.mark.no_cover
def test_a_quiet_healthy_route_is_no_harm() -> None:
    found = [requests_until(seed, 0.5, (0.2, 0.2), 400) for seed in range(60)]
    assert sum(n < 400 for n in found) <= 2
