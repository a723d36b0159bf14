"""What control makes of the counters: a report's facts, with the pairs weighed."""

from __future__ import annotations

import asyncio
import time

import pytest
from msgspec.structs import replace

from shadowproxy.compare.causes import cause_id
from shadowproxy.control.state import HEARD_WITHIN, CauseQuery, State
from shadowproxy.metrics import layout as at
from shadowproxy.model.commands import Apply
from shadowproxy.model.pair import Aggregate, CauseCount
from shadowproxy.model.policy import Launch
from shadowproxy.model.terms import CANDIDATE
from tests.admin.conftest import MemoryStore
from tests.metrics.world import World


def fails(world: World, pairs: int) -> None:
    """Further pairs in which the candidate alone failed."""
    world.mirrored(pairs)
    world.add(at.outcome_word(world.row(), 0) + 1, pairs)


@pytest.fixture(name="world")
def _world() -> World:
    world = World()
    world.counters.supervisor[at.STARTED_AT] = 1_000_000
    return world


def control(world: World) -> State:
    return State(Launch(workers=1), world.policy, world.registry, world.counters, MemoryStore())  # type: ignore[arg-type]


async def test_facts_hold_the_evidence_of_this_moment(world: World) -> None:
    state = control(world)
    fails(world, 10)
    first = (await state.facts(1_010.0)).paired["shop", "item"]["errors"]
    fails(world, 20)
    assert (await state.facts(1_011.0)).paired["shop", "item"]["errors"] > first > 0


async def test_evidence_outlives_control(world: World) -> None:
    fails(world, 30)
    before = control(world)
    before.weigh(1_010.0)
    after = control(world)
    facts = [await each.facts(1_020.0) for each in (before, after)]
    assert facts[0].paired == facts[1].paired


async def test_a_new_version_is_judged_by_its_own_pairs_also_by_the_control_after_this_one(world: World) -> None:
    state = control(world)
    fails(world, 30)
    state.weigh(1_010.0)
    state.begin_evidence("shop")
    for each in (state, control(world)):
        facts = await each.facts(time.time() + HEARD_WITHIN)
        assert facts.paired["shop", "item"] == {}
        mirror = next(row for row in facts.routes if row.route == "item").mirrors["candidate"]
        assert (mirror.alone, mirror.compared) == ((0, 0), 30)
    fails(world, 2)
    assert (await state.facts(time.time() + 2 * HEARD_WITHIN)).paired["shop", "item"]["errors"] > 0
    assert world.counters.block(0)[at.outcome_word(world.row(), 0) + 1] == 32, "counters never go back"


async def test_what_workers_count_before_they_have_heard_of_the_new_version_is_left_out(world: World) -> None:
    state = control(world)
    state.begin_evidence("shop")
    assert world.counters.control[at.EVIDENCE] == 1
    fails(world, 30)
    now = time.time()
    assert (await state.facts(now)).paired["shop", "item"] == {}
    fails(world, 30)
    assert (await state.facts(now + HEARD_WITHIN)).paired["shop", "item"] == {}
    fails(world, 30)
    assert (await state.facts(now + HEARD_WITHIN + 1)).paired["shop", "item"]["errors"] > 0


async def test_another_service_goes_on(world: World) -> None:
    state = control(world)
    fails(world, 30)
    state.begin_evidence("mail")
    assert (await state.facts(1_020.0)).paired["shop", "item"]["errors"] > 0
    state.begin_evidence("gone")


async def test_a_cause_alone_has_the_pairs_that_the_list_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    state = control(world)
    price, noise = ("$.price", "body_value"), ("$.at", "body_value")
    now = time.time()
    counts = []
    for pairs, keys in ((7, (price,)), (2, (noise, price)), (1, (noise,))):
        identity = cause_id(("shop", "item", CANDIDATE, 200, 200, ""), keys, mixed=False)
        counts.append(CauseCount("shop", "item", CANDIDATE, identity, keys, 200, 200, "", pairs, now, now))
    state.hear(Aggregate([], causes=counts))
    monkeypatch.setattr(state.knowledge, "noisy", lambda now: {"shop": {("item", *noise)}})
    ((listed,), _) = await state.cause_page(now, CauseQuery())
    alone = [state.cause(now, each.id) for each in counts]
    assert [each.pairs for each in alone if each is not None] == [9, 2, 1]
    assert listed.pairs == 9


async def test_who_waits_for_a_reload_is_not_answered_by_a_policy_that_came_meanwhile(world: World) -> None:
    state = control(world)
    failed = "c.yaml:1:1: a: the one before failed"
    later = replace(world.policy, sequence=world.policy.sequence + 2)

    def supervisor() -> None:
        state.apply(Apply(replace(later, sequence=later.sequence - 1), world.registry, (failed,), reread=False))
        asyncio.get_running_loop().call_later(0.02, state.apply, Apply(later, world.registry))

    state.ask_for_reload = lambda: asyncio.get_running_loop().call_soon(supervisor)
    assert await state.reloaded(lambda policy: policy.sequence == later.sequence, 5.0)
