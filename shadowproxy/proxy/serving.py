"""The candidate as it serves users: may it be asked, who waits for it, when does it answer nobody any more? Pure.

Law: a user loses no answer to a broken candidate that the primary could give. What decides is failures in a row, and
silence; the primary is a refuge only while it can be reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from shadowproxy.shadow.breaker import Breaker

if TYPE_CHECKING:
    from shadowproxy.shadow.arm import Arm

FAILURES: Final = 5
"""Failures in a row after which its users go to the primary, and requests, of users or copies, that must wait through a
silence for it to count as one: a user sees none of them, so a few are enough (Envoy's outlier detection takes 5, too).
"""
SILENCE: Final = 1.0
"""Seconds without a sign of life, while requests wait, that are a silence; more where answers take long."""
_DEAF: Final = 0.25
"""Seconds between two ticks after which answers may be there that nobody has read: the silence was ours."""
_USUAL: Final = 1 / 32
"""Weight of the newest answer in the mean time to one."""


class Waiting(Protocol):
    """A request that the candidate was asked and has not begun to answer."""

    def on_silence(self) -> None:
        """Its answer is not to be expected: go to the primary, if that may be."""


class Serving:
    """One candidate as users meet it; `copies` is the same one as copies do, whose silence is the same.

    It lives on when a policy is replaced that names the same origin. `breaker` is its own: copies and users fail in
    different ways. `refuge` is the primary's, for fallbacks alone.
    """

    __slots__ = ("_copies", "_heard", "_seen", "_ticked", "_usual", "_waiting", "breaker", "origin", "refuge")

    def __init__(self, copies: Arm) -> None:
        self.origin = copies.origin
        self._copies = copies
        self._seen = copies.answers
        self.breaker = Breaker(FAILURES)
        self.refuge = Breaker(1)
        self._waiting: dict[Waiting, float] = {}
        self._heard = 0.0
        self._ticked = 0.0
        self._usual = 0.0

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiting)

    def admits(self, repeatable: bool, now: float) -> bool:
        """May the candidate be asked? With the breaker open only by a request that can be repeated, once a second."""
        breaker = self.breaker
        if not breaker.open or (repeatable and breaker.allows(now)):
            return True
        return not self.has_refuge(now)

    def has_refuge(self, now: float) -> bool:
        """May a request go to the primary instead? Asking takes the place of a probe where that cannot be reached."""
        return self.refuge.allows(now)

    # -- what becomes of the requests

    def asked(self, request: Waiting, now: float) -> None:
        """The candidate has all of the request."""
        self._waiting[request] = now

    def answered(self, request: Waiting, now: float) -> None:
        """The head of an answer has come."""
        since = self._waiting.pop(request, None)
        if since is not None:
            self.learn(now - since)
        self._heard = now
        self.breaker.succeeded()

    def failed(self, request: Waiting, now: float) -> None:
        self._waiting.pop(request, None)
        self.breaker.failed(now)

    def forget(self, request: Waiting) -> None:
        """Nobody waits for the answer any more."""
        self._waiting.pop(request, None)

    def learn(self, seconds: float) -> None:
        """An answer of either arm took so long: what is slow by nature is not silent."""
        usual = self._usual
        self._usual = usual + (seconds - usual) * _USUAL if usual else seconds

    # -- silence

    def tick(self, now: float) -> None:
        """Called at every tick: where the candidate has fallen silent, those who wait for it hear of it."""
        if self._copies.answers != self._seen:
            self._seen, self._heard = self._copies.answers, now
        before, self._ticked = self._ticked, now
        if now - before > _DEAF:
            self._heard = now
            return
        waiting = self._waiting
        if not waiting or self.refuge.open:
            return
        moment = now - max(SILENCE, 2 * self._usual)
        if self.breaker.open:
            silent = [request for request, since in waiting.items() if since <= moment]
        elif self._heard <= moment and self._waits_since(moment) >= FAILURES:
            silent = list(waiting)
            self.breaker.trip(now)
        else:
            return
        for request in silent:
            request.on_silence()

    def _waits_since(self, moment: float) -> int:
        """How many requests, of users and copies, were asked by then and have no beginning of an answer."""
        return sum(since <= moment for since in self._waiting.values()) + self._copies.silent_since(moment)
