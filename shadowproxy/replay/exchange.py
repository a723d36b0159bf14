"""One replayed request: the primary's side of it, asked or recorded, and the copies that the real mirrors make.

    begin ─► offer ─► ask the primary (or take what was recorded) ─► decide
                 └──► copies: sent, answered, settled            ─► done, when both have come to an end

It is what `proxy/exchange.py` is to a client's request, without a client.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import NO_BODY, ResponseHead
from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.terms import CODES
from shadowproxy.proxy.snapshot import Route
from shadowproxy.replay.messages import Answer, Request, forwarded
from shadowproxy.shadow.copy import Copy
from shadowproxy.shadow.tap import Tap, offer
from shadowproxy.upstream.connection import Connection, Trailers
from shadowproxy.upstream.deadlines import Timer

if TYPE_CHECKING:
    from shadowproxy.replay.plane import Plane

REPEATS: Final = 5
"""How often a request is sent again when it met a connection in the moment of its end. Unlike a proxy a replay may
repeat what writes: a request that was asked twice says more than one that was never answered."""
_ERROR: Final = CODES.index("error")
_ALWAYS: Final = 1.0
"""A share that every sampling takes."""


class Exchange:
    """`done` is called once, when the primary's side is over and every copy has ended, with why the primary failed.

    `cancelled` is read by the origin while a connection is awaited.
    """

    __slots__ = (
        "_answered",
        "_connection",
        "_data",
        "_done",
        "_failure",
        "_head",
        "_left",
        "_plane",
        "_repeated",
        "_request",
        "_route",
        "_started",
        "_tap",
        "_timer",
        "cancelled",
    )

    def __init__(self, plane: Plane, request: Request, done: Callable[[str], None]) -> None:
        head = request.head
        self._plane = plane
        self._request = request
        self._done = done
        self._route: Route = plane.service.table.find(head.method, head.path, head.host)
        self._tap: Tap | None = None
        self._left = 0
        self._answered = False
        self._connection: Connection | None = None
        self._data = b""
        self._head: ResponseHead | None = None
        self._started = 0.0
        self._repeated = 0
        self._timer = Timer(self._out_of_time)
        self.cancelled = False
        self._failure = ""

    def begin(self, recorded: Answer | None, latency: float, ask: bool) -> None:
        """Send the request to every arm. Unless the primary is to be asked, `recorded` is its answer, if any."""
        plane, request, route = self._plane, self._request, self._route
        head = request.head
        self._started = perf_counter()
        line = forwarded(request, plane.service.authority)
        self._tap = tap = offer(route.mirrors, route.resampler, head, request.request_id, time(), _ALWAYS)
        if tap is not None:
            self._left = len(tap.copies)
            tap.watch = self._ended
            tap.stalled = not ask  # what was recorded elsewhere says nothing of the durations here
        if ask:
            self._data = line + request.body
            self._lease()
        if tap is not None:
            if head.framing == NO_BODY:
                tap.launch(head, request.own, request.strip, line)
            else:
                tap.hold(request.body)
                tap.launch_with_body(head, request.own, request.strip)
        if not ask:
            self._take(recorded, latency)

    def _take(self, recorded: Answer | None, seconds: float) -> None:
        """The primary's answer is the recorded one."""
        tap = self._tap
        if recorded is None:
            self._decide(False, 0.0)
            return
        if tap is not None:
            tap.head = recorded.head
            tap.take(recorded.body)
            tap.truncated = tap.truncated or recorded.truncated
        self._route.count(self._plane.words, at.CODE_INDEX[recorded.head.status], seconds)
        self._decide(True, seconds)

    # -- the primary, asked

    def _lease(self) -> None:
        origin = self._plane.service.primary.origin
        connection = origin.take()
        if connection is None:
            origin.want(self)
        else:
            self.on_connection(connection)

    def on_connection(self, connection: Connection) -> None:
        primary, deadlines = self._plane.service.primary, self._plane.deadlines
        self._connection = connection
        self._started = perf_counter()
        # One rule for both: a copy that takes longer is given up, and an answer without end would never be compared.
        total = primary.total or max((mirror.timeout for mirror in self._route.mirrors), default=60.0)
        deadlines.arm(self._timer, deadlines.now + total)
        connection.send(self, self._request.head.method, self._data, True, primary.first_byte)

    def on_no_connection(self, fault: Fault, detail: str) -> None:
        self._fail(fault)

    def on_interim(self, head: ResponseHead) -> None:
        """Interim answers are not compared."""

    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None:
        if head.status == 101:  # nobody asked for an upgrade
            self._abandon()
            self._fail(errors.MALFORMED)
            return
        self._head = head
        if self._tap is not None:
            self._tap.head = head
            if data:
                self._tap.take(data)
        if complete:
            self._finish(head)

    def on_data(self, data: bytes) -> None:
        if self._tap is not None:
            self._tap.take(data)

    def on_complete(self, trailers: Trailers) -> None:
        if self._head is not None:
            self._finish(self._head)

    def on_failure(self, fault: Fault, detail: str) -> None:
        connection, self._connection = self._connection, None
        if fault is errors.RESET and connection is not None and connection.was_stale and self._repeated < REPEATS:
            self._repeated += 1
            self._plane.service.primary.origin.want(self)
            return
        self._fail(fault)

    def on_backlog(self) -> None:
        """The primary may cut its answers as it likes."""

    def on_upstream_full(self) -> None:
        """The request is written as a whole; its size was bounded when it was read."""

    def on_upstream_ready(self) -> None:
        """As above."""

    def _out_of_time(self) -> None:
        self._abandon()
        self._fail(errors.TOTAL_TIMEOUT)

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    def _finish(self, head: ResponseHead) -> None:
        self._connection = None
        seconds = perf_counter() - self._started
        self._route.count(self._plane.words, at.CODE_INDEX[head.status], seconds)
        self._decide(True, seconds)

    def _fail(self, fault: Fault) -> None:
        seconds = perf_counter() - self._started
        self._failure = fault.reason
        self._route.count(self._plane.words, _ERROR, seconds)
        self._decide(False, seconds, failed=True)

    # -- the end

    def _decide(self, whole: bool, seconds: float, failed: bool = False) -> None:
        self.cancelled = True
        self._timer.drop()
        self._answered = True
        if self._tap is not None:
            self._tap.decide(whole, seconds, failed)
        self._settle()

    def _ended(self, copy: Copy) -> None:
        self._left -= 1
        self._settle()

    def _settle(self) -> None:
        if self._answered and not self._left:
            done, self._done = self._done, _nobody
            done(self._failure)


def _nobody(failure: str) -> None:
    """Stands for those who have heard of it already."""
