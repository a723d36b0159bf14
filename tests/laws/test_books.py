"""Law 2: the books balance after every step of random traffic under random faults, and at rest nothing is held."""

from __future__ import annotations

import random

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import adopt
from tests.fakes.stage import Stage
from tests.laws.traffic import Traffic, rules

ARMS = ("candidate", "secondary")
STEPS = 150


def assert_balanced(stage: Stage) -> None:
    for arm in ARMS:
        books = stage.books(arm)
        assert all(value >= 0 for value in books.values()), books
        dropped = sum(value for name, value in books.items() if name.startswith("dropped:"))
        lost = sum(value for name, value in books.items() if name.startswith("lost:"))
        compared = sum(books.get(verdict, 0) for verdict in at.VERDICT_INDEX)
        assert books.get("eligible", 0) == books.get("sampled_out", 0) + dropped + books.get("sent", 0), books
        assert books.get("sent", 0) == compared + lost + books.get("in_flight", 0), books
        assert_settled_pairs_have_an_outcome(stage, arm, books, compared)
    for current in stage.site.snapshot.arms:
        assert 0 <= current.held <= current.max_bytes
        assert len(current.live) <= max(current.max_in_flight, 6)
    for origin in (*stage.site.snapshot.origins.values(), *stage.site.snapshot.leaving):
        for server in origin.pool.servers:
            assert 0 <= len(server.idle) <= server.open <= origin.policy.max_connections
        assert origin.pool.connecting >= 0


def assert_settled_pairs_have_an_outcome(stage: Stage, arm: str, books: dict[str, int], compared: int) -> None:
    """The table of who failed holds each settled pair: compared, with the comparer, lost on the way to it or there.

    What else it holds failed at the primary and is lost to the comparison; what ended with its worker may be either.
    """
    table = sum(stage.outcomes(arm).values())
    outstanding = [each for *mirrors, _ in stage.link._outstanding.values() for each in mirrors if each]
    waiting = sum(mirror.arm.name == arm for mirror in outstanding)
    settled = compared + waiting + books.get("lost:channel_full", 0) + books.get("lost:comparer_gone", 0)
    doubtful = sum(books.get(f"lost:{reason}", 0) for reason in ("primary_incomplete", "worker_gone", "shutdown"))
    assert settled <= table <= settled + doubtful, (table, books)


def one_step(traffic: Traffic, chance: random.Random, arms: tuple[str, ...] = ARMS, resample: float = 0.0) -> None:
    stage, roll = traffic.stage, chance.random()
    if roll < 0.35:
        traffic.client_step()
    elif roll < 0.6:
        traffic.origin_step("primary", chance)
    elif roll < 0.8:
        traffic.origin_step(chance.choice(arms), chance)
    elif roll < 0.83:
        traffic.dial_step(chance.choice(("primary", *arms)), chance)
    elif roll < 0.9:
        traffic.comparer_step(chance)
    elif roll < 0.91:
        service = stage.site.snapshot.services[0]
        service.held_out = not service.held_out and chance.random() < 0.5
    elif roll < 0.97:
        stage.tick(chance.choice((0.05, 0.3, 1.0, 2.5)))
    elif roll < 0.985:
        stage.apply(rules(*arms, first_byte=chance.choice((4.0, 5.0)), resample=resample))
    else:
        stage.pressure.observe(stage.loop.time(), chance.choice((0.0, 1.0)), 0)
    if stage.loop.made["/comparer"][-1] is not stage.comparer:
        stage.comparer = stage.loop.made["/comparer"][-1]
        traffic.outstanding = []
        traffic.pairs = type(traffic.pairs)()


def come_to_rest(stage: Stage, traffic: Traffic) -> None:
    """All clients leave, all copies end, the comparer answers what it still has."""
    for client in traffic.clients:
        client.transport.lose(None)
    stage.tick(15.0)
    if not stage.comparer.closing:
        traffic.read_pairs()
        for pair in traffic.outstanding:
            stage.verdict(pair)
    stage.tick(0.2)


@pytest.mark.parametrize("seed", range(60))
def test_the_books_balance_after_every_step_and_nothing_is_held_at_rest(seed: int) -> None:
    live_through(Stage(rules(*ARMS)), seed)


@pytest.mark.parametrize("seed", range(20))
def test_the_books_balance_where_the_primary_is_asked_again_and_each_question_has_one_result(seed: int) -> None:
    stage = Stage(rules("candidate", resample=0.5))
    live_through(stage, seed, resample=0.5)
    results = stage.resamples()
    assert results.get("sent", 0) == results.get("compared", 0) + results.get("wasted", 0)
    assert stage.books("secondary") == {}


def live_through(stage: Stage, seed: int, resample: float = 0.0) -> None:
    """Random steps, then rest: the law holds all the time."""
    chance = random.Random(seed)
    traffic = Traffic(stage, seed)
    arms = ("candidate",) if resample else ARMS
    for _ in range(STEPS):
        one_step(traffic, chance, arms, resample)
        assert_balanced(stage)
    come_to_rest(stage, traffic)
    assert_balanced(stage)
    for arm in arms:
        assert "in_flight" not in stage.books(arm)
    for current in stage.site.snapshot.arms:
        assert (current.held, list(current.live)) == (0, [])
    assert stage.counters[at.CLIENT_CONNECTIONS] == 0
    assert stage.counters[at.TUNNELS_OPEN] == 0
    for origin in stage.site.snapshot.origins.values():
        assert all(server.lent == 0 for server in origin.pool.servers)
        assert origin.pool.connecting == 0 or None in stage.loop.answers.values()


@pytest.mark.parametrize("seed", range(20))
def test_the_books_balance_after_a_worker_was_killed_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)
    stage = Stage(rules(*ARMS))
    for _ in range(3):
        traffic = Traffic(stage, seed)
        for _ in range(chance.randrange(5, 60)):
            one_step(traffic, chance)
        in_flight = sum(stage.books(arm).get("in_flight", 0) for arm in ARMS)
        block = stage.counters  # what a kill -9 leaves is this memory and nothing else
        assert adopt(block, 1) == in_flight
        stage.start(0)
        assert_balanced(stage)
        assert all("in_flight" not in stage.books(arm) for arm in ARMS)


def test_random_traffic_reaches_every_outcome() -> None:
    """The two tests above would prove little if some outcome never came up."""
    seen: set[str] = set()
    for seed in range(60):
        chance = random.Random(seed)
        stage = Stage(rules(*ARMS))
        traffic = Traffic(stage, seed)
        for _ in range(STEPS):
            one_step(traffic, chance)
        for arm in ARMS:
            seen |= stage.books(arm).keys() | stage.kinds(arm).keys() | stage.outcomes(arm).keys()
    expected = {"sampled_out", "dropped:max_body", "dropped:in_flight", "dropped:breaker", "dropped:overload"}
    expected |= {"dropped:request_incomplete", "lost:primary_incomplete", "lost:comparer_gone", "match", "mismatch"}
    expected |= {"candidate_error", "candidate_timeout", "candidate_refused", "candidate_malformed"}
    expected |= {"candidate_truncated", "neither", "shadow_only", "primary_only", "both"}
    assert expected <= seen, expected - seen
