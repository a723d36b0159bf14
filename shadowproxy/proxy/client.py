"""One client connection: cuts requests out of its bytes, serves them one after another, ends it cleanly.

    IDLE ──► HEAD ──► BODY ──► SERVING ──► IDLE …          TUNNEL after 101
               └────────┴─────────┴──► LINGER: the last answer is out, what still comes is thrown away

Requests that come early (pipelining) wait as bytes, bounded, and are answered in their order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Final, cast

from shadowproxy.http1 import (
    NO_BODY,
    BodyReader,
    HeadReader,
    RequestHead,
    body_reader,
    parse_request,
    plain_response,
)
from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from shadowproxy.proxy.exchange import Exchange
from shadowproxy.proxy.forwarded import Peer
from shadowproxy.proxy.pace import UploadPace, WriteWatch
from shadowproxy.upstream.deadlines import NEVER, Timer
from shadowproxy.upstream.reading import Reading

if TYPE_CHECKING:
    from shadowproxy.proxy.site import Site
    from shadowproxy.proxy.snapshot import Snapshot
    from shadowproxy.proxy.tunnel import Tunnel

IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
SERVING: Final = 3
TUNNEL: Final = 4
LINGER: Final = 5
CLOSED: Final = 6

_WRITE_HIGH: Final = 64 * 1024
"""Bytes for a client that does not take them before the upstream is not read any more. What one read brought comes on
top, so that a thousand stuck clients cost about 300 MiB; where clients do take them a higher mark gains nothing.
"""
_PENDING_MAX: Final = 64 * 1024
"""Bytes of requests to come that are held before reading pauses."""
_LINGER: Final = 2.0
"""Seconds in which a client may read the last answer while it still sends (RFC 9112 section 9.6)."""
_LINGER_BYTES: Final = 64 * 1024 * 1024
"""What is thrown away meanwhile: clients that read only after their whole upload shall see why it was refused."""
_HALF_CLOSED: Final = 1.0
"""Seconds without progress after which a client that ended its side counts as gone."""
_EMPTY_LINE: Final = b"\r\n\r\n"


class ClientConnection(asyncio.Protocol):
    """`ended` says that the client sent its FIN; `full` that it takes no more bytes for now. `number` counts the
    connections of a worker.
    """

    __slots__ = (
        "_body",
        "_discarded",
        "_exchange",
        "_last_head",
        "_pace",
        "_pending",
        "_progress",
        "_reader",
        "_reading",
        "_secure",
        "_snapshot",
        "_state",
        "_timer",
        "_transport",
        "_tunnel",
        "_watch",
        "ended",
        "full",
        "number",
        "peer",
        "site",
    )

    def __init__(self, site: Site, secure: bool = False, peer: str | None = None) -> None:
        """`peer` is the address that the PROXY protocol gave; None: ask the socket."""
        self.site = site
        self.ended = False
        self.full = False
        self.number = 0
        self.peer = Peer(peer or "", secure, False)
        self._secure = secure
        self._snapshot: Snapshot | None = None
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._reader = HeadReader(site.snapshot.limits, request=True)
        self._state = IDLE
        self._timer = Timer(self._late)
        self._watch: WriteWatch | None = None
        self._exchange: Exchange | None = None
        self._body: BodyReader | None = None
        self._tunnel: Tunnel | None = None
        self._pending = b""
        self._last_head: RequestHead | None = None
        self._reading: Reading = cast(Reading, None)
        self._pace = UploadPace()
        self._progress = False
        self._discarded = 0

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._reading = Reading(self._transport)
        if not self.site.opened(self):
            self.reject(errors.CONNECTIONS)
            return
        self._transport.set_write_buffer_limits(high=_WRITE_HIGH)
        if not self.peer.address:
            name = transport.get_extra_info("peername")
            self.peer = Peer(name[0] if isinstance(name, tuple) else "", self._secure, False)
        self._arm(self.site.snapshot.timeouts.head)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state <= HEAD:
            self._read_head(data)
        elif state == BODY:
            self._read_body(data)
        elif state == TUNNEL and self._tunnel is not None:
            self._tunnel.from_client(data)
        elif state == SERVING:
            self._keep_for_later(self._pending + data if self._pending else data)
        elif state == LINGER:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.close()

    def eof_received(self) -> bool:
        self.ended = True
        if self._tunnel is not None:
            self._tunnel.client_ended()
            return False
        if self._state == SERVING:
            self._await_the_last()
            return not self._secure
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._state = CLOSED
        self._timer.drop()
        if self._watch is not None:
            self._watch.drop()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()
        if self._tunnel is not None:
            self._tunnel.client_ended()
            self._tunnel = None
        self.site.closed(self)

    def pause_writing(self) -> None:
        self.full = True
        self._watch_writing()
        if self._exchange is not None:
            self._exchange.on_client_full()
        elif self._tunnel is not None:
            self._tunnel.on_client_full()

    def resume_writing(self) -> None:
        self.full = False
        if self._watch is not None and self._state != CLOSED:
            self._watch.stop()
        if self._exchange is not None:
            self._exchange.on_client_ready()
        elif self._tunnel is not None:
            self._tunnel.on_client_ready()
        else:
            self._go_on()

    # -- requests

    def _read_head(self, data: bytes) -> None:
        reader = self._reader
        try:
            raw, rest = reader.feed(data)
            if raw is None:
                if self._state == IDLE and reader.started:
                    self._state = HEAD
                    self._arm(self.site.snapshot.timeouts.head)
                return
            snapshot = self.site.snapshot
            head = self._last_head = parse_request(raw, snapshot.limits, self._last_head)
        except ExchangeError as error:
            self.reject(error.fault, error.detail)
            return
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self.peer = Peer(self.peer.address, self._secure, snapshot.trusts(self.peer.address))
        self._timer.at = NEVER
        exchange = self._exchange = Exchange(self, head)
        if head.framing == NO_BODY:
            self._state = SERVING
            self._keep_for_later(rest)
            exchange.begin()
            return
        self._state = BODY
        self._body = body_reader(head.framing, snapshot.limits, request=True)
        self._pace = UploadPace()
        self._arm(snapshot.timeouts.body_grace)
        exchange.begin()
        if rest and self._state == BODY:
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        body, exchange = self._body, self._exchange
        if body is None or exchange is None:
            return
        pace = self._pace
        try:
            pieces, rest = body.feed(data)
            if pieces:
                payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                pace.add(len(payload))
                limit = self.site.snapshot.limits.body
                if limit is not None and pace.total > limit:
                    raise ExchangeError(errors.BODY_TOO_LARGE, f"more than {limit} bytes")
                exchange.on_body(payload)
        except ExchangeError as error:
            self.reject(error.fault, error.detail)
            return
        if body.done and self._state == BODY:
            self._state = SERVING
            self._timer.at = NEVER
            self._body = None
            self._keep_for_later(rest)
            exchange.on_body_end(body.trailers)
        elif body.behind:
            self._reading.fall_behind(self._catch_up)

    def _catch_up(self) -> None:
        """Go on with a body's chunks that were too many for one turn."""
        if self._state == BODY:
            self._read_body(b"")

    def _keep_for_later(self, pending: bytes) -> None:
        """Pipelined bytes wait; reading pauses while they are too many, or hold too many requests."""
        self._pending = pending
        if pending and (
            len(pending) > _PENDING_MAX or pending.count(_EMPTY_LINE) >= self.site.snapshot.limits.pipelined
        ):
            self.pause()
        else:
            self.resume()

    @property
    def may_go_on(self) -> bool:
        """Can there be another request? Not when the client ended its side and nothing of it is left."""
        return not self.ended or bool(self._pending)

    def exchange_done(self, keep: bool) -> None:
        """The answer is out. Go on with the next request, or end."""
        self._exchange = None
        if not keep:
            self._linger()
            return
        if self.full:
            return  # no further answers for a client that does not take them: `resume_writing` goes on
        if self._pending:
            # Not from here: a long pipeline would grow the stack by a few frames per request. Until then the state
            # stays SERVING, so that what arrives meanwhile queues up behind.
            asyncio.get_running_loop().call_soon(self._go_on)
            return
        self._next_request()

    def _go_on(self) -> None:
        """The next request, once the answer before it was taken."""
        if self._state == SERVING and self._exchange is None and not self.full:
            self._next_request()

    def _next_request(self) -> None:
        self._state = IDLE
        self._arm(self.site.snapshot.timeouts.idle)
        pending, self._pending = self._pending, b""
        self.resume()
        if pending:
            self._read_head(pending)
        if not self.ended:
            return
        if self._state <= BODY:
            self.close()  # what is there will never be a whole request
        elif self._state == SERVING:
            self._await_the_last()

    # -- answers

    def write(self, data: bytes) -> None:
        self._progress = True
        if self.full and self._watch is not None:
            self._watch.add(len(data))
        self._transport.write(data)

    def reject(self, fault: Fault, detail: str = "") -> None:
        """Refuse what the client sent: one plain answer, then the end. Nothing of it is forwarded any further."""
        site = self.site
        site.counters[at.REJECT_INDEX[fault.reason]] += 1
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            request_id = site.new_id()
            site.log_refusal(fault, detail, request_id, self.peer.address)
            self.answer(fault, request_id)
            return
        exchange.refused(fault, detail)
        if exchange.begun:
            self.cut_off(reset=exchange.ends_with_close)
        else:
            self.answer(fault, exchange.request_id, exchange.head.method)

    def answer(self, fault: Fault, request_id: bytes, method: bytes = b"") -> None:
        """Say what went wrong, and close."""
        self._exchange = None
        if fault.status:
            self.write(plain_response(fault, request_id.decode("latin-1"), self.site.date, method))
        self._linger()

    def cut_off(self, reset: bool) -> None:
        """End in mid-response. Where only the close tells the end of a body, a reset says that it is not whole."""
        self._exchange = None
        if reset:
            self.abort()
        else:
            self.close()

    def close(self) -> None:
        """Send what is still to be sent, then close."""
        self._state = CLOSED
        self._timer.at = NEVER
        if self._transport.get_write_buffer_size():
            self._watch_writing()
        self._transport.close()

    def abort(self) -> None:
        """End at once, whatever is under way. With a reset: a mere close could pass for the end of a body."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _linger(self) -> None:
        """Closing with unread bytes would reset the connection and could take the answer with it."""
        if self.ended or self._transport.is_closing() or not self._transport.can_write_eof():
            self.close()
            return
        self._state = LINGER
        self._body = None
        self._discarded = 0
        self._transport.write_eof()
        self.resume()
        self._arm(_LINGER)

    # -- back-pressure and time

    def pause(self) -> None:
        if self._state != CLOSED:
            self._pace.excused = True
            self._reading.pause()

    def resume(self) -> None:
        if self._reading.paused and self._state != CLOSED:
            self._reading.resume()

    def enter_tunnel(self, tunnel: Tunnel) -> None:
        self._exchange = None
        self._tunnel = tunnel
        self._state = TUNNEL
        pending, self._pending = self._pending, b""
        self.resume()
        if pending:
            tunnel.from_client(pending)

    def drain(self) -> None:
        """The worker is ending: a connection on which nothing is under way is closed."""
        if self._state == IDLE and not self._pending:
            self.close()

    def _arm(self, seconds: float) -> None:
        deadlines = self.site.deadlines
        deadlines.arm(self._timer, deadlines.now + seconds)

    def _late(self) -> None:
        """What the client should have done by now."""
        state = self._state
        if state == HEAD:
            self.reject(errors.HEAD_TIMEOUT)
        elif state == BODY:
            self._check_rate()
        elif state == SERVING:
            self._check_gone()
        elif state in (IDLE, LINGER):
            self.close()

    def _check_rate(self) -> None:
        """An upload that trickles is ended, unless it was the upstream that made it wait."""
        timeouts, exchange = self.site.snapshot.timeouts, self._exchange
        if exchange is not None and exchange.upload is not None and exchange.upload.awaits_continue:
            self._pace.excused = True
        if self._pace.next_window(timeouts.body_rate * timeouts.body_grace, self._reading.paused):
            self._arm(timeouts.body_grace)
        else:
            self.reject(errors.BODY_TIMEOUT)

    def _await_the_last(self) -> None:
        """The client ended its side: either it waits for what it asked for or nobody is there."""
        self._progress = False
        self._arm(_HALF_CLOSED)

    def _check_gone(self) -> None:
        if self._progress or self.full:
            self._await_the_last()
        else:
            self.abort()

    def excuse(self) -> None:
        """The client could not know until now that it may send."""
        self._pace.excused = True

    def _watch_writing(self) -> None:
        """Whoever takes nothing of what is waiting for `timeouts.write` seconds is cut off."""
        if self._watch is None:
            self._watch = WriteWatch(self._transport, self.site.deadlines, self.abort)
        self._watch.start(self.site.snapshot.timeouts.write)
