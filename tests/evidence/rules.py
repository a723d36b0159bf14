"""Who says which fields regressed: the ledger, Diffy's rule, a z-test at every look, all shown the same requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import sqrt
from statistics import NormalDist
from typing import Protocol

from shadowproxy.evidence import CAPACITY, FieldLedger
from tests.evidence.services import Drawn, Field, Seen, Service

TICK = 10.0
"""Seconds of a tick, where nothing else is said."""

Key = tuple[str, str, str]


class Rule(Protocol):
    def see(self, drawn: Drawn, seen: list[Seen], now: float) -> None: ...

    def shown(self, now: float) -> set[Key]:
        """The fields that this rule calls regressed by now."""


class Ours(FieldLedger):
    """The ledger, told of bits as comparers tell it."""

    def __init__(self, share: float = 0.0, capacity: int = CAPACITY, since: float = 0.0) -> None:
        super().__init__(since, 0.05, share, capacity)

    @property
    def weights(self) -> dict[Key, float]:
        """The logarithms of the e-values at the last look."""
        return self._evidence

    def see(self, drawn: Drawn, seen: list[Seen], now: float) -> None:
        self.advance(now)
        triples = drawn.answered
        self.triples["item"] = self.triples.get("item", 0) + triples.bit_count()
        spared, missed = drawn.every & ~drawn.chosen, drawn.chosen & ~triples
        for field, candidate, second in seen:
            if (candidate & ~missed) | (second & triples) | (candidate & missed):
                self.add(
                    field.key,
                    (candidate & ~second & triples).bit_count(),
                    (second & ~candidate & triples).bit_count(),
                    (second & candidate & triples).bit_count(),
                    (candidate & spared).bit_count(),
                    now,
                    missed=(candidate & missed).bit_count(),
                )

    def shown(self, now: float) -> set[Key]:
        return self.listed(now)


class Diffy:
    """Diffy's rule: raw are pairs (primary, candidate) that differ in a field, noise pairs (primary, secondary).

    It shows a field where raw > noise, |raw − noise| / (raw + noise) is more than 20 %, and |raw − noise| / total more
    than 0.03 % (twitter/diffy, InMemoryEndpointMetadata and JoinedDifferences: Apache-2.0). A request of which one of
    the three gave no answer is not counted at all.
    """

    def __init__(self, relative: float = 20.0, absolute: float = 0.03) -> None:
        self.relative_threshold = relative
        self.absolute_threshold = absolute
        self.total = 0
        self.raw: Counter[object] = Counter()
        self.noise: Counter[object] = Counter()

    def count(self, raw: Iterable[object], noise: Iterable[object]) -> None:
        """One request that all three have answered: the fields in which each of the two differs, with the kind."""
        self.total += 1
        self.raw.update(set(raw))
        self.noise.update(set(noise))

    def relative(self, key: object) -> float:
        raw, noise = self.raw[key], self.noise[key]
        return abs(raw - noise) / (raw + noise) * 100.0 if raw + noise else 0.0

    def absolute(self, key: object) -> float:
        return abs(self.raw[key] - self.noise[key]) / self.total * 100.0 if self.total else 0.0

    def shows(self, key: object) -> bool:
        return (
            self.raw[key] > self.noise[key]
            and self.relative(key) > self.relative_threshold
            and self.absolute(key) > self.absolute_threshold
        )

    def see(self, drawn: Drawn, seen: list[Seen], now: float) -> None:
        self.total += drawn.every.bit_count()
        for field, candidate, second in seen:
            self.raw[field.key] += candidate.bit_count()
            self.noise[field.key] += second.bit_count()

    def shown(self, now: float) -> set[Key]:
        return {key for key in self.raw if isinstance(key, tuple) and self.shows(key)}


class ZTest:
    """McNemar's z on the same paired bits, at 5 % shared by all fields (Bonferroni), looked at whenever it suits."""

    def __init__(self, fields: int) -> None:
        self.limit = NormalDist().inv_cdf(1.0 - 0.05 / fields)
        self.alone: Counter[Key] = Counter()
        self.second: Counter[Key] = Counter()

    def see(self, drawn: Drawn, seen: list[Seen], now: float) -> None:
        for field, candidate, second in seen:
            self.alone[field.key] += (candidate & ~second).bit_count()
            self.second[field.key] += (second & ~candidate).bit_count()

    def shown(self, now: float) -> set[Key]:
        return {
            key
            for key, b in self.alone.items()
            if b > (c := self.second[key]) and b + c >= 10 and (b - c) / sqrt(b + c) > self.limit
        }


class Watch:
    """Rules that watch one service together."""

    def __init__(self, service: Service, **rules: Rule) -> None:
        self.service = service
        self.rules = rules
        self.asked = 0
        self.now = 0.0
        self.first: dict[str, dict[Key, int]] = {name: {} for name in rules}
        """By rule and field: after how many requests it was first shown."""
        self.shown: dict[str, set[Key]] = {name: set() for name in rules}
        """At the last look."""

    def look(self, requests: int, seconds: float = TICK) -> None:
        """One tick, and a look at what every rule says after it."""
        drawn, seen = self.service.ask(requests)
        self.asked += requests
        self.now += seconds
        for name, rule in self.rules.items():
            rule.see(drawn, seen, self.now)
            self.shown[name] = rule.shown(self.now)
            for key in self.shown[name]:
                self.first[name].setdefault(key, self.asked)

    def until(self, rule: str, field: Field, requests: int, most: int) -> int | None:
        """Requests until the rule shows the field, at most so many; None: it did not."""
        while field.key not in self.first[rule] and self.asked < most:
            self.look(requests)
        return self.first[rule].get(field.key)
