"""The exchange driver: one client request, from its head to the last byte of its answer.

    begin ─► route ─► split ─► mirror (offer) ─► lease ─► send ─► relay ─► finish
                                                   ▲       │ fail: answer with a status while none was begun,
                                                   │       ▼       else cut the client off
                                                   └── a user of the candidate's that gave no answer: the primary

The way out is `_finish`, whatever happened. Copies are offered before the primary is asked and leave after it.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Final

from shadowproxy.http1 import (
    CHUNKED,
    LAST_CHUNK,
    NO_BODY,
    UNTIL_CLOSE,
    RequestHead,
    ResponseHead,
    encode_chunk,
    encode_trailers,
    forward_request,
    forward_response,
)
from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.terms import CANDIDATE, CODES, PRIMARY
from shadowproxy.proxy.access_log import exchange_entry
from shadowproxy.proxy.answers import client_framing, connection_line, options_answer
from shadowproxy.proxy.flagging import UNDECIDED
from shadowproxy.proxy.forwarded import own_fields
from shadowproxy.proxy.mirroring import tap
from shadowproxy.proxy.site import MAX_SIGHTED
from shadowproxy.proxy.tunnel import Tunnel
from shadowproxy.proxy.upload import Upload
from shadowproxy.shadow.mirror import IDEMPOTENT
from shadowproxy.upstream.connection import Connection, Trailers
from shadowproxy.upstream.deadlines import Timer

if TYPE_CHECKING:
    from shadowproxy.proxy.client import ClientConnection
    from shadowproxy.proxy.snapshot import Route
    from shadowproxy.proxy.splitting import Draw, Leg
    from shadowproxy.shadow.tap import Tap

_ERROR: Final = CODES.index("error")
_SMALL: Final = 16 * 1024
"""Up to here one concatenation is cheaper than a second write."""


class Exchange:
    """Receives the answer of the arm that serves the user, and relays it.

    `cancelled` is read by the origin while a connection is awaited.
    """

    __slots__ = (
        "_client",
        "_client_framing",
        "_connection",
        "_draw",
        "_forwarded",
        "_keep",
        "_leg",
        "_own",
        "_retried",
        "_route",
        "_sent",
        "_site",
        "_started",
        "_status",
        "_strip",
        "_tap",
        "_total",
        "at",
        "begun",
        "cancelled",
        "head",
        "request_id",
        "upload",
        "whole",
    )

    def __init__(self, client: ClientConnection, head: RequestHead) -> None:
        self._client = client
        self._site = client.site
        self.head = head
        self.whole = head.framing == NO_BODY
        self.upload = None if self.whole else Upload(client, head)
        self.cancelled = False
        self.request_id = head.request_id or b""
        self.at = 0.0
        self._started = 0.0
        self._leg: Leg | None = None
        self._draw: Draw | None = None
        self._route: Route | None = None
        self._connection: Connection | None = None
        self._tap: Tap | None = None
        self._keep = False
        self._forwarded = b""
        self._own = b""
        self._strip: frozenset[bytes] = frozenset()
        self._retried = False
        self.begun = False
        self._status = 0
        self._sent = 0
        self._client_framing = NO_BODY
        self._total: Timer | None = None

    # -- begin, route, mirror, send

    def begin(self) -> None:
        """Decide everything that the head decides, and ask the upstream that serves."""
        head, site, client = self.head, self._site, self._client
        self._started = perf_counter()
        self.at = time()
        added = None
        if not self.request_id:
            self.request_id = added = site.new_id()
        elif head.nominated is not None and b"x-request-id" in head.nominated:
            added = self.request_id  # the client's own line ends here, the id is the same on every leg
        snapshot = site.snapshot
        refusal = site.refusal(head)
        if refusal is not None:
            client.reject(refusal)
            return
        if head.max_forwards == 0 and head.method == b"OPTIONS":
            self._answer_options()
            return
        service = snapshot.service(head.host, head.path)
        if service is None:
            client.reject(errors.NO_SERVICE)
            return
        self._route = route = service.table.find(head.method, head.path, head.host)
        self._own, self._strip = own_fields(client.peer, head, site.via, added)
        decided = UNDECIDED
        if site.flags is not None:
            decided = site.flags.decide(head, self.request_id, client.peer, snapshot, service.name, route.rules)
            self._own, self._strip = self._own + decided.line, self._strip | site.flags.strip
        self._forwarded = forward_request(head, self._own, self._strip, head.framing, service.authority)
        leg, draw = service.primary, None
        if service.split is not None:
            self._draw = draw = service.split.draw(head, self.request_id, client.peer, snapshot.trusts, route, decided)
            leg = draw.leg(self._is_repeatable, site.deadlines.now)
        if route.taps and head.upgrade is None and (draw is None or draw.mirrored):
            self._tap = tap(client, head, self.request_id, self.at, service, route, draw, decided.shadowed)
        if leg.total is not None:
            self._total = Timer(self._out_of_time)
            site.deadlines.arm(self._total, site.deadlines.now + leg.total)
        self._lease(leg)
        if self.whole and self._tap is not None:
            self._tap.launch(head, self._own, self._strip, self._forwarded)

    def _lease(self, leg: Leg) -> None:
        self._leg = leg
        connection = leg.origin.take()
        if connection is None:
            leg.origin.want(self)
        else:
            self.on_connection(connection)

    def on_connection(self, connection: Connection) -> None:
        """The origin lends a connection: send what there is of the request."""
        leg, draw = self._leg, self._draw
        assert leg is not None  # noqa: S101 - a connection is asked for after routing
        self._connection = connection
        upload = self.upload
        if draw is not None and (upload is None or upload.whole):
            draw.asked(self, self._site.deadlines.now)
        if upload is None:
            connection.send(self, self.head.method, self._forwarded, True, leg.first_byte)
            return
        answer_due = leg.first_byte if upload.whole or upload.awaits_continue else None
        connection.send(self, self.head.method, self._forwarded, upload.whole, answer_due)
        upload.begin(connection)

    def on_no_connection(self, fault: Fault, detail: str) -> None:
        if not self._falls_back(fault, repeatable=True):  # nothing was sent
            self._fail(fault, detail)

    def _answer_options(self) -> None:
        """Max-Forwards has run out: this hop answers (RFC 9110 section 7.6.2)."""
        self._status = 204
        keep = self._keeps_alive()
        self._client.write(options_answer(self._site.date, connection_line(keep, self.head.version10)))
        self._finish(keep)

    # -- the request's body

    def on_body(self, data: bytes) -> None:
        """A piece of the client's body."""
        if self.upload is not None:
            self.upload.feed(data, self._tap)

    def on_body_end(self, trailers: Trailers) -> None:
        """The client's request is whole; the copies can go."""
        self.whole = True
        if self.upload is not None and self._leg is not None:
            self.upload.end(trailers, self._leg.first_byte)
        if self._draw is not None:
            self._draw.since = perf_counter()
            if self._connection is not None:
                self._draw.asked(self, self._site.deadlines.now)
        if self._tap is not None:
            self._tap.since = perf_counter()  # as the copies: a slow upload is nobody's slow answer
            self._tap.launch_with_body(self.head, self._own, self._strip)

    def on_upstream_full(self) -> None:
        if self.upload is not None:
            self.upload.on_upstream_full()

    def on_upstream_ready(self) -> None:
        if self.upload is not None:
            self.upload.on_upstream_ready()

    # -- the response

    def on_interim(self, head: ResponseHead) -> None:
        """100 and 103 are relayed to those who understand them (RFC 9110 section 15.2)."""
        if self._draw is not None:
            self._draw.began(self, head, self._site.deadlines.now)
        if self.upload is not None and self.upload.awaits_continue:
            self.upload.awaits_continue = False
            self._client.excuse()
        if not self.head.version10:
            self._client.write(forward_response(head, b"", NO_BODY, b""))
            if self._client.full and self._connection is not None:
                self._connection.pause()

    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None:
        client = self._client
        if self._draw is not None:
            self._draw.began(self, head, self._site.deadlines.now)
        if head.status == 101:
            self._tunnel(head, data)
            return
        self.begun = True
        self._status = head.status
        if complete and self.whole:
            self._connection = None  # it is somebody else's by now
        framing = client_framing(head, self.head.version10)
        self._keep = keep = framing != UNTIL_CLOSE and self._keeps_alive()
        out = forward_response(head, connection_line(keep, self.head.version10), framing, self._site.date)
        if self._tap is not None:
            self._tap.head = head
            if data:
                self._tap.take(data)
        if data:
            self._sent += len(data)
            if framing == CHUNKED:
                data = encode_chunk(data)
            if len(data) <= _SMALL:
                out += data
            else:
                client.write(out)
                out = data
        if complete:
            client.write(out + LAST_CHUNK if framing == CHUNKED else out)
            self._finish(keep)
            return
        client.write(out)
        self._client_framing = framing
        if client.full:
            self.on_client_full()

    def on_data(self, data: bytes) -> None:
        self._sent += len(data)
        if self._tap is not None:
            self._tap.take(data)
        client = self._client
        client.write(encode_chunk(data) if self._client_framing == CHUNKED else data)

    def on_backlog(self) -> None:
        """The primary may cut its answers as it likes."""

    def on_complete(self, trailers: Trailers) -> None:
        self._connection = None  # it is somebody else's by now, whatever the client does about the last bytes
        if self._client_framing == CHUNKED:
            self._client.write(encode_trailers(trailers) if trailers else LAST_CHUNK)
        self._finish(self._keep and self._keeps_alive())

    def _keeps_alive(self) -> bool:
        return self.head.keep_alive and self.whole and not self._site.draining and self._client.may_go_on

    def on_client_full(self) -> None:
        """The client takes no more for now."""
        if self._connection is not None and self.begun:
            self._connection.pause()
            if self._tap is not None:
                self._tap.stalled = True
            if self._draw is not None:
                self._draw.stalled = True

    def on_client_ready(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    def _tunnel(self, head: ResponseHead, data: bytes) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - it is what the answer came over
        if not self.whole or not self.head.offers(head.upgrade or b""):
            self._drop_connection()
            self._fail(errors.MALFORMED, "the upstream switched to a protocol that nobody had asked for")
            return
        self.begun = True
        self._status = head.status
        own = b"Connection: Upgrade\r\nUpgrade: " + (head.upgrade or b"") + b"\r\n"
        self._client.write(forward_response(head, own, NO_BODY, b""))
        self._connection = None
        self._over(whole=True)
        self._count(None)
        Tunnel(self._client, connection).begin(data)

    # -- the candidate fails a user

    def _falls_back(self, fault: Fault, repeatable: bool) -> bool:
        """No answer has begun. Where it was the candidate's, the primary is asked if that may be; is it?"""
        draw = self._draw
        if draw is None or self.begun or not draw.goes_back(self, fault, repeatable, self._site.deadlines.now):
            return False
        self._retried = False
        self._lease(draw.go_back(fault, perf_counter() - self._started))
        return True

    def on_silence(self) -> None:
        """The candidate answers nobody any more."""
        connection = self._connection
        if connection is not None and self._is_repeatable and not connection.received:
            connection.abandon()
            self.on_failure(errors.FIRST_BYTE_TIMEOUT, "the candidate has fallen silent")

    # -- failures

    def on_failure(self, fault: Fault, detail: str) -> None:
        connection = self._connection
        self._connection = None
        if self._may_repeat(fault, connection):
            self._retried = True
            assert self._leg is not None  # noqa: S101 - it has sent before
            self._leg.origin.want(self)
            return
        silent = connection is not None and not connection.received
        if not self._falls_back(fault, silent and self._is_repeatable):
            self._fail(fault, detail)

    def _may_repeat(self, fault: Fault, connection: Connection | None) -> bool:
        return (
            fault is errors.RESET
            and not self._retried
            and connection is not None
            and connection.was_stale
            and self._is_repeatable
        )

    @property
    def _is_repeatable(self) -> bool:
        return self.head.framing == NO_BODY and self.head.method in IDEMPOTENT

    def _fail(self, fault: Fault, detail: str) -> None:
        """There will be no whole answer: say so, or cut the client off so that it cannot take it for whole."""
        self._site.counters[at.REJECT_INDEX[fault.reason]] += 1
        self._over(whole=False, failed=fault is not errors.POOL_FULL)
        self._count(fault, detail)
        if self.begun:
            self._client.cut_off(reset=self.ends_with_close)
        else:
            self._client.answer(fault, self.request_id, self.head.method)

    @property
    def ends_with_close(self) -> bool:
        """Would the client take the end of its connection for the end of the answer?"""
        return self._client_framing == UNTIL_CLOSE

    def _out_of_time(self) -> None:
        self._drop_connection()
        self._fail(errors.TOTAL_TIMEOUT, "the exchange took too long")

    def client_gone(self) -> None:
        """Nobody reads the answer any more: the upstream's exchange is cancelled, copies end by themselves."""
        self._site.counters[at.REJECT_INDEX[errors.CLIENT_GONE.reason]] += 1
        self.stop()
        self._count(errors.CLIENT_GONE)

    def refused(self, fault: Fault, detail: str) -> None:
        """The client's request is no good, as its caller tells it: give up."""
        self.stop()
        site = self._site
        if site.access_log.enabled and site.access_log.wants(failed=True):
            self._log(perf_counter() - self._started, fault, detail)

    def stop(self) -> None:
        """Give up without a word to the client."""
        self._drop_connection()
        self._over(whole=False)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()

    # -- the end

    def _finish(self, keep: bool) -> None:
        if not self.whole:
            self._drop_connection()  # an early answer: what is left of the request goes nowhere
        self._connection = None
        self._over(whole=True)
        self._count(None)
        self._client.exchange_done(keep)

    def _over(self, whole: bool, failed: bool = False) -> None:
        """No more will happen. `whole`: the primary's answer came to its end; `failed`: by its fault it did not."""
        self.cancelled = True
        if self._total is not None:
            self._total.drop()
        if self._draw is not None:
            self._draw.over(self)
        taken, self._tap = self._tap, None
        if taken is None:
            return
        if not (self.whole and self.begun):
            taken.forsake("overload" if self.whole else "request_incomplete")
        taken.decide(whole, perf_counter() - (taken.since or self._started), failed and not taken.stalled)

    def _count(self, fault: Fault | None, detail: str = "") -> None:
        route, site, now = self._route, self._site, perf_counter()
        seconds = now - self._started
        if route is not None and fault is not errors.CLIENT_GONE:
            code = _ERROR if fault is not None else at.CODE_INDEX[self._status]
            if self._draw is None:
                route.count(site.counters, code, seconds)
            else:
                self._draw.count(code, self._status, fault, self._started, now)
            if route.learns and fault is None and self._status < 400 and len(site.sighted) < MAX_SIGHTED:
                site.sight(route.service, self.head)
        if site.access_log.enabled and site.access_log.wants(fault is not None):
            self._log(seconds, fault, detail)

    def _log(self, seconds: float, fault: Fault | None, detail: str) -> None:
        status = fault.status if fault is not None and not self.begun else self._status
        request_id, peer = self.request_id, self._client.peer.address
        arm = CANDIDATE if self._draw is not None and self._draw.candidate else PRIMARY
        entry = exchange_entry(self.at, request_id, peer, self.head, self._route, arm, status, seconds, self._sent)
        if fault is not None:
            entry.fault = f"{fault.reason}: {detail}".rstrip(": ")
        self._site.access_log.add(entry)
