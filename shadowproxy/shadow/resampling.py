"""Asking the primary once more: for a share of safe requests, beside the candidate's copy, to learn what is noise.

A resample stands outside the books. It has connections and budgets of its own, so that no user ever waits for one,
and it calls itself `secondary` to the primary: it does what a copy to a secondary does.
"""

from __future__ import annotations

from random import random
from typing import TYPE_CHECKING, Final

import msgspec

from shadowproxy.http1 import RequestHead
from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import MIB, HeaderRules, RoutePolicy, UpstreamPolicy
from shadowproxy.model.terms import RESAMPLE_RESULTS, SECONDARY
from shadowproxy.shadow.arm import Arm
from shadowproxy.shadow.capture import Capture
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.mirror import Mirror

if TYPE_CHECKING:
    from shadowproxy.shadow.copy import Copy
    from shadowproxy.shadow.tap import Tap

RESAMPLE: Final = "resample"
SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})
"""RFC 9110 section 9.2.1; TRACE is refused."""
MAX_IN_FLIGHT: Final = 16
MAX_BYTES: Final = 4 * MIB


def resample_upstream(primary: UpstreamPolicy) -> UpstreamPolicy:
    """The primary's endpoints with few connections; whether they are healthy, the primary's own origin finds out."""
    few = min(primary.max_connections, MAX_IN_FLIGHT)
    return msgspec.structs.replace(primary, max_connections=few, max_idle=few, max_waiting=MAX_IN_FLIGHT, health=None)


class Resampler(Mirror):
    """Decides for one route which requests the primary is asked once more, and counts what became of them."""

    def __init__(
        self, service: str, route: RoutePolicy, share: float, arm: Arm, counters: memoryview, link: Link
    ) -> None:
        super().__init__(service, route, arm, counters, link)
        self.share = share

    def _mark(self, rules: HeaderRules, name: str) -> None:
        super()._mark(HeaderRules(), SECONDARY)

    def _find_words(self, row: int) -> None:
        self._results = {result: at.resample_word(row, result) for result in RESAMPLE_RESULTS}

    def accompany(self, candidate: Copy, head: RequestHead) -> bool:
        """Is the primary asked once more beside this copy? The copy is marked by what chance said, also where the draw
        then comes to nothing: what is spared is a known share of what was drawn for, not of what was answered.
        """
        if head.method not in SAFE or head.framing > self.max_body:
            return False
        candidate.spared = random() >= self.share
        if candidate.spared:
            return False
        length = head.framing if head.framing > 0 else 0
        if self.arm.refusal(length, self.arm.origin.deadlines.now) is not None:
            self._count("dropped")
            return False
        return True

    def count_dropped(self, reason: str) -> None:
        self._count("dropped")

    def count_sent(self) -> None:
        self._count("sent")

    def count_lost(self, reason: str) -> None:
        self._count("wasted")

    def count_match(self) -> None:
        self._count("compared")

    def count_verdict(self, verdict: str) -> None:
        self._count("wasted" if verdict == "incomparable" else "compared")

    def count_mismatch(self, kinds: tuple[str, ...]) -> None:
        self._count("compared")

    def count_failure(self, kind: str) -> None:
        self._count("wasted")

    def count_exchange(self, response: Capture, failure: str | None) -> None:
        """The primary's own figures are about users."""

    def count_pair(self, primary: Tap, answer: Capture, failure: str | None, second: Capture | None = None) -> None:
        """As above."""

    def offer_pair(self, copy: Copy, second: Copy | None = None) -> str | None:
        """Nothing is learned from it without the candidate's answer."""
        return "primary_incomplete"

    def offer_example(self, copy: Copy, failure: str) -> None:
        """The primary's failures are no examples."""

    def _count(self, result: str) -> None:
        self._counters[self._results[result]] += 1
