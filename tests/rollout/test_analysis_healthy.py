"""The promise: a healthy candidate is taken back in one of a hundred rollouts at most, however often one looks.

Seeds are fixed; `benchmarks/rollout_proof.py` runs the same releases at length, its table is in docs/evidence.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from shadowproxy.evidence.budget import of_attempt
from shadowproxy.model.rollout import Check
from tests.evidence.rules import Ours, Watch
from tests.evidence.services import Service
from tests.evidence.trials import growing
from tests.rollout import alarms, releases
from tests.rollout.alarms import ALPHA, EXACT, LATENCIES, USUAL, plan
from tests.rollout.releases import Moment

pytestmark = pytest.mark.no_cover  # simulations: millions of lines, all of which other tests see as well

RUNS = 2000
TICKS = 12

Release = Callable[[int, Random], Iterator[Moment]]


@pytest.mark.parametrize("release", [releases.equal, releases.drifting, releases.ramping, releases.simpson])
def test_a_healthy_candidate_stays(release: Release) -> None:
    exact = plan(EXACT)
    wrong = sum(alarms.of_errors(release(TICKS, Random(-seed)), seed, exact) is not None for seed in range(RUNS))
    assert wrong <= ALPHA * RUNS


def test_so_does_one_that_is_as_much_worse_as_tolerated() -> None:
    usual = plan(USUAL)
    wrong = sum(alarms.of_errors(releases.edge(TICKS, Random()), seed, usual) is not None for seed in range(RUNS))
    assert wrong <= ALPHA * RUNS


@pytest.mark.parametrize(("release", "least"), [(releases.equal, 0.1), (releases.simpson, 0.9)])
def test_the_harness_finds_out_who_must_not_look_at_every_tick(release: Release, least: float) -> None:
    assert sum(alarms.of_ztest(release(360, Random()), seed) for seed in range(100)) > least * 100


@pytest.mark.parametrize("epochs", [1, 4])
def test_sticky_users_count_once(epochs: int) -> None:
    """Also over epochs, in each of which the same users are told again with the arm that they have."""
    exact, runs = plan(EXACT, sticky=True), RUNS // epochs
    wrong = sum(alarms.of_users(seed, exact, epochs=epochs) for seed in range(runs))
    assert wrong <= ALPHA * runs


def test_counted_by_request_they_would_be_harm() -> None:
    """What fails for a busy user fails for one arm."""
    assert sum(alarms.of_their_requests(seed, plan(EXACT)) for seed in range(150)) > 0.1 * 150


def test_mirrored_pairs_of_two_alike_are_no_harm() -> None:
    both = plan(EXACT, Check("latency_p95", "latency_p95"))
    assert sum(alarms.of_pairs(seed, both) for seed in range(RUNS)) <= ALPHA * RUNS


def test_latencies_that_drift_for_both_arms_are_no_harm() -> None:
    """Heavy tails, unequal numbers, and a service that gets slower by and by."""
    draw = Random(0)
    shape = sorted(int(200 + draw.expovariate(0.05)) for _ in range(300))
    wrong = sum(alarms.of_latencies(seed, plan(*LATENCIES), shape) for seed in range(RUNS))
    assert wrong <= ALPHA * RUNS


def test_the_split_is_not_doubted_in_one_of_a_thousand() -> None:
    assert sum(alarms.of_split(seed, 0.1) for seed in range(RUNS)) <= 0.001 * RUNS
    assert all(alarms.of_split(seed, 0.15) for seed in range(5))


def test_a_table_of_noisy_fields_that_grows_is_no_harm() -> None:
    """Asked at each look for the mean of their evidence, while the table is as small as it can be."""
    wrong = 0
    for seed in range(RUNS):
        ours = Ours(capacity=8)
        watch = Watch(Service(growing(10, 6), seed), ours=ours)
        peak = 0.0
        for _ in range(6):
            watch.look(100)
            peak = max(peak, ours.log_mean(watch.now))
        wrong += peak >= of_attempt(ALPHA)
    assert wrong <= ALPHA * RUNS
