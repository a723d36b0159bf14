"""The `freeze` section: windows, and what is wrong with them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from shadowproxy.config.describing import describe
from shadowproxy.model.rollout import FreezeWindow
from tests.config.builders import MIRRORED, loaded, said

WEEKLY = 'name: w, cron: "0 18 * * FRI", duration: 62h'


def windows(directory: Path, *texts: str) -> tuple[FreezeWindow, ...]:
    return loaded(directory, f"{MIRRORED}freeze: [{', '.join(f'{{{text}}}' for text in texts)}]").policy.freeze


def wrong(directory: Path, *texts: str) -> list[str]:
    return said(directory, f"{MIRRORED}freeze: [{', '.join(f'{{{text}}}' for text in texts)}]")


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_window_recurs_by_cron_in_its_zone(tmp_path: Path) -> None:
    text = f"{WEEKLY}, kind: allow, zone: Europe/Berlin, classes: [fix, feature], services: [default], manual: true"
    assert windows(tmp_path, text, WEEKLY.replace("w,", "v,")) == (
        FreezeWindow(
            "w",
            "allow",
            "0 18 * * FRI",
            62 * 3600.0,
            "Europe/Berlin",
            classes=("fix", "feature"),
            services=("default",),
            manual=True,
        ),
        FreezeWindow("v", "deny", "0 18 * * FRI", 62 * 3600.0),
    )


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("start: 2026-12-23, end: 2027-01-03", "2026-12-23T00:00Z", "2027-01-04T00:00Z"),
        (
            "start: 2026-12-23, end: 2027-01-03T12:00, zone: America/New_York",
            "2026-12-23T05:00Z",
            "2027-01-03T17:00Z",
        ),
        (
            "start: '2026-07-01T09:00:00+02:00', end: 2026-07-01T09:00:00Z, zone: Asia/Tokyo",
            "2026-07-01T07:00Z",
            "2026-07-01T09:00Z",
        ),
        (
            "start: 2026-03-29 01:00, end: 2026-03-29 04:00, zone: Europe/Berlin",
            "2026-03-29T00:00Z",
            "2026-03-29T02:00Z",
        ),
        ("start: 2026-10-25, end: 2026-10-25, zone: Europe/Berlin", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
    ],
)
def test_a_window_happens_once_in_its_zone_or_with_an_offset(text: str, start: str, end: str, tmp_path: Path) -> None:
    [found] = windows(tmp_path, f"name: once, {text}")
    assert (found.start, found.end) == (at(start), at(end))
    assert not found.cron


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "cron: '* * * * *', duration: 1m",
            "freeze[0].name: is missing: its name, as holds and the audit log write it",
        ),
        ("name: a", "freeze[0]: has no time: write cron and duration, or start and end"),
        ("name: a, cron: '0 0 * * *'", "freeze[0].duration: is missing: cron needs duration beside it"),
        ("name: a, duration: 1h", "freeze[0].cron: is missing: duration needs cron beside it"),
        ("name: a, start: 2026-01-01", "freeze[0].end: is missing: start needs end beside it"),
        (f"{WEEKLY}, start: 2026-01-01", "freeze[0].start: stands beside cron and duration: keep one of the two"),
        (
            "name: a, start: 2026-02-30, end: 2026-03-01",
            (
                'freeze[0].start: cannot be "2026-02-30": write a date such as 2026-12-24, '
                "or a time such as 2026-12-24T18:00 or 2026-12-24T18:00:00+01:00"
            ),
        ),
        ("name: a, start: 2026-01-02, end: 2026-01-01", "freeze[0].end: is not after start: write a later one"),
        (
            "name: a, start: tomorrow, end: 2026-01-01",
            (
                'freeze[0].start: cannot be "tomorrow": write a date such as 2026-12-24, or a time such as '
                "2026-12-24T18:00 or 2026-12-24T18:00:00+01:00"
            ),
        ),
        (
            "name: a, cron: '0 18 * FRI', duration: 1h",
            (
                'freeze[0].cron: cannot be "0 18 * FRI": has not five fields: write minute, hour, day, month, weekday, '
                "such as 0 18 * * FRI"
            ),
        ),
        (
            f"{WEEKLY}, zone: Middle/Earth",
            'freeze[0].zone: cannot be "Middle/Earth": write the name of a time zone, such as Europe/Berlin or UTC',
        ),
        (f"{WEEKLY}, kind: maybe", 'freeze[0].kind: cannot be "maybe": write one of: deny, allow'),
        (f"{WEEKLY}, in_flight: stop", 'freeze[0].in_flight: cannot be "stop": write one of: continue, hold, rollback'),
        (f"{WEEKLY}, classes: []", "freeze[0].classes: is empty, so that nothing is stopped: write some, or delete it"),
        (f"{WEEKLY}, services: [cart]", "freeze[0].services[0]: is no service: write one of default"),
    ],
)
def test_what_is_wrong_is_said_once_and_what_would_be_right(text: str, message: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, text) == [message]


def test_two_windows_have_two_names(tmp_path: Path) -> None:
    assert wrong(tmp_path, WEEKLY, WEEKLY) == ["freeze[1].name: is the name of item 1 as well: write another one"]


def test_windows_are_described(tmp_path: Path) -> None:
    lines = describe(
        loaded(tmp_path, f"{MIRRORED}freeze: [{{{WEEKLY}}}, {{name: x, start: 2026-01-01, end: 2026-01-02}}]")
    )
    assert "freeze     w stops feature of all services, from 0 18 * * FRI in UTC for 62h" in lines
    assert "freeze     x stops feature of all services, once" in lines
