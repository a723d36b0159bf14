"""Facts say what is so, once, and nothing that is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.control.rollout.counting import Bases
from shadowproxy.control.rollout.gathering import Around, Gathering, Kept, Now, reachable
from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import Endpoint, UpstreamPolicy, VersionPolicy
from shadowproxy.model.rollout import PENDING, PROMOTED, PROMQL, RUNNING, WEBHOOK, Check, Prometheus, Sticky
from shadowproxy.rollout.attempts import begin
from shadowproxy.rollout.bake import MAX_TICK
from shadowproxy.rollout.facts import Facts, KeyCounts, RouteCounts
from shadowproxy.rollout.traffic import traffic
from shadowproxy.rollout.values import State
from tests.control.rollout.rig import PLAN, Rig
from tests.control.rollout.web import Settled, Web
from tests.metrics.world import upstream

ALONE = Around("", (), True)


class Gathered:
    """One service in step 1, whose split is in force, looked at once a second."""

    def __init__(self, directory: Path, plan: Any = PLAN, **policy: Any) -> None:
        self.rig = Rig(directory, plan)
        self.state = replace(begin("shop", plan, (), 0.0), phase=RUNNING, step=1, weight=0.05)
        split, urls = traffic(self.state), self.rig.policy.services[0].urls("candidate")
        assert split is not None
        self.rig.configure(split=replace(split, urls=urls), **policy)
        self.rig.control.knowledge.tick({}, self.rig.wall)
        self.web = Web()
        self.gathering = Gathering(self.rig.control, self.rig.policy.services[0], self.web.session, Kept())

    def look(self, seconds: float = 1.0, around: Around = ALONE) -> Facts:
        self.rig.wall += seconds
        self.rig.monotonic += seconds
        self.rig.beat()
        facts, kept = self.gathering.facts(self.state, around, Now(self.rig.wall, self.rig.monotonic))
        self.gathering.keep(kept)
        return facts


@pytest.fixture
def shop(tmp_path: Path) -> Gathered:
    return Gathered(tmp_path)


def test_the_first_facts_begin_at_what_is_there(shop: Gathered) -> None:
    shop.rig.requests()
    assert shop.look().routes == ()
    shop.rig.requests(30, 3)
    assert shop.look().routes == (RouteCounts("item", (30, 3)),)
    assert shop.look().routes == ()


def test_time_is_measured_by_a_clock_that_nobody_sets(shop: Gathered) -> None:
    assert shop.look().elapsed == 0.0
    shop.rig.wall -= 3600
    assert shop.look(1.5).elapsed == 1.5
    assert shop.look(3600.0).elapsed == MAX_TICK


def test_what_was_counted_under_another_split_is_no_evidence(shop: Gathered) -> None:
    shop.look()
    shop.rig.requests()
    shop.state = replace(shop.state, weight=0.1)
    facts = shop.look()
    assert (facts.applied, facts.routes) == (False, ())
    shop.rig.configure(split=shop.gathering.wanted(shop.state))
    shop.gathering.apply(shop.rig.policy.services[0], shop.rig.policy.sequence)
    shop.rig.requests()
    facts = shop.look()
    assert (facts.applied, facts.routes) == (True, ()), "some of it came before"
    shop.rig.requests()
    assert shop.look().routes


def test_a_policy_that_changes_nothing_here_asks_for_nothing(shop: Gathered) -> None:
    shop.look()
    block = shop.rig.world.counters.block(0)
    before = block[at.SEQUENCE]
    shop.gathering.apply(shop.rig.policy.services[0], before + 7)
    assert shop.look().applied
    shop.gathering.apply(replace(shop.rig.policy.services[0], split=None), before + 8)
    assert not shop.look().applied


def test_workers_that_drain_or_are_gone_are_not_waited_for(shop: Gathered) -> None:
    shop.look()
    for word, value in ((at.DRAINING, 1), (at.HEARTBEAT, 1)):
        block = shop.rig.world.counters.block(2)
        block[at.HEARTBEAT], block[at.DRAINING], block[at.SEQUENCE] = int(shop.rig.monotonic * 1000), 0, 0
        assert not shop.look().applied
        block[word] = value
        assert shop.look().applied


def test_sticky_keys_are_told_where_users_are(tmp_path: Path) -> None:
    shop = Gathered(tmp_path, replace(PLAN, sticky=Sticky(header="x-user")))
    assert shop.look().keys == KeyCounts()
    words = shop.rig.world.counters.block(0)
    words[at.KEYS_AT] = at.key_entry(0.01, 0, at.KEY_SEEN)
    words[at.KEYS_WRITTEN] = 1
    assert shop.look().keys == KeyCounts(seen=(0, 1))


def test_keys_of_another_instance_are_not_looked_for(tmp_path: Path) -> None:
    shop = Gathered(tmp_path, replace(PLAN, sticky=Sticky(header="x-user")))
    shop.gathering.keep(Kept(Bases("epoch0", written=(9, 9)), (), (1, 1), (5, 5)))
    assert shop.look().keys == KeyCounts()
    words = shop.rig.world.counters.block(3)
    words[at.KEYS_AT] = at.key_entry(0.5, 0, at.KEY_SEEN)
    words[at.KEYS_WRITTEN] = 1
    assert shop.look().keys == KeyCounts(seen=(1, 0))


def test_without_sticky_users_there_are_no_keys(shop: Gathered) -> None:
    assert shop.look().keys is None


def test_health_is_what_any_worker_sees(shop: Gathered) -> None:
    policy, world = shop.rig.policy.services[0], shop.rig.world
    assert reachable(world.counters, policy) == {}
    row, candidate = at.service_row(0), at.ARM_INDEX["candidate"]
    for slot in range(2):
        world.counters.block(slot)[row + at.ENDPOINTS + candidate] = 1
        world.counters.block(slot)[row + at.HEALTHY + candidate] = 1
    assert shop.look().healthy == {"candidate": True}
    world.counters.block(0)[row + at.BREAKER_OPEN + candidate] = 1
    assert shop.look().healthy == {"candidate": True}
    world.counters.block(1)[row + at.HEALTHY + candidate] = 0
    assert shop.look().healthy == {"candidate": False}


def test_an_arm_is_known_by_where_it_is_unless_it_says_its_version(tmp_path: Path) -> None:
    assert Gathered(tmp_path).look().identity == {
        "primary": "http://10.0.0.1:81",
        "candidate": "http://10.0.0.2:82",
    }
    static = Gathered(tmp_path, version=VersionPolicy(static="2.0")).look().identity
    assert static == {"primary": "2.0 at http://10.0.0.1:81", "candidate": "2.0 at http://10.0.0.2:82"}
    named = Gathered(tmp_path, version=VersionPolicy(header="x-version"))
    assert named.look().identity == {}
    named.rig.control.knowledge.versions.hear("shop", "candidate", "2.0", named.rig.wall)
    named.rig.control.knowledge.tick({}, named.rig.wall)
    assert named.look().identity == {"candidate": "2.0"}


def promoted(shop: Gathered) -> State:
    return replace(shop.state, phase=PROMOTED, weight=1.0, identity={"candidate": "2.0"})


def test_a_promotion_is_settled_by_version_or_by_place(tmp_path: Path) -> None:
    shop = Gathered(tmp_path, version=VersionPolicy(header="x-version"))
    shop.look()
    shop.state = promoted(shop)
    assert not shop.look().settled
    versions = shop.rig.control.knowledge.versions
    versions.hear("shop", "primary", "2.0", shop.rig.wall)
    shop.rig.control.knowledge.tick({}, shop.rig.wall)
    assert shop.look().settled

    moved = Gathered(tmp_path, version=VersionPolicy(header="x-version"))
    moved.look()
    moved.state = promoted(moved)
    moved.rig.configure(upstreams={"primary": upstream("http://10.0.0.2:82")})
    moved.gathering.apply(moved.rig.policy.services[0], 1)
    assert moved.look().settled


def test_a_candidate_at_none_of_its_urls_is_another(shop: Gathered) -> None:
    def moved(*urls: str) -> str:
        candidate = UpstreamPolicy(tuple(Endpoint(url) for url in urls))
        shop.rig.configure(
            upstreams={"primary": upstream("http://10.0.0.1:81")} | ({"candidate": candidate} if urls else {})
        )
        shop.gathering.apply(shop.rig.policy.services[0], 1)
        return shop.look().candidate

    one, two, three = (f"http://10.0.0.{n}:82" for n in (2, 3, 4))
    assert shop.look().candidate == ""
    assert (moved(one, two), moved(two), moved(three), shop.look().candidate) == ("", "", "another", "")
    shop.state = promoted(shop)
    assert (moved(two), moved(), shop.look().candidate, moved(three)) == ("another", "gone", "gone", "")
    shop.state = replace(shop.state, phase=PENDING)
    assert (moved(two), moved(), moved(one)) == ("", "", "")


def test_fields_are_weighed_as_one(shop: Gathered) -> None:
    knowledge = shop.rig.control.knowledge.services["shop"]
    knowledge.ledger.add(("item", "$.price", "body_value"), 60, 0, 0, 0, shop.rig.wall)
    fields = shop.look().fields
    assert fields is not None
    assert fields.log_e == knowledge.ledger.log_mean(0.0)
    assert fields.listed == ("item $.price body_value",)
    assert not fields.learns


async def test_what_is_due_is_asked_and_an_answer_is_told_once(tmp_path: Path) -> None:
    checks = (
        Check("memory", PROMQL, promql="memory", step=10.0),
        Check("load", WEBHOOK, url="http://gate", interval=30.0),
    )
    shop = Gathered(tmp_path, replace(PLAN, checks=checks, prometheus=Prometheus("http://prom")))
    shop.web.reply = lambda posted: (200, b"") if "gate" in posted.url else (503, b"{}")
    shop.look()
    await Settled()
    facts = shop.look()
    assert facts.answers.keys() == {"memory"}
    assert facts.gates["load"].said == "pass"
    facts = shop.look()
    assert facts.answers == {}
    assert facts.gates["load"].said == "pass"
    asked = len(shop.web.posted)
    shop.state = replace(shop.state, phase=PROMOTED)
    shop.look(60.0)
    await Settled()
    assert len(shop.web.posted) == asked, "only what runs is asked about"
    shop.gathering.stop()


def test_what_others_know_is_passed_on(shop: Gathered) -> None:
    facts = shop.look(around=Around("ada", (), False))
    assert (facts.watch, facts.store, facts.recalled) == ("ada", False, 0.0)
    shop.rig.recall()
    shop.gathering.apply(shop.rig.policy.services[0], shop.rig.policy.sequence)
    assert shop.look().recalled == shop.rig.wall - 1
