"""Control's side of the isolation proof, with a clock of the test's and workers that are a function of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from shadowproxy.control import isolation
from shadowproxy.control.isolation import IsolationProof
from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model import slots
from shadowproxy.model.policy import IsolationPolicy, Policy, Registry, RoutePolicy, ServicePolicy
from shadowproxy.model.rollout import Split
from shadowproxy.model.terms import LEARNED
from shadowproxy.model.totals import Isolation
from tests.metrics.world import upstream

WALL = 1_700_000_000.0
STEP = 0.05
FAST, SLOW_BIN = 300, 320
"""Bins of some milliseconds: a request in a slot without mirroring, and one in any other."""


def service(
    name: str, registry: Registry, hold_out: float = 0.2, arms: tuple[str, ...] = ("candidate",)
) -> ServicePolicy:
    upstreams = {arm: upstream("http://10.0.0.1:80") for arm in ("primary", *arms)}
    rest = RoutePolicy("other", registry.route(name, "other"))
    item = RoutePolicy("item", registry.route(name, "item"), "/items")
    number = registry.service(name)
    return ServicePolicy(name, number, upstreams, (item,), rest, isolation=IsolationPolicy(hold_out))


class Tree:
    """Workers, as control sees them: what they count follows from the time and from the page that control writes."""

    def __init__(self, *names: str, rate: float = 400.0, now: float = 1000.0, **rules: Any) -> None:
        self.registry = Registry()
        self.counters = Counters(2)
        services = tuple(service(name, self.registry, **rules) for name in names or ("shop",))
        self.policy = Policy(services, 1, "0123456789abcdef")
        self.rates = {each.name: rate for each in services}
        self.now = now
        self.mirrors = True
        self.obeys = True
        self.held: list[int] = []
        self.stalls: Callable[[float], bool] = lambda now: False
        self.owed = dict.fromkeys(self.rates, 0.0)
        self.proof = IsolationProof(self.counters, self.policy, self.registry)
        self.due = now

    def run(self, seconds: float) -> Tree:
        """Let time pass in steps: the workers work, and control is called when it asked to be."""
        for _ in range(round(seconds / STEP)):
            self.now = round(self.now + STEP, 6)
            self._work()
            if self.now >= self.due and not self.stalls(self.now):
                self.due = self.proof.tick(self.now, WALL + self.now)
                assert self.due > self.now
        return self

    def _work(self) -> None:
        slot = slots.slot_at(self.now - STEP / 2)
        page = self.counters.control
        leased = page[at.HOLD_OUT_FIRST] <= slot <= page[at.HOLD_OUT_LAST]
        for number, each in enumerate(self.policy.services):
            out = leased and slots.held_out_from(self.policy.epoch, slot) < each.isolation.hold_out and self.obeys
            if out and slot not in self.held:
                self.held.append(slot)
            self.owed[each.name] += self.rates[each.name] * STEP
            requests, self.owed[each.name] = divmod(self.owed[each.name], 1)
            block = self.counters.block(number % 2)
            block[at.fine_word(each.index) + (FAST if out else SLOW_BIN)] += int(requests)
            if self.mirrors and not out:
                block[at.route_row(each.other.index) + at.SENT] += int(requests)

    def figures(self, name: str = "shop") -> Isolation:
        return self.proof.figures()[name]

    @property
    def lease(self) -> tuple[int, int]:
        page = self.counters.control
        return page[at.HOLD_OUT_FIRST], page[at.HOLD_OUT_LAST]


def width() -> float:
    return at.FINE_EDGES[SLOW_BIN] - at.FINE_EDGES[FAST]


def test_what_mirroring_adds_is_found() -> None:
    tree = Tree().run(120)
    found = tree.figures()
    assert found.state == "measuring"
    assert found.rate == pytest.approx(400, rel=0.05)
    assert found.slots >= 8
    assert found.discarded == {}
    assert set(found.added) == {"p50", "p95", "p99"}
    assert found.added["p50"].estimate == pytest.approx(width(), rel=0.05)
    assert found.more == {}
    assert found.since is not None
    assert WALL + 1010 < found.since < WALL + 1060


def test_every_slot_that_is_held_out_is_compared() -> None:
    tree = Tree().run(200)
    assert 0 <= len(tree.held) - tree.figures().slots <= 2  # the first has no neighbour in time, the last is under way
    assert len(tree.held) > 12


def test_nothing_is_held_out_before_the_rate_is_known() -> None:
    tree = Tree().run(isolation.WATCHED - 1)
    assert tree.figures().state == "starting"
    assert tree.lease[1] < 0
    assert tree.run(4).figures().state == "measuring"
    first, last = tree.lease
    assert first > slots.slot_at(1000 + isolation.WATCHED)
    assert last == first + isolation.LEASE + (slots.slot_at(tree.now) - first)


def test_a_slot_that_runs_is_never_begun_in_the_middle() -> None:
    tree = Tree()
    while tree.lease[1] < 0:
        tree.run(STEP)
    assert tree.lease[0] == slots.slot_at(tree.now) + 1


def test_a_slow_service_holds_nothing_out_and_says_why() -> None:
    tree = Tree(rate=49).run(60)
    found = tree.figures()
    assert (found.state, found.slots, tree.held) == ("slow", 0, [])
    assert found.rate == pytest.approx(49, abs=1)
    assert found.more == {"p50": 8, "p95": 16, "p99": 56}


def test_it_goes_on_a_little_below_the_rate_at_which_it_begins() -> None:
    tree = Tree(rate=60).run(30)
    tree.rates["shop"] = 45
    assert tree.run(30).figures().state == "measuring"
    tree.rates["shop"] = 30
    assert tree.run(30).figures().state == "slow"
    held = len(tree.held)
    slots_before = tree.figures().slots
    tree.rates["shop"] = 45
    tree.run(60)
    assert tree.figures().state == "slow"
    assert len(tree.held) == held
    assert tree.figures().slots == slots_before


def test_nothing_is_held_out_where_nothing_is_mirrored() -> None:
    tree = Tree()
    tree.mirrors = False
    assert tree.run(30).figures().state == "unmirrored"
    assert tree.held == []


def test_slots_around_which_no_copy_was_sent_say_nothing() -> None:
    tree = Tree().run(60)
    before = tree.figures().slots
    tree.mirrors = False
    tree.run(9)
    tree.mirrors = True
    tree.run(2)
    assert tree.figures().state == "measuring"
    gained = tree.figures().slots - before
    assert gained <= 1
    assert tree.figures().discarded.get("nothing_mirrored", 0) >= 1


def test_a_worker_that_mirrors_in_a_held_out_slot_spoils_it() -> None:
    tree = Tree()
    tree.obeys = False
    found = tree.run(60).figures()
    assert found.slots == 0
    assert found.discarded["mirrored"] >= 4


def test_slots_with_few_requests_are_discarded() -> None:
    tree = Tree("shop", "mail")
    tree.rates["mail"] = 20
    tree.run(60)
    assert tree.figures("shop").slots >= 4
    assert tree.figures("mail").slots == 0
    assert tree.figures("mail").discarded["few_requests"] == tree.figures("shop").slots
    assert tree.figures("mail").state == "slow"


def test_what_is_read_late_is_thrown_away() -> None:
    tree = Tree().run(20)
    found = tree.figures()
    tree.stalls = lambda now: slots.SECONDS * 0.2 < now % slots.SECONDS < slots.SECONDS * 0.4
    tree.run(60)
    assert tree.figures().slots - found.slots <= 1
    assert tree.figures().discarded["late"] >= 4


def test_a_control_that_is_gone_lets_its_lease_run_out() -> None:
    tree = Tree().run(30)
    tree.stalls = lambda now: True
    first, last = tree.lease
    tree.run(60)
    assert tree.lease == (first, last)
    assert all(slot <= last for slot in tree.held)
    tree.stalls = lambda now: False
    tree.run(2)
    assert tree.lease[0] > last + 20


def test_the_next_control_takes_the_page_over_and_begins_anew() -> None:
    tree = Tree().run(60)
    assert tree.lease[1] > 0
    tree.proof = IsolationProof(tree.counters, tree.policy, tree.registry)
    assert tree.lease[1] < 0
    assert tree.figures().slots == 0
    tree.due = tree.now
    assert tree.run(60).figures().slots >= 3


def test_a_service_that_changes_is_measured_anew_and_others_go_on() -> None:
    tree = Tree("shop", "mail").run(60)
    shop, mail = tree.policy.services
    before = tree.figures("mail").slots
    assert before >= 3
    tree.policy = replace(tree.policy, services=(replace(shop, salt="other"), mail), sequence=2)
    tree.proof.apply(tree.policy, tree.registry)
    tree.due = tree.now
    assert tree.figures("shop").slots == 0
    assert tree.figures("shop").since is None
    assert tree.figures("mail").slots == before
    tree.run(60)
    assert tree.figures("shop").slots >= 3
    assert tree.figures("mail").slots >= before + 3


def test_routes_that_are_learned_disturb_nothing() -> None:
    tree = Tree().run(60)
    before = tree.figures().slots
    for number in range(200):
        (shop,) = tree.policy.services
        name = f"learned{number}"
        route = RoutePolicy(name, tree.registry.route("shop", name), f"/{name}", origin=LEARNED)
        tree.policy = replace(tree.policy, services=(replace(shop, routes=(*shop.routes, route)),))
        tree.proof.apply(tree.policy, tree.registry)
        tree.run(0.3)
    assert tree.figures().slots >= before + 3
    assert tree.figures().discarded == {}


def test_a_rollout_that_takes_a_step_disturbs_nothing() -> None:
    tree = Tree().run(60)
    before = tree.figures().slots
    for step in range(6):
        (shop,) = tree.policy.services
        split = Split("v2", weight=step / 10)
        tree.policy = replace(tree.policy, services=(replace(shop, split=split),))
        tree.proof.apply(tree.policy, tree.registry)
        tree.run(10)
    assert tree.figures().slots >= before + 3


@pytest.mark.parametrize("rules", [{"hold_out": 0.0}, {"arms": ()}])
def test_what_is_not_to_be_measured_is_not_there(rules: dict[str, Any]) -> None:
    tree = Tree(**rules).run(30)
    assert tree.proof.figures() == {}
    assert tree.lease[1] < 0


def test_a_smaller_share_holds_out_fewer_of_the_same_slots() -> None:
    rare, often = Tree(hold_out=0.05).run(300), Tree(hold_out=0.2).run(300)
    assert set(rare.held) < set(often.held)
    assert rare.figures().slots >= 4


def test_a_share_that_leaves_no_slot_in_sight_waits() -> None:
    tree = Tree(hold_out=0.0001).run(30)
    assert (tree.figures().state, tree.figures().slots, tree.held) == ("measuring", 0, [])


def test_a_secondary_alone_is_measured_too() -> None:
    tree = Tree(arms=("secondary",))
    assert tree.run(60).figures().slots >= 3
