"""One mirrored arm of one service: its origin, its budgets and its breaker, shared by all routes of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.model.policy import ShadowPolicy
from shadowproxy.shadow.breaker import Breaker
from shadowproxy.shadow.pressure import Pressure
from shadowproxy.upstream.origin import Origin

if TYPE_CHECKING:
    from shadowproxy.shadow.copy import Copy


class Arm:
    """Copies under way (`live`, oldest first) and bytes held, with their limits. `answers` counts those that began.

    `repeats` is how often a copy that met a connection in the moment of its end may be sent again whatever its method;
    an idempotent one may be once in any case.
    """

    __slots__ = (
        "answers",
        "breaker",
        "closing",
        "held",
        "live",
        "max_bytes",
        "max_in_flight",
        "name",
        "origin",
        "pressure",
        "repeats",
    )

    def __init__(self, name: str, policy: ShadowPolicy, origin: Origin, pressure: Pressure) -> None:
        self.name = name
        self.origin = origin
        self.pressure = pressure
        self.breaker = Breaker(policy.breaker_failures)
        self.live: dict[Copy, None] = {}
        self.held = 0
        self.answers = 0
        self.closing = False
        self.repeats = 0
        self.limit(policy)

    def limit(self, policy: ShadowPolicy) -> None:
        """Take the limits of a reloaded policy; what is under way goes on."""
        self.breaker.limit = policy.breaker_failures
        self.max_in_flight = policy.max_in_flight
        self.max_bytes = policy.max_bytes

    def refusal(self, expected: int, now: float) -> str | None:
        """Why no copy of `expected` bytes may be made now (a reason of the closed list), or None."""
        if self.closing:
            return "shutdown"
        if self.pressure.shedding:
            return "overload"
        if len(self.live) >= self.max_in_flight:
            return "in_flight"
        if self.held + expected > self.max_bytes:
            return "bytes"
        if self.breaker.open and not self.breaker.allows(now):
            return "breaker"
        return None

    @property
    def room(self) -> int:
        """How many more bytes may be held."""
        return self.max_bytes - self.held

    def silent_since(self, moment: float) -> int:
        """How many copies were sent by then, in the loop's time, whose answer has not begun."""
        return sum(copy.asked_at <= moment for copy in self.live)

    def sweep(self, now: float) -> None:
        """Called at every tick: end the copies whose time is over."""
        late = [copy for copy in self.live if copy.deadline <= now]
        for copy in late:
            copy.expire()

    def close(self) -> None:
        """No new copies; those that were not sent yet are dropped."""
        self.closing = True
        for copy in list(self.live):
            copy.close()
