from __future__ import annotations

import math

import pytest
from msgspec.structs import replace

from shadowproxy.model.rollout import Bake, Stage
from shadowproxy.rollout.bake import is_starved, lacks, lately, ticked, window
from shadowproxy.rollout.facts import Facts, PairCounts, RouteCounts
from shadowproxy.rollout.steps import steps
from shadowproxy.rollout.values import Progress, Tick
from tests.rollout.plans import BAKE, FIRST, MIRROR, NOW, Run, facts, plan

IN_FORCE = Progress(applied=True, begun=True)
CANARY = steps(plan(FIRST))[0]
SHADOW = steps(plan(MIRROR))[0]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, 60.0), (5.0, 2.0), (20.0, 2.0), (100.0, 10.0), (600.0, 60.0), (86400.0, 60.0)]
)
def test_the_rate_is_looked_at_over_a_tenth_of_the_bake_within_bounds(seconds: float, expected: float) -> None:
    assert window(Bake(seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("bake", "tested", "starved"),
    [
        (Bake(seconds=100.0), 0, True),
        (Bake(seconds=100.0), 1, False),
        (Bake(seconds=100.0, requests=1000), 9, True),  # planned are ten a second, a tenth of that is useful
        (Bake(seconds=100.0, requests=1000), 10, False),
        (Bake(), 0, False),
    ],
)
def test_starved_is_less_than_a_tenth_of_the_planned_rate_or_nothing(bake: Bake, tested: int, starved: bool) -> None:
    recent = (*(Tick(1.0, 0) for _ in range(9)), Tick(1.0, tested))
    assert is_starved(Progress(recent=recent, idle=0.0 if tested else 10.0), bake) is starved


@pytest.mark.parametrize(("requests", "idle", "starved"), [(0, 599.0, False), (500, 599.0, False), (500, 600.0, True)])
def test_a_request_a_minute_comes_unevenly(requests: int, idle: float, starved: bool) -> None:
    """In a day a minute without any says nothing, whether few are planned or none."""
    progress = Progress(recent=(Tick(60.0, 0),), idle=idle)
    assert is_starved(progress, Bake(seconds=86400.0, requests=requests)) is starved
    assert is_starved(progress, Bake(seconds=86400.0, requests=100_000))


def test_how_long_nobody_has_come_is_counted_while_the_policy_is_in_force() -> None:
    idle = replace(IN_FORCE, idle=7.0)
    assert ticked(idle, CANARY, Facts(0.0, 2.0)).idle == 9.0
    assert ticked(idle, CANARY, Facts(0.0, 2.0, routes=(RouteCounts("item", (9, 1)),))).idle == 0.0
    assert ticked(replace(idle, applied=False), CANARY, Facts(0.0, 2.0)).idle == 0.0


def test_nothing_is_starved_before_its_window_has_passed() -> None:
    assert not is_starved(Progress(recent=(Tick(9.0, 0),)), Bake(seconds=100.0))


def test_where_users_are_split_their_requests_count_and_copies_do_not() -> None:
    got = facts(routes=(RouteCounts("a", (90, 10)), RouteCounts("b", (9, 1))), chosen=(5, 0), compared=99)
    assert ticked(IN_FORCE, CANARY, got).requests == 16
    got = facts(routes=(), chosen=(5, 0), compared=99)
    assert ticked(IN_FORCE, SHADOW, got).requests == 104


def test_pairs_tell_how_both_arms_do_where_nobody_is_split() -> None:
    pairs = (PairCounts("a", neither=80, candidate_only=10, primary_only=6, both=4),)
    assert ticked(IN_FORCE, SHADOW, facts(routes=(), pairs=pairs)).recent == (Tick(1.0, 100, (100, 100), (10, 14)),)


def test_a_tick_counts_only_if_the_policy_was_in_force_from_its_begin_to_its_end() -> None:
    progress = replace(IN_FORCE, applied=False)
    progress = ticked(progress, CANARY, facts())
    assert (progress.requests, progress.recent, progress.applied) == (0, (), True)
    progress = ticked(progress, CANARY, facts())
    assert progress.requests == 100
    progress = ticked(progress, CANARY, facts(applied=False))
    assert (progress.requests, progress.applied) == (100, False)


def test_the_last_minute_is_kept_by_the_second() -> None:
    progress = IN_FORCE
    for _ in range(1000):
        progress = ticked(progress, CANARY, facts(elapsed=0.25))
    assert len(progress.recent) <= 61
    assert lately(progress.recent, 60.0).seconds == pytest.approx(60.0, abs=1.0)
    assert lately(progress.recent, 10.0).tested == pytest.approx(4000, rel=0.1)


@pytest.mark.parametrize("elapsed", [-5.0, math.nan, math.inf, -math.inf])
def test_a_length_of_time_that_cannot_be_is_none(elapsed: float) -> None:
    progress = ticked(IN_FORCE, CANARY, facts(elapsed=elapsed))
    assert (progress.spent, progress.warm, progress.epoch) == (0.0, 0.0, 0.0)


def test_what_is_missing_is_said_in_time_and_in_requests() -> None:
    asked = Bake(seconds=1800.0, requests=5000)
    progress = Progress(warm=30.0, baked=600.0, requests=2000, recent=(Tick(10.0, 50),))
    assert list(lacks(progress, plan(MIRROR, warmup=90.0), asked)) == [
        "1 min of warm-up",
        "20 min of bake",
        "3,000 requests (about 10 min at the present rate)",
    ]
    assert list(lacks(replace(progress, recent=()), plan(), asked))[-1] == "3,000 requests"
    assert list(lacks(replace(progress, warm=90.0, baked=1800.0, requests=5000), plan(warmup=90.0), asked)) == []


def test_each_weight_bakes_for_its_time_and_its_requests() -> None:
    run = Run(Stage("first", "canary", bake=BAKE, weights=(0.05,)))
    run.do("start")
    assert run.until("promoted", routes=(RouteCounts("item", (95, 5)),)) == pytest.approx(22, abs=2)
    run = Run(Stage("first", "canary", bake=Bake(20.0, 1000), weights=(0.05,)))
    run.do("start")
    assert run.until("promoted", routes=(RouteCounts("item", (190, 10)),)) == pytest.approx(102, abs=2)


def test_the_clock_stops_while_the_candidate_is_starved_and_goes_on_after() -> None:
    run = Run(Stage("first", "canary", bake=Bake(100.0, 100), weights=(0.05,)))
    run.do("start")
    run.tick(50)
    run.tick(40, routes=())
    baked = run.state.progress.baked
    assert run.held == {"starved"}
    assert run.state.holds[0].detail == "0 requests reached the candidate in 10 s; 1 would be of use"
    assert baked < 62
    run.tick(100, routes=())
    assert run.state.progress.baked == baked
    run.tick(12)
    assert run.held == set()
    assert run.until("promoted") == pytest.approx(100 - baked - 12, abs=4)
    assert run.actions == ["started", "held", "released", "promoted"]


def test_warm_up_is_after_each_rise_and_neither_time_nor_requests_of_it_count() -> None:
    run = Run(MIRROR, FIRST, warmup=30.0)
    run.do("start")
    assert run.until(part=1) < 25
    run.tick(30)
    assert (run.state.progress.requests, run.state.progress.baked) == (0, 0.0)
    run.tick(10)
    assert run.state.progress.requests > 0
    assert run.until("promoted") < 20


def test_time_in_which_nobody_looked_is_no_bake() -> None:
    run = Run(FIRST)
    run.do("start")
    run.tick(5)
    before = run.state.progress.baked
    run.tick(1, elapsed=3600.0)
    assert run.state.progress.baked == before + 5.0
    assert run.state.progress.spent > 3600.0
    assert run.state.at < NOW + 100
