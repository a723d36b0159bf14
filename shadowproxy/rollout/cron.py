"""When a cron expression starts in a time zone. Five fields; daylight saving as Debian's cron has it.

A start at a fixed time that daylight saving skips comes at once after the gap, one that it repeats comes once, the
first time. With `*` in minute or hour, starts follow the clock on the wall: skipped and repeated with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MINUTE = 60
"""Starts are whole minutes apart, and so are all offsets of today's time zones."""


class BadCronError(ValueError):
    """Not a cron expression, or one that never starts."""


def check(cron: str) -> None:
    """Raises BadCronError with what is wrong."""
    if len(cron.split()) != 5:
        raise BadCronError("has not five fields")
    try:
        starts = CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise BadCronError(str(error).replace("Bad", "has a bad")) from None
    if next(starts, None) is None:
        raise BadCronError("never starts")


def last_start(cron: str, zone: str, now: float) -> float | None:
    """The newest start at or before `now`, both Unix time. None: there was none for fifty years."""
    return _last_start(cron, zone, int(now // MINUTE))


def next_start(cron: str, zone: str, now: float) -> float | None:
    """The first start after `now`, both Unix time. None: there is none for fifty years."""
    return _next_start(cron, zone, int(now // MINUTE))


@lru_cache(maxsize=4096)
def _last_start(cron: str, zone: str, minute: int) -> float | None:
    local = datetime.fromtimestamp(minute * MINUTE, ZoneInfo(zone))
    starts = _starts(cron, local + _repeated(local) + timedelta(seconds=1), backwards=True)
    return next((start for start in starts if start <= minute * MINUTE), None)


@lru_cache(maxsize=4096)
def _next_start(cron: str, zone: str, minute: int) -> float | None:
    starts = _starts(cron, datetime.fromtimestamp(minute * MINUTE, ZoneInfo(zone)), backwards=False)
    return next((start for start in starts if start > minute * MINUTE), None)


def _starts(cron: str, local: datetime, *, backwards: bool) -> Iterator[float]:
    for start in CronSim(cron, local, reverse=backwards):
        yield start.timestamp()


def _repeated(local: datetime) -> timedelta:
    """How far the wall clock was set back if it shows this time for the second time; else nothing.

    Fixed times are looked for by the wall clock alone, which has shown later ones already by then.
    """
    return timedelta(seconds=local.timestamp() - local.replace(fold=0).timestamp())
