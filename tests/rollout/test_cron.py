"""Cron in time zones: what daylight saving skips and repeats."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from shadowproxy.rollout import cron

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
AUCKLAND = "Pacific/Auckland"
LORD_HOWE = "Australia/Lord_Howe"


def at(text: str, zone: str = "UTC", *, again: bool = False) -> float:
    """Unix time of a wall clock; `again`: of the second time that it shows this."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=int(again)).timestamp()


def starts(expression: str, zone: str, since: float, until: float) -> list[str]:
    """All starts in (since, until], in UTC, found going forwards."""
    found = []
    while (start := cron.next_start(expression, zone, since)) is not None and start <= until:
        found.append(f"{datetime.fromtimestamp(start, UTC):%d %H:%M}")
        since = start
    return found


GAPS = [
    pytest.param(BERLIN, "2026-03-28T12:00", "30 2 * * *", ["29 01:00", "30 00:30"], id="berlin"),
    pytest.param(NEW_YORK, "2026-03-07T12:00", "30 2 * * *", ["08 07:00", "09 06:30"], id="new york"),
    pytest.param(AUCKLAND, "2026-09-26T12:00", "30 2 * * *", ["26 14:00", "27 13:30"], id="auckland"),
    pytest.param(LORD_HOWE, "2026-10-03T12:00", "15 2 * * *", ["03 15:30", "04 15:15"], id="lord howe, half an hour"),
]
REPEATS = [
    pytest.param(BERLIN, "2026-10-24T12:00", "30 2 * * *", ["25 00:30", "26 01:30"], id="berlin"),
    pytest.param(NEW_YORK, "2026-10-31T12:00", "30 1 * * *", ["01 05:30", "02 06:30"], id="new york"),
    pytest.param(AUCKLAND, "2026-04-04T12:00", "30 2 * * *", ["04 13:30", "05 14:30"], id="auckland"),
    pytest.param(LORD_HOWE, "2026-04-04T12:00", "45 1 * * *", ["04 14:45", "05 15:15"], id="lord howe, half an hour"),
]


@pytest.mark.parametrize(("zone", "noon", "expression", "expected"), GAPS)
def test_a_fixed_time_that_is_skipped_comes_at_once_after_the_gap(
    zone: str, noon: str, expression: str, expected: list[str]
) -> None:
    since = at(noon, zone)
    assert starts(expression, zone, since, since + 45 * 3600) == expected


@pytest.mark.parametrize(("zone", "noon", "expression", "expected"), REPEATS)
def test_a_fixed_time_that_is_repeated_comes_once(zone: str, noon: str, expression: str, expected: list[str]) -> None:
    since = at(noon, zone)
    assert starts(expression, zone, since, since + 45 * 3600) == expected


def test_a_start_every_so_many_minutes_follows_the_wall_clock() -> None:
    in_the_gap = starts("*/30 2 * * *", BERLIN, at("2026-03-29T00:00", BERLIN), at("2026-03-29T12:00", BERLIN))
    repeated = starts("*/30 2 * * *", BERLIN, at("2026-10-25T00:00", BERLIN), at("2026-10-25T12:00", BERLIN))
    assert in_the_gap == []
    assert repeated == ["25 00:00", "25 00:30", "25 01:00", "25 01:30"]


@pytest.mark.parametrize(("zone", "noon", "expression", "expected"), [*GAPS, *REPEATS])
def test_the_last_start_is_the_newest_of_those_that_the_next_one_finds(
    zone: str, noon: str, expression: str, expected: list[str]
) -> None:
    """Minute by minute over the change: both directions agree."""
    since, last = at(noon, zone), cron.last_start(expression, zone, at(noon, zone))
    upcoming = cron.next_start(expression, zone, since)
    for minute in range(1, 30 * 60):
        now = since + 60.0 * minute
        if upcoming == now:
            last, upcoming = now, cron.next_start(expression, zone, now)
        assert cron.last_start(expression, zone, now) == last, datetime.fromtimestamp(now, ZoneInfo(zone))
        assert cron.next_start(expression, zone, now) == upcoming, datetime.fromtimestamp(now, ZoneInfo(zone))


def test_a_start_is_its_own_last_one_and_not_its_own_next_one() -> None:
    noon = at("2026-05-01T12:00")
    assert cron.last_start("0 12 * * *", "UTC", noon) == noon
    assert cron.last_start("0 12 * * *", "UTC", noon - 0.5) == noon - 86400
    assert cron.next_start("0 12 * * *", "UTC", noon) == noon + 86400
    assert cron.next_start("0 12 * * *", "UTC", noon - 0.5) == noon


@pytest.mark.parametrize("expression", ["0 18 * * FRI", "0 0 1 jan,jul *", "*/5 8-17 * * 1-5", "0 0 29 2 *"])
def test_cron_expressions_are_taken(expression: str) -> None:
    cron.check(expression)


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("0 18 * *", "has not five fields"),
        ("@daily", "has not five fields"),
        ("0 0 18 * * *", "has not five fields"),
        ("61 * * * *", "has a bad minute"),
        ("0 0 * * FRIDAY", "has a bad day-of-week"),
        ("0 0 30 2 *", "has a bad day-of-month"),
        ("0 0 31 * 1#6", "has a bad day-of-week"),
        ("0 0 * 2 MON#x", "has a bad day-of-week"),
        ("0 0 */30 2 MON#5", "never starts"),
    ],
)
def test_what_is_no_cron_expression_is_refused(expression: str, wrong: str) -> None:
    with pytest.raises(cron.BadCronError, match=wrong):
        cron.check(expression)
