"""What a value looks like, whatever it says: its type, its format, its length. Noise must not hide garbage.

A field that always differs (an id, a time, a price that moves) is still known by its look: answers of the primary's
version teach which shapes it has and, while they are few, which values. A candidate's value of another shape, or one
outside a short list of values, differs in `body_shape`, however noisy the field is.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import blake2b
from itertools import pairwise
from math import ceil, isfinite, log10
from typing import Final

from shadowproxy.compare.findings import ABSENT
from shadowproxy.model.pair import FieldShapes

ENOUGH: Final = 20
"""Values that must have been seen before a look counts as new (contract, meaning 10, has the same figure)."""
ENOUGH_LISTED: Final = 200
"""Values that must have been seen before the few distinct ones among them are the only ones there are."""
MAX_VALUES: Final = 16
MAX_SHAPES: Final = 32
MAX_FIELDS: Final = 1024
"""Fields whose looks are known, of one service; the longest unseen one makes room."""
FADING: Final = 20_000
"""Values after which all counts are halved: looks that are not seen any more are forgotten."""
_LONG: Final = 1024

_FORMATS: Final = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("uuid", r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        ("time", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?Z| ?[+-]\d\d:?\d\d)?"),
        ("date", r"\d{4}-\d\d-\d\d"),
        (
            "http-date",
            r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
        ),
        ("epoch", r"1\d{9}(?:\d{3}|\d{6}|\d{9})?(?:\.\d{1,9})?"),
        ("integer", r"-?\d{1,40}"),
        ("number", r"-?\d{1,40}\.\d{1,40}(?:[eE][+-]?\d{1,4})?"),
        ("email", r"[^@\s]{1,128}@[^@\s]{1,128}\.[^@\s.]{1,32}"),
        ("url", r"[a-z][a-z0-9+.-]{1,15}://\S{1,1000}"),
        ("address", r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?"),
        ("etag", r'(?:W/)?"[^"]{1,256}"'),
        ("hex", r"(?=[a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{8,}"),
        ("token", r"(?=.{0,200}\d)(?=.{0,200}[A-Za-z])[\w+/=.~-]{16,}"),
    )
)
"""The first that fits a whole text names its format."""
_BANDS: Final = (0, 4, 16, 64, 256)


def shape_of(value: object) -> str:
    """The look of a value in a word or two: `uuid`, `text 5-16`, `integer e3`, `null`, `array`, `absent`."""
    if value is None:
        return "null"
    if value is ABSENT:
        return "absent"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return "number" if value >= 0 else "number below 0"
    if isinstance(value, bytes):
        return shape_of(value[:_LONG].decode("latin-1"))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return shape_of(value[0]) if len(value) == 1 else "array" if value else "array, empty"
    return "object" if isinstance(value, dict) else type(value).__name__


_WORDS: Final = frozenset(
    {
        *("null", "absent", "boolean", "epoch", "integer, huge", "number", "number below 0"),
        *("text, empty", f"text over {_BANDS[-1]}", "array", "array, empty", "object"),
        *(f"text {low + 1}-{high}" for low, high in pairwise(_BANDS)),
        *(name for name, _ in _FORMATS if name != "hex"),
    }
)
_NUMBERED: Final = re.compile(r"integer(?: below 0)? e(?:0|[1-3]?[0-9])|hex [1-9][0-9]{0,3}")


def check_shape(text: str) -> str | None:
    """What is wrong with a look as somebody wrote it, and what would be right; None when values can look so."""
    if text in _WORDS or _NUMBERED.fullmatch(text):
        return None
    return f"no value looks so: write integer e3, integer below 0 e3, hex 32, or one of: {'; '.join(sorted(_WORDS))}"


def _integer(value: int) -> str:
    if 1_000_000_000 <= value < 2_000_000_000 or 1_000_000_000_000 <= value < 2_000_000_000_000:
        return "epoch"
    if value.bit_length() > 128:
        return "integer, huge"
    # Bands of magnitude, three digits wide: 0, up to 999, up to 999,999 ...
    size = abs(value)
    band = 0 if not size else (len(str(size)) + 2) // 3
    return f"integer e{3 * band}" if value >= 0 else f"integer below 0 e{3 * band}"


def _text(text: str) -> str:
    if not text.strip():
        return "text, empty"
    if len(text) <= _LONG:
        for name, pattern in _FORMATS:
            if pattern.fullmatch(text):
                return f"{name} {len(text)}" if name == "hex" else name
    for low, high in pairwise(_BANDS):
        if len(text) <= high:
            return f"text {low + 1}-{high}"
    return f"text over {_BANDS[-1]}"


def _look(value: object) -> str:
    """The shape, and of a number that is no integer the magnitude too: a price that is a thousand times too high."""
    shape = shape_of(value)
    if isinstance(value, float) and value and isfinite(value):
        return f"{shape} e{3 * ceil(log10(abs(value)) / 3)}"
    return shape


class Looks:
    """What is known of the values of one field."""

    __slots__ = ("shapes", "total", "values")

    def __init__(self, shapes: dict[str, int] | None = None, values: dict[int, int] | None = None) -> None:
        self.shapes = shapes if shapes is not None else {}
        self.values: dict[int, int] | None = values if shapes is not None else {}
        self.total = sum(self.shapes.values())

    def is_new(self, value: object) -> bool:
        """Whether a value looks like none that was seen; False while too few were."""
        if self.total < ENOUGH:
            return False
        shape = _look(value)
        if shape not in self.shapes:
            return len(self.shapes) < MAX_SHAPES
        return self.values is not None and self.total >= ENOUGH_LISTED and _hash(value) not in self.values

    def see(self, value: object) -> None:
        """A value of the primary's version."""
        shape = _look(value)
        if shape in self.shapes or len(self.shapes) < MAX_SHAPES:
            self.shapes[shape] = self.shapes.get(shape, 0) + 1
        if self.values is not None:
            key = _hash(value)
            self.values[key] = self.values.get(key, 0) + 1
            if len(self.values) > MAX_VALUES:
                self.values = None
        self.total += 1
        if self.total >= FADING:
            self._fade()

    def _fade(self) -> None:
        self.shapes = {shape: count // 2 for shape, count in self.shapes.items() if count > 1}
        if self.values is not None:
            self.values = {value: count // 2 for value, count in self.values.items() if count > 1}
        self.total = sum(self.shapes.values())


def _hash(value: object) -> int:
    """Stands for a value: what is kept of values must not tell them. Short: nothing is proven by it."""
    return int.from_bytes(blake2b(repr(value)[:_LONG].encode("utf-8", "replace"), digest_size=6).digest(), "big")


class LooksTable:
    """The looks of the noisy fields of one service, by route and field."""

    __slots__ = ("_changed", "_fields")

    def __init__(self) -> None:
        self._fields: OrderedDict[tuple[str, str], Looks] = OrderedDict()
        self._changed: set[tuple[str, str]] = set()

    def is_new(self, route: str, field: str, value: object) -> bool:
        looks = self._fields.get((route, field))
        return looks is not None and looks.is_new(value)

    def see(self, route: str, field: str, *values: object) -> None:
        key = (route, field)
        looks = self._fields.get(key)
        if looks is None:
            looks = self._fields[key] = Looks()
            if len(self._fields) > MAX_FIELDS:
                self._changed.discard(self._fields.popitem(last=False)[0])
        else:
            self._fields.move_to_end(key)
        for value in values:
            looks.see(value)
        self._changed.add(key)

    def restore(self, rows: list[FieldShapes]) -> None:
        """Looks that were kept; what this table knows already stays."""
        for row in rows:
            if (row.route, row.field) not in self._fields and len(self._fields) < MAX_FIELDS:
                self._fields[row.route, row.field] = Looks(row.shapes, row.values)

    def take_changed(self, service: str) -> list[FieldShapes]:
        """The looks that changed since the last call."""
        changed, self._changed = self._changed, set()
        return [
            FieldShapes(service, *key, dict(looks.shapes), None if looks.values is None else dict(looks.values))
            for key in changed
            if (looks := self._fields.get(key)) is not None
        ]
