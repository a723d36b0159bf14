"""What mismatches have in common. A cause is a route, an arm, both statuses and the set of fields that differ. Pure.

Fields that differ independently of each other come in as many sets as there are subsets of them. Once a group (a
route, an arm, two statuses) has had more than `MAX_SETS` sets, its mismatches are told apart by one field each alone:
the one of theirs that has differed most often lately. So k such fields make k causes instead of 2^k; a fault that is
always there stays one cause with all its pairs, whatever differs beside it; and every mismatch is counted once.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from heapq import nsmallest
from typing import Any, Final

import msgspec

from shadowproxy.compare import wording
from shadowproxy.compare.findings import Key, Values
from shadowproxy.compare.suggestions import suggest
from shadowproxy.compare.traits import Traits, TraitsTable
from shadowproxy.model.pair import CauseCount, Pair
from shadowproxy.model.terms import CANDIDATE

MAX_CAUSES: Final = 1_000
"""Causes of one service and arm; the mismatches of further ones are one cause per route."""
MAX_SETS: Final = 16
"""Sets of fields in one group."""
MAX_KEYS: Final = 32
"""Fields of one cause, in their order; where more differ the rest does not tell causes apart."""
SMALLER: Final = 0.7
"""An example is worth making again when its bodies are at most this share of the smallest so far."""

_WINDOW: Final = 4096
"""Mismatches of a group after which what came before counts half: how often a field differs *lately*."""
_LOOKED_AT: Final = 256
"""Mismatches of a cause whose values are all looked at; after that one in sixteen is."""

Place = tuple[str, str, str, int, int | None, str]
"""Service, route, arm, the primary's status, the arm's, and how the exchange failed."""


def cause_id(place: Place, keys: Collection[Key], *, mixed: bool) -> str:
    """Short, the same in every process, and never the beginning of an example's id."""
    text = repr((place, sorted(keys), mixed))
    return "c-" + hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=5).hexdigest()


def lead_of(keys: Collection[Key], often: Mapping[Key, int]) -> Key:
    """The one of `keys` that has differed most often; the first in order among equals."""
    return min(keys, key=lambda key: (-often.get(key, 0), key))


def place_of(pair: Pair) -> Place:
    """A failed exchange has no statuses: however much of an answer came, it failed in one way."""
    if pair.failure is not None or pair.shadow is None:
        return pair.service, pair.route, pair.arm, 0, None, pair.failure or "candidate_error"
    return pair.service, pair.route, pair.arm, pair.primary.status, pair.shadow.status, ""


def rest_of(place: Place) -> Place:
    """Where mismatches of a route are counted whose causes are too many to be told apart."""
    service, route, arm, *_ = place
    return service, route, arm, 0, None, ""


def merged(one: CauseCount, other: CauseCount) -> CauseCount:
    """Two counts of the same cause as one; what is known of it is the second one's."""
    smallest = one if one.example and (not other.example or one.size <= other.size) else other
    return msgspec.structs.replace(
        other,
        pairs=one.pairs + other.pairs,
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
        example=smallest.example,
        size=smallest.size,
        suggestion=one.suggestion if other.suggestion is None else other.suggestion,
    )


def as_rest(count: CauseCount) -> CauseCount:
    """The same mismatches, no longer told apart from the others of their route."""
    place = rest_of((count.service, count.route, count.arm, 0, None, ""))
    return msgspec.structs.replace(
        count,
        id=cause_id(place, (), mixed=False),
        keys=(),
        primary_status=0,
        shadow_status=None,
        failure="",
        suggestion="",
        words=describe(place, (), False, 0, {}),
        mixed=False,
        left_out=0,
    )


def bodies_of(pair: Pair) -> int:
    """How large an example of this pair would be: bytes of both answers' bodies."""
    return len(pair.primary.body) + (len(pair.shadow.body) if pair.shadow is not None else 0)


class Cause:
    """One cause in the table of a comparer. `pairs` and times are since the last harvest, `seen` since ever."""

    __slots__ = (
        "example",
        "first_at",
        "id",
        "keys",
        "last_at",
        "left_out",
        "look_again",
        "mixed",
        "pairs",
        "place",
        "seen",
        "size",
        "smallest",
        "suggestion",
        "words",
    )

    def __init__(self, place: Place, keys: tuple[Key, ...], mixed: bool, left_out: int) -> None:
        self.id = cause_id(place, keys, mixed=mixed)
        self.place = place
        self.keys = keys
        self.mixed = mixed
        self.left_out = left_out
        self.pairs = self.seen = 0
        self.first_at = self.last_at = 0.0
        self.example = ""
        self.size = 0
        self.smallest = float("inf")
        self.suggestion: str | None = None
        self.words = ""
        self.look_again = 0

    def is_worth(self, size: int) -> bool:
        """Whether bodies of `size` bytes would make a clearly smaller example than there has been."""
        return size <= SMALLER * self.smallest

    def keep(self, example: str, size: int) -> None:
        """An example was made."""
        if size < self.smallest:
            self.smallest = self.size = size
            self.example = example


class _Group:
    """The causes of one place: by their sets of keys, or, once `mixed`, by one key each."""

    __slots__ = ("leads", "mixed", "often", "pairs", "sets")

    def __init__(self) -> None:
        self.sets: dict[frozenset[Key], Cause] = {}
        self.leads: dict[Key, Cause] = {}
        self.often: Counter[Key] = Counter()
        self.pairs = 0
        self.mixed = False

    def mix(self) -> list[Cause]:
        """From now on by one key; returns the causes that this puts an end to."""
        ended = list(self.sets.values())
        for cause in ended:
            for key in cause.keys:
                self.often[key] += cause.seen
        self.sets.clear()
        self.mixed = True
        return ended

    def lead(self, keys: frozenset[Key]) -> Key:
        """The key by which one more mismatch is counted."""
        self.often.update(keys)
        self.pairs += 1
        if self.pairs >= _WINDOW:
            self.pairs //= 2
            self.often = Counter({key: count // 2 for key, count in self.often.items() if count > 1})
        return lead_of(keys, self.often)


class CauseTable:
    """Counts mismatches by cause until the harvest. Every mismatch is counted under exactly one."""

    __slots__ = ("_ended", "_groups", "_sizes", "_touched", "_traits")

    def __init__(self) -> None:
        self._groups: dict[Place, _Group] = {}
        self._sizes: Counter[tuple[str, str]] = Counter()
        self._touched: dict[str, Cause] = {}
        self._ended: list[CauseCount] = []
        self._traits = TraitsTable()

    def count(self, pair: Pair, counted: dict[Key, Values], repeated: bool = False) -> Cause:
        """One mismatch, and its cause. `counted` are the differences that stand.

        `repeated`: a second answer of the primary's version had the same values there as the first.

        Failed exchanges are counted in full by the workers; those that come this far are a part of them.
        """
        place = place_of(pair)
        keys, left_out = _bounded(counted) if not place[5] else (frozenset(), 0)
        cause = self._cause(place, keys, left_out)
        cause.seen += 1
        cause.pairs += 1
        if cause.id not in self._touched:
            self._touched[cause.id] = cause
            cause.first_at = cause.last_at = pair.at
        cause.first_at = min(cause.first_at, pair.at)
        cause.last_at = max(cause.last_at, pair.at)
        if pair.arm == CANDIDATE and not place[5] and (cause.seen <= _LOOKED_AT or not cause.seen % 16):
            self._traits.observe(pair, counted, repeated)
        return cause

    def harvest(self) -> list[CauseCount]:
        """What was counted of the candidate since the last call."""
        counts = self._ended
        counts += [self._taken(cause) for cause in self._touched.values() if cause.place[2] == CANDIDATE]
        self._ended = []
        for cause in self._touched.values():
            _reset(cause)
        self._touched.clear()
        return counts

    def forget(self, service: str, route: str) -> None:
        """The rules of a route are others now: its mismatches are told apart afresh. What was counted stays."""
        for place in [place for place in self._groups if place[:2] == (service, route)]:
            group = self._groups.pop(place)
            self._end([*group.sets.values(), *group.leads.values()])
        self._traits.forget(service, route)

    def _cause(self, place: Place, keys: frozenset[Key], left_out: int) -> Cause:
        group = self._groups.get(place)
        if group is None:
            group = _Group()
            if self._has_room(place):
                self._groups[place] = group
        known = group.sets.get(keys)
        if known is not None:
            return known
        if not group.mixed and len(group.sets) >= MAX_SETS:
            self._end(group.mix())
        if group.mixed and keys:
            lead = group.lead(keys)
            return group.leads.get(lead) or self._new(group.leads, lead, place, (lead,), True, 0)
        return self._new(group.sets, keys, place, tuple(sorted(keys)), False, left_out)

    def _new(
        self, causes: dict[Any, Cause], name: object, place: Place, keys: tuple[Key, ...], mixed: bool, left_out: int
    ) -> Cause:
        if not self._has_room(place):
            return self._rest(rest_of(place))
        self._sizes[place[0], place[2]] += 1
        causes[name] = cause = Cause(place, keys, mixed, left_out)
        return cause

    def _has_room(self, place: Place) -> bool:
        """Failures always have: there are few kinds of them."""
        return bool(place[5]) or self._sizes[place[0], place[2]] < MAX_CAUSES

    def _rest(self, place: Place) -> Cause:
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = _Group()
            group.sets[frozenset()] = Cause(place, (), False, 0)
        return group.sets[frozenset()]

    def _end(self, causes: list[Cause]) -> None:
        """These causes are counted under others from now on; what they were counted for goes out as theirs."""
        for cause in causes:
            self._sizes[cause.place[0], cause.place[2]] -= cause.place != rest_of(cause.place)
            if self._touched.pop(cause.id, None) is not None and cause.place[2] == CANDIDATE:
                self._ended.append(self._taken(cause))

    def _taken(self, cause: Cause) -> CauseCount:
        service, route, arm, primary, shadow, failure = cause.place
        self._look(cause)
        return CauseCount(
            service=service,
            route=route,
            arm=arm,
            id=cause.id,
            keys=cause.keys,
            primary_status=primary,
            shadow_status=shadow,
            failure=failure,
            pairs=cause.pairs,
            first_at=cause.first_at,
            last_at=cause.last_at,
            example=cause.example,
            size=cause.size,
            suggestion=cause.suggestion,
            words=cause.words,
            mixed=cause.mixed,
            left_out=cause.left_out,
        )

    def _look(self, cause: Cause) -> None:
        """Words and suggestion: anew while little is known, then whenever an eighth more has been seen."""
        if cause.seen < cause.look_again:
            return
        cause.look_again = cause.seen + 1 + cause.seen // 8
        traits = self._traits.of(*cause.place[:2])
        cause.words = describe(cause.place, cause.keys, cause.mixed, cause.left_out, traits)
        cause.suggestion = suggest(cause.place[3:5], cause.keys, cause.mixed, cause.left_out, cause.seen, traits)


def describe(place: Place, keys: tuple[Key, ...], mixed: bool, left_out: int, traits: Mapping[Key, Traits]) -> str:
    """One sentence for a cause."""
    *_, arm, primary, shadow, failure = place
    if failure:
        return wording.failed(failure, arm)
    if not keys:
        return "Mismatches of many different kinds, more than are told apart."
    if primary != shadow and ("status", "status") in keys:
        return wording.answered_otherwise(arm, primary, shadow, len(keys) - 1 + left_out)
    ordered = sorted(keys, key=lambda key: key[1] == "header")
    parts = [wording.in_general(*key, found.types if (found := traits.get(key)) else None) for key in ordered]
    if mixed:
        return wording.enumerated([f"{parts[0]}, in varying company"], 0)
    return wording.enumerated(parts, left_out)


def _bounded(counted: dict[Key, Values]) -> tuple[frozenset[Key], int]:
    """The keys that tell causes apart, and how many do not."""
    if len(counted) <= MAX_KEYS:
        return frozenset(counted), 0
    return frozenset(nsmallest(MAX_KEYS, counted)), len(counted) - MAX_KEYS


def _reset(cause: Cause) -> None:
    cause.pairs = 0
    cause.example = ""
    cause.size = 0
