"""The whole chain over bytes: JSON answers of three arms → two comparers → control's knowledge → lessons → a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final
from uuid import UUID

from shadowproxy.compare import Engine
from shadowproxy.control.knowledge import Knowledge
from shadowproxy.model.pair import CapturedRequest, CapturedResponse, FieldCount, Pair, Second
from shadowproxy.model.policy import (
    ComparePolicy,
    Endpoint,
    NoisePolicy,
    Policy,
    RoutePolicy,
    ServicePolicy,
    UpstreamPolicy,
)
from shadowproxy.report import Report, build
from tests.compare.builders import JSON, Clock
from tests.report.facts import facts, mirror, route

HARVEST: Final = 25
"""Pairs between two harvests of a comparer."""
START: Final = 1.7e9
GET: Final = CapturedRequest(b"GET", b"/items/1", [])

Body = dict[str, Any]
Fault = Callable[[Random, Body], None]


def item(draw: Random, number: int) -> Body:
    """One answer: what it is about depends on `number` alone, the rest is noise in all the ways that services know."""
    body: Body = {
        "id": number,
        "name": f"item {number}",
        "currency": "EUR",
        "price": 100.0 + number,
        "request": str(UUID(int=draw.getrandbits(128), version=4)),
        "at": f"2026-11-26T10:{draw.randrange(60):02}:{draw.randrange(60):02}.{draw.randrange(1000):03}Z",
        "served_at": 1_795_600_000 + draw.randrange(100_000),
        "tier": ("low", "mid", "high")[number % 3],
        "tags": ["new", "red", "sale", "small"],
        "stock": {"count": number % 17, "depot": f"d{number % 5}"},
        "sizes": [{"size": size, "left": (number + size) % 9} for size in (36, 38, 40)],
    }
    if draw.random() < 0.02:
        body["price"] += 1.0
    if draw.random() < 0.15:
        body["tier"] = draw.choice(("low", "mid", "high"))
    if draw.random() < 0.1:
        draw.shuffle(body["tags"])
    if draw.random() < 0.03:
        body["stock"]["depot"] = None
    if draw.random() < 0.02:
        del body["sizes"][-1]
    if draw.random() < 0.01:
        body["promotion"] = "2 for 1"
    return body


class Chain:
    """A service with a secondary, or with resamples where `share` says how many."""

    def __init__(self, seed: int = 0, share: float = 0.0, rules: ComparePolicy | None = None) -> None:
        self.draw = Random(seed)
        self.make = item
        self.second = True
        """Whether there are second answers."""
        self.made = 0
        """For makers that count: primary, second answer, candidate, in this order."""
        self.share = share
        self.clock = Clock()
        self.now = START
        arms = ("primary", "candidate") if share else ("primary", "candidate", "secondary")
        upstreams = {arm: UpstreamPolicy((Endpoint(f"http://{arm}:80"),)) for arm in arms}
        routes = (RoutePolicy("item", 0, compare=rules or ComparePolicy()),)
        self.policy = Policy(
            (ServicePolicy("shop", 0, upstreams, routes, noise=NoisePolicy(resample=share)),), epoch="e"
        )
        self.comparers = [Engine(self.policy, b"key", self.clock) for _ in range(2)]
        self.knowledge = Knowledge(self.policy, self.now, lambda _: None)
        self.triples = 0
        self.verdicts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.fields: Counter[tuple[str, str]] = Counter()
        self.pairs = 0
        self.first: dict[tuple[str, str], int] = {}
        """After how many pairs a field was listed first."""

    def ask(self, pairs: int, fault: Fault | None = None, *, answers: bool = True) -> None:
        """So many requests. `fault` is what the candidate does to its answers; without `answers` it gives none."""
        for _ in range(pairs):
            number = self.draw.randrange(1000)
            primary, second, candidate = (self.make(self.draw, number) for _ in range(3))
            if fault is not None:
                fault(self.draw, candidate)
            drawn = self.draw.random() < self.share if self.share else None
            self.pairs += 1
            if answers:
                self._judge(primary, candidate, second if self.second and drawn in {None, True} else None, drawn)
            else:
                self.verdicts["mismatch"] += 1
                self.kinds["candidate_timeout"] += 1
            if not self.pairs % HARVEST:
                self._harvest()

    def _judge(self, primary: Body, candidate: Body, second: Body | None, drawn: bool | None) -> None:
        arm = "secondary" if drawn is None else "resample"
        other = Second(arm, response(second)) if second is not None else None
        spared = None if drawn is None else not drawn
        answers = response(primary), response(candidate)
        pair = Pair(1, "shop", "item", "candidate", "r", self.now, GET, *answers, second=other, spared=spared)
        answer = self.comparers[self.pairs % 2].handle(pair)
        assert answer is not None
        self.triples += second is not None
        self.verdicts[answer.verdict] += 1
        self.kinds.update(answer.kinds)

    def _harvest(self) -> None:
        self.now += 1.0
        self.clock.now += 1.0
        for comparer in self.comparers:
            aggregate, _ = comparer.harvest()
            self.fields.update({(row.field, row.kind): row.pairs for row in aggregate.fields})
            self.knowledge.hear(aggregate, self.now)
        for lesson in self.knowledge.tick({("shop", "item"): self.triples}, self.now):
            for comparer in self.comparers:
                comparer.learn(lesson)
        for field in self.listed:
            self.first.setdefault(field, self.pairs)

    @property
    def listed(self) -> set[tuple[str, str]]:
        return {key[1:] for key in self.knowledge.services["shop"].ledger.listed(self.now)}

    @property
    def noisy(self) -> set[tuple[str, str]]:
        return {key[1:] for key in self.knowledge.services["shop"].lesson(self.now).noisy}

    def report(self) -> Report:
        kept = {"match": 0, "mismatch": 0, **self.verdicts}
        counted = route(mirror(kinds=dict(self.kinds), **kept))
        rows = [FieldCount("shop", "item", *key, pairs) for key, pairs in self.fields.items()]
        known = self.knowledge.learned(self.now)
        return build(facts(counted, services=self.policy.services, fields=rows, learned=known, now=self.now))


def response(body: Body | None) -> CapturedResponse:
    return CapturedResponse(200, JSON, json.dumps(body).encode(), 0.012)
