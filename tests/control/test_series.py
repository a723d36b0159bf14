from __future__ import annotations

from itertools import pairwise

import pytest

from shadowproxy.control.series import SPANS, Points, Series
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.reading import routes
from tests.metrics.world import World

BEGIN = 1_700_000_000.0


class Line:
    """Five seconds at a time."""

    def __init__(self) -> None:
        self.world = World()
        self.series = Series()
        self.now = BEGIN
        self.go_on(0.0)

    def go_on(self, seconds: float = 5.0, weight: float = 0.0) -> None:
        self.now += seconds
        if self.series.is_due(self.now):
            rows = routes(self.world.counters, self.world.registry, self.world.policy)
            self.series.tick(self.now, rows, {"shop": weight})

    def answer(self, arm: int, code: int, number: int, route: str = "item") -> None:
        self.world.add(at.requests_word(self.world.row(route=route), arm, code), number)

    def points(self, span: str = "10m", service: str = "shop") -> Points:
        return self.series.points(service, ("primary", "candidate"), span)


def test_requests_and_failures_of_all_routes_between_two_looks() -> None:
    line = Line()
    line.answer(0, 1, 30)
    line.answer(0, 4, 5, "other")
    line.answer(0, 5, 5)
    line.go_on(weight=0.05)
    line.answer(1, 1, 10)
    line.go_on(weight=0.25)
    found = line.points()
    assert (found.step, found.at, found.weight) == (5.0, [BEGIN + 5, BEGIN + 10], [0.05, 0.25])
    assert found.arms["primary"]["rate"] == [8.0, 0.0]
    assert found.arms["primary"]["errors"] == [0.25, None]
    assert found.arms["candidate"]["rate"] == [0.0, 2.0]
    assert found.arms["candidate"]["errors"] == [None, 0.0]


def test_latencies_are_those_of_the_requests_between_two_looks() -> None:
    line = Line()
    for bin_, number in ((10, 99), (30, 1)):
        line.answer(0, 1, number)
        line.world.add(line.world.row() + at.DURATION + bin_, number)
    line.go_on()
    [row] = [
        each for each in routes(line.world.counters, line.world.registry, line.world.policy) if each.route == "item"
    ]
    edges = row.durations["primary"].edges
    [p50] = line.points().arms["primary"]["p50"]
    assert p50 is not None
    assert edges[9] <= p50 <= edges[10]
    line.go_on()
    assert line.points().arms["primary"]["p50"] == [p50, None]


def test_an_arm_without_a_request_is_left_out_and_so_is_a_service_that_nobody_knows() -> None:
    line = Line()
    line.answer(0, 1, 1)
    line.go_on()
    assert set(line.points().arms) == {"primary"}
    assert line.points(service="none") == Points(5.0, [], [], {})


@pytest.mark.parametrize("span", SPANS)
def test_what_is_kept_is_bounded(span: str) -> None:
    line = Line()
    for _ in range(1_000):
        line.answer(0, 1, 1)
        line.go_on()
    found = line.points(span)
    step, most = SPANS[span]
    assert len(found.at) == min(most, int(1_000 * 5 / step))
    assert {later - earlier for earlier, later in pairwise(found.at)} == {step}


def test_a_sleep_of_the_machine_and_a_clock_that_is_set_back_are_no_points() -> None:
    line = Line()
    line.answer(0, 1, 10)
    line.go_on(3600.0)
    assert line.points().at == []
    line.answer(0, 1, 10)
    line.go_on(-1800.0)
    assert line.points().at == []
    line.answer(0, 1, 10)
    line.go_on()
    assert line.points().arms["primary"]["rate"] == [2.0]


def test_counts_that_became_fewer_are_not_known() -> None:
    line = Line()
    line.answer(0, 1, 10)
    line.go_on()
    line.answer(0, 1, -5)
    line.go_on()
    assert line.points().arms["primary"]["rate"] == [2.0, None]
