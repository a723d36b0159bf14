"""Whether two numbers are near enough: absolutely, or relative to the larger of them; exact whatever their size.

Integers never pass through a float, and what Python's numbers cannot hold (`jsontext` keeps it as written) is a decimal
like numbers written as text. Two floats alone are compared as such, less the last digits that arithmetic costs them.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, DecimalException
from typing import Final

import msgspec
from msgspec import Struct

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_MAX_DIGITS: Final = 20_000
"""Numbers that are written longer are never near each other."""
_DIGITS: Final = Context(prec=2 * _MAX_DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_COST: Final = 1e-15
"""What arithmetic costs floats, relative to them."""


class Tolerance(Struct, frozen=True):
    """The largest difference that is still equal. `relative` is a share of the larger number; either suffices."""

    absolute: float = 0.0
    relative: float = 0.0

    def widened(self, other: Tolerance) -> Tolerance:
        """What either allows."""
        return Tolerance(max(self.absolute, other.absolute), max(self.relative, other.relative))


def within(a: object, b: object, tolerance: Tolerance) -> bool:
    """Whether two numbers, or two texts that are numbers, are near enough. Anything else is not."""
    if type(a) is float and type(b) is float:
        larger = max(abs(a), abs(b))
        return abs(a - b) <= max(tolerance.absolute, tolerance.relative * larger) + _COST * larger
    if isinstance(a, str) != isinstance(b, str):
        return False
    x, y = _exact(a), _exact(b)
    return x is not None and y is not None and _near(x, y, tolerance)


def equal_as_written(a: object, b: object) -> bool:
    """Whether two numbers that were kept as written are the same one: 1e999 and 10E+998."""
    if type(a) is not msgspec.Raw or type(b) is not msgspec.Raw:
        return False
    x, y = _exact(a), _exact(b)
    return x is not None and x == y


def _near(x: Decimal, y: Decimal, tolerance: Tolerance) -> bool:
    apart = _DIGITS.abs(_DIGITS.subtract(x, y))
    if apart <= Decimal(repr(tolerance.absolute)):
        return True
    larger = max(_DIGITS.abs(x), _DIGITS.abs(y))
    return apart <= _DIGITS.multiply(larger, Decimal(repr(tolerance.relative)))


def _exact(value: object) -> Decimal | None:
    """The number as it was written; None for what is none, or too long to look at."""
    if type(value) is int:
        return Decimal(value)
    if type(value) is float:
        return Decimal(repr(value))
    text = bytes(value).decode() if isinstance(value, msgspec.Raw) else value
    if not isinstance(text, str) or len(text) > _MAX_DIGITS:
        return None
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        number = _DIGITS.create_decimal(text)
    except DecimalException:
        return None
    return number if number.is_finite() else None
