"""Keep a document under a size: what matters first is written first, and what finds no room is counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

T = TypeVar("T")

_COUNT_BYTES: Final = 12
"""Room for any number of items left out."""


class Section(Struct, frozen=True):
    """A head, `total` items that may be left out from the end, and a foot. `left_out` is `… and {} more routes`.

    Items are made one by one, as long as there is room.
    """

    head: str
    items: Iterable[str] = ()
    total: int = 0
    foot: str = ""
    left_out: str = ""

    def least(self) -> int:
        """UTF-8 bytes without any item."""
        return _size(self.head) + _size(self.foot) + _size(self.left_out) + _COUNT_BYTES


def listed(
    head: str,
    things: Sequence[T],
    show: Callable[[T], str],
    foot: str = "",
    left_out: str = "",
    most: int | None = None,
) -> Section:
    """A section with an item for each of `things`; of more than `most` the rest is left out and counted."""
    return Section(head, map(show, things[:most]), len(things), foot, left_out)


def fit(sections: Iterable[Section], limit: int, rest: str) -> str:
    """The sections one after another in at most `limit` bytes of UTF-8, unless one head alone takes more.

    Items are left out from the end of their section; whole sections, which `rest` then counts, from the end of the
    document.
    """
    every = list(sections)
    kept = list(every)
    while len(kept) > 1 and _least(kept) + (len(kept) < len(every)) * (_size(rest) + _COUNT_BYTES) > limit:
        kept.pop()
    dropped = len(every) - len(kept)
    room = limit - _least(kept) - (_size(rest) + _COUNT_BYTES if dropped else 0)
    parts: list[str] = []
    for section in kept:
        parts.append(section.head)
        taken = 0
        for item in section.items:
            size = _size(item)
            if size > room:
                break
            room -= size
            taken += 1
            parts.append(item)
        if left := section.total - taken:
            parts.append(section.left_out.format(f"{left:,}"))
        parts.append(section.foot)
    if dropped:
        parts.append(rest.format(f"{dropped:,}"))
    return "".join(parts)


def _least(sections: Sequence[Section]) -> int:
    return sum(section.least() for section in sections)


def _size(text: str) -> int:
    return len(text.encode())
