"""A response as it passes by, kept for comparison within a bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.model.nature import IGNORED_FIELDS
from shadowproxy.model.pair import CapturedResponse, Fields

if TYPE_CHECKING:
    from shadowproxy.shadow.copy import Copy


class Capture:
    """Head and the first `limit` bytes of a response's body. `seconds` runs from sending to the last byte."""

    __slots__ = ("fields", "limit", "pieces", "seconds", "size", "status", "truncated")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.status = 0
        self.fields: Fields = []
        self.pieces: list[bytes] = []
        self.size = 0
        self.truncated = False
        self.seconds = 0.0

    def begin(self, status: int, fields: Fields) -> None:
        self.status = status
        self.fields = fields

    def add(self, data: bytes, room: int) -> int:
        """Keep `data`, or as much of it as fits the limit and `room`; returns how many bytes were kept."""
        kept = min(self.limit - self.size, room)
        if self.truncated or kept <= 0:
            self.truncated = self.truncated or bool(data)
            return 0
        if len(data) > kept:
            data = data[:kept]
            self.truncated = True
        self.pieces.append(data)
        self.size += len(data)
        return len(data)

    def body(self) -> bytes:
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def frozen(self) -> CapturedResponse:
        return CapturedResponse(self.status, self.fields, self.body(), self.seconds, self.truncated)


class PrimaryCapture(Capture):
    """The primary's response, shared by the copies of its request, which wait for it to be decided.

    `decided` is None while it is under way, True when it came whole, False when it never will.
    """

    __slots__ = ("copies", "decided")

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.copies: list[Copy] = []
        self.decided: bool | None = None

    def take(self, data: bytes) -> None:
        """A piece of the primary's body, charged to each copy's arm while it may hold bytes."""
        copies = self.copies
        kept = self.add(data, min(copy.room for copy in copies) if copies else 0)
        for copy in copies:
            copy.charge(kept)

    def decide(self, whole: bool, seconds: float) -> None:
        """The primary's exchange is over."""
        if self.decided is None:
            self.decided = whole
            self.seconds = seconds
            for copy in self.copies:
                copy.settle()
            self.copies = []


def looks_equal(primary: Capture, shadow: Capture) -> bool:
    """The same status, body bytes and compared fields. True means `match`; False says only that the comparer must look.

    Order and case of field names do not matter; the order of values within a name does.
    """
    if primary.status != shadow.status or primary.truncated or shadow.truncated:
        return False
    if primary.pieces != shadow.pieces and primary.body() != shadow.body():
        return False
    if primary.fields == shadow.fields:
        return True
    if not primary.size and _length(primary) != _length(shadow):
        return False
    return _compared(primary.fields) == _compared(shadow.fields)


def _compared(fields: Fields) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        lower = name.lower()
        if lower not in IGNORED_FIELDS:
            found.setdefault(lower, []).append(value)
    return found


def _length(capture: Capture) -> bytes:
    """Content-Length of a response without a body: for HEAD and 304 it says something about the resource."""
    return next((value for name, value in capture.fields if name.lower() == b"content-length"), b"")
