"""Which element of one array is which of another: by a member that names them, else by what is equal in both.

With names an inserted or moved element is one difference, whatever else changed. A member names the elements when the
configuration says so, or when every element of both arrays has a text or a number under it, no two the same, and at
least half of the smaller array's occur in the other. Everything here is linear but the longest increasing run of
anchors, which is n log n.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from shadowproxy.compare.trees import Element, Names, name_of

FOUND: Final[tuple[Names, ...]] = (
    *((name,) for name in ("id", "_id", "Id", "ID", "@id", "uuid", "guid", "key", "@key")),
    *((name,) for name in ("sku", "code", "slug", "name", "@name")),
    ("node", "id"),
)
"""Members that are names without anybody saying so, the first that fits."""


_OBJECT: Final = frozenset({dict, Element})
_TEXT: Final = {str}
_INTEGER: Final = {int}


class Pairing(Struct, frozen=True):
    """`pairs` are places in both arrays, in the order of the first; `lost` and `new` are in one of them alone, each
    with the place in the first array of what both have before it.

    `moved`: what both have is in another order.
    """

    pairs: list[tuple[int, int]]
    lost: list[tuple[int, int]]
    new: list[tuple[int, int]]
    moved: bool


def names_of(a: object, b: object) -> Iterator[Names]:
    """The members under which both of two elements have a name."""
    if isinstance(a, dict) and isinstance(b, dict):
        for names in FOUND:
            first = names[0]
            if first in a and first in b and name_of(a, names) is not None and name_of(b, names) is not None:
                yield names


def given_names(a: Sequence[Any], b: Sequence[Any], names: Names) -> tuple[list[str], list[str]] | None:
    """The names that the configuration says; those that are missing or repeat are told apart by their number.

    None when no element has any.
    """
    left, right = all_names(a, names), all_names(b, names)
    if left.count(None) == len(left) and right.count(None) == len(right):
        return None
    return _numbered(left), _numbered(right)


def found_names(
    a: Sequence[Any], b: Sequence[Any], names: Names, alike: int, needed: float
) -> tuple[list[str], list[str]] | None:
    """The names under a member, if it is there everywhere, none repeats, and `needed` are in both arrays.

    `alike` counts the elements that both are known to have besides these.
    """
    left, right = _unique(a, names), _unique(b, names)
    if left is None or right is None:
        return None
    common = alike + len(left.keys() & right.keys())
    return ([*left], [*right]) if common and common >= needed else None


def pair_up(xs: Sequence[int], ys: Sequence[int], left: Sequence[str], right: Sequence[str]) -> Pairing:
    """Pairs equal names, of which none repeats on a side. `xs` and `ys` are the places of the named elements, in order.

    Between them stand elements that are the same in both arrays.
    """
    where = {name: (y, y - at) for at, (y, name) in enumerate(zip(ys, right, strict=True))}
    pairs: list[tuple[int, int]] = []
    lost: list[tuple[int, int]] = []
    new: list[tuple[int, int]] = []
    gap = before = last = -1
    moved = False
    for at, (x, name) in enumerate(zip(xs, left, strict=True)):
        gap = gap if before == x - 1 else x - 1
        before = x
        y, passed = where.pop(name, (-1, -1))
        if y < 0:
            lost.append((x, gap))
            continue
        pairs.append((x, y))
        moved = moved or y < last or passed != x - at
        gap, last = x, y
    partners = {y: x for x, y in pairs}
    gap = before = -1
    for y in ys:
        gap = gap if before == y - 1 else y - 1
        before = y
        if y in partners:
            gap = partners[y]
        else:
            new.append((y, gap))
    return Pairing(pairs, lost, new, moved)


def anchors(a: Sequence[bytes], b: Sequence[bytes]) -> list[tuple[int, int]]:
    """Places of what is equal and occurs once in each: the longest run of them in both orders (patience diff)."""
    once = [{text for text, times in Counter(side).items() if times == 1} for side in (a, b)]
    places = {text: place for place, text in enumerate(b) if text in once[1]}
    pairs = [(place, places[text]) for place, text in enumerate(a) if text in once[0] and text in places]
    ends: list[int] = []
    at: list[int] = []
    back: list[int] = []
    for index, (_, other) in enumerate(pairs):
        length = bisect_left(ends, other)
        back.append(at[length - 1] if length else -1)
        if length == len(ends):
            ends.append(other)
            at.append(index)
        else:
            ends[length], at[length] = other, index
    run: list[tuple[int, int]] = []
    index = at[-1] if at else -1
    while index >= 0:
        run.append(pairs[index])
        index = back[index]
    return run[::-1]


def all_names(elements: Sequence[Any], names: Names) -> list[str | None]:
    """The names of all of some elements."""
    return list(_texts(elements, names) or (name_of(element, names) for element in elements))


def _texts(elements: Sequence[Any], names: Names) -> list[str] | None:
    """The names where all are there and of one type, as they mostly are."""
    if len(names) == 1 and _OBJECT.issuperset(map(type, elements)):
        values = [element.get(names[0]) for element in elements]
        kinds = {*map(type, values)}
        if kinds == _TEXT:
            return values
        if kinds == _INTEGER:
            return [*map(str, values)]
    return None


def _unique(elements: Sequence[object], names: Names) -> dict[str, None] | None:
    texts = _texts(elements, names)
    if texts is None:
        texts = [name for name in all_names(elements, names) if name is not None]
    found = dict.fromkeys(texts)
    return found if len(found) == len(elements) else None


def _numbered(names: Sequence[str | None]) -> list[str]:
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        text = name or ""
        seen[text] += 1
        numbered.append(text if name and seen[text] == 1 else f"{text}#{seen[text]}")
    return numbered
