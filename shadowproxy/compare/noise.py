"""Which of the differences of a pair are noise, and the bits of evidence that a triple gives.

A difference of the candidate is noise where the second answer of the primary's version differs in the same field and
kind, or where that field is known to be noisy and is not in the list of regressed ones; control says which. What a
noisy field looks like is checked all the same (`shapes`), and how often it is null.

A second answer that lacks a field, or something that the field is part of (an error page, say), says nothing of how
it differs. Then the candidate is not alone in its difference: that would make a regression of every noise, as soon as
the second answers fail now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shadowproxy.compare.findings import ABSENT, Findings, Key
from shadowproxy.compare.shapes import LooksTable
from shadowproxy.model.pair import FieldBits, FieldShapes, Learned
from shadowproxy.model.terms import BODY_NULL, BODY_SHAPE

MAX_FIELDS: Final = 4096
"""Fields counted between two harvests. Control's ledger holds fewer; this bounds what a harvest may carry."""
_SHAPED: Final = frozenset({"body_value", "header", "body_type"})
"""Kinds of which both values are there and say something by their look."""
_TYPE: Final = "body_type"
_ABSENCE: Final = frozenset({"body_missing", "body_extra"})
_HIDING: Final = frozenset({_TYPE, *_ABSENCE})
_WHOLE: Final = frozenset({"body_size", "body_bytes"})
"""Of a body: nothing in it was compared."""
_ALIKE: Final = frozenset({"body_value", "body_order", "body_size", "body_bytes", BODY_NULL})
"""Kinds that there are among values of one type alone."""
_IN_BODIES: Final = ("$", "line", "form:")
_ROUTE_FIELD_KIND = tuple[str, str, str]


class ServiceNoise:
    """What one comparer knows of the noise of one service."""

    def __init__(self) -> None:
        self.generation = 0
        self.is_alike = True
        self.noisy: frozenset[_ROUTE_FIELD_KIND] = frozenset()
        self.regressed: frozenset[_ROUTE_FIELD_KIND] = frozenset()
        self.looks = LooksTable()

    def learn(self, learned: Learned) -> None:
        """Control's word: it replaces what was known, and a new generation forgets the looks as well."""
        if learned.generation != self.generation:
            self.generation = learned.generation
            self.looks = LooksTable()
        self.is_alike = learned.is_alike
        self.regressed = frozenset(learned.regressed)
        self.noisy = frozenset(learned.noisy) - self.regressed
        self.looks.restore(learned.shapes)

    def judge(self, route: str, found: Findings, second: Findings | None) -> None:
        """Moves what is noise among the findings of the candidate from `counted` to `noise`.

        `second` holds the differences of the second answer of a triple. What looks wrong is added to `counted`, on
        both sides, before anything of this pair is learned: each side is judged by the same looks.
        """
        strange, nulls = self._strange(route, found), self._nulls(route, found)
        if second is not None:
            further = (*self._strange(route, second), *self._nulls(route, second))
            second.counted.update(dict.fromkeys(further, (ABSENT, ABSENT)))
        for key, values in list(found.counted.items()):
            if (second is not None and key in second.counted) or (route, *key) in self.noisy:
                found.noise[key] = found.counted.pop(key)
                self._learn(route, key, values[0], second)
        if second is not None:
            for key, values in second.counted.items():
                if key not in found.noise:
                    self._learn(route, key, values[0], second)
        for key, values in strange.items():
            excused = (second is not None and key in second.counted) or (route, *key) in self.noisy
            (found.noise if excused else found.counted)[key] = values
        for key, values in nulls.items():
            stands = (route, *key) in self.regressed and (second is None or key not in second.counted)
            (found.counted if stands else found.noise)[key] = values

    def _strange(self, route: str, found: Findings) -> dict[Key, tuple[object, object]]:
        """Differences in a noisy field whose value has a look that answers of the primary's version never had. Another
        type says so itself, unless that is noise.
        """
        return {
            (field, BODY_SHAPE): values
            for (field, kind), values in found.counted.items()
            if kind in _SHAPED
            and (kind != _TYPE or (route, field, kind) in self.noisy)
            and self.looks.is_new(route, field, values[1])
        }

    def _nulls(self, route: str, found: Findings) -> dict[Key, tuple[object, object]]:
        """Noisy differences that are null where the primary has a value: no look tells when they become more."""
        return {
            (field, BODY_NULL): values
            for (field, kind), values in found.counted.items()
            if kind == _TYPE and values[1] is None and (route, field, kind) in self.noisy
        }

    def _learn(self, route: str, key: Key, primary: object, second: Findings | None) -> None:
        field, kind = key
        if kind in _SHAPED:
            values = [primary]
            if second is not None and key in second.counted:
                values.append(second.counted[key][1])
            self.looks.see(route, field, *values)

    def take_looks(self, service: str) -> list[FieldShapes]:
        return self.looks.take_changed(service)


class Bits:
    """Counts, for one harvest, how often each field differed on which side of a triple."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str, str], list[int]] = {}

    def triple(self, service: str, route: str, candidate: Iterable[Key], second: Iterable[Key]) -> None:
        """The keys in which each side of a triple differs from the primary's answer."""
        mine, theirs = set(candidate), set(second)
        covers = [(field, kind) for field, kind in theirs if kind in _HIDING or (field == "body" and kind in _WHOLE)]
        for key in mine | theirs:  # whose it is must not decide which still find room
            place = (2 if key in mine else 1) if key in theirs else 4 if _is_hidden(key, covers) else 0
            self._count(service, route, key, place)

    def alone(self, service: str, route: str, candidate: Iterable[Key], spared: bool) -> None:
        """The candidate's keys where there is no second answer: chance spared it, or it came to nothing."""
        for key in candidate:
            self._count(service, route, key, 3 if spared else 4)

    def harvest(self) -> list[FieldBits]:
        counts, self._counts = self._counts, {}
        return [FieldBits(*key, *bits) for key, bits in counts.items()]

    def _count(self, service: str, route: str, key: Key, place: int) -> None:
        whole = (service, route, *key)
        counts = self._counts.get(whole)
        if counts is None:
            if len(self._counts) >= MAX_FIELDS:
                return
            counts = self._counts[whole] = [0] * 5
        counts[place] += 1


def _is_hidden(key: Key, others: Iterable[Key]) -> bool:
    """Whether an answer that differs in `others` from the primary's says nothing of `key`, which it lacks."""
    field, kind = key
    for above, how in others:
        if above == field:
            if (how == _TYPE and kind in _ALIKE) or (how in _ABSENCE and kind not in _ABSENCE):
                return True
        elif above == "body":
            if field.startswith(_IN_BODIES):
                return True
        elif field.startswith(above) and field[len(above)] in ".[":
            return True
    return False
