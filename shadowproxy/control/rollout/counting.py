"""From counters that only grow to what happened since the last facts.

What was counted up to the last facts is kept with them, in one transaction: a process that takes over counts on from
there, nothing twice and nothing not at all. Counts of another instance, or of a split that was another one then, are
no evidence: the next ones begin at what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from shadowproxy.metrics import layout as at
from shadowproxy.metrics.counters import Counters
from shadowproxy.model.policy import Registry
from shadowproxy.model.rollout import Split
from shadowproxy.model.terms import CANDIDATE, OUTCOMES, QUANTILES, VERDICTS
from shadowproxy.rollout.facts import Both, KeyCounts, PairCounts, RouteCounts

_MIRROR: Final = at.MIRRORED_INDEX[CANDIDATE]
_SPLIT_WORDS: Final = at.CHOSEN + 2 - at.SPLIT
_PAIR_WORDS: Final = at.JUDGED + 1 + 2 * len(QUANTILES) - at.outcome_word(0, _MIRROR)
_SPLITS_AT: Final = at.judged_word(0, 0) - at.outcome_word(0, _MIRROR)
_DECIDED: Final = tuple(at.compared_word(0, _MIRROR, v) - at.COMPARED for v in VERDICTS if v != "incomparable")
_VERDICT_WORDS: Final = max(_DECIDED) + 1
_ARMS: Final = range(len(at.SPLIT_ARMS))
_KEY_KINDS: Final = (at.KEY_SEEN, at.KEY_FAILED, at.KEY_CLIENT_ERROR)
_RING_ROOM: Final = at.KEY_RING - 256
"""Entries that can be read while the worker goes on writing over the oldest."""

Bins = dict[int, int]


class Bases(Struct, frozen=True, array_like=True):
    """All counts of a service up to some facts, in instance `epoch`; `split` was in force then.

    `routes` has the words of each route that counted anything, `latency` bins by arm of every answer, `firsts` of those
    that sticky keys got first, `written` each slot's ring.
    """

    epoch: str = ""
    split: Split | None = None
    routes: dict[str, tuple[int, ...]] = {}
    latency: tuple[Bins, Bins] = ({}, {})
    written: tuple[int, ...] = ()
    firsts: tuple[Bins, Bins] = ({}, {})


class Counted(NamedTuple):
    """What came since."""

    routes: tuple[RouteCounts, ...]
    chosen: Both
    latency: tuple[Bins, Bins]
    pairs: tuple[PairCounts, ...]
    compared: int
    firsts: tuple[Bins, Bins]


NOTHING: Final = Counted((), (0, 0), ({}, {}), (), 0, ({}, {}))


def read(counters: Counters, registry: Registry, service: str, index: int, epoch: str, split: Split | None) -> Bases:
    """All counts of a service so far; `index` is its row."""
    routes = {}
    for key, row in registry.routes.items():
        owner, _, name = key.partition("\n")
        if owner == service:
            words = _route_words(counters, at.route_row(row))
            if any(words):
                routes[name] = words
    primary, candidate = (_bins(counters.totals(at.split_fine_word(index, arm), at.FINE_WORDS)) for arm in _ARMS)
    first_primary, first_candidate = (
        _bins(counters.totals(at.first_fine_word(index, arm), at.FINE_WORDS)) for arm in _ARMS
    )
    written = tuple(counters.block(slot)[at.KEYS_WRITTEN] for slot in range(counters.slots))
    return Bases(epoch, split, routes, (primary, candidate), written, (first_primary, first_candidate))


def since(now: Bases, before: Bases) -> Counted:
    """What came between the two, where that is evidence of one split."""
    if (now.epoch, now.split) != (before.epoch, before.split):
        return NOTHING
    routes, pairs = [], []
    chosen_requests = chosen_failed = compared = 0
    for name, words in now.routes.items():
        earlier = before.routes.get(name)
        more = words if earlier is None else tuple(a - b for a, b in zip(words, earlier, strict=True))
        if not any(more):
            continue
        split, pair, verdicts = _parted(more)
        if any(split[:-2]):
            routes.append(_route(name, split))
        if any(pair):
            pairs.append(_pairs(name, pair))
        chosen_requests += split[-2]
        chosen_failed += split[-1]
        compared += sum(verdicts[word] for word in _DECIDED)
    return Counted(
        tuple(routes),
        (chosen_requests, chosen_failed),
        _more(now.latency, before.latency),
        tuple(pairs),
        compared,
        _more(now.firsts, before.firsts),
    )


class Keys:
    """What sticky keys did for the first time in an epoch, each once, whichever workers noted it.

    After a restart what the rings still hold of the epoch is known again. Workers bound how many there are in an epoch
    (`proxy.tally`), besides those that are no other request's.
    """

    def __init__(self, counters: Counters, index: int) -> None:
        self._counters = counters
        self._index = index
        self._known: set[tuple[int, float]] = set()
        self._is_new = True

    def forget(self) -> None:
        """The evidence begins anew."""
        self._known.clear()
        self._is_new = False

    def take(self, now: Bases, before: Bases, began: Sequence[int], weight: float) -> KeyCounts:
        """Of the keys between the two: those of h below `weight` are the candidate's.

        `began`: what had been written to each ring when the evidence began.
        """
        if self._is_new:
            earlier = self._entries(began, before.written)
            self._known.update(entry for entry in earlier if not entry[0] & at.KEY_ONCE)
        self._is_new = False
        counts = {kind: [0, 0] for kind in _KEY_KINDS}
        for entry in self._entries(before.written, now.written):
            kind, h = entry
            if kind & at.KEY_ONCE:
                counts[kind & ~at.KEY_ONCE][h < weight] += 1
            elif entry not in self._known:
                self._known.add(entry)
                counts[kind][h < weight] += 1
        seen, failed, client_errors = ((primary, candidate) for primary, candidate in counts.values())
        return KeyCounts(seen, failed, client_errors)

    def _entries(self, before: Sequence[int], now: Sequence[int]) -> Iterator[tuple[int, float]]:
        for slot, (first, end) in enumerate(zip(before, now, strict=True)):
            block = self._counters.block(slot)
            for number in range(max(first, end - _RING_ROOM, block[at.KEYS_WRITTEN] - _RING_ROOM), end):
                h, service, kind = at.key_of(block[at.KEYS_AT + number % at.KEY_RING])
                if service == self._index:
                    yield kind, h


def _route_words(counters: Counters, row: int) -> tuple[int, ...]:
    return (
        *counters.totals(row + at.SPLIT, _SPLIT_WORDS),
        *counters.totals(at.outcome_word(row, _MIRROR), _PAIR_WORDS),
        *counters.totals(row + at.COMPARED, _VERDICT_WORDS),
    )


def _parted(words: Sequence[int]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Words of the split and of chosen users; of pairs; verdicts."""
    pairs_end = _SPLIT_WORDS + _PAIR_WORDS
    return words[:_SPLIT_WORDS], words[_SPLIT_WORDS:pairs_end], words[pairs_end:]


def _route(name: str, split: Sequence[int]) -> RouteCounts:
    primary, candidate = (split[at.split_word(0, arm, 0) - at.SPLIT :] for arm in _ARMS)
    requests, failed, client_errors = ((primary[what], candidate[what]) for what in range(len(at.SPLIT_COUNTS)))
    return RouteCounts(name, requests, failed, client_errors)


def _pairs(name: str, words: Sequence[int]) -> PairCounts:
    neither, candidate_only, primary_only, both = words[: len(OUTCOMES)]
    judged = words[_SPLITS_AT:]
    splits = {quantile: (judged[2 * i + 1], judged[2 * i]) for i, quantile in enumerate(QUANTILES)}
    return PairCounts(name, neither, candidate_only, primary_only, both, splits)


def _bins(words: Sequence[int]) -> Bins:
    return {number: count for number, count in enumerate(words) if count}


def _more(now: tuple[Bins, Bins], before: tuple[Bins, Bins]) -> tuple[Bins, Bins]:
    return _less(now[0], before[0]), _less(now[1], before[1])


def _less(now: Mapping[int, int], before: Mapping[int, int]) -> Bins:
    return {number: more for number, count in now.items() if (more := count - before.get(number, 0))}
