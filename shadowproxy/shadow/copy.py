"""A mirrored exchange: one copy of a request, from the offer to its verdict.

    HOLDING ──► WAITING ──► SENT ──► ANSWERED ──► SETTLED
    (body)     (connection)          (verdict or lost; before SENT: dropped)

The request of a copy leaves with the primary's when it has no body, else once its body is whole. Nothing of what
comes back can reach a client: a copy has no reference to one.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import RequestHead, ResponseHead
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.terms import CANDIDATE, PRIMARY
from shadowproxy.shadow.capture import Capture, looks_equal
from shadowproxy.upstream.connection import Connection, Trailers
from shadowproxy.upstream.deadlines import NEVER

if TYPE_CHECKING:
    from shadowproxy.shadow.arm import Arm
    from shadowproxy.shadow.mirror import Mirror
    from shadowproxy.shadow.tap import Tap

HOLDING: Final = 0
WAITING: Final = 1
SENT: Final = 2
ANSWERED: Final = 3
SETTLED: Final = 4

_PATIENCE: Final = 64
_BACKLOG_COST: Final = 4
"""Of a copy's patience, which is 3 ms of the loop's time: an interim answer takes one, and each 512 chunks that come
faster than they are taken apart take four.
"""

_TIRING: Final = frozenset(
    {
        errors.REFUSED,
        errors.UNRESOLVED,
        errors.CONNECT_TIMEOUT,
        errors.UPSTREAM_TLS,
        errors.RESET,
        errors.FIRST_BYTE_TIMEOUT,
        errors.IDLE_TIMEOUT,
    }
)
"""Failures that count towards the breaker: refused or late, in whatever way (faults 1, 5, 6 and 8)."""


class Copy:
    """`request_id` and `at` (Unix time) identify the exchange for people; `request` is the client's head.

    `partner` is the other copy of a triple: the two are judged together, unless one of them ends without an answer.
    `spared` says what chance decided where it decides about a resample: True against one, False for one; else None.
    """

    __slots__ = (
        "_body",
        "_charged",
        "_connection",
        "_failure",
        "_head",
        "_patience",
        "_queued",
        "_repeated",
        "_state",
        "arm",
        "at",
        "cancelled",
        "deadline",
        "mirror",
        "partner",
        "primary",
        "request",
        "request_id",
        "response",
        "spared",
        "started",
    )

    def __init__(self, mirror: Mirror, request: RequestHead, request_id: bytes, at: float, primary: Tap) -> None:
        arm = mirror.arm
        self.mirror = mirror
        self.arm: Arm = arm
        self.request = request
        self.request_id = request_id
        self.at = at
        self.primary = primary
        self.response = Capture(mirror.max_response)
        self.deadline = NEVER
        self.cancelled = False
        self.started = 0.0
        self.partner: Copy | None = None
        self.spared: bool | None = None
        self._head = b""
        self._body: bytearray | None = None
        self._charged = 0
        self._connection: Connection | None = None
        self._failure: str | None = None
        self._patience = _PATIENCE
        self._queued = False
        self._repeated = 0
        self._state = HOLDING
        arm.live[self] = None

    # -- the request

    def hold(self, data: bytes) -> None:
        """A piece of the client's body, while it is still coming."""
        if self._state != HOLDING:
            return
        if self._body is None:
            self._body = bytearray()
        if len(self._body) + len(data) > self.mirror.max_body:
            self.drop("max_body")
        elif self.arm.held + len(data) > self.arm.max_bytes:
            self.drop("bytes")
        else:
            self._body += data
            self.charge(len(data))

    @property
    def body(self) -> bytes:
        return bytes(self._body or b"")

    def launch(self, head: bytes) -> None:
        """The request is whole: send it as soon as there is a connection, within `max_age`."""
        if self._state != HOLDING:
            return
        self._head = head
        connection = self.arm.origin.take()
        if connection is not None:
            self.on_connection(connection)
            return
        self._state = WAITING
        self._queued = not self.arm.origin.pool.has_room()
        self.deadline = self.arm.origin.deadlines.now + self.mirror.max_age
        self.arm.origin.want(self)

    def on_connection(self, connection: Connection) -> None:
        if self._state <= WAITING:
            self._state = SENT
            self.mirror.count_sent()
            self.started = perf_counter()
            self.deadline = self.arm.origin.deadlines.now + self.mirror.timeout
        self._connection = connection
        connection.send(self, self.request.method, self._head + self._body if self._body else self._head, True, None)

    def on_no_connection(self, fault: Fault, detail: str) -> None:
        if fault is errors.POOL_FULL and self._state == WAITING:
            self.drop("age")
            return
        if fault is errors.POOL_FULL:
            self._lose("stale_connection")  # no connection for the retry: that is no fault of the candidate's
            return
        if self._state == WAITING:
            self._state = SENT
            self.mirror.count_sent()
            self.started = perf_counter()
        self._answered(fault)

    @property
    def asked_at(self) -> float:
        """When it was sent, in the loop's time, while no answer has begun; else NEVER."""
        return self.deadline - self.mirror.timeout if self._state == SENT and self.response.head is None else NEVER

    # -- the response

    def on_interim(self, head: ResponseHead) -> None:
        """Interim answers are not compared."""
        self._tire(1)

    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None:
        if head.status == 101:  # nobody asked for an upgrade
            self._leave()
            self._answered(errors.MALFORMED)
            return
        self.response.head = head
        self.arm.answers += 1
        if data:
            self.charge(self.response.add(data, self.arm.room))
        if complete:
            self.on_complete([])
        elif self.response.truncated:
            self._cut()

    def on_data(self, data: bytes) -> None:
        if self._state == SENT:
            self.charge(self.response.add(data, self.arm.room))
            if self.response.truncated:
                self._cut()

    def on_backlog(self) -> None:
        self._tire(_BACKLOG_COST)

    def on_complete(self, trailers: Trailers) -> None:
        self._connection = None
        if self._state == SENT:
            self.arm.breaker.succeeded()
            self._answered(None)

    def on_failure(self, fault: Fault, detail: str) -> None:
        connection, self._connection = self._connection, None
        if self._state != SENT:
            return
        if fault is errors.RESET and connection is not None and connection.was_stale:
            if self.mirror.may_repeat(self.request.method, self._repeated):
                self._repeated += 1
                self.arm.origin.want(self)
            else:
                self._lose("stale_connection")
            return
        self._answered(fault)

    def on_upstream_full(self) -> None:
        """A copy is written as a whole; its size was bounded before."""

    def on_upstream_ready(self) -> None:
        """As above."""

    def _cut(self) -> None:
        """More than anyone will compare: what came is enough to judge, and the rest is not read (fault 4)."""
        self._leave()
        self.arm.breaker.succeeded()
        self._answered(None)

    def _tire(self, cost: int) -> None:
        """The answer costs the loop more than answers do: past a bound it is not read on, and the candidate rests."""
        self._patience -= cost
        if self._patience < 0:
            self._leave()
            self.arm.breaker.failed(self.arm.origin.deadlines.now)
            self.response.truncated = True
            self._answered(errors.MALFORMED if self.response.head is None else None)

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    # -- the end

    def _answered(self, fault: Fault | None) -> None:
        self._state = ANSWERED
        self.cancelled = True
        self.arm.live.pop(self, None)
        self.response.seconds = perf_counter() - self.started
        if fault is not None:
            self._failure = fault.kind
            if fault in _TIRING:
                self.arm.breaker.failed(self.arm.origin.deadlines.now)
        self.mirror.count_exchange(self.response, self._failure)
        if self.primary.decided is not None:
            self.settle()

    def settle(self) -> None:
        """Both sides are known (or the primary's is, and this one is still coming: then later)."""
        if self._state != ANSWERED:
            return
        mirror, primary = self.mirror, self.primary
        if not primary.decided:
            if primary.failed:
                mirror.count_pair(primary, self.response, self._failure)
            self._lose("primary_incomplete")
            return
        if primary.seconds > mirror.timeout and self._failure == errors.FIRST_BYTE_TIMEOUT.kind:
            # One rule for both: the primary was not done by the shadow's deadline either (a long poll, say).
            self._lose("primary_incomplete")
            return
        if self._failure is not None:
            mirror.count_pair(primary, self.response, self._failure)
            mirror.count_failure(self._failure)
            mirror.offer_example(self, self._failure)
            self._end()
            return
        partner = self.partner
        if partner is None:
            self._judge()
        elif partner._state == ANSWERED and partner._failure is None:
            if mirror.arm.name == CANDIDATE:
                self._judge_with(partner)
            else:
                partner._judge_with(self)

    def _judge(self) -> None:
        """This copy by itself."""
        mirror, primary, response = self.mirror, self.primary, self.response
        mirror.count_pair(primary, response, None)
        if mirror.version_header:
            self._note_versions()
        if looks_equal(primary, response, mirror.ignored):
            mirror.count_match()
        else:
            reason = mirror.offer_pair(self)
            if reason is not None:
                self._lose(reason)
                return
        self._end()

    def _judge_with(self, second: Copy) -> None:
        """The candidate's copy and the second answer of the primary's version: one triple, one judgement."""
        primary = self.primary
        self.partner = second.partner = None
        self.mirror.count_pair(primary, self.response, None, second.response)
        second.mirror.count_pair(primary, second.response, None)
        for copy in (self, second):
            if copy.mirror.version_header:
                copy._note_versions()
        ignored = self.mirror.ignored
        if looks_equal(primary, self.response, ignored) and looks_equal(primary, second.response, ignored):
            self.mirror.count_match()
            second.mirror.count_match()
        else:
            reason = self.mirror.offer_pair(self, second)
            if reason is not None:
                self._lose(reason)
                second._lose(reason)
                return
        self._end()
        second._end()

    def _note_versions(self) -> None:
        self.mirror.note_version(PRIMARY, self.primary.head)
        self.mirror.note_version(self.arm.name, self.response.head)

    def _lose(self, reason: str) -> None:
        self.mirror.count_lost(reason)
        self._end()

    def drop(self, reason: str) -> None:
        """Give up a copy that was not sent."""
        if self._state <= WAITING:
            self.mirror.count_dropped(reason)
            self._end()

    def forsake(self, reason: str) -> None:
        """The primary's exchange is over and this copy was not even launched."""
        if self._state == HOLDING:
            self.drop(reason)

    def expire(self) -> None:
        """Its time is over."""
        if self._state == WAITING:
            if self._queued:
                self.drop("age")
            else:
                self.on_no_connection(errors.CONNECT_TIMEOUT, "not even a connection in time")
        elif self._state == SENT:
            self._leave()
            self._answered(errors.FIRST_BYTE_TIMEOUT)

    def close(self) -> None:
        """The worker ends."""
        if self._state <= WAITING:
            self.drop("shutdown")
        elif self._state == SENT:
            self._leave()
            self._lose("shutdown")

    def _end(self) -> None:
        arm = self.arm
        if self._state < ANSWERED:
            arm.live.pop(self, None)
        self._state = SETTLED
        self.cancelled = True
        arm.held -= self._charged
        self._charged = 0
        self._body = None
        primary, partner = self.primary, self.partner
        if partner is not None:
            self.partner = partner.partner = None
        if primary.decided is None:
            primary.leave(self)
        elif partner is not None:
            partner.settle()  # it may have waited for this one
        if primary.watch is not None:
            primary.watch(self)

    def charge(self, size: int) -> None:
        """Count bytes that are held for this copy against its arm."""
        if self._state != SETTLED:
            self._charged += size
            self.arm.held += size
