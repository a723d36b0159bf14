"""Freezes: whether a change may go ahead now. Argo CD's semantics of sync windows.

- A freeze by hand and an active `deny` window block.
- With any `allow` window, changes are allowed inside of one only.
- A person may go on in spite of it only if every window that blocks permits it (`manual`). A freeze by hand permits
  nobody: it can be ended.
- Windows count for the services and the change classes that they name. Going back is asked of nobody here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

from msgspec import Struct

from shadowproxy.model.rollout import FreezeWindow
from shadowproxy.rollout import cron
from shadowproxy.rollout.facts import ManualFreeze

W = TypeVar("W", FreezeWindow, ManualFreeze)

DENY: Final = "deny"
ALLOW: Final = "allow"

IN_FLIGHT: Final = ("continue", "hold", "rollback")
"""What becomes of a rollout that runs, the weakest first: where several windows block, the strongest is done."""

SIGHT: Final = 400
"""How many begins and ends of windows are looked at before the end of a freeze counts as unknown."""


class Blocking(Struct, frozen=True):
    """What blocks a change now. `names` of windows and of freezes by hand; `reason` in words.

    `until` is Unix time, None: no end is in sight. `in_flight` is of IN_FLIGHT.
    """

    names: tuple[str, ...]
    reason: str
    until: float | None
    in_flight: str
    may_override: bool


def blocking(
    windows: tuple[FreezeWindow, ...], manual: tuple[ManualFreeze, ...], service: str, change_class: str, now: float
) -> Blocking | None:
    """What keeps a change of `change_class` to `service` from going ahead by itself at `now`; None: nothing."""
    concerned = _concerned(windows, service, change_class)
    by_hand = _concerned(manual, service, change_class)
    blockers = _blockers(concerned, by_hand, now)
    if not blockers:
        return None
    return Blocking(
        names=tuple(one.id if isinstance(one, ManualFreeze) else one.name for one in blockers),
        reason="; ".join(_words(one) for one in blockers),
        until=_change(concerned, by_hand, now),
        in_flight=max((one.in_flight for one in blockers), key=IN_FLIGHT.index),
        may_override=all(isinstance(one, FreezeWindow) and one.manual for one in blockers),
    )


def next_change(
    windows: tuple[FreezeWindow, ...], manual: tuple[ManualFreeze, ...], service: str, change_class: str, now: float
) -> float | None:
    """When `blocking` begins or ceases to block next, as far as it is known now. None: no change is in sight."""
    return _change(_concerned(windows, service, change_class), _concerned(manual, service, change_class), now)


def is_active(window: FreezeWindow, now: float) -> bool:
    """Whether `now` is inside of the window. Its begin belongs to it, its end does not."""
    if window.cron:
        begun = cron.last_start(window.cron, window.zone, now)
        return begun is not None and now < begun + window.seconds
    return (window.start is None or window.start <= now) and (window.end is None or now < window.end)


def _concerned(freezes: tuple[W, ...], service: str, change_class: str) -> tuple[W, ...]:
    return tuple(
        one for one in freezes if change_class in one.classes and (not one.services or service in one.services)
    )


def _blockers(
    windows: tuple[FreezeWindow, ...], manual: tuple[ManualFreeze, ...], now: float
) -> tuple[FreezeWindow | ManualFreeze, ...]:
    denying = tuple(one for one in windows if one.kind == DENY and is_active(one, now))
    allowing = tuple(one for one in windows if one.kind == ALLOW)
    closed = () if any(is_active(one, now) for one in allowing) else allowing
    by_hand = tuple(one for one in manual if one.since <= now and (one.until is None or now < one.until))
    return (*by_hand, *denying, *closed)


def _change(windows: tuple[FreezeWindow, ...], manual: tuple[ManualFreeze, ...], now: float) -> float | None:
    freezes: tuple[FreezeWindow | ManualFreeze, ...] = (*windows, *manual)
    is_blocked = bool(_blockers(windows, manual, now))
    at = now
    for _ in range(SIGHT):
        turns = tuple(turn for one in freezes if (turn := turn_of(one, at)) is not None)
        if not turns:
            return None
        at = min(turns)
        if bool(_blockers(windows, manual, at)) != is_blocked:
            return at
    return None


def turn_of(freeze: FreezeWindow | ManualFreeze, now: float) -> float | None:
    """When a freeze may begin or end next. A window that starts again before its end goes on at that end."""
    if isinstance(freeze, FreezeWindow) and freeze.cron:
        begun = cron.last_start(freeze.cron, freeze.zone, now)
        if begun is not None and now < begun + freeze.seconds:
            return begun + freeze.seconds
        return cron.next_start(freeze.cron, freeze.zone, now)
    bounds = (freeze.start, freeze.end) if isinstance(freeze, FreezeWindow) else (freeze.since, freeze.until)
    return next((bound for bound in bounds if bound is not None and bound > now), None)


def turns_of(freeze: FreezeWindow | ManualFreeze, now: float, until: float) -> Iterator[tuple[float, float | None]]:
    """Each time it is active before `until`, with begin and end; of what is active already the begin is `now`."""
    at = now
    while at < until:
        turn = turn_of(freeze, at)
        if _covers(freeze, at):
            end = turn
            while end is not None and _covers(freeze, end):  # a window that starts again at its end
                end = turn_of(freeze, end)
            yield at, end
            turn = end
        if turn is None or turn <= at:
            return
        at = turn


def _covers(freeze: FreezeWindow | ManualFreeze, at: float) -> bool:
    if isinstance(freeze, FreezeWindow):
        return is_active(freeze, at)
    return freeze.since <= at and (freeze.until is None or at < freeze.until)


def _words(freeze: FreezeWindow | ManualFreeze) -> str:
    if isinstance(freeze, ManualFreeze):
        return f"frozen by {freeze.who}: {freeze.reason}"
    words = f"{freeze.name} is active" if freeze.kind == DENY else f"outside of {freeze.name}"
    return f"{words}: {freeze.reason}" if freeze.reason else words
