"""Shares, spans and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from math import exp, log
from typing import Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def percent(share: float) -> str:
    """`5%`, `0.1%`, `100%`."""
    return f"{round(share * 100, 3):g}%"


def span(seconds: float) -> str:
    """A length of time by its two largest units: `1 h 30 min`, `45 s`."""
    left = round(seconds)
    for i, (unit, name) in enumerate(_UNITS):
        if left >= unit:
            whole, rest = divmod(left, unit)
            smaller = rest // _UNITS[i + 1][0] if i + 1 < len(_UNITS) else 0
            return f"{whole} {name} {smaller} {_UNITS[i + 1][1]}" if smaller else f"{whole} {name}"
    return "0 s"


def moment(at: float) -> str:
    """Unix time as `2026-11-23 09:14 UTC`."""
    return _formatted(at, "%Y-%m-%d %H:%M UTC")


def instant(at: float) -> str:
    """Unix time as `2026-11-23 09:14:05 UTC`."""
    return _formatted(at, "%Y-%m-%d %H:%M:%S UTC")


def _formatted(at: float, pattern: str) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):{pattern}}"
    except (OverflowError, OSError, ValueError):  # a clock can say anything
        return f"Unix time {at:.0f}"


def count(number: int, noun: str) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rate(share: float) -> str:
    """A measured share, in three digits: `5.13%`."""
    return percent(float(f"{share:.3g}"))


def latency(seconds: float) -> str:
    """`230 ms`, `1.25 s`."""
    return f"{seconds:.3g} s" if seconds >= 1.0 else f"{seconds * 1000.0:.3g} ms"


def against(log_e: float, needed: float) -> str:
    """`evidence against it 0.4, fails at 400`, from logarithms."""
    return f"evidence against it {times(log_e)}, fails at {times(needed)}"


def times(log_e: float) -> str:
    """An e-value from its logarithm: `0.4`, `310`, `10^12`."""
    if log_e >= log(1e6):
        return f"10^{log_e / log(10.0):.0f}"
    value = exp(log_e)
    return f"{value:,.0f}" if value >= 10.0 else f"{value:.1f}"
