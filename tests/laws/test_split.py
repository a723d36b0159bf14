"""Users split under random faults: who is the primary's never meets the candidate, and at rest nothing is left over."""

from __future__ import annotations

import random
import re

import msgspec
import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import Policy
from shadowproxy.model.rollout import Split, Sticky
from shadowproxy.model.sampling import share
from shadowproxy.model.terms import FALLBACK_REASONS
from shadowproxy.proxy import serving
from tests.fakes.stage import PORTS, Stage
from tests.laws.test_books import assert_balanced, come_to_rest
from tests.laws.traffic import Traffic, rules

STEPS = 200
MOST = 0.9
SALT = b"default"
_REQUEST = re.compile(rb"[A-Z]+ \S+ HTTP/1\.1\r\n(?:[^\r\n]+\r\n)*\r\n")
_ID = re.compile(rb"\r\nX-Request-Id: ([^\r]+)\r\n")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate rests after so few failures that in a short life it does."""
    monkeypatch.setattr(serving, "FAILURES", 2)


def split_rules(chance: random.Random) -> Policy:
    """A weight of at most `MOST`, leased or not, users told apart by their request ids in one way or the other."""
    what = rules("candidate")
    (service,) = what.services
    split = Split(
        "v2",
        weight=chance.choice((0.0, MOST, MOST)),
        leased=chance.random() < 0.3,
        sticky=chance.choice((None, Sticky(header="x-request-id"))),
        sample=chance.choice((None, 0.5)),
    )
    return msgspec.structs.replace(what, services=(msgspec.structs.replace(service, split=split),))


def one_step(traffic: Traffic, chance: random.Random) -> None:
    stage, roll = traffic.stage, chance.random()
    if roll < 0.4:
        traffic.client_step()
    elif roll < 0.6:
        traffic.origin_step("primary", chance)
    elif roll < 0.8:
        traffic.origin_step("candidate", chance)
    elif roll < 0.85:
        traffic.dial_step(chance.choice(("primary", "candidate", "candidate")), chance)
    elif roll < 0.9:
        traffic.comparer_step(chance)
    elif roll < 0.97:
        stage.tick(chance.choice((0.05, 0.3, 1.0, 2.5)))
    elif roll < 0.98:
        stage.all_counters.control[at.LEASES] = int((stage.loop.time() + 1.0) * 1000)
    else:
        stage.apply(split_rules(chance))


def users_of_the_candidate(stage: Stage) -> list[bytes]:
    """The ids of the requests that it was sent and that are no copies."""
    sent = b"".join(bytes(transport.written) for transport in stage.loop.made.get(PORTS["candidate"], []))
    heads = [head for head in _REQUEST.findall(sent) if b"X-Shadow-Request" not in head]
    return [found[1] for head in heads if (found := _ID.search(head))]


def counted(stage: Stage) -> tuple[list[int], list[int], int]:
    """Requests, failed and client errors of both arms that were drawn, and all fallbacks but those for a lease."""
    row, words = at.route_row(0), stage.counters
    primary, candidate = (words[at.split_word(row, arm, 0) : at.split_word(row, arm, 0) + 3].tolist() for arm in (0, 1))
    return primary, candidate, sum(words[at.fallback_word(row, r)] for r in FALLBACK_REASONS if r != "lease_expired")


def lived_through(seed: int) -> Stage:
    chance = random.Random(seed)
    stage = Stage(split_rules(chance))
    traffic = Traffic(stage, seed)
    for _ in range(STEPS):
        one_step(traffic, chance)
        assert_balanced(stage)
    come_to_rest(stage, traffic)
    assert_balanced(stage)
    return stage


@pytest.mark.parametrize("seed", range(40))
def test_nobody_of_the_primarys_meets_the_candidate_and_nothing_is_left_at_rest(seed: int) -> None:
    stage = lived_through(seed)
    assert all(share(SALT, each) < MOST for each in users_of_the_candidate(stage))
    primary, candidate, fallbacks = counted(stage)
    for requests, failed, client_errors in (primary, candidate):
        assert failed + client_errors <= requests
    assert fallbacks <= candidate[1]  # each is a failure of the candidate's as well
    assert not any(each.is_awaited for each in stage.site.snapshot.servings)
    for origin in (*stage.site.snapshot.origins.values(), *stage.site.snapshot.leaving):
        assert all(server.lent == 0 for server in origin.pool.servers)
    assert stage.counters[at.CLIENT_CONNECTIONS] == stage.counters[at.TUNNELS_OPEN] == 0


def test_random_traffic_reaches_every_way_back() -> None:
    """The test above would prove little if some way back never came up."""
    seen: set[str] = set()
    for seed in range(40):
        stage = lived_through(seed)
        seen |= {r for r in FALLBACK_REASONS if stage.counters[at.fallback_word(at.route_row(0), r)]}
    assert seen == set(FALLBACK_REASONS)
