"""One connection to an origin. It carries one exchange at a time and tells its receiver what arrives.

Law: bytes that nobody asked for end the connection. A response is handed on only as far as its framing is sound, and
the connection is used again only when request and response are both whole and nothing followed them. From then on it is
somebody else's: its last receiver hears of the end after it was given back, and touches it no more.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, Protocol, cast

from shadowproxy.http1 import CHUNKED, UNTIL_CLOSE, BodyReader, HeadReader, ResponseHead, body_reader, parse_response
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.upstream.deadlines import NEVER, Timer
from shadowproxy.upstream.reading import Reading

if TYPE_CHECKING:
    from shadowproxy.upstream.origin import Origin
    from shadowproxy.upstream.pool import Server

Trailers = list[tuple[bytes, bytes]]
_WRITE_HIGH: Final = 64 * 1024
_HEADS_KEPT: Final = 512
_HEAD_KEPT: Final = 2048
"""Bytes of the longest head that is remembered."""
_FLUSH: Final = 60.0
"""Seconds that a closed connection gets for what is still to be sent, where no idle timeout is set."""
_heads: dict[bytes, ResponseHead] = {}


class Receiver(Protocol):
    """Who takes the response of an exchange. After `on_failure` or a complete response nothing more is called."""

    def on_interim(self, head: ResponseHead) -> None: ...
    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None: ...
    def on_data(self, data: bytes) -> None: ...
    def on_complete(self, trailers: Trailers) -> None: ...
    def on_failure(self, fault: Fault, detail: str) -> None: ...
    def on_backlog(self) -> None:
        """So many chunks came at once that the rest is taken apart in later turns of the loop."""

    def on_upstream_full(self) -> None: ...
    def on_upstream_ready(self) -> None: ...


class Tunnelled(Protocol):
    """Who takes the bytes of a connection after 101."""

    def from_upstream(self, data: bytes) -> None: ...
    def upstream_ended(self) -> None: ...
    def on_upstream_full(self) -> None: ...
    def on_upstream_ready(self) -> None: ...


class Connection(asyncio.Protocol):
    """Lent by an `Origin`. The lender sets `server`; `reused` says that an exchange went over it before."""

    __slots__ = (
        "_body",
        "_ended",
        "_idle_timeout",
        "_limits",
        "_method",
        "_reader",
        "_reading",
        "_receiver",
        "_request_whole",
        "_response",
        "_timer",
        "_tunnel",
        "closed",
        "expires",
        "full",
        "origin",
        "received",
        "reused",
        "server",
        "transport",
    )

    def __init__(self, origin: Origin, server: Server, limits: LimitsPolicy) -> None:
        self.origin = origin
        self.server = server
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.closed = False
        self.reused = False
        self.received = False
        self.full = False
        self.expires = NEVER
        self._limits = limits
        self._idle_timeout = origin.policy.timeouts.idle
        self._reader = HeadReader(limits, request=False)
        self._reading: Reading = cast(Reading, None)
        self._timer = Timer(self._late)
        self._receiver: Receiver | None = None
        self._tunnel: Tunnelled | None = None
        self._response: ResponseHead | None = None
        self._body: BodyReader | None = None
        self._method = b""
        self._request_whole = False
        self._ended = False

    # -- what the lender's customer does

    def send(self, receiver: Receiver, method: bytes, head: bytes, whole: bool, first_byte: float | None) -> None:
        """Begin an exchange with an encoded head (and body, if `whole`). `first_byte`: seconds to the answer, or to
        the next piece of the request.
        """
        self._receiver = receiver
        self._method = method
        self._request_whole = whole
        self.received = False
        self.transport.write(head)
        if first_byte is not None:
            deadlines = self.origin.deadlines
            deadlines.arm(self._timer, deadlines.now + first_byte)

    def write(self, data: bytes) -> None:
        """A piece of the request's body, already framed."""
        if not self.closed:
            if self._response is None and not self.full:
                self._timer.at = NEVER
            elif not (self.full or self._reading.paused):
                self._watch()  # an early answer may rest while the request goes on
            self.transport.write(data)

    def end_request(self, first_byte: float | None) -> None:
        """The request is whole. `first_byte` counts from here."""
        self._request_whole = True
        if self._response is None and first_byte is not None:
            deadlines = self.origin.deadlines
            deadlines.arm(self._timer, deadlines.now + first_byte)

    def pause(self) -> None:
        """Take no more bytes from the origin until `resume`."""
        if not self.closed and not self._reading.paused:
            self._reading.pause()
            self._timer.at = NEVER

    def resume(self) -> None:
        if not self.closed and self._reading.paused:
            self._reading.resume()
            self._watch()

    def abandon(self) -> None:
        """The customer wants nothing more of this exchange: what is under way cannot be reused."""
        self._receiver = None
        self._tunnel = None
        self.close()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._timer.at = NEVER
            self.transport.abort()
            self.origin.lost(self)

    def finish(self) -> None:
        """Send what is still to be sent, then close."""
        if not self.closed:
            self.closed = True
            self._tunnel = None
            self.transport.close()
            deadlines = self.origin.deadlines
            deadlines.arm(self._timer, deadlines.now + (self._idle_timeout or _FLUSH))
            self.origin.lost(self)

    def tunnel(self, tunnelled: Tunnelled) -> None:
        """After 101: hand on bytes as they come. The connection will not be reused."""
        self._receiver = None
        self._tunnel = tunnelled
        self._timer.at = NEVER

    @property
    def was_stale(self) -> bool:
        """It had been used before and ended without a byte of an answer: its origin closed it before it saw the
        request, which may be sent again where the method allows (RFC 9110 section 9.2.2).
        """
        return self.reused and not self.received

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_WRITE_HIGH)
        self._reading = Reading(self.transport)
        self.origin.pool.add(self)

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            if self._tunnel is not None:
                self._tunnel.from_upstream(data)
            else:
                self.close()  # nobody asked for these bytes
            return
        self.received = True
        try:
            if self._response is None:
                self._read_head(receiver, data)
            else:
                self._read_body(receiver, data)
        except ExchangeError as error:
            self._fail(error.fault, error.detail)

    def _catch_up(self) -> None:
        """Go on with what came earlier and was too much for one turn."""
        if self._body is not None:
            self.data_received(b"")

    def eof_received(self) -> None:
        """The origin ended its side. Over TLS that is its close_notify: a bare FIN never comes here."""
        self._ended = True
        if self._tunnel is not None:
            self._tunnel.upstream_ended()
        elif self._receiver is None:
            self.close()  # now, so that nobody is lent it before the transport says that it is gone

    def connection_lost(self, exc: Exception | None) -> None:
        was_closed, self.closed = self.closed, True
        self._timer.drop()
        if not was_closed:
            self.origin.lost(self)
        if self._tunnel is not None:
            self._tunnel.upstream_ended()
            self._tunnel = None
        elif self._receiver is not None:
            self._lost(exc)

    def pause_writing(self) -> None:
        self.full = True
        self._tell(full=True)
        if self._receiver is not None and self._idle_timeout is not None and not self._request_whole:
            deadlines = self.origin.deadlines
            deadlines.arm(self._timer, deadlines.now + self._idle_timeout)

    def resume_writing(self) -> None:
        self.full = False
        if not self._request_whole:
            self._timer.at = NEVER
            if self._body is not None:
                self._watch()
        self._tell(full=False)

    def _tell(self, full: bool) -> None:
        side = self._receiver or self._tunnel
        if side is None:
            return
        if full:
            side.on_upstream_full()
        else:
            side.on_upstream_ready()

    # -- the response

    def _read_head(self, receiver: Receiver, data: bytes) -> None:
        while True:
            raw, data = self._reader.feed(data)
            if raw is None:
                return
            head = _parse(raw, self._method, self._limits)
            if head.status < 200 and head.status != 101:
                if not self._request_whole:
                    self._timer.at = NEVER
                receiver.on_interim(head)
                if self._receiver is not receiver:
                    return  # it gave up
                if data:
                    continue
                return
            break
        self._response = head
        if self.server.failures:
            self.origin.pool.answered(self.server)
        framing = head.framing
        if 0 <= framing <= len(data):
            extra = len(data) > framing
            if head.status == 101:
                receiver.on_response(head, data, True)
                return
            self._finish(head, extra)
            receiver.on_response(head, data[:framing] if extra else data, True)
            return
        body = self._body = body_reader(framing, self._limits, request=False)
        pieces, rest = body.feed(data) if data else ([], b"")
        payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if body.done and not body.trailers:
            self._finish(head, bool(rest))
            receiver.on_response(head, payload, True)
            return
        self._watch()
        receiver.on_response(head, payload, False)
        self._go_on(receiver, head, body, bool(rest))

    def _read_body(self, receiver: Receiver, data: bytes) -> None:
        body, head = self._body, self._response
        assert body is not None  # noqa: S101 - narrows for mypy
        assert head is not None  # noqa: S101 - set together with the body
        pieces, rest = body.feed(data)
        if not self._reading.paused:
            self._watch()
        if pieces:
            receiver.on_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        self._go_on(receiver, head, body, bool(rest))

    def _go_on(self, receiver: Receiver, head: ResponseHead, body: BodyReader, extra: bool) -> None:
        """A part of the body was handed on: it was the last one, or more is to come."""
        if self._receiver is not receiver:
            return  # it gave up
        if body.done:
            self._finish(head, extra)
            receiver.on_complete(body.trailers)
        elif body.behind:
            self._reading.fall_behind(self._catch_up)
            receiver.on_backlog()

    def _watch(self) -> None:
        """The origin is to go on within the idle timeout."""
        if self._idle_timeout is not None and self._receiver is not None:
            deadlines = self.origin.deadlines
            deadlines.arm(self._timer, deadlines.now + self._idle_timeout)

    def _finish(self, head: ResponseHead, extra: bool) -> None:
        """The response is whole. The connection is free again before the receiver hears of it, so that the next
        exchange of the same client finds it. It ends where more came than the response (RFC 9112 section 6.3) or
        where the rest of the request would go nowhere (section 9.3).
        """
        self._timer.at = NEVER
        self._receiver = None
        self._response = None
        self._body = None
        if extra or not head.keep_alive or not self._request_whole:
            self.close()
        elif not self.closed:
            if self._reading.paused:
                self._reading.resume()
            self.reused = True
            self.origin.give_back(self)

    # -- failures

    def _lost(self, exc: Exception | None) -> None:
        """The connection went away in the middle of an exchange."""
        body, response = self._body, self._response
        receiver = self._receiver
        assert receiver is not None  # noqa: S101 - narrows for mypy
        whole = self._ended and exc is None  # FIN or close_notify, no reset and no TLS error: RFC 9112 section 9.8
        if whole and body is not None and response is not None and response.framing == UNTIL_CLOSE:
            self._receiver = None
            receiver.on_complete([])
            return
        if response is not None:
            fault, detail = errors.TRUNCATED, "the upstream closed in mid-response"
        elif isinstance(exc, ssl.SSLError):
            fault, detail = errors.UPSTREAM_TLS, str(exc)
        elif self._reader.started:
            fault, detail = errors.MALFORMED, "the upstream closed in mid-head"
        else:
            fault, detail = errors.RESET, "the upstream closed without an answer"
        self._fail(fault, detail)

    def _fail(self, fault: Fault, detail: str) -> None:
        receiver, self._receiver = self._receiver, None
        if self._response is None and not (fault is errors.RESET and self.reused):
            self.origin.pool.failed(self.server, self.origin.deadlines.now)
        self.close()
        if receiver is not None:
            receiver.on_failure(fault, detail)

    def _late(self) -> None:
        if self.closed:
            self.transport.abort()
        elif self._response is None and (self._request_whole or not self.full):
            self._fail(errors.FIRST_BYTE_TIMEOUT, "no answer in time")
        else:
            self._fail(errors.IDLE_TIMEOUT, "the upstream stopped in the middle")


def _parse(raw: bytes, method: bytes, limits: LimitsPolicy) -> ResponseHead:
    """As `parse_response`, remembering heads: within a second many answers of a route, and mostly both of a pair,
    have the same one. A head is never changed after it was parsed.
    """
    if method == b"HEAD":
        return parse_response(raw, method, limits)
    head = _heads.get(raw)
    if head is None:
        head = parse_response(raw, method, limits)
        if len(raw) <= _HEAD_KEPT:
            if len(_heads) >= _HEADS_KEPT:
                _heads.clear()
            _heads[raw] = head
    return head


__all__ = ["CHUNKED", "Connection", "Receiver", "Trailers", "Tunnelled"]
