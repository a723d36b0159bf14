"""Percentages, durations, sizes and rates as people write them, parsed and rendered in one place.

`parse_x(render_x(value)) == value` holds for every value that a configuration can carry. Arithmetic is decimal, so
`0.1%` is exactly the float 0.001.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from shadowproxy.config.problems import BadValueError

_NUMBER: Final = r"([0-9]{1,20}(?:\.[0-9]{1,30})?)"
_PERCENT: Final = re.compile(_NUMBER + "%")
_WITH_UNIT: Final = re.compile(_NUMBER + r"([A-Za-zµ]+)")

DURATIONS: Final = {"d": Decimal(86400), "h": Decimal(3600), "m": Decimal(60), "s": Decimal(1), "ms": Decimal("0.001")}
SIZES: Final = {"GiB": 1024**3, "MiB": 1024**2, "KiB": 1024, "B": 1}
MAX_DURATION: Final = 3650 * 86400
MAX_SIZE: Final = 1024**5

PERCENT_PATTERN: Final = r"^[0-9]{1,20}(\.[0-9]{1,30})?%$"
DURATION_PATTERN: Final = r"^[0-9]{1,20}(\.[0-9]{1,30})?(ms|s|m|h|d)$"
SIZE_PATTERN: Final = r"^[0-9]{1,20}(\.[0-9]{1,30})?(B|KiB|MiB|GiB)$"
RATE_PATTERN: Final = SIZE_PATTERN[:-1] + "/s$"
SLOPE_PATTERN: Final = r"^[0-9]{1,20}(\.[0-9]{1,30})?%/(s|m|h|d)$"
MAX_GROWTH: Final = 100
"""Tolerating a hundred times as much is tolerating everything."""

_DURATION_RIGHT: Final = "write a duration with its unit, such as 250ms, 10s, 5m, 24h or 7d"
_SIZE_RIGHT: Final = "write a size with its unit, such as 512B, 64KiB or 1MiB"
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME: Final = re.compile(
    _DATE.pattern + r"[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339 section 5.6."""
_MOMENT_RIGHT: Final = "write a date such as 2026-12-31 (the whole day, UTC), or a time such as 2026-12-31T17:00:00Z"
_PERCENT_RIGHT: Final = "write a percentage from 0% to 100%, such as 25%"
_LOCAL: Final = re.compile(
    _DATE.pattern + r"(?P<time>[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_LOCAL_RIGHT: Final = "write a date such as 2026-12-24, or a time such as 2026-12-24T18:00 or 2026-12-24T18:00:00+01:00"
_POINTS: Final = re.compile(_NUMBER + "pp")
_SLOPE: Final = re.compile(_NUMBER + "%/([a-z]+)")
_RATE_RIGHT: Final = "write a rate with its unit, such as 240B/s or 1KiB/s"


def parse_percent(text: str) -> float:
    """A share 0..1 from `25%`. Raises BadValueError."""
    found = _PERCENT.fullmatch(text)
    share = Decimal(found[1]) / 100 if found else None
    if share is None or share > 1:
        raise BadValueError(_PERCENT_RIGHT)
    return float(share)


def parse_share(text: str) -> Decimal:
    """A percentage as it was written, from 0 to 100. Raises BadValueError."""
    parse_percent(text)
    return Decimal(text.removesuffix("%"))


def parse_growth(text: str) -> float:
    """By how much more, as a share that may be above 1: `10%`, `200%`. Raises BadValueError."""
    found = _PERCENT.fullmatch(text)
    share = Decimal(found[1]) / 100 if found else None
    if share is None or share > MAX_GROWTH:
        raise BadValueError(f"write a percentage from 0% to {render_percent(MAX_GROWTH)}, such as 10%")
    return float(share)


def parse_points(text: str) -> float:
    """A difference of two shares, 0..1, from `0.1pp`. Raises BadValueError."""
    found = _POINTS.fullmatch(text)
    if found is None or Decimal(found[1]) > 100:
        raise BadValueError("write percentage points from 0pp to 100pp, such as 0.1pp")
    return float(Decimal(found[1]) / 100)


def parse_slope(text: str) -> float:
    """A rise per second, as a share, from `5%/h`. Raises BadValueError."""
    found = _SLOPE.fullmatch(text)
    unit = DURATIONS.get(found[2]) if found else None
    if found is None or unit is None:
        raise BadValueError("write a rise in a time, such as 5%/h or 1%/d")
    return float(Decimal(found[1]) / 100 / unit)


def parse_local_time(text: str, zone: tzinfo, *, ends: bool) -> float:
    """Unix time of a time in its own zone, or else in `zone`. A date is its first moment, or its last when it `ends`.

    Raises BadValueError.
    """
    found = _LOCAL.fullmatch(text)
    try:
        if found is not None:
            day = timedelta(days=1 if ends and not found["time"] else 0)
            time = datetime.fromisoformat(text.upper()) + day
            return (time if found["offset"] else time.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        pass
    raise BadValueError(_LOCAL_RIGHT)


def parse_duration(text: str) -> float:
    """Seconds from `250ms`, `10s`, `5m`, `24h`, `7d`. Raises BadValueError."""
    found = _WITH_UNIT.fullmatch(text)
    unit = DURATIONS.get(found[2]) if found else None
    if found is None or unit is None:
        raise BadValueError(_DURATION_RIGHT)
    seconds = float(Decimal(found[1]) * unit)
    if seconds > MAX_DURATION:
        raise BadValueError(f"write at most {render_duration(MAX_DURATION)}")
    return seconds


def parse_size(text: str) -> int:
    """Bytes from `512B`, `64KiB`, `1MiB`, `1GiB`. Raises BadValueError."""
    return _bytes(text, _SIZE_RIGHT)


def parse_rate(text: str) -> int:
    """Bytes per second from `240B/s`. Raises BadValueError."""
    size, slash, second = text.rpartition("/")
    if not slash or second != "s":
        raise BadValueError(_RATE_RIGHT)
    return _bytes(size, _RATE_RIGHT)


def parse_moment(text: str) -> float:
    """Unix time of a time, or of the end of a day, UTC. Raises BadValueError."""
    try:
        if _DATE.fullmatch(text):
            return (datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(days=1)).timestamp()
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        pass
    raise BadValueError(_MOMENT_RIGHT)


def _bytes(text: str, right: str) -> int:
    found = _WITH_UNIT.fullmatch(text)
    unit = SIZES.get(found[2]) if found else None
    if found is None or unit is None:
        decimal = found is not None and found[2].lower() in {"k", "kb", "m", "mb", "g", "gb"}
        raise BadValueError(f"{right} (powers of 1024: {found[2][0].upper()}iB)" if found and decimal else right)
    size = Decimal(found[1]) * unit
    if size != int(size):
        raise BadValueError("write a whole number of bytes, " + right.removeprefix("write "))
    if size > MAX_SIZE:
        raise BadValueError(f"write at most {render_size(MAX_SIZE)}")
    return int(size)


def render_percent(share: float) -> str:
    """`25%` from 0.25, with every digit that the share has."""
    return _digits(Decimal(repr(float(share))) * 100) + "%"


def render_slope(slope: float) -> str:
    """`5%/h` from a share per second."""
    return f"{round(slope * 360_000, 6):g}%/h"


def render_duration(seconds: float) -> str:
    """The largest unit that gives a whole number, else seconds with every digit."""
    exact = Decimal(repr(float(seconds)))
    if exact == 0:
        return "0s"
    for name, unit in DURATIONS.items():
        if exact % unit == 0:
            return f"{_digits(exact / unit)}{name}"
    return f"{_digits(exact)}s"


def render_size(size: int) -> str:
    """The largest unit that gives a whole number."""
    name, unit = next((name, unit) for name, unit in SIZES.items() if size % unit == 0 and (size or unit == 1))
    return f"{size // unit}{name}"


def render_rate(rate: int) -> str:
    return render_size(rate) + "/s"


def _digits(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
