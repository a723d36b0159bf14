"""One connection to an origin: what it hands on, when it may be used again, and how each way to break is named."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from shadowproxy.http1 import ResponseHead
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.model.policy import LimitsPolicy, UpstreamTimeouts
from shadowproxy.upstream.connection import Connection
from shadowproxy.upstream.deadlines import TICK, Deadlines
from shadowproxy.upstream.origin import Origin
from tests.fakes.loop import FakeLoop
from tests.fakes.stage import upstream
from tests.fakes.transport import FakeTransport

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=1\r\nllo\r\n0\r\n\r\n"
TRAILERS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\n\r\nhello"


class Taker:
    """Remembers everything; `then` is done at the next event of that name."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.interim: list[int] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.fault: Fault | None = None
        self.then: dict[str, Any] = {}

    def _did(self, event: str) -> None:
        assert not (self.complete or self.fault) or event in ("complete", "failure"), event
        self.events.append(event)
        self.then.pop(event, lambda: None)()

    def on_interim(self, head: ResponseHead) -> None:
        self.interim.append(head.status)
        self._did("interim")

    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None:
        self.head, self.body = head, data
        self._did("response")
        self.complete = complete

    def on_data(self, data: bytes) -> None:
        self.body += data
        self._did("data")

    def on_complete(self, trailers: list[tuple[bytes, bytes]]) -> None:
        assert not self.complete
        self.complete, self.trailers = True, trailers
        self._did("complete")

    def on_backlog(self) -> None:
        self._did("backlog")

    def on_failure(self, fault: Fault, detail: str) -> None:
        assert not self.complete
        assert self.fault is None
        self.fault = fault
        self._did("failure")

    def on_upstream_full(self) -> None:
        self.events.append("full")

    def on_upstream_ready(self) -> None:
        self.events.append("ready")


class Line:
    """A connection to one server, with an exchange begun on it."""

    def __init__(self, method: bytes = b"GET", whole: bool = True, **timeouts: Any) -> None:
        self.loop = FakeLoop()
        self.deadlines = Deadlines(self.loop.time())
        settings = UpstreamTimeouts(**timeouts)
        self.origin = Origin(upstream(1, timeouts=settings), LimitsPolicy(), self.deadlines, {})
        self.connection = Connection(self.origin, self.origin.pool.servers[0], self.origin.limits)
        self.transport = FakeTransport(self.loop, self.connection)
        with self.loop.running():
            self.connection.connection_made(self.transport)
        self.taker = self.send(method, whole)

    def send(self, method: bytes = b"GET", whole: bool = True) -> Taker:
        taker = Taker()
        first_byte = self.origin.policy.timeouts.first_byte if whole else None
        self.connection.send(taker, method, method + b" / HTTP/1.1\r\n\r\n", whole, first_byte)
        return taker

    def wait(self, seconds: float) -> None:
        end = self.deadlines.now + seconds
        while self.deadlines.now < end - 1e-9:
            with self.loop.running():
                self.deadlines.advance(self.deadlines.now + TICK)
            self.loop.run()

    @property
    def is_spare(self) -> bool:
        return self.origin.pool.servers[0].idle == [self.connection]

    @property
    def is_gone(self) -> bool:
        return self.connection.closed and self.transport.closing and self.origin.pool.open == 0


def test_a_server_without_an_answer_is_counted_until_there_is_one() -> None:
    line = Line(first_byte=1.0)
    server = line.connection.server
    server.failures = 2
    line.wait(1.1)
    assert (line.taker.fault, server.failures) == (errors.FIRST_BYTE_TIMEOUT, 3)
    line = Line()
    line.connection.server.failures = 2
    line.transport.feed(LENGTH)
    assert line.connection.server.failures == 0


def test_a_connection_that_went_stale_is_not_the_servers_fault() -> None:
    line = Line()
    line.transport.feed(LENGTH)
    again = line.send()
    line.transport.lose()
    assert (again.fault, line.connection.server.failures) == (errors.RESET, 0)


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS, TRAILERS])
def test_a_whole_answer_is_handed_on_for_any_split_and_the_connection_is_spare(answer: bytes) -> None:
    for cut in range(len(answer) + 1):
        for more in range(cut, len(answer) + 1, 7):
            line = Line()
            for piece in (answer[:cut], answer[cut:more], answer[more:]):
                if piece:
                    line.transport.feed(piece)
            assert (line.taker.body, line.taker.complete, line.taker.fault) == (b"hello", True, None)
            assert line.taker.trailers == ([(b"X-Sum", b"1")] if answer is TRAILERS else [])
            assert line.is_spare
            assert line.connection.reused


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"),
        (b"GET", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_answers_without_a_body_are_whole_with_their_head(method: bytes, answer: bytes) -> None:
    line = Line(method)
    line.transport.feed(answer)
    assert (line.taker.body, line.taker.complete) == (b"", True)
    assert line.is_spare


@pytest.mark.parametrize("answer", [LENGTH, CHUNKS, TRAILERS, b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_bytes_after_an_answer_end_the_connection_and_belong_to_nobody(answer: bytes) -> None:
    line = Line()
    line.transport.feed(answer + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert line.taker.complete
    assert line.taker.events.count("response") == 1
    assert line.is_gone


def test_bytes_on_a_spare_connection_end_it() -> None:
    line = Line()
    line.transport.feed(LENGTH)
    line.transport.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert line.is_gone
    assert line.origin.pool.servers[0].idle == []


def test_a_spare_connection_that_the_origin_ends_is_lent_to_nobody() -> None:
    line = Line()
    line.transport.feed(LENGTH)
    with line.loop.running():
        line.connection.eof_received()
    assert line.origin.pool.servers[0].idle == []
    assert line.is_gone


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_an_answer_that_says_close_is_the_last(answer: bytes) -> None:
    line = Line()
    line.transport.feed(answer)
    assert line.taker.complete
    assert line.is_gone


def test_an_answer_before_the_request_is_whole_ends_the_connection() -> None:
    line = Line(b"POST", whole=False)
    line.transport.feed(LENGTH)
    assert line.taker.complete
    assert line.is_gone
    line.connection.write(b"more")
    line.connection.end_request(1.0)
    assert line.transport.take().endswith(b"\r\n\r\n")


def test_an_answer_that_ends_with_the_connection_is_whole_after_fin_alone() -> None:
    line = Line()
    line.transport.feed(CLOSED)
    line.transport.feed_eof()
    assert (line.taker.body, line.taker.complete, line.taker.fault) == (b"hello", True, None)
    line = Line()
    line.transport.feed(CLOSED)
    line.transport.lose(ConnectionResetError())
    assert line.taker.fault is errors.TRUNCATED
    line = Line()
    line.transport.feed(CLOSED)
    line.transport.lose(None)  # over TLS: FIN without close_notify
    assert line.taker.fault is errors.TRUNCATED


@pytest.mark.parametrize("first", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_interim_answers_come_before_the_final_one_in_one_piece_or_several(first: bytes) -> None:
    line = Line()
    line.transport.feed(first + first + LENGTH)
    assert line.taker.events == ["interim", "interim", "response"]
    line = Line()
    line.transport.feed(first)
    line.transport.feed(LENGTH)
    assert line.taker.complete


def test_whoever_gives_up_at_an_interim_answer_hears_no_more() -> None:
    line = Line()
    line.taker.then["interim"] = line.connection.abandon
    line.transport.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + LENGTH)
    assert line.taker.events == ["interim"]
    assert line.is_gone


@pytest.mark.parametrize("moment", ["response", "data"])
@pytest.mark.parametrize("answer", [CHUNKS, TRAILERS])
def test_whoever_gives_up_in_the_middle_takes_no_connection_from_others(moment: str, answer: bytes) -> None:
    line = Line()
    line.taker.then[moment] = line.connection.abandon
    cut = answer.index(b"\r\n\r\n") + (4 if moment == "data" else 15)
    line.transport.feed(answer[:cut])
    if not line.transport.closing:
        line.transport.feed(answer[cut:])
    assert not line.taker.complete
    assert line.is_gone
    assert line.origin.pool.servers[0].idle == []


def test_a_pause_at_the_last_piece_does_not_outlive_the_exchange() -> None:
    line = Line()
    line.taker.then["data"] = line.connection.pause
    line.transport.feed(LENGTH[:-2])
    line.transport.feed(LENGTH[-2:])
    assert line.taker.complete
    assert line.is_spare
    assert line.transport.reading


@pytest.mark.parametrize(
    ("sent", "error", "fault"),
    [
        (b"", None, errors.RESET),
        (b"", ConnectionResetError(), errors.RESET),
        (b"", ssl.SSLError("bad record"), errors.UPSTREAM_TLS),
        (b"HTTP/1.1 2", None, errors.MALFORMED),
        (LENGTH[:-1], None, errors.TRUNCATED),
        (CHUNKS[:-4], None, errors.TRUNCATED),
        (CHUNKS[:-4], ConnectionResetError(), errors.TRUNCATED),
    ],
)
def test_each_way_to_break_has_its_fault(sent: bytes, error: Exception | None, fault: Fault) -> None:
    line = Line()
    if sent:
        line.transport.feed(sent)
    line.transport.lose(error)
    assert line.taker.fault is fault
    assert not line.taker.complete
    assert line.origin.pool.open == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_is_no_http_ends_the_exchange_and_the_connection(answer: bytes) -> None:
    line = Line()
    line.transport.feed(answer)
    assert line.taker.fault is errors.MALFORMED
    assert line.is_gone


def test_the_first_byte_is_due_once_the_request_is_whole() -> None:
    line = Line(b"POST", whole=False, first_byte=2.0)
    line.wait(5.0)
    line.connection.write(b"body")
    line.connection.end_request(2.0)
    line.wait(1.9)
    assert line.taker.fault is None
    line.wait(0.3)
    assert line.taker.fault is errors.FIRST_BYTE_TIMEOUT
    assert line.is_gone


def test_a_piece_of_the_request_takes_back_what_was_due_before_it() -> None:
    line = Line(b"POST", whole=False, first_byte=2.0)
    taker = Taker()
    line.connection.send(taker, b"POST", b"", False, 2.0)
    line.wait(1.0)
    line.connection.write(b"piece")
    line.wait(5.0)
    assert taker.fault is None


def test_an_interim_answer_is_not_the_first_byte_of_a_whole_request() -> None:
    line = Line(first_byte=2.0)
    line.transport.feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    line.wait(2.2)
    assert line.taker.fault is errors.FIRST_BYTE_TIMEOUT


def test_a_body_that_stops_is_ended_and_one_that_goes_on_is_not() -> None:
    line = Line(idle=2.0, first_byte=1.0)
    line.transport.feed(LENGTH[:-4])
    for _ in range(3):
        line.wait(1.5)
        line.transport.feed(b"x")
    line.wait(2.2)
    assert line.taker.fault is errors.IDLE_TIMEOUT


def test_a_pause_of_the_client_is_no_idleness_of_the_origin() -> None:
    line = Line(idle=2.0)
    line.transport.feed(LENGTH[:-1])
    line.connection.pause()
    line.connection.pause()
    assert not line.transport.reading
    line.wait(10.0)
    line.connection.resume()
    line.connection.resume()
    line.wait(1.5)
    assert line.taker.fault is None
    line.wait(1.0)
    assert line.taker.fault is errors.IDLE_TIMEOUT
    line.connection.pause()
    line.connection.resume()


def test_an_origin_that_takes_no_more_of_a_request_is_told_and_timed() -> None:
    line = Line(b"POST", whole=False, idle=2.0)
    line.transport.block()
    assert line.connection.full
    line.wait(1.0)
    line.transport.unblock()
    assert line.taker.events == ["full", "ready"]
    line.wait(5.0)
    assert line.taker.fault is None
    line.transport.block()
    line.wait(2.2)
    assert line.taker.fault is errors.IDLE_TIMEOUT


def test_an_answer_that_began_is_watched_again_after_the_request_went_on() -> None:
    line = Line(b"POST", whole=False, idle=2.0)
    line.transport.feed(LENGTH[:-1])
    line.transport.block()
    line.transport.unblock()
    line.wait(2.2)
    assert line.taker.fault is errors.IDLE_TIMEOUT


def test_an_early_answer_may_rest_while_the_request_goes_on() -> None:
    line = Line(b"POST", whole=False, idle=2.0)
    line.transport.feed(LENGTH[:-1])
    for _ in range(3):
        line.wait(1.5)
        line.connection.write(b"x")
    assert line.taker.fault is None
    line.wait(2.2)
    assert line.taker.fault is errors.IDLE_TIMEOUT


TINY = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1200 + b"0\r\n\r\n"


@pytest.mark.parametrize("cut", [len(TINY), 47])
def test_a_body_in_tiny_chunks_gives_others_their_turn_in_between(cut: int) -> None:
    line = Line()
    seen: list[tuple[int, bool]] = []
    line.taker.then["backlog"] = lambda: seen.append((len(line.taker.body), line.transport.reading))
    for piece in filter(None, (TINY[:cut], TINY[cut:])):
        line.transport.feed(piece)
    assert seen == [(512, False)]
    assert (line.taker.body, line.taker.complete) == (b"x" * 1200, True)
    assert line.taker.events.count("backlog") == 2
    assert line.transport.reading
    assert line.is_spare


def test_a_backlog_waits_while_the_client_takes_no_more() -> None:
    line = Line()
    line.taker.then["backlog"] = line.connection.pause
    line.transport.feed(TINY)
    assert len(line.taker.body) == 512
    assert not line.transport.reading
    with line.loop.running():
        line.connection.resume()
    line.loop.run()
    assert line.taker.complete


def test_a_backlog_of_an_exchange_given_up_is_forgotten() -> None:
    line = Line()
    line.taker.then["backlog"] = line.connection.abandon
    line.transport.feed(TINY)
    assert len(line.taker.body) == 512
    assert not line.taker.complete


def test_a_fault_in_a_backlog_is_a_fault() -> None:
    line = Line()
    line.transport.feed(TINY[:-5] + b"zz\r\n")
    assert line.taker.fault is errors.MALFORMED


def test_without_timeouts_nothing_ends_by_itself() -> None:
    line = Line(idle=None, first_byte=None)
    line.wait(100.0)
    line.transport.feed(LENGTH[:-1])
    line.transport.block()
    line.wait(100.0)
    assert line.taker.fault is None


def test_a_spare_connection_that_fills_up_tells_nobody() -> None:
    line = Line()
    line.transport.feed(LENGTH)
    line.transport.block()
    line.transport.unblock()
    assert line.taker.events == ["response"]


class End:
    def __init__(self) -> None:
        self.events: list[object] = []

    def from_upstream(self, data: bytes) -> None:
        self.events.append(data)

    def upstream_ended(self) -> None:
        self.events.append("ended")

    def on_upstream_full(self) -> None:
        self.events.append("full")

    def on_upstream_ready(self) -> None:
        self.events.append("ready")


def tunnelled() -> tuple[Line, End]:
    line, end = Line(), End()
    line.transport.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nfirst")
    assert (line.taker.body, line.taker.complete) == (b"first", True)
    line.connection.tunnel(end)
    return line, end


def test_after_101_bytes_are_handed_on_as_they_come() -> None:
    line, end = tunnelled()
    line.transport.feed(b"\x00\r\n\r\n")
    line.transport.block()
    line.transport.unblock()
    line.transport.feed_eof()
    assert end.events[:4] == [b"\x00\r\n\r\n", "full", "ready", "ended"]
    assert not line.is_spare
    assert line.origin.pool.open == 0


def test_a_finished_tunnel_is_flushed_but_not_for_ever() -> None:
    line, end = tunnelled()
    line.connection.finish()
    line.connection.finish()
    assert line.transport.closing
    assert not line.transport.aborted
    line.deadlines.advance(line.deadlines.now + 61.0)  # and the transport has still not got rid of everything
    assert line.transport.aborted
    assert end.events == []
    assert line.origin.pool.open == 0


def test_a_tunnel_that_breaks_tells_its_end_once() -> None:
    line, end = tunnelled()
    line.transport.lose(ConnectionResetError())
    assert end.events == ["ended"]


def test_an_abandoned_connection_is_counted_once() -> None:
    line = Line()
    line.connection.abandon()
    line.connection.abandon()
    line.loop.run()
    assert line.is_gone
    assert line.taker.events == []


def test_heads_seen_before_are_not_mixed_up_with_those_of_head_requests() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Same: 1\r\n\r\n"
    for _ in range(2):
        line = Line(b"GET")
        line.transport.feed(answer + b"hello")
        assert line.taker.body == b"hello"
        line = Line(b"HEAD")
        line.transport.feed(answer)
        assert line.taker.complete
    for i in range(1100):
        line = Line()
        line.transport.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Id: %d\r\n\r\n" % i)
        assert line.taker.complete
