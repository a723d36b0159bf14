"""Which arm serves a user while a rollout splits a service's traffic, and what its answer is evidence of.

One hash decides (contract, meaning 5): the candidate serves where h < weight, so a rising weight only adds users and
no user needs a cookie of ours. Chosen users come first. A leased weight holds while control renews it (law 3). Whom the
candidate fails is served by the primary, where that may be, never the other way round; the failure stays the
candidate's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import RequestHead, ResponseHead
from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.rollout import Failures, Split
from shadowproxy.model.sampling import share
from shadowproxy.model.terms import CANDIDATE, CODES, PRIMARY
from shadowproxy.proxy.flagging import UNDECIDED, Decided
from shadowproxy.proxy.forwarded import Peer
from shadowproxy.proxy.routing import template_pattern
from shadowproxy.proxy.serving import Serving, Waiting
from shadowproxy.proxy.tally import Tally
from shadowproxy.proxy.users import client_address, reader
from shadowproxy.upstream.origin import Origin

if TYPE_CHECKING:
    from shadowproxy.proxy.snapshot import Route

_DRAWN_PRIMARY: Final = at.SPLIT_ARMS.index(PRIMARY)
_DRAWN_CANDIDATE: Final = at.SPLIT_ARMS.index(CANDIDATE)
_CHOSEN: Final = -1
_NOTHING: Final = -2
_ERROR: Final = CODES.index("error")
_TIMEOUTS: Final = frozenset({f for f in errors.UPSTREAM_FAULTS if f.kind == "candidate_timeout"})
_UNREACHABLE: Final = frozenset(
    {errors.REFUSED, errors.UNRESOLVED, errors.UNAVAILABLE, errors.CONNECT_TIMEOUT, errors.UPSTREAM_TLS}
)
_REASONS: Final = {
    **dict.fromkeys(errors.UPSTREAM_FAULTS, "error"),
    **dict.fromkeys((errors.REFUSED, errors.UNRESOLVED, errors.UNAVAILABLE), "refused"),
    **dict.fromkeys(_TIMEOUTS, "timeout"),
}
"""Why the primary served a user of the candidate's (`model.terms.FALLBACK_REASONS`)."""


class Leg:
    """An upstream as users are served from it."""

    __slots__ = ("first_byte", "origin", "total")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.first_byte = origin.policy.timeouts.first_byte
        self.total = origin.policy.timeouts.total


class Draw:
    """What was drawn for one request, and what becomes of it.

    `candidate`: that arm serves the user, until it fails. `h` is the user's share in [0, 1). `mirrored`: the user is
    the primary's; `held_out`: but no mirror samples the request. `since` is when the request was whole, 0: at once.
    `stalled`: the answer had to wait for its client.
    """

    __slots__ = (
        "_evidence",
        "_lapsed",
        "_lost",
        "_once",
        "_route",
        "_share",
        "candidate",
        "h",
        "held_out",
        "mirrored",
        "since",
        "split",
        "stalled",
    )

    def __init__(
        self,
        split: Splitter,
        route: Route,
        h: float,
        once: bool,
        wanted: bool,
        evidence: int,
        held_out: bool,
        share: float,
    ) -> None:
        """`once`: no other request has its sticky key. `wanted`: the weight or a rule says candidate. `share` is what
        the user counts by: `h`, or the share by which a flag is tested.

        `evidence`: of what the answer is, an index of SPLIT_ARMS, `_CHOSEN` or `_NOTHING`.
        """
        self.split = split
        self.h = h
        self._share = share
        self.held_out = held_out
        self.candidate = wanted and not split.lapsed
        self.mirrored = not self.candidate
        self.since = 0.0
        self.stalled = False
        self._route = route
        self._once = once
        self._lapsed = wanted and split.lapsed
        self._lost = 0.0
        self._evidence = evidence

    # -- who serves

    def leg(self, repeatable: bool, now: float) -> Leg:
        """Which upstream is asked first."""
        split = self.split
        if self.candidate:
            assert split.serving is not None  # noqa: S101 - nobody is the candidate's where there is none
            if split.serving.admits(repeatable, now):
                return split.candidate
            self._hand_over("breaker", None)
        elif self._lapsed:
            self._route.count_fallback(split.counters, "lease_expired")
        return split.primary

    def asked(self, request: Waiting, now: float) -> None:
        """The whole request has been sent."""
        if self.candidate and self.split.serving is not None:
            self.split.serving.asked(request, now)

    def began(self, request: Waiting, head: ResponseHead, now: float) -> None:
        """The head of an answer has come."""
        serving = self.split.serving
        if serving is None:
            return
        if self.candidate:
            serving.answered(request, now)
        elif serving.refuge.open:
            serving.refuge.succeeded()
        mirror = self._route.mirrors[0]  # where there is a candidate there is one
        if mirror.version_header:
            mirror.note_version(CANDIDATE if self.candidate else PRIMARY, head)

    def goes_back(self, request: Waiting, fault: Fault, repeatable: bool, now: float) -> bool:
        """The upstream that was asked gave no answer: may the primary be asked instead?"""
        serving = self.split.serving
        if serving is None:
            return False
        if not self.candidate:
            if fault in _UNREACHABLE:
                serving.refuge.failed(now)
            return False
        if fault is errors.POOL_FULL:  # a limit of ours
            serving.forget(request)
        else:
            serving.failed(request, now)
        return repeatable and serving.has_refuge(now)

    def go_back(self, fault: Fault, seconds: float) -> Leg:
        """The candidate was asked for so long, in vain: what is asked now."""
        self._lost = seconds
        self._route.count_candidate(self.split.counters, _ERROR, seconds)
        self._hand_over(_REASONS[fault], fault)
        return self.split.primary

    def _hand_over(self, reason: str, fault: Fault | None) -> None:
        self.candidate = False
        self._route.count_fallback(self.split.counters, reason)
        self._failed(fault)

    def over(self, request: Waiting) -> None:
        """No more will happen."""
        if self.candidate and self.split.serving is not None:
            self.split.serving.forget(request)

    # -- counting

    def count(self, code: int, status: int, fault: Fault | None, began: float, now: float) -> None:
        """The exchange that `began` has ended now, in a whole answer or in a fault. `code` is an index of CODES."""
        split, seconds = self.split, now - began - self._lost
        if self.candidate:
            self._route.count_candidate(split.counters, code, seconds)
        else:
            self._route.count(split.counters, code, seconds)
            if fault is None and split.serving is not None:
                split.serving.learn(seconds)
        if fault is not None:
            self._failed(fault)
        else:
            self._answered(status, now - self.since if self.since else seconds)

    def _answered(self, status: int, seconds: float) -> None:
        evidence, self._evidence = self._evidence, _NOTHING
        if evidence == _NOTHING:
            return
        split = self.split
        failed = status in split.failing
        self._count(evidence, failed, 400 <= status < 500)
        if evidence >= 0 and not failed and not self.stalled:
            tally = split.tally
            first = bool(split.sticky) and tally.takes_duration(self._share, self._once)
            tally.count_duration(evidence, seconds, first)

    def _failed(self, fault: Fault | None) -> None:
        """There was no whole answer; None: others had failed, so that it was not even asked for."""
        evidence, self._evidence = self._evidence, _NOTHING
        if evidence != _NOTHING:
            self._count(evidence, self.split.timeouts_fail or fault not in _TIMEOUTS, False)

    def _count(self, evidence: int, failed: bool, client_error: bool) -> None:
        split = self.split
        tally = split.tally
        if evidence == _CHOSEN:
            tally.count_chosen(self._route.row, failed)
            return
        tally.count(self._route.row, evidence, failed, client_error)
        if split.sticky:
            if failed:
                tally.note(self._share, at.KEY_FAILED, self._once)
            if client_error:
                tally.note(self._share, at.KEY_CLIENT_ERROR, self._once)


class Splitter:
    """One service's split, compiled. `lapsed`: its lease has run out, so that the primary serves everybody."""

    __slots__ = (
        "_by_address",
        "_chosen",
        "_excluded",
        "_floor",
        "_key",
        "_lease",
        "_policy",
        "_salt",
        "candidate",
        "counters",
        "failing",
        "lapsed",
        "primary",
        "serving",
        "sticky",
        "tally",
        "timeouts_fail",
    )

    def __init__(
        self, policy: Split, index: int, salt: bytes, primary: Leg, serving: Serving | None, tally: Tally
    ) -> None:
        """`index` is the service's row, `salt` its own. `serving` None: there is no candidate, and a flag is tested."""
        sticky = policy.sticky
        self._policy = policy
        self._salt = salt
        self._lease = at.LEASES + index
        self._chosen = [
            (reader(rule.header, rule.cookie), rule.value.encode() if rule.value is not None else None)
            for rule in policy.chosen
        ]
        self._key = reader(sticky.header, sticky.cookie) if sticky is not None else None
        self._by_address = sticky is not None and sticky.fallback == "client_ip"
        self._excluded = _paths(policy.excluded)
        self._floor = 0.0 if policy.sample is None else 1.0 - policy.sample
        self.failing = _failing(policy.failures)
        self.timeouts_fail = policy.failures.timeouts
        self.sticky = sticky is not None
        self.primary = primary
        self.candidate = Leg(serving.origin) if serving is not None else primary
        self.serving = serving
        self.tally = tally
        self.counters = tally.counters
        self.lapsed = policy.leased

    def hear(self, page: memoryview, now: float) -> None:
        """What control says: does the lease hold? `page` is control's, `now` CLOCK_MONOTONIC in seconds."""
        self.lapsed = self._policy.leased and page[self._lease] <= now * 1000
        self.tally.hear(page)

    def draw(
        self,
        head: RequestHead,
        request_id: bytes,
        peer: Peer,
        trusts: Callable[[str], bool],
        route: Route,
        decided: Decided = UNDECIDED,
    ) -> Draw:
        """Decide for one request. `trusts` says of an address whether it is a trusted proxy's, `decided` what its flags
        are.
        """
        h, once = 1.0, True
        weight = self._policy.weight
        if weight or route.needs_share or self._floor:
            key = self._sticky_key(head, peer, trusts)
            once = not key
            h = share(self._salt, key or request_id)
        chosen = self._says(head) if self._chosen else None
        wanted = h < weight if chosen is None else chosen
        excluded = self._excluded is not None and self._excluded(head.path) is not None
        evidence = _NOTHING
        counts_by = h
        counted = not (excluded or self.lapsed)
        if self._policy.testing:
            # Of the arm that has it: elsewhere the flag may mean nothing.
            if counted and decided.tested is not None and chosen is None and wanted == (weight > 0.0):
                evidence = _DRAWN_CANDIDATE if decided.tested else _DRAWN_PRIMARY
                counts_by, once = decided.share, decided.once
                if self.sticky:
                    self.tally.note(counts_by, at.KEY_SEEN, once)
        elif counted:
            if chosen:
                evidence = _CHOSEN
            elif chosen is None and weight:
                evidence = _DRAWN_CANDIDATE if wanted else _DRAWN_PRIMARY
                if self.sticky:
                    self.tally.note(h, at.KEY_SEEN, once)
        return Draw(self, route, h, once, wanted, evidence, excluded or h < self._floor, counts_by)

    def _sticky_key(self, head: RequestHead, peer: Peer, trusts: Callable[[str], bool]) -> bytes:
        """What makes the user the same user; empty: nothing does."""
        if self._key is None:
            return b""
        return self._key(head) or (client_address(peer, head.forwarded_for, trusts) if self._by_address else b"")

    def _says(self, head: RequestHead) -> bool | None:
        """Is this a chosen user of the candidate (True) or of the primary (False)? The first rule that knows it."""
        for read, wanted in self._chosen:
            value = read(head)
            if not value:
                continue
            if wanted is not None:
                if value == wanted:
                    return True
            elif value == b"always":
                return True
            elif value == b"never":
                return False
        return None


def _failing(failures: Failures) -> frozenset[int]:
    """The statuses that are failures; what is no status of RFC 9110 counts as 5xx (section 15)."""
    classes = {each - 1 for each in failures.classes}
    return frozenset(s for s, code in enumerate(at.CODE_INDEX) if code in classes) | frozenset(failures.statuses)


def _paths(templates: Sequence[str]) -> Callable[[bytes], object] | None:
    """Matches paths of which one of the templates is the whole."""
    if not templates:
        return None
    return re.compile("|".join(map(template_pattern, templates)).encode("latin-1"), re.DOTALL).fullmatch
