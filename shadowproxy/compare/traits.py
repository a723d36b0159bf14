"""What the values of one field look like over many pairs: enough to tell jitter, ids and clocks from data. Pure.

Nothing of a value is kept but what it is like: its type, its class, how far two numbers are apart, and hashes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from shadowproxy.compare.findings import ABSENT, Key, Values
from shadowproxy.compare.wording import type_name
from shadowproxy.model.pair import Pair

UUID: Final = "uuid"
TOKEN: Final = "token"  # noqa: S105 - a class of values
TIME: Final = "time"
EPOCH: Final = "epoch"

LOCATION: Final = "header:location"
CLOSE: Final = 0.01
"""The largest relative difference of numbers that a tolerance is suggested for; beyond it numbers are not looked at."""
MAX_TRAITS: Final = 4096
"""Fields and kinds of one comparer that are looked at; nothing is known of further ones."""

_NOW: Final = 60.0
"""Seconds around the request within which a time was taken for the answer, and is no date of the data or a deadline."""
_ZONES: Final = 14 * 3600.0
"""How far a time without a zone may be off besides: the largest offset from UTC."""
_UNITS: Final = (1.0, 1e3, 1e6, 1e9)
_EARLIEST: Final = 1e9
_FARTHEST: Final = 1e20
_TARGETS: Final = 32
"""Requests remembered to see whether the primary's own value changes from one answer to the next."""
_DUST: Final = 1e-9
"""Numbers so close together are equal but for arithmetic, also around zero."""
_LONGEST: Final = 64

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_HEX: Final = re.compile(r"(?=[a-fA-F]*\d)[0-9a-fA-F]{16,}")
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_DIGITS: Final = re.compile(r"\d{10,19}(?:\.\d+)?")
_AUTHORITY: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#\\]*)")
_SMALL: Final = (str, int, float, bool, type(None), type(ABSENT))
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie"})


def look_of(value: object, at: float) -> str:
    """The class of a value that is made anew for each answer, empty for any other. `at`: Unix time of the request."""
    if type(value) is int or type(value) is float:
        return EPOCH if _is_now(value, at) else ""
    if type(value) is not str or not 10 <= len(value) <= _LONGEST:
        return ""
    if _UUID.fullmatch(value):
        return UUID
    if _DIGITS.fullmatch(value) and _is_now(float(value), at):
        return EPOCH
    if _ISO.fullmatch(value):
        return TIME if _is_time_now(value, at) else ""
    return TOKEN if _HEX.fullmatch(value) else ""


def _is_now(value: float, at: float) -> bool:
    # The bound first: a number of any size is compared with a float, but not subtracted from one.
    return _EARLIEST < value < _FARTHEST and any(abs(value - at * unit) <= _NOW * unit for unit in _UNITS)


def _is_time_now(text: str, at: float) -> bool:
    try:
        moment = datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        return False
    allowed = _NOW if moment.tzinfo else _NOW + _ZONES
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return abs(moment.timestamp() - at) <= allowed


class Traits:
    """The traits of one (field, kind) over `pairs` pairs.

    `types`: the names of both types where they differ, None where they vary. Numbers: `numeric` pairs of them, `equal`
    of those of equal value, `apart` and `share` the largest difference, absolute and relative, `least` the smallest
    size of any, `larger` and `smaller` how often the candidate's was so, `whole`: all were integers. `look`: the class
    that both sides had in every pair. `anew` and `again`: how often the same request got another, or the same, value
    from the primary. `constant`: each side always had its one value. `one_sided`: how often a side had none.
    `elsewhere`: how often a redirect led to another host than the primary's.
    """

    __slots__ = (
        "_first",
        "_targets",
        "again",
        "anew",
        "apart",
        "constant",
        "elsewhere",
        "equal",
        "larger",
        "least",
        "look",
        "numeric",
        "one_sided",
        "pairs",
        "share",
        "smaller",
        "types",
        "whole",
    )

    def __init__(self) -> None:
        self.pairs = self.numeric = self.equal = self.larger = self.smaller = 0
        self.anew = self.again = self.one_sided = self.elsewhere = 0
        self.types: tuple[str, str] | None = None
        self.apart = self.share = 0.0
        self.least = float("inf")
        self.whole = self.constant = True
        self.look = ""
        self._first: tuple[int | None, int | None] | None = None
        self._targets: dict[int, int] | None = None

    def observe(self, key: Key, values: Values, pair: Pair) -> None:
        """Look at the values of one more pair, as far as they can still say something. Never raises."""
        field, kind = key
        a, b = values
        self.pairs += 1
        if kind == "header":
            if field == LOCATION:
                self.elsewhere += _leads_elsewhere(a, b, pair)
            a, b = _single(a), _single(b)
            self.one_sided += a is ABSENT or b is ABSENT
            self._repeats(a, b)
        elif kind == "body_type":
            self._types(type_name(a), type_name(b))
        if self.share <= CLOSE:
            x, y = _number(a), _number(b)
            if x is not None and y is not None:
                self._numbers(x, y)
        if self.look or self.pairs == 1:
            self._classify(a, b, pair)

    def _types(self, a: str, b: str) -> None:
        if self.pairs == 1:
            self.types = a, b
        elif self.types != (a, b):
            self.types = None

    def _numbers(self, a: float, b: float) -> None:
        try:
            apart = float(abs(a - b))
            size = float(max(abs(a), abs(b)))
        except OverflowError:
            return
        self.numeric += 1
        self.equal += apart == 0
        self.larger += b > a
        self.smaller += b < a
        self.whole = self.whole and type(a) is int and type(b) is int
        self.apart = max(self.apart, apart)
        if apart > _DUST:
            self.share = max(self.share, apart / size)
        if size:
            self.least = min(self.least, size)

    def _repeats(self, a: object, b: object) -> None:
        if self.constant:
            here = _fingerprint(a), _fingerprint(b)
            self._first = self._first or here
            self.constant = None not in here and self._first == here

    def _classify(self, a: object, b: object, pair: Pair) -> None:
        look = look_of(a, pair.at)
        if not look or look_of(b, pair.at) != look or (self.pairs > 1 and look != self.look):
            self.look = ""
            self._targets = None
            return
        self.look = look
        if self._targets is None:
            self._targets = {}
        request, value = _request(pair), hash(a)
        before = self._targets.get(request)
        if before is not None:
            self.again += before == value
            self.anew += before != value
        elif len(self._targets) < _TARGETS:
            self._targets[request] = value


class TraitsTable:
    """The traits of fields by route, bounded."""

    __slots__ = ("_routes", "_size")

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], dict[Key, Traits]] = {}
        self._size = 0

    def observe(self, pair: Pair, counted: dict[Key, Values], repeated: bool = False) -> None:
        """Look at the standing differences of a pair. `repeated`: the primary's version gave its values twice."""
        table = self._routes.get((pair.service, pair.route))
        if table is None:
            table = self._routes[pair.service, pair.route] = {}
        for key, values in counted.items():
            traits = table.get(key)
            if traits is None:
                if self._size >= MAX_TRAITS:
                    continue
                self._size += 1
                traits = table[key] = Traits()
            traits.observe(key, values, pair)
            traits.again += repeated

    def of(self, service: str, route: str) -> dict[Key, Traits]:
        return self._routes.get((service, route), {})

    def forget(self, service: str, route: str) -> None:
        """The rules of a route are others now: what stands is judged afresh."""
        self._size -= len(self._routes.pop((service, route), ()))


def _number(value: object) -> float | None:
    return value if type(value) is int or type(value) is float else None


def _fingerprint(value: object) -> int | None:
    """A hash of a small value; None for what is not worth one."""
    return hash((type(value), value)) if type(value) in _SMALL else None


def _request(pair: Pair) -> int:
    """What a request asked for, and who asked."""
    request = pair.request
    who = tuple(value for name, value in request.fields if name.lower() in _CREDENTIALS)
    return hash((request.method, request.target, request.body, who))


def _single(value: object) -> object:
    """A header field's value as text, if it is a single one."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], bytes):
        return value[0].decode("latin-1")
    return value


def _leads_elsewhere(a: object, b: object, pair: Pair) -> bool:
    """Whether the candidate's Location names a host that is neither the primary's nor the request's."""
    host = _host(_single(b))
    named = {value.lower().decode("latin-1") for name, value in pair.request.fields if name.lower() == b"host"}
    return bool(host) and host not in named | {_host(_single(a))}


def _host(location: object) -> str:
    """The authority of an absolute URL (RFC 3986 section 3.2), empty without one."""
    found = _AUTHORITY.match(location) if isinstance(location, str) else None
    return found[1].rpartition("@")[2].lower() if found else ""
