"""The isolation proof with real processes: slots in which the candidate hears nothing, and what comes of them."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pytest

from shadowproxy.model.slots import held_out_from
from tests.e2e import short_slots
from tests.e2e.harness import Proxy, books, eventually
from tests.e2e.processes.load import Load
from tests.e2e.short_slots import DRAIN, SECONDS
from tests.e2e.talk import settings
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
HOLD_OUT = 0.2
TICK = 0.1
"""Twice what a worker may be late at the edge of a slot."""


def notes(times: list[float]) -> Script:
    """Answers every request and writes down when it came."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            times.append(time.monotonic())
            await peer.send(answer(b"same"))

    return script


def between(times: list[float], start: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, start)


def drained(times: list[float], slot: int) -> int:
    """Requests in the part of a slot that is compared."""
    return between(times, slot * SECONDS + DRAIN, (slot + 1) * SECONDS)


@pytest.mark.alone
def test_in_slots_that_are_held_out_the_candidate_hears_nothing_and_the_difference_is_measured(
    upstreams: Serve, proxies: Start
) -> None:
    served: list[float] = []
    copied: list[float] = []
    proxy = proxies(
        settings(upstreams(notes(served)).url, upstreams(notes(copied)).url, workers=2, isolation={"hold_out": "20%"}),
        program=("-P", str(Path(short_slots.__file__))),
    )
    with Load.on(proxy.url, connections=8, pause=0.02) as load:
        eventually(lambda: proxy.metrics().total("shadowproxy_shadow_sampled_out_total") > 0, 30)
        began = time.monotonic()
        eventually(lambda: proxy.metrics().of("shadowproxy_isolation_delta_seconds", "percentile"), 40)
        metrics = proxy.metrics()
        ended = time.monotonic()
    assert load.failed == []
    assert metrics.total("shadowproxy_isolation_slots_total", service="default") >= 2
    bounds = metrics.of("shadowproxy_isolation_delta_seconds", "percentile", "bound")
    assert bounds["p50", "lower"] <= bounds["p50", "estimate"] <= bounds["p50", "upper"]

    counted = books(proxy, load.answered)
    assert counted.total("shadowproxy_shadow_sent_total") == len(copied)
    epoch = proxy.api("status")["epoch"]
    slots = range(int(served[0] / SECONDS), int(served[-1] / SECONDS) + 1)
    drawn = [slot for slot in slots if held_out_from(epoch, slot) < HOLD_OUT]
    sampled_out = counted.total("shadowproxy_shadow_sampled_out_total")
    assert 0 < sampled_out <= sum(between(served, k * SECONDS - TICK, (k + 1) * SECONDS + TICK) for k in drawn)

    held = [slot for slot in drawn if began < slot * SECONDS and (slot + 1) * SECONDS < ended]
    assert held
    inside = sum(drained(copied, slot) for slot in held)
    outside = sum(drained(copied, slot + side) for slot in held for side in (-1, 1)) / 2
    assert sum(drained(served, slot) for slot in held) > 20
    assert inside <= 0.02 * outside, "nothing but what a late worker let through"

    (service,) = proxy.api("report")["services"]
    assert service["isolation"]["slots"] >= 2
    assert "p50" in service["isolation"]["added"]
