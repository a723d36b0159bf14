"""The children of the supervisor as a table: who may restart when, and the phases of a drain. Pure.

      SERVING ──drain──▶ DELAYING ──drain.delay over──▶ CLOSING ──workers gone──▶ SETTLING ──comparers gone──▶
      RECORDING ──control gone──▶ ENDED

Workers end first, so that their last pairs still meet a comparer; comparers end before control, so that their last
verdicts still meet the store. Whoever stays longer than its phase allows is killed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from shadowproxy.model.commands import ToRole

WORKER: Final = "worker"
COMPARER: Final = "comparer"
CONTROL: Final = "control"
ROLES: Final = (WORKER, COMPARER, CONTROL)

IMMEDIATE_RESTARTS: Final = 3
FIRST_DELAY: Final = 0.25
LAST_DELAY: Final = 10.0
SETTLED_AFTER: Final = 30.0
"""Seconds of life after which earlier deaths are forgotten."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often a seat has lost its child soon after a start."""

    deaths: int = 0

    def after(self, lived: float) -> tuple[Restarts, float]:
        """The history after a child that lived `lived` seconds, and how many seconds its successor has to wait."""
        deaths = 1 if lived >= SETTLED_AFTER else self.deaths + 1
        if deaths <= IMMEDIATE_RESTARTS:
            return Restarts(deaths), 0.0
        doublings = min(deaths - IMMEDIATE_RESTARTS - 1, 10)  # far past LAST_DELAY: the power stays small
        return Restarts(deaths), min(FIRST_DELAY * 2.0**doublings, LAST_DELAY)


class Phase(Enum):
    SERVING = auto()
    DELAYING = auto()
    CLOSING = auto()
    SETTLING = auto()
    RECORDING = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds in a phase: which roles are restarted when they die, whose end it awaits, what comes next."""

    keeps: frozenset[str]
    awaits: str | None
    then: Phase


PHASES: Final = {
    Phase.SERVING: Rule(frozenset(ROLES), None, Phase.DELAYING),
    Phase.DELAYING: Rule(frozenset(ROLES), None, Phase.CLOSING),
    Phase.CLOSING: Rule(frozenset({COMPARER, CONTROL}), WORKER, Phase.SETTLING),
    Phase.SETTLING: Rule(frozenset({CONTROL}), COMPARER, Phase.RECORDING),
    Phase.RECORDING: Rule(frozenset(), CONTROL, Phase.ENDED),
    Phase.ENDED: Rule(frozenset(), None, Phase.ENDED),
}


class Standing(Enum):
    STARTING = auto()
    SERVING = auto()
    LEAVING = auto()


@dataclass(slots=True)
class Child:
    """One living process. `block` is the counter block that a worker writes, -1 for other roles."""

    pid: int
    role: str
    index: int
    block: int
    born: float
    standing: Standing = Standing.STARTING
    kill_at: float = math.inf
    kill_why: str = ""

    def has_to(self, what: str, by: float) -> None:
        """Kill the child unless it does `what` by this time; an earlier limit stands."""
        if by < self.kill_at:
            self.kill_at, self.kill_why = by, f"did not {what} in time"

    @property
    def name(self) -> str:
        return f"{self.role}:{self.index}"


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a process for this seat. `restart`: its predecessor died."""

    role: str
    index: int
    block: int
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    pid: int
    message: ToRole


@dataclass(frozen=True, slots=True)
class Kill:
    pid: int
    why: str


@dataclass(frozen=True, slots=True)
class Reclaim:
    """Put the counter block of a dead worker in order."""

    block: int


@dataclass(frozen=True, slots=True)
class CloseListeners:
    """Close the supervisor's copies of the sockets that clients connect to."""


@dataclass(frozen=True, slots=True)
class Note:
    """Write a line to the log."""

    level: str
    event: str
    fields: dict[str, object]


Action = Fork | Tell | Kill | Reclaim | CloseListeners | Note
