"""A response as it passes by, kept for comparison within a bound."""

from __future__ import annotations

from typing import Final

from shadowproxy.http1 import ResponseHead
from shadowproxy.model.nature import IGNORED_FIELDS
from shadowproxy.model.pair import CapturedResponse

_SMALL: Final = 4096
"""Pieces below this are collected in one object: a body that drips in must not cost fifty times its size."""
IGNORED: Final = IGNORED_FIELDS | {b":length"}
"""`ResponseHead.names` calls Content-Length by a name that no field can have."""


class Capture:
    """Head and the first `limit` bytes of a response's body. `seconds` runs from sending to the last byte."""

    __slots__ = ("head", "limit", "pieces", "seconds", "size", "truncated")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.head: ResponseHead | None = None
        self.pieces: list[bytes | bytearray] = []
        self.size = 0
        self.truncated = False
        self.seconds = 0.0

    def has_failed(self) -> bool:
        """An answer that says so: 5xx, and what is no status counts as that (RFC 9110 section 15)."""
        head = self.head
        return head is not None and not 100 <= head.status < 500

    def add(self, data: bytes, room: int) -> int:
        """Keep `data`, or as much of it as fits the limit and `room`; returns how many bytes were kept."""
        if self.truncated:
            return 0
        size = len(data)
        left = self.limit - self.size
        if size > left or size > room:
            data = data[: max(0, min(left, room))]
            size = len(data)
            self.truncated = True
        pieces = self.pieces
        if not pieces or size >= _SMALL:
            pieces.append(data)
        elif isinstance(pieces[-1], bytearray):
            pieces[-1] += data
        else:
            pieces.append(bytearray(data))
        self.size += size
        return size

    def body(self) -> bytes:
        return bytes(self.pieces[0]) if len(self.pieces) == 1 else b"".join(self.pieces)

    def frozen(self) -> CapturedResponse | None:
        """As it goes to the comparer; None when there was no answer."""
        head = self.head
        if head is None:
            return None
        return CapturedResponse(head.status, head.fields, self.body(), self.seconds, self.truncated)


def looks_equal(primary: Capture, shadow: Capture, ignored: frozenset[bytes] = IGNORED) -> bool:
    """The same status, body bytes and compared fields. True means `match`; False says only that the comparer must look.

    Order and case of field names do not matter; the order of values within a name does. `ignored`: fields that differ
    by nature.
    """
    mine, theirs = primary.head, shadow.head
    if mine is None or theirs is None or mine.status != theirs.status or primary.truncated or shadow.truncated:
        return False
    if primary.pieces != shadow.pieces and primary.body() != shadow.body():
        return False
    if mine.block == theirs.block:
        return True
    if not primary.size and _length(mine) != _length(theirs):
        return False
    return _lines(mine, ignored) == _lines(theirs, ignored) or _values(mine, ignored) == _values(theirs, ignored)


def _lines(head: ResponseHead, ignored: frozenset[bytes]) -> list[bytes]:
    """The compared lines as they came: mostly enough, and cheap."""
    return [line for name, line in zip(head.names, head.kept, strict=True) if name not in ignored]


def _values(head: ResponseHead, ignored: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in head.fields:
        lower = name.lower()
        if lower not in ignored:
            found.setdefault(lower, []).append(value)
    return found


def _length(head: ResponseHead) -> bytes:
    """Content-Length of a response without a body: for HEAD and 304 it says something about the resource."""
    return next((value for name, value in head.fields if name.lower() == b"content-length"), b"")
