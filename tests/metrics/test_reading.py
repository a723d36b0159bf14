from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from msgspec.structs import replace

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.metrics.reading import is_ready, routes, upstreams, workers
from tests.metrics.world import World


def test_counts_of_all_workers_add_up() -> None:
    world = World()
    world.add(at.requests_word(world.row(), 0, 1), 3, block=0)
    world.add(at.requests_word(world.row(), 0, 1), 4, block=1)
    found = {(row.service, row.route): row for row in routes(world.counters, world.registry, world.policy)}
    assert found["shop", "item"].codes["primary"]["2xx"] == 7
    assert found["shop", "item"].any
    assert not found["mail", "other"].any


def test_only_arms_that_exist_or_have_counts_are_listed() -> None:
    world = World()
    world.mirrored(3, mirror=1)
    found = {(row.service, row.route): row for row in routes(world.counters, world.registry, world.policy)}
    assert set(found["shop", "item"].mirrors) == {"candidate", "secondary"}
    assert set(found["shop", "other"].mirrors) == {"candidate"}
    assert set(found["mail", "other"].codes) == {"primary"}


def test_a_route_that_left_the_policy_stays_as_long_as_it_has_counts() -> None:
    world = World()
    world.mirrored(1)
    world.registry.route("shop", "never used")
    without = replace(world.policy, services=(replace(world.policy.services[0], routes=()),))
    found = [(row.service, row.route) for row in routes(world.counters, world.registry, without)]
    assert found == [("shop", "item"), ("shop", "other")]


def test_every_word_of_the_books_is_read_from_its_place() -> None:
    world = World()
    row = world.row()
    world.add(row + at.ELIGIBLE, 100)
    world.add(row + at.SAMPLED_OUT, 10)
    world.add(at.dropped_word(row, 0, "breaker"), 5)
    world.add(row + at.SENT, 85)
    world.add(row + at.IN_FLIGHT, 2)
    world.add(at.lost_word(row, 0, "worker_gone"), 3)
    world.add(at.compared_word(row, 0, "match"), 80)
    mirror = next(routes(world.counters, world.registry, world.policy)).mirrors["candidate"]
    assert mirror.unaccounted == (0, 0)
    assert (mirror.dropped["breaker"], mirror.lost["worker_gone"], mirror.compared) == (5, 3, 80)
    world.add(row + at.SENT, 1)
    mirror = next(routes(world.counters, world.registry, world.policy)).mirrors["candidate"]
    assert mirror.unaccounted == (-1, 1)


def test_durations_come_with_their_sum() -> None:
    world = World()
    first = at.duration_word(world.row(), 0)
    world.add(first + 3, 2)
    world.add(first + at.DURATION_WORDS - 1, 3_000_000)
    values = next(routes(world.counters, world.registry, world.policy)).durations["primary"]
    assert (values.count, values.sum, values.bins[3]) == (2, 3.0, 2)


def test_connections_add_up_and_health_is_the_worst_view() -> None:
    world = World(3)
    row = at.service_row(0)
    for block, healthy in ((0, 2), (1, 1)):
        world.add(at.HEARTBEAT, 1, block)
        world.add(row + at.HEALTHY + 1, healthy, block)
        world.add(row + at.ENDPOINTS + 1, 2, block)
        world.add(row + at.CONNECTIONS_IDLE + 1, 4, block)
    world.add(row + at.BREAKER_OPEN + 1, 1, 1)
    found = {(arm.service, arm.arm): arm for arm in upstreams(world.counters, world.policy)}
    candidate = found["shop", "candidate"]
    assert (candidate.healthy, candidate.endpoints, candidate.connections["idle"]) == (1, 2, 8)
    assert candidate.breaker_open
    assert not found["shop", "primary"].breaker_open
    assert ("mail", "candidate") not in found


def test_ready_takes_a_serving_worker_in_every_slot() -> None:
    world = World(4)  # two slots with two blocks each
    now = 1000.0

    def beat(block: int, at_second: float) -> None:
        world.counters.block(block)[at.HEARTBEAT] = int(at_second * 1000)

    assert not is_ready(workers(world.counters, now), 2)
    beat(0, 999.5)
    assert not is_ready(workers(world.counters, now), 2)
    beat(3, 999.0)  # slot 1 by its second block
    assert is_ready(workers(world.counters, now), 2)
    assert not is_ready(workers(world.counters, now + 10), 2)
    world.counters.block(0)[at.DRAINING] = 1
    assert not is_ready(workers(world.counters, now), 2)
    beat(2, 999.9)  # the successor of slot 0
    assert is_ready(workers(world.counters, now), 2)


@pytest.mark.parametrize("seconds", [0.0, 0.00005, 0.0001, 0.00011, 0.00125, 0.0101, 0.25, 59.9, 60.0, 61.0])
def test_a_fine_bin_is_part_of_one_bin(seconds: float) -> None:
    assert at.DURATION_BIN[bisect_left(at.FINE_EDGES, seconds)] == bisect_left(at.DURATION_EDGES, seconds)


def test_fine_bins_are_a_fiftieth_wide() -> None:
    edges = at.FINE_EDGES
    assert list(edges) == sorted(set(edges))
    assert max(high / low for low, high in pairwise(edges) if low >= 0.0001) < 1.04
    assert set(at.DURATION_EDGES) < set(edges)


def test_blocks_and_pages_do_not_overlap() -> None:
    counters = Counters(2)
    counters.block(1)[at.BLOCK_WORDS - 1] = 7
    counters.supervisor[0] = 1
    counters.control[0] = 2
    assert at.fine_word(at.MAX_SERVICES) == at.split_fine_word(0, 0)
    assert at.split_fine_word(at.MAX_SERVICES, 0) == at.first_fine_word(0, 0)
    assert at.first_fine_word(at.MAX_SERVICES, 0) == at.KEYS_AT
    assert at.KEYS_AT + at.KEY_RING == at.BLOCK_WORDS
    assert (len(counters.supervisor), len(counters.control)) == (512, at.CONTROL_BYTES // at.WORD)
    counters.set_base(at.MAX_ROUTES - 1)
    assert len(counters.control) >= at.BASES_AT + at.MAX_ROUTES * at.PAIRED_WORDS
    assert (counters.supervisor[0], counters.control[0], counters.supervisor[511]) == (1, 2, 0)
    assert (counters.total(at.BLOCK_WORDS - 1), counters.block(0)[0]) == (7, 0)


def test_who_failed_and_whom_the_quantiles_split_add_up_over_the_workers() -> None:
    world = World()
    row = world.row()
    for block in (0, 1):
        for i, n in enumerate((90, 3, 2, 1)):
            world.add(at.outcome_word(row, 0) + i, n, block)
        world.add(row + at.JUDGED, 90, block)
        world.add(at.judged_word(row, 1), 4, block)
        world.add(at.judged_word(row, 1) + 1, 7, block)
    world.add(at.outcome_word(row, 1) + 1, 5)
    found = next(routes(world.counters, world.registry, world.policy)).mirrors
    assert found["candidate"].outcomes == {"neither": 180, "shadow_only": 6, "primary_only": 4, "both": 2}
    assert (found["candidate"].judged, found["candidate"].splits) == (
        180,
        {"p50": (0, 0), "p95": (14, 8), "p99": (0, 0)},
    )
    world.add(row + at.ELIGIBLE + 1)
    second = next(routes(world.counters, world.registry, world.policy)).mirrors["secondary"]
    assert (second.outcomes["shadow_only"], second.judged, second.splits) == (5, 0, {})


def test_an_entry_of_the_key_ring_says_what_was_put_in() -> None:
    for h in (0.0, 0.25, 1 - 2**-53):
        for service in (0, at.MAX_SERVICES - 1):
            entry = at.key_entry(h, service, at.KEY_FAILED)
            assert 0 <= entry < 2**63
            assert at.key_of(entry) == (h, service, at.KEY_FAILED)
