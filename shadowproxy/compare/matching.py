"""Which elements of two arrays belong together.

Elements that have names (`identity`) are matched by name; one of either side alone is missing or extra, unless the one
that took its place resembles it: then its name is what changed. Without names, arrays of one length are matched place
by place. In arrays of unequal length what is equal at the ends and between is found, and what is left matched in order.
`unordered` arrays are multisets: what both have is taken out, and what resembles each other is matched.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from operator import ne, not_
from typing import Any, Final

from msgspec import Struct

from shadowproxy.compare.fields import Field
from shadowproxy.compare.identity import anchors, found_names, given_names, names_of, pair_up
from shadowproxy.compare.jsontext import Repeated, canonical
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.trees import Names, inside, same

_MAX_PAIRING: Final = 16
"""A left-over element is compared with this many of the other side's, to find the one that it resembles."""

Places = tuple[int | None, int | None]


class Match(Struct, frozen=True):
    """The pairs of elements to compare, by their places: None where a side has none. What is the same is left out.

    `kind` is what is to be said of the arrays themselves, if anything. `names` lead to the names of the elements, if
    those matched them.
    """

    pairs: list[Places]
    kind: str = ""
    names: Names | None = None


class Matcher:
    """Matches within `deadline`. `distance` counts the fields in which two values of a field differ under its rules.

    `strict`: where no rule applies, unequal values differ. Every method raises IncomparableError when the time is over.
    """

    __slots__ = ("_deadline", "_distance", "_strict")

    def __init__(self, deadline: Deadline, distance: Callable[[Field, Any, Any], int], *, strict: bool = True) -> None:
        self._deadline = deadline
        self._distance = distance
        self._strict = strict

    def match(self, field: Field, a: list[Any], b: list[Any]) -> Match:
        """Matches two arrays that are not the same."""
        inner = inside(field, a)
        if len(a) != len(b):
            xs, ys = self._between_ends(a, b)
            if named := self._named(field, inner, a, b, xs, ys):
                return named
            return self._multisets(inner, a, b) if field.unordered else self._resized(inner, a, b, xs, ys)
        places = self._differing(a, b)
        if named := self._named(field, inner, a, b, places, places):
            return named
        if field.unordered:
            return self._multisets(inner, a, b)
        if len(places) > 1 and self._reordered([a[at] for at in places], [b[at] for at in places]):
            return Match([], "body_order")
        return Match([(at, at) for at in places])

    def _differing(self, a: list[Any], b: list[Any]) -> Sequence[int]:
        """Where the elements are not the same. Types inside what `==` calls equal are confirmed all at once."""
        self._deadline.check()
        unequal = list(map(ne, a, b))
        if not all(unequal):
            equal = list(map(not_, unequal))
            if canonical(list(compress(a, equal))) != canonical(list(compress(b, equal))):
                return [at for at, (x, y) in enumerate(zip(a, b, strict=True)) if not same(x, y)]
        return list(compress(range(len(a)), unequal))

    def _between_ends(self, a: list[Any], b: list[Any]) -> tuple[range, range]:
        """The places between the beginning and the end that two arrays of unequal length share."""
        self._deadline.check()
        least = min(len(a), len(b))
        start = next(compress(range(least), map(ne, a, b)), least)
        end = next(compress(range(least - start), map(ne, reversed(a), reversed(b))), least - start)
        i, j = len(a) - end, len(b) - end
        if canonical(a[:start] + a[i:]) == canonical(b[:start] + b[j:]):
            return range(start, i), range(start, j)
        return range(len(a)), range(len(b))

    def _named(
        self, field: Field, inner: Field, a: list[Any], b: list[Any], xs: Sequence[int], ys: Sequence[int]
    ) -> Match | None:
        """None when the elements have no names. Those at places other than `xs` and `ys` are the same in both."""
        if type(a) is Repeated:
            return None
        left, right = [a[x] for x in xs], [b[y] for y in ys]
        for names, texts in self._names(field, inner, a, b, left, right):
            if len(a) == len(b) and texts[0] == texts[1]:
                return Match([*zip(xs, ys, strict=True)], names=names)
            pairing = pair_up(xs, ys, *texts)
            self._deadline.check()
            ours, theirs = [a[x] for x, _ in pairing.pairs], [b[y] for _, y in pairing.pairs]
            pairs: list[Places] = [pairing.pairs[at] for at in self._differing(ours, theirs)]
            pairs += self._unnamed(inner, a, b, pairing.lost, pairing.new)
            pairs.sort(key=lambda places: (places[0] is None, places[0] or 0))
            return Match(pairs, "body_order" if pairing.moved else "", names)
        return None

    def _names(
        self, field: Field, inner: Field, a: list[Any], b: list[Any], left: list[Any], right: list[Any]
    ) -> Iterator[tuple[Names, tuple[list[str], list[str]]]]:
        """The members that name the elements, and the names that `left` of `a` and `right` of `b` have under them."""
        if field.identity is not None and (texts := given_names(left, right, field.identity)):
            yield field.identity, texts
        if not a or not b:
            return
        alike = len(a) - len(left)
        for names in names_of(left[0] if left else a[0], right[0] if right else b[0]):
            if not self._usable(inner, names):
                continue
            if texts := found_names(left, right, names, alike, min(len(a), len(b)) / 2):
                yield names, texts

    def _usable(self, inner: Field, names: Names) -> bool:
        """A member that a rule ignores names nothing, unless another rule says so."""
        self._deadline.check()
        for name in names:
            if inner.plain:
                return True
            inner = inner.member(name)
        return not inner.ignored

    def _unnamed(
        self, inner: Field, a: list[Any], b: list[Any], lost: Iterable[tuple[int, int]], new: Iterable[tuple[int, int]]
    ) -> Iterable[Places]:
        """What one side alone has a name for; two in one gap that resemble each other are the same with another."""
        gaps: dict[int, deque[int]] = {}
        for place, gap in new:
            gaps.setdefault(gap, deque()).append(place)
        for place, gap in lost:
            waiting = gaps.get(gap)
            partner = waiting.popleft() if waiting and self._resemble(inner, a[place], b[waiting[0]]) else None
            yield (place, partner)
        for places in gaps.values():
            for place in places:
                yield (None, place)

    def _resemble(self, inner: Field, x: Any, y: Any) -> bool:
        """Whether two objects differ in at most half of their members."""
        self._deadline.tick()
        if not isinstance(x, dict) or type(x) is not type(y):
            return False
        return self._distance(inner, x, y) <= max(1, max(len(x), len(y)) // 2)

    def _reordered(self, left: list[Any], right: list[Any]) -> bool:
        """Whether the elements on both sides are the same. Their encodings are as long in any order: a cheap test."""
        if len(canonical(left)) != len(canonical(right)):
            return False
        self._deadline.check()
        return Counter(map(canonical, left)) == Counter(map(canonical, right))

    def _resized(self, inner: Field, a: list[Any], b: list[Any], xs: range, ys: range) -> Match:
        xs, ys = self._trimmed(inner, a, b, xs, ys)
        if not xs or not ys:
            return Match([], "body_size")
        self._deadline.check()
        left, right = [canonical(a[x]) for x in xs], [canonical(b[y]) for y in ys]
        self._deadline.check()
        pairs: list[Places] = []
        i = j = 0
        for i_end, j_end in [*anchors(left, right), (len(xs), len(ys))]:
            gap = self._trimmed(inner, a, b, xs[i:i_end], ys[j:j_end])
            pairs += [(x, y) for x, y in zip(*gap, strict=False) if not same(a[x], b[y])]
            i, j = i_end + 1, j_end + 1
        return Match(pairs, "body_size")

    def _trimmed(self, inner: Field, a: list[Any], b: list[Any], xs: range, ys: range) -> tuple[range, range]:
        """These places of both arrays without those at the beginning and the end where they are alike."""
        while xs and ys and self._alike(inner, a[xs[0]], b[ys[0]]):
            xs, ys = xs[1:], ys[1:]
        while xs and ys and self._alike(inner, a[xs[-1]], b[ys[-1]]):
            xs, ys = xs[:-1], ys[:-1]
        return xs, ys

    def _alike(self, inner: Field, x: Any, y: Any) -> bool:
        """Whether two elements are the same as far as the rules go."""
        self._deadline.tick()
        return same(x, y) or (not (self._strict and inner.plain) and not self._distance(inner, x, y))

    def _multisets(self, inner: Field, a: list[Any], b: list[Any]) -> Match:
        left, right = self._without_common(a, b)
        pairs: list[Places] = []
        for place in left:
            partner = self._partner(inner, a[place], b, right)
            pairs.append((place, None if partner is None else right.pop(partner)))
        pairs += [(None, place) for place in right]
        return Match(pairs, "body_order")

    def _without_common(self, a: list[Any], b: list[Any]) -> tuple[list[int], list[int]]:
        """The places of what each side has beyond the other, counting repeats."""
        tick = self._deadline.tick
        waiting: dict[bytes, list[int]] = {}
        for place, y in enumerate(b):
            tick()
            waiting.setdefault(canonical(y), []).append(place)
        left = []
        for place, x in enumerate(a):
            tick()
            equal = waiting.get(canonical(x))
            if equal:
                equal.pop()
            else:
                left.append(place)
        return left, [place for places in waiting.values() for place in places]

    def _partner(self, inner: Field, x: Any, b: list[Any], right: list[int]) -> int | None:
        """Which of `right` differs least from `x`: anything that is alike, else an object for an object."""
        best, least = None, len(x) if isinstance(x, dict) else 1
        for at, place in enumerate(right[:_MAX_PAIRING]):
            if type(x) is not type(b[place]):
                continue
            count = self._distance(inner, x, b[place])
            if count < least:
                best, least = at, count
        return best
