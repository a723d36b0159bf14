"""Mirroring of one route to one arm: whether a request is copied, how the copy's head looks, and the books.

The books balance by construction of the order of writes: an outcome first, then `eligible`
(see `metrics.counters.adopt`). Words are looked up once, when a policy is compiled.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import NO_BODY, RequestHead, ResponseHead, forward_request
from shadowproxy.metrics import layout as at
from shadowproxy.model.pair import CapturedRequest, Pair, Second
from shadowproxy.model.policy import HeaderRules, RoutePolicy
from shadowproxy.model.sampling import is_sampled
from shadowproxy.model.terms import CANDIDATE, CODES, DROP_REASONS, KINDS, LOSS_REASONS, VERDICTS
from shadowproxy.shadow.arm import Arm
from shadowproxy.shadow.capture import IGNORED, Capture
from shadowproxy.shadow.link import Link
from shadowproxy.shadow.strata import Stratum

if TYPE_CHECKING:
    from shadowproxy.shadow.copy import Copy
    from shadowproxy.shadow.tap import Tap

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})
"""RFC 9110 section 9.2.2; TRACE is refused."""

_EXPECT: Final = frozenset({b"expect"})
_ERROR: Final = CODES.index("error")
MAX_VERSION: Final = 64
"""Characters of a version that are told apart."""


class Mirror:
    """Decides for one route and arm, and keeps its books."""

    def __init__(
        self,
        service: str,
        route: RoutePolicy,
        arm: Arm,
        counters: memoryview,
        link: Link,
        version: str | None = None,
        stratum: Stratum | None = None,
    ) -> None:
        """`version` is the response header, in lower case, in which arms name their version.

        `stratum` takes the durations that are evidence of a slower candidate.
        """
        shadow = route.shadow
        self.service = service
        self.route = route.name
        self.arm = arm
        self.link = link
        self.sample = shadow.sample
        self.methods = frozenset(method.encode() for method in shadow.methods)
        self.max_body = shadow.max_body
        self.max_response = shadow.max_response
        self.max_age = shadow.max_age
        self.timeout = shadow.timeout
        self._mark(shadow.headers.get(arm.name, HeaderRules()), arm.name)
        self.ignored = IGNORED | {name.encode("latin-1") for name in route.compare.by_nature}
        self.version_header = version.encode("latin-1") if version else b""
        self._counters = counters
        row = at.route_row(route.index)
        self._find_words(row)
        self.stratum = stratum

    def _mark(self, rules: HeaderRules, name: str) -> None:
        """What changes in a copy's head. `name` is what the copy is called in it."""
        names = (*rules.remove, *rules.set)
        self._strip = frozenset(key.lower().encode() for key in names)
        lines = [f"{key}: {value}\r\n" for key, value in rules.set.items()]
        self._lines = "".join([*lines, f"X-Shadow-Request: {name}\r\n"]).encode("latin-1")
        self._tail = self._lines + b"\r\n"
        self._plain = not names

    def _find_words(self, row: int) -> None:
        arm = self.arm
        m = at.MIRRORED_INDEX[arm.name]
        a = at.ARM_INDEX[arm.name]
        self._eligible = row + at.ELIGIBLE + m
        self._sampled_out = row + at.SAMPLED_OUT + m
        self._sent = row + at.SENT + m
        self._in_flight = row + at.IN_FLIGHT + m
        self._dropped = {reason: at.dropped_word(row, m, reason) for reason in DROP_REASONS}
        self._lost = {reason: at.lost_word(row, m, reason) for reason in LOSS_REASONS}
        self._compared = {verdict: at.compared_word(row, m, verdict) for verdict in VERDICTS}
        self._match = self._compared["match"]
        self._kinds = {kind: at.mismatch_word(row, m, kind) for kind in KINDS}
        self._requests = at.requests_word(row, a, 0)
        self._durations = at.duration_word(row, a)
        self._deltas = at.delta_word(row, m)
        self._outcomes = at.outcome_word(row, m)
        self._triples = row + at.TRIPLES

    # -- the decision

    def admits(self, head: RequestHead, h: float) -> bool:
        """May an eligible request be copied? If not it is counted as sampled out or dropped. `h`: share in [0, 1)."""
        if not is_sampled(h, self.sample):
            self.count_sampled_out()
            return False
        length = head.framing if head.framing > 0 else 0
        arm = self.arm
        reason = "max_body" if length > self.max_body else arm.refusal(length, arm.origin.deadlines.now)
        if reason is not None:
            self.count_dropped(reason)
            return False
        return True

    def head_without_body(
        self, head: RequestHead, own: bytes, strip: frozenset[bytes], forwarded: bytes | None
    ) -> bytes:
        """The copy's head. `forwarded` is what the primary gets, None: more than one line is different."""
        if forwarded is not None and self._plain and not head.expect_continue:
            return forwarded[:-2] + self._tail
        return forward_request(head, own + self._lines, strip | self._strip | _EXPECT, NO_BODY)

    def head_with_body(self, head: RequestHead, own: bytes, strip: frozenset[bytes], size: int) -> bytes:
        return forward_request(head, own + self._lines, strip | self._strip | _EXPECT, size)

    def may_repeat(self, method: bytes, repeated: int) -> bool:
        """May a copy be sent again that met a connection in the moment of its end?"""
        return repeated < self.arm.repeats or (method in IDEMPOTENT and not repeated)

    # -- the books

    def count_sampled_out(self) -> None:
        self._counters[self._sampled_out] += 1
        self._counters[self._eligible] += 1

    def count_dropped(self, reason: str) -> None:
        self._counters[self._dropped[reason]] += 1
        self._counters[self._eligible] += 1

    def count_sent(self) -> None:
        counters = self._counters
        counters[self._in_flight] += 1
        counters[self._sent] += 1
        counters[self._eligible] += 1

    def count_lost(self, reason: str) -> None:
        self._counters[self._lost[reason]] += 1
        self._counters[self._in_flight] -= 1

    def count_match(self) -> None:
        self._counters[self._match] += 1
        self._counters[self._in_flight] -= 1

    def count_verdict(self, verdict: str) -> None:
        self._counters[self._compared[verdict]] += 1
        self._counters[self._in_flight] -= 1

    def count_mismatch(self, kinds: tuple[str, ...]) -> None:
        for kind in kinds:
            self._counters[self._kinds[kind]] += 1
        self.count_verdict("mismatch")

    def count_failure(self, kind: str) -> None:
        """The arm gave no whole answer, in this way."""
        self.count_mismatch((kind,))

    def count_answer(self, verdict: str, kinds: tuple[str, ...]) -> None:
        """The comparer's word."""
        if verdict == "mismatch":
            self.count_mismatch(kinds)
        else:
            self.count_verdict(verdict)

    def count_exchange(self, response: Capture, failure: str | None) -> None:
        """The arm's own requests and durations."""
        counters, head = self._counters, response.head
        code = _ERROR if failure is not None or head is None else at.CODE_INDEX[head.status]
        counters[self._requests + code] += 1
        bins = self._durations
        counters[bins + bisect_left(at.DURATION_EDGES, response.seconds)] += 1
        counters[bins + at.DURATION_WORDS - 1] += int(response.seconds * 1e6)

    def count_pair(self, primary: Tap, answer: Capture, failure: str | None, second: Capture | None = None) -> None:
        """Who failed, by one rule for both (`model.terms.OUTCOMES`); where neither did, how much longer the arm took.

        `second` makes it a triple: the candidate's duration is held against that one's, which was measured in the same
        way.
        """
        counters, stalled = self._counters, primary.stalled
        failed = failure is not None or answer.has_failed()
        fault = primary.failed or primary.has_failed() or (primary.seconds > self.timeout and not stalled)
        counters[self._outcomes + failed + 2 * fault] += 1
        if second is not None:
            counters[self._triples] += 1
        if failed or fault:
            return
        seconds, stratum = answer.seconds, self.stratum
        if not stalled:
            longer = seconds - primary.seconds
            counters[self._deltas + bisect_left(at.DELTA_EDGES, longer)] += 1
            counters[self._deltas + at.DELTA_WORDS - 1] += int(longer * 1e6)
        if stratum is None:
            return
        if second is not None and not second.has_failed():
            stratum.add(seconds, second.seconds)
        elif not stalled:
            stratum.add(seconds, primary.seconds)

    # -- the comparer

    def offer_pair(self, copy: Copy, second: Copy | None = None) -> str | None:
        """Give the pair, with `second` the triple, to the comparer; the reason when that cannot be."""
        pair = self._pair(copy, None, True, second)
        if pair is None:
            return "primary_incomplete"
        return self.link.offer(self, pair, second.mirror if second is not None else None)

    def offer_example(self, copy: Copy, failure: str) -> None:
        """A failed exchange is counted already; the comparer gets it for the examples, when it has time."""
        pair = self._pair(copy, failure, False, None) if self.link.has_time else None
        if pair is None or self.link.offer(self, pair) is not None:
            self._counters[at.EXAMPLES_SKIPPED] += 1

    def note_version(self, arm: str, head: ResponseHead | None) -> None:
        """Say which version of an arm answered, by `version_header`."""
        named = head.value_of(self.version_header) if head is not None else None
        if named:
            self.link.sight(self.service, arm, named[:MAX_VERSION].decode("latin-1"))

    def _pair(self, copy: Copy, failure: str | None, answer: bool, second: Copy | None) -> Pair | None:
        request, primary = copy.request, copy.primary.frozen()
        if primary is None:
            return None
        other = second.response.frozen() if second is not None else None
        return Pair(
            self.link.next_id(),
            self.service,
            self.route,
            self.arm.name,
            copy.request_id.decode("latin-1"),
            copy.at,
            CapturedRequest(request.method, request.target, _fields(copy), copy.body),
            primary,
            copy.response.frozen(),
            failure,
            answer,
            Second(second.arm.name, other) if second is not None and other is not None else None,
            copy.spared,
        )


def _fields(copy: Copy) -> list[tuple[bytes, bytes]]:
    """A request's fields as they came; where its copy carried other flags, those: nobody could ask again without."""
    flags = copy.primary.flags
    if flags is None or copy.arm.name != CANDIDATE:
        return copy.request.fields
    name, _, value = flags[1].rstrip(b"\r\n").partition(b": ")
    kept = [field for field in copy.request.fields if field[0].lower() != name.lower()]
    return [*kept, (name, value)] if name else kept
