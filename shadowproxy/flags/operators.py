"""The operators of JsonLogic and flagd on values: how they convert, compare and compute.

They agree with the engines that most people run (`openfeature-flagd-core` on `panzi-json-logic`), oddities included: a
flag must not mean one thing in a service's SDK and another one at the proxy. What would grow without bound raises
`LimitError` instead.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from math import isnan, nan
from typing import Any, Final, NamedTuple

import mmh3
from semver import Version

MAX_TEXT: Final = 64 * 1024
"""Characters of a string that an operator makes: a header block is not larger."""
MAX_ITEMS: Final = 10_000
"""Elements of a list that an operator makes."""
MAX_BITS: Final = 4096
"""Of an integer that an operator makes: more than a float holds, and still cheap."""
MAX_STEPS: Final = 100_000
"""What one evaluation may do in loops, in nodes: some ten milliseconds."""
MAX_WEIGHTS: Final = 2**31 - 1
"""The sum of `fractional` weights, as flagd has it."""

Operator = Callable[..., Any]
"""Called with the data and the arguments; what is too much of them is ignored, what lacks is None."""


class LimitError(Exception):
    """An evaluation that would take too long or too much memory."""


class Meter:
    """What is left of the steps of one evaluation."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise LimitError(f"it would take more than {MAX_STEPS:,} steps")

    def weigh(self, value: Any) -> None:
        """Spend as much as there is in a list: it may hold one and the same list twice, and that one another."""
        self.spend(1)
        if isinstance(value, list):
            for item in value:
                self.weigh(item)


# Conversions


def to_number(value: Any) -> float:
    if isinstance(value, int | float):
        return value
    if value is None:
        return 0
    if isinstance(value, list):
        return to_number(value[0]) if len(value) == 1 else nan if value else 0
    if not isinstance(value, str) or value.strip().lower() in {"inf", "-inf", "+inf"}:
        return nan
    try:
        return float(value)
    except ValueError:
        return nan


def to_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, int):  # booleans as well: `True`
        return str(value)
    if value is None:
        return "null"
    if isinstance(value, list):
        return _short(",".join(map(to_string, value)))
    return "[object Object]"


def to_bool(value: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, float):
        return not isnan(value) and value != 0.0
    if isinstance(value, dict):
        return True
    return bool(value)


def _short(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise LimitError(f"a string would become longer than {MAX_TEXT:,} characters")
    return text


# Comparisons


def equals(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> bool:
    """`==`. Raises TypeError for what cannot be compared."""
    if type(a) is type(b):
        return a is b if isinstance(a, list | dict) else bool(a == b)
    if isinstance(a, int | float):
        return bool(a == to_number(b))
    if isinstance(b, int | float):
        return bool(to_number(a) == b)
    if a is None or b is None:
        return False
    if isinstance(a, str):
        return a == to_string(b)
    if isinstance(b, str):
        return to_string(a) == b
    return False  # a list and an object


def strictly_equals(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> bool:
    return bool(a == b)


def _ordered(holds: Callable[[Any, Any], bool]) -> Operator:
    def compare(a: Any, b: Any) -> bool:
        if isinstance(a, int | float):
            return holds(a, to_number(b))
        if isinstance(b, int | float):
            return holds(to_number(a), b)
        if isinstance(a, str):
            return holds(a, to_string(b))
        if isinstance(b, str):
            return holds(to_string(a), b)
        return holds(to_number(a), to_number(b))

    def between(data: Any = None, a: Any = None, b: Any = None, c: Any = None, *_: Any) -> bool:
        return compare(a, b) and (c is None or compare(b, c))

    return between


# Numbers


def _whole(value: float) -> float:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise LimitError("a number would become too large")
    return value


def add(data: Any = None, *args: Any) -> float:
    total: float = 0
    for arg in args:
        total += to_number(arg)
    return _whole(total)


def multiply(data: Any = None, *args: Any) -> float:
    product: float = 1
    for arg in args:
        product = _whole(product * to_number(arg))
    return product


def subtract(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> float:
    return -to_number(a) if b is None else to_number(a) - to_number(b)


def divide(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> float:
    return to_number(a) / to_number(b)


def modulo(data: Any = None, a: Any = None, b: Any = None, *_: Any) -> float:
    return to_number(a) % to_number(b)


def least(data: Any = None, *args: Any) -> float:
    return min(map(to_number, args)) if args else nan


def most(data: Any = None, *args: Any) -> float:
    return max(map(to_number, args)) if args else nan


# Strings and lists


def cat(data: Any = None, *args: Any) -> str:
    return _short("".join(map(to_string, args)))


def substr(data: Any = None, string: Any = None, index: Any = None, length: Any = None, *_: Any) -> str:
    text, start = to_string(string), to_number(index)
    size = len(text)
    if isnan(start):
        first = 0
    elif start < 0:
        first = 0 if -start >= size else size - int(-start)
    else:
        first = min(int(start), size)
    if length is None:
        return text[first:]
    wanted = to_number(length)
    if isnan(wanted):
        return ""
    count = int(wanted)
    return text[first : max(size + count, first) if count < 0 else first + count]


def contains(data: Any = None, needle: Any = None, haystack: Any = None, *_: Any) -> bool:
    if isinstance(haystack, list):
        return needle in haystack
    return isinstance(haystack, str) and to_string(needle) in haystack


def merge(data: Any = None, *args: Any) -> list[Any]:
    merged: list[Any] = []
    for arg in args:
        merged.extend(arg if isinstance(arg, list) else [arg])
        if len(merged) > MAX_ITEMS:
            raise LimitError(f"a list would have more than {MAX_ITEMS:,} elements")
    return merged


def starts_with(data: Any = None, *args: Any) -> bool | None:
    return args[0].startswith(args[1]) if _are_two_strings(args) else None


def ends_with(data: Any = None, *args: Any) -> bool | None:
    return args[0].endswith(args[1]) if _are_two_strings(args) else None


def _are_two_strings(args: Sequence[Any]) -> bool:
    return len(args) == 2 and isinstance(args[0], str) and isinstance(args[1], str)


# The data


def var(data: Any = None, key: Any = None, default: Any = None, *too_many: Any) -> Any:
    if too_many:
        raise TypeError(f"var takes a name and a default, not {2 + len(too_many)} values")
    if key is None or key == "":
        return data
    if isinstance(key, int | float):
        if isinstance(data, list | str):
            index = -1 if isnan(key) else int(key)
            return data[index] if index == key and 0 <= index < len(data) else default
        if not isinstance(data, dict):
            return default
        data = data.get(key)
        if data is None:
            return default
    for part in to_string(key).split("."):
        if isinstance(data, list | str):
            if part == "length":
                return len(data)
            index = _index(part)
            if not 0 <= index < len(data):
                return default
            data = data[index]
        elif isinstance(data, dict):
            data = data.get(part)
        else:
            return default
    return default if data is None else data


def _index(part: str) -> int:
    """-1: it is none as JavaScript writes it."""
    try:
        index = int(part)
    except ValueError:
        return -1
    return index if part == str(index) else -1


def missing(data: Any = None, *args: Any) -> list[Any]:
    keys = args[0] if args and isinstance(args[0], list) else args
    values = ((key, var(data, key)) for key in keys)
    return [key for key, value in values if value is None or value == ""]


def missing_some(data: Any = None, needed: Any = 0, keys: Any = None, *_: Any) -> list[Any]:
    if not isinstance(keys, list):
        return []
    lacking = missing(data, keys)
    return [] if len(keys) - len(lacking) >= to_number(needed) else lacking


# flagd's own


class Fractions:
    """Variants with their weights. `pick` chooses by a bucket key."""

    __slots__ = ("_ends", "_total", "_variants")

    def __init__(self, fractions: Sequence[Any]) -> None:
        """Each is `[variant]` or `[variant, weight]`. Raises ValueError."""
        parsed = [_fraction(each) for each in fractions]
        self._variants = [variant for variant, _ in parsed]
        self._ends = list(accumulate(weight for _, weight in parsed))
        self._total = self._ends[-1] if self._ends else 0
        if self._total > MAX_WEIGHTS:
            raise ValueError(f"the weights add up to more than {MAX_WEIGHTS:,}")

    def pick(self, key: str) -> Any:
        """The variant of a key; None where no weight is above 0. Murmur3 of the plain string, as flagd's `v2`."""
        at = bisect_right(self._ends, mmh3.hash(key, signed=False) * self._total >> 32)
        return self._variants[at] if at < len(self._variants) else None


def _fraction(value: Any) -> tuple[Any, int]:
    if not isinstance(value, list) or not 1 <= len(value) <= 2:
        raise ValueError("a fraction is written [variant] or [variant, weight]")
    weight = value[1] if len(value) == 2 else 1
    if isinstance(weight, bool) or not isinstance(weight, int):
        raise ValueError(f"the weight {weight!r} is not a whole number")
    return value[0], max(weight, 0)  # the result of a computation may be below 0


def fractional(data: Any = None, *args: Any) -> Any:
    if not args:
        return None
    if isinstance(args[0], str):
        key, fractions = args[0], args[1:]
    else:
        seed = data.get("$flagd", {}).get("flagKey", "")
        targeting_key = data.get("targetingKey")
        key, fractions = seed + targeting_key if targeting_key else "", args
    if not key:
        return None
    try:
        return Fractions(fractions).pick(key)
    except ValueError:
        return None


class Release(NamedTuple):
    """A version as it is compared (semver.org, 11): `rest` has the parts of a pre-release.

    Comparing these takes a tenth of the time that comparing `semver.Version` takes.
    """

    major: int
    minor: int
    patch: int
    rest: tuple[tuple[bool, int, str], ...]


@lru_cache(1024)
def version(text: str) -> Release | None:
    """A version as flagd reads it: `v1.2` is 1.2.0. None: it is none."""
    text = text[1:] if text.startswith(("v", "V")) else text
    numbers = text.split("-")[0].split("+")[0]
    lacking = 2 - numbers.count(".")
    try:
        parsed = Version.parse(numbers + ".0" * lacking + text[len(numbers) :])
    except ValueError:
        return None
    return Release(parsed.major, parsed.minor, parsed.patch, _before_release(parsed.prerelease))


def _before_release(text: str | None) -> tuple[tuple[bool, int, str], ...]:
    """Numbers come before words, and nothing after everything."""
    if not text:
        return ((True, 1, ""),)
    parts = text.split(".")
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)


def version_of(value: Any) -> Release | None:
    return None if isinstance(value, list | dict) else version(str(value))


VERSION_OPERATORS: Final[dict[str, Callable[[Release, Release], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "^": lambda a, b: a.major == b.major,
    "~": lambda a, b: a[:2] == b[:2],
}


def sem_ver(data: Any = None, *args: Any) -> bool | None:
    if len(args) != 3:
        return None
    one, other = (version_of(arg) for arg in (args[0], args[2]))
    name = args[1]
    if one is None or other is None or not isinstance(name, str) or name not in VERSION_OPERATORS:
        return None
    return VERSION_OPERATORS[name](one, other)


ON_VALUES: Final[dict[str, Operator]] = {
    "==": equals,
    "!=": lambda data=None, a=None, b=None, *_: not equals(data, a, b),
    "===": strictly_equals,
    "!==": lambda data=None, a=None, b=None, *_: not strictly_equals(data, a, b),
    "<": _ordered(lambda a, b: bool(a < b)),
    "<=": _ordered(lambda a, b: bool(a <= b)),
    ">": _ordered(lambda a, b: bool(a > b)),
    ">=": _ordered(lambda a, b: bool(a >= b)),
    "!": lambda data=None, a=None, *_: not to_bool(a),
    "!!": lambda data=None, a=None, *_: to_bool(a),
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "min": least,
    "max": most,
    "in": contains,
    "cat": cat,
    "substr": substr,
    "merge": merge,
    "log": lambda data=None, a=None, *_: a,  # nobody reads a worker's standard output
    "starts_with": starts_with,
    "ends_with": ends_with,
    "sem_ver": sem_ver,
}
"""What depends on its arguments alone: with constant ones it is a constant."""

ON_DATA: Final[dict[str, Operator]] = {
    "var": var,
    "missing": missing,
    "missing_some": missing_some,
    "fractional": fractional,
}
