"""What a comparer holds for control: merged counts and the newest examples, bounded, until they are handed over. Pure.

Control may be away for long, and a hostile candidate may invent fields all the time; neither makes this grow.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

import msgspec

from shadowproxy.compare.causes import as_rest, merged
from shadowproxy.model.pair import (
    AcceptedCount,
    Aggregate,
    CauseCount,
    Example,
    Examples,
    FieldBits,
    FieldCount,
    FieldShapes,
)
from shadowproxy.model.terms import OTHER

MAX_KEYS: Final = 10_000
"""Distinct (service, route, field, kind), and causes; what is beyond is counted as `other`, and as a route's rest."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Of encoded examples."""
_NOTHING: Final = Aggregate([])
CONTROL_AWAY: Final = "control_away"
"""Why an example was given up: control did not take it in time."""


class Delivery(NamedTuple):
    """What goes to control in one go; `payloads` are the encoded messages, none if there is nothing to say."""

    aggregate: Aggregate
    examples: int
    payloads: list[bytes]


class Backlog:
    """Collects harvests; `take` gives what control should get and starts anew, `put_back` undoes a failed delivery."""

    def __init__(self) -> None:
        self._fields: Counter[tuple[str, str, str, str]] = Counter()
        self._incomparable: Counter[tuple[str, str, str]] = Counter()
        self._suppressed: Counter[str] = Counter()
        self._causes: dict[str, CauseCount] = {}
        self._bits: dict[tuple[str, str, str, str], list[int]] = {}
        self._versions: Counter[tuple[str, str, str]] = Counter()
        self._shapes: dict[tuple[str, str, str], FieldShapes] = {}
        self._accepted: dict[tuple[str, str], tuple[int, float]] = {}
        self._examples: deque[bytes] = deque()
        self._bytes = 0

    def add(self, aggregate: Aggregate, examples: list[Example]) -> None:
        """Take in one harvest of the engine."""
        self._merge(aggregate)
        for example in examples:
            encoded = msgspec.msgpack.encode(example)
            self._examples.append(encoded)
            self._bytes += len(encoded)
        while self._bytes > MAX_BYTES:
            self._bytes -= len(self._examples.popleft())
            self._suppressed[CONTROL_AWAY] += 1

    def put_back(self, delivery: Delivery) -> None:
        """A delivery did not reach control: its counts come back, its examples are given up."""
        self._merge(delivery.aggregate)
        if delivery.examples:
            self._suppressed[CONTROL_AWAY] += delivery.examples

    def _merge(self, aggregate: Aggregate) -> None:
        for count in aggregate.fields:
            key = (count.service, count.route, count.field, count.kind)
            if key not in self._fields and len(self._fields) >= MAX_KEYS:
                key = (count.service, count.route, OTHER, count.kind)
            self._fields[key] += count.pairs
        for service, route, reason, pairs in aggregate.incomparable:
            self._incomparable[service, route, reason] += pairs
        self._suppressed.update(aggregate.suppressed)
        for cause in aggregate.causes:
            if cause.id not in self._causes and len(self._causes) >= MAX_KEYS:
                cause = as_rest(cause)
            known = self._causes.get(cause.id)
            self._causes[cause.id] = cause if known is None else merged(known, cause)
        self._merge_knowledge(aggregate)

    def _merge_knowledge(self, aggregate: Aggregate) -> None:
        for row in aggregate.bits:
            key = (row.service, row.route, row.field, row.kind)
            if key in self._bits or len(self._bits) < MAX_KEYS:
                known = self._bits.get(key, [0] * 5)
                more = (row.candidate, row.second, row.both, row.spared, row.missed)
                self._bits[key] = [a + b for a, b in zip(known, more, strict=True)]
        for *named, answers in aggregate.versions:
            service, arm, version = named
            if (service, arm, version) in self._versions or len(self._versions) < MAX_KEYS:
                self._versions[service, arm, version] += answers
        for shapes in aggregate.shapes:
            place = (shapes.service, shapes.route, shapes.field)
            if place in self._shapes or len(self._shapes) < MAX_KEYS:
                self._shapes[place] = shapes
        for entry in aggregate.accepted:
            named_by = (entry.service, entry.id)
            pairs, last_at = self._accepted.get(named_by, (0, entry.last_at))
            if named_by in self._accepted or len(self._accepted) < MAX_KEYS:
                self._accepted[named_by] = pairs + entry.pairs, max(last_at, entry.last_at)

    def take(self) -> Delivery:
        """Everything held, to be handed over."""
        aggregate = Aggregate(
            [FieldCount(*key, pairs) for key, pairs in self._fields.items()],
            [(*key, pairs) for key, pairs in self._incomparable.items()],
            dict(self._suppressed),
            bits=[FieldBits(*key, *bits) for key, bits in self._bits.items()],
            causes=list(self._causes.values()),
            versions=[(*key, answers) for key, answers in self._versions.items()],
            shapes=list(self._shapes.values()),
            accepted=[AcceptedCount(*place, *counted) for place, counted in self._accepted.items()],
        )
        payloads: list[bytes] = []
        if aggregate != _NOTHING:
            payloads.append(msgspec.msgpack.encode(aggregate))
        if self._examples:
            payloads.append(_encode_examples(self._examples))
        delivery = Delivery(aggregate, len(self._examples), payloads)
        self._fields.clear()
        self._incomparable.clear()
        self._suppressed.clear()
        self._causes.clear()
        self._bits.clear()
        self._versions.clear()
        self._shapes.clear()
        self._accepted.clear()
        self._examples.clear()
        self._bytes = 0
        return delivery


def _encode_examples(encoded: deque[bytes]) -> bytes:
    """An `Examples` message from examples that are encoded already."""
    raw = [msgspec.Raw(example) for example in encoded]
    return msgspec.msgpack.encode({"type": Examples.__struct_config__.tag, "items": raw})
