"""Freezes: which combination of windows lets a change go ahead, for whom, until when."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.model.rollout import FreezeWindow
from shadowproxy.rollout.facts import ManualFreeze
from shadowproxy.rollout.freeze import Blocking, blocking, is_active, next_change

HOUR = 3600.0
DAY = 24 * HOUR
NOON = datetime.fromisoformat("2026-05-01T12:00Z").timestamp()
"""A Friday."""

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "freeze_windows.json"
BERLIN = "Europe/Berlin"


def window(name: str = "quiet", *, active: bool = True, **values: Any) -> FreezeWindow:
    start = NOON - HOUR if active else NOON + HOUR
    return FreezeWindow(name, **{"start": start, "end": start + 2 * HOUR} | values)


def weekly(cron: str, hours: float, **values: Any) -> FreezeWindow:
    return FreezeWindow("weekly", cron=cron, seconds=hours * HOUR, **values)


def ask(*windows: FreezeWindow, manual: tuple[ManualFreeze, ...] = (), now: float = NOON) -> Blocking | None:
    return blocking(windows, manual, "checkout", "feature", now)


def may(windows: tuple[FreezeWindow, ...], *, by_hand: bool) -> bool:
    found = ask(*windows)
    return found is None or (by_hand and found.may_override)


def vectors() -> list[Any]:
    return json.loads(VECTORS.read_text())["vectors"] if VECTORS.is_file() else []


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"no outside cases at {VECTORS}")
def test_the_outside_cases_hold() -> None:
    assert vectors()
    for case in vectors():
        windows = tuple(
            window(str(number), active=one["active"], kind=one["kind"], manual=one["manualSync"])
            for number, one in enumerate(case["windows"])
        )
        assert may(windows, by_hand=case["manual"]) is case["expect_allowed"], case


def test_without_windows_everything_may_go_ahead() -> None:
    assert ask() is None


@pytest.mark.parametrize(
    ("kinds", "blocked"),
    [
        ({"deny": True}, True),
        ({"deny": False}, False),
        ({"allow": True}, False),
        ({"allow": False}, True),
        ({"allow": True, "deny": True}, True),
        ({"allow": True, "deny": False}, False),
        ({"allow": False, "deny": True}, True),
        ({"allow": False, "deny": False}, True),
    ],
)
def test_deny_beats_allow_and_an_allow_window_restricts_to_itself(kinds: dict[str, bool], blocked: bool) -> None:
    found = ask(*(window(kind, kind=kind, active=active) for kind, active in kinds.items()))
    assert (found is not None) is blocked


def test_one_open_allow_window_of_several_is_enough() -> None:
    assert ask(window("a", kind="allow", active=False), window("b", kind="allow")) is None


def test_a_person_needs_the_permission_of_every_window_that_blocks() -> None:
    permits, forbids = window("permits", manual=True), window("forbids")
    closed = window("hours", kind="allow", active=False)
    assert may((permits,), by_hand=True)
    assert not may((permits,), by_hand=False)
    assert not may((permits, forbids), by_hand=True)
    assert not may((permits, closed), by_hand=True)
    assert may((permits, window("elsewhere", active=False)), by_hand=True)


def test_a_window_counts_for_the_classes_and_services_that_it_names() -> None:
    fixes_of_cart = window(classes=("feature", "fix"), services=("cart",))
    assert blocking((fixes_of_cart,), (), "cart", "fix", NOON)
    assert blocking((fixes_of_cart,), (), "cart", "security", NOON) is None
    assert blocking((fixes_of_cart,), (), "checkout", "fix", NOON) is None
    assert blocking((window(),), (), "checkout", "fix", NOON) is None, "features alone by default"


def test_an_allow_window_of_another_class_restricts_nothing() -> None:
    assert ask(window(kind="allow", active=False, classes=("fix",))) is None


def test_the_strongest_wish_for_rollouts_in_flight_is_done() -> None:
    goes_on, back = window("a", in_flight="continue"), window("b", in_flight="rollback")
    found = ask(goes_on, window("c"), back)
    assert found is not None
    assert found.in_flight == "rollback"
    alone = ask(goes_on, window("idle", active=False, in_flight="rollback"))
    assert alone is not None
    assert alone.in_flight == "continue", "one that does not block has no say"


def test_it_says_which_windows_block_and_why() -> None:
    by_hand = ManualFreeze("f1", "anna", "incident 7", since=NOON - 1)
    found = ask(window("fair", reason="trade fair"), window("hours", kind="allow", active=False), manual=(by_hand,))
    assert found is not None
    assert found.names == ("f1", "fair", "hours")
    assert found.reason == "frozen by anna: incident 7; fair is active: trade fair; outside of hours"


def test_a_freeze_by_hand_blocks_until_it_ends_and_is_overridden_by_nobody() -> None:
    until_three = ManualFreeze("f1", "anna", "incident", since=NOON, until=NOON + 3 * HOUR)
    found = ask(window(manual=True), manual=(until_three,))
    assert found is not None
    assert (found.until, found.may_override) == (NOON + 3 * HOUR, False)
    assert ask(manual=(until_three,), now=NOON - 1) is None
    assert ask(manual=(until_three,), now=NOON + 3 * HOUR) is None


def test_an_open_ended_freeze_by_hand_has_no_end_in_sight() -> None:
    found = ask(manual=(ManualFreeze("f1", "anna", "incident", since=NOON - DAY),))
    assert found is not None
    assert found.until is None


def test_a_freeze_by_hand_counts_for_its_services_and_classes() -> None:
    cart = ManualFreeze("f1", "anna", "incident", since=NOON, services=("cart",), classes=("fix",))
    assert ask(manual=(cart,)) is None
    assert blocking((), (cart,), "cart", "fix", NOON)


def test_a_window_begins_at_its_begin_and_is_over_at_its_end() -> None:
    one = window()
    assert [is_active(one, NOON + hours * HOUR) for hours in (-1.001, -1, 0.999, 1)] == [False, True, True, False]
    nightly = weekly("0 22 * * *", 8)
    assert [is_active(nightly, NOON + hours * HOUR) for hours in (9.999, 10, 17.999, 18)] == [False, True, True, False]


def test_the_end_is_when_nothing_blocks_any_more() -> None:
    """Windows that overlap or meet are one freeze."""
    meeting = (window(), window("next", start=NOON + HOUR, end=NOON + 4 * HOUR), window("far", start=NOON + 5 * HOUR))
    found = ask(*meeting)
    assert found is not None
    assert found.until == NOON + 4 * HOUR
    hours = weekly("0 8 * * 1-5", 9, kind="allow")
    found = ask(hours, now=NOON + 6 * HOUR)
    assert found is not None
    assert found.until == NOON + 2 * DAY + 20 * HOUR, "Monday at eight"


def test_a_window_that_starts_again_before_its_end_goes_on() -> None:
    longer = weekly("0 0 * * 6,0", 30)  # on Saturday and Sunday, until Monday at six
    found = ask(longer, now=NOON + DAY)
    assert found is not None
    assert found.until == NOON + 2 * DAY + 18 * HOUR


def test_a_window_that_lasts_longer_than_its_period_never_ends() -> None:
    found = ask(weekly("0 0 * * *", 36))
    assert found is not None
    assert found.until is None


def test_an_allow_window_that_is_over_for_good_blocks_without_an_end() -> None:
    found = ask(window(kind="allow", start=NOON - DAY, end=NOON - HOUR))
    assert found is not None
    assert found.until is None


def test_windows_of_several_zones_are_told_apart() -> None:
    berlin = weekly("0 18 * * 5", 2, zone=BERLIN)
    new_york = weekly("0 18 * * 5", 2, zone="America/New_York")
    found = ask(berlin, new_york, now=NOON + 4 * HOUR)  # 16:00 UTC, 18:00 in Berlin
    assert found is not None
    assert found.until == NOON + 6 * HOUR
    assert ask(berlin, new_york, now=NOON + 6 * HOUR) is None
    assert ask(berlin, new_york, now=NOON + 10 * HOUR)


@pytest.mark.parametrize(
    ("zone", "eve", "end"),
    [
        (BERLIN, "2026-03-28T18:00", "2026-03-29T07:00"),
        (BERLIN, "2026-10-24T18:00", "2026-10-25T05:00"),
        ("America/New_York", "2026-11-01T00:00", "2026-11-01T11:00"),
        ("Pacific/Auckland", "2026-09-26T18:00", "2026-09-27T07:00"),
        ("Australia/Lord_Howe", "2026-04-04T18:00", "2026-04-05T05:30"),
    ],
)
def test_a_duration_is_time_that_passes_also_over_a_change_of_the_clock(zone: str, eve: str, end: str) -> None:
    start = datetime.fromisoformat(eve).replace(tzinfo=ZoneInfo(zone))
    night = weekly(f"0 {start.hour} {start.day} {start.month} *", 12, zone=zone)
    found = ask(night, now=start.timestamp() + 6 * HOUR)
    assert found is not None
    assert found.until == start.timestamp() + 12 * HOUR
    assert found.until == datetime.fromisoformat(end).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_the_next_change_is_a_begin_or_an_end() -> None:
    windows = (window(), window("later", start=NOON + 3 * HOUR, end=NOON + 4 * HOUR))
    turns = [NOON - 2 * HOUR]
    while (turn := next_change(windows, (), "checkout", "feature", turns[-1])) is not None:
        turns.append(turn)
    assert turns[1:] == [NOON + hours * HOUR for hours in (-1, 1, 3, 4)]
    assert next_change((), (), "checkout", "feature", NOON) is None


CRONS = st.sampled_from(["0 22 * * *", "0 8 * * 1-5", "*/30 2 * * *", "30 2 * * 0", "0 0 1 * *", "15 * * * *"])
WINDOWS = st.builds(
    FreezeWindow,
    st.sampled_from("abc"),
    kind=st.sampled_from(("deny", "allow")),
    cron=CRONS,
    seconds=st.integers(1, 50).map(lambda hours: hours * HOUR / 2),
    zone=st.sampled_from(("UTC", BERLIN, "Australia/Lord_Howe")),
    manual=st.booleans(),
)


@pytest.mark.no_cover
@given(st.lists(WINDOWS, max_size=4).map(tuple), st.integers(0, 365 * 24 * 4))
def test_nothing_changes_before_the_next_change(windows: tuple[FreezeWindow, ...], quarters: int) -> None:
    now = NOON + quarters * HOUR / 4
    change = next_change(windows, (), "checkout", "feature", now)
    is_frozen = ask(*windows, now=now) is not None
    end = now + 3 * DAY if change is None else change
    for moment in (now, now + (end - now) * 0.37, now + (end - now) * 0.81, end - 0.01):
        assert (ask(*windows, now=moment) is not None) is is_frozen
    assert change is None or (ask(*windows, now=change) is not None) is not is_frozen
