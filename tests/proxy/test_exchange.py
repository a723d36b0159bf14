"""The exchange driver: what the primary is asked, what the client is told, and every way in which either goes away."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shadowproxy.endpoints.learner import MAX_PATH
from shadowproxy.http1 import CHUNKED, body_reader
from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import AccessLogPolicy, EndpointsPolicy, LimitsPolicy, RoutePolicy, UpstreamTimeouts
from shadowproxy.proxy.access_log import AccessLog, Entry
from shadowproxy.proxy.site import MAX_SIGHTED
from tests.fakes.stage import GET, OK, Client, Stage, policy, status, upstream

HEAD_ONLY = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def asked(request: bytes = GET, **primary: Any) -> tuple[Stage, Client]:
    s = Stage(policy(primary=upstream(1, **primary)))
    return s, s.client().send(request)


def codes(s: Stage) -> dict[str, int]:
    row = at.route_row(0)
    names = ("1xx", "2xx", "3xx", "4xx", "5xx", "error")
    return {n: s.counters[at.requests_word(row, 0, i)] for i, n in enumerate(names) if s.counters[row + i]}


def unchunked(answer: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    body = answer.partition(b"\r\n\r\n")[2]
    reader = body_reader(CHUNKED, LimitsPolicy(), request=False)
    pieces, rest = reader.feed(body)
    assert (reader.done, rest) == (True, b"")
    return b"".join(pieces), reader.trailers


# -- answers


def test_an_answer_passes_as_it_came() -> None:
    s, client = asked()
    raw = b"HTTP/1.1 418 Tea\r\nDate: x\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello"
    s.at().feed(raw)
    assert client.take() == raw
    assert codes(s) == {"4xx": 1}


@pytest.mark.parametrize("size", [5, 20_000, 300_000])
def test_an_answer_of_any_size_passes_whole_in_any_pieces(size: int) -> None:
    body = bytes(i % 251 for i in range(size))
    raw = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % size + body
    for step in (len(raw), 7000, max(1, size // 3)):
        s, client = asked()
        for i in range(0, len(raw), step):
            s.at().feed(raw[i : i + step])
        assert client.take() == raw


def test_an_answer_without_date_gets_one() -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert b"Date: " + s.site.date + b"\r\n" in client.take()


def test_the_primarys_close_is_its_own() -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert b"onnection" not in client.take()
    assert not client.gone
    client.send(GET)
    assert len(s.loop.made[1]) == 2


@pytest.mark.parametrize("code", [600, 999])
def test_odd_statuses_pass_and_count_as_server_errors(code: int) -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 %d Odd\r\nContent-Length: 0\r\n\r\n" % code)
    assert status(client.take()) == code
    assert codes(s) == {"5xx": 1}


def test_trailers_pass_to_who_can_read_them() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n"
    )
    for cut in (len(raw), 60, 50):
        s, client = asked()
        s.at().feed(raw[:cut])
        if raw[cut:]:
            s.at().feed(raw[cut:])
        assert unchunked(client.take()) == (b"hello", [(b"X-Sum", b"1")])
        assert not client.gone


def test_a_client_that_fills_up_with_the_last_bytes_stops_nobody_elses_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    write = client.transport.write

    def fills_up(data: bytes | bytearray | memoryview) -> None:
        write(data)
        client.transport.block()

    monkeypatch.setattr(client.transport, "write", fills_up)
    s.at().feed(b"0\r\nX-Sum: 1\r\n\r\n")
    assert s.at().reading
    other = s.client().send(GET)
    s.at().feed(OK)
    assert status(other.take()) == 200
    assert len(s.loop.made[1]) == 1


@pytest.mark.parametrize("moment", ["at once", "later"])
def test_what_ends_with_its_connection_is_chunked_for_the_client(moment: str) -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 200 OK\r\n\r\n" + (b"hello" if moment == "at once" else b""))
    if moment == "later":
        s.at().feed(b"hello")
    s.at().feed_eof()
    assert unchunked(client.take())[0] == b"hello"
    assert not client.gone


def test_a_client_of_http_1_0_gets_what_it_can_read() -> None:
    s, client = asked(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    s.at().feed(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    answer = client.take()
    assert status(answer) == 200
    assert b"Connection: keep-alive\r\n" in answer
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    s.at().feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
    answer = client.take()
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Connection: close\r\n" in answer
    assert b"chunked" not in answer
    assert client.transport.eof_written


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HEAD_ONLY),
        (GET, b"HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 5\r\n\r\n"),
        (GET, b"HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n"),
    ],
)
def test_answers_without_a_body_leave_the_connection_usable(request_bytes: bytes, answer: bytes) -> None:
    s, client = asked(request_bytes)
    s.at().feed(answer)
    assert client.take() == answer
    client.send(GET)
    s.at().feed(OK)
    assert client.take().endswith(b"hello")
    assert len(s.loop.made[1]) == 1


def test_interim_answers_are_relayed_in_order() -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    assert client.take() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    s.at().feed(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
    assert client.take() == b"HTTP/1.1 102 Processing\r\n\r\n" + OK
    assert codes(s) == {"2xx": 1}


def test_a_client_gone_after_an_interim_answer_ends_the_exchange() -> None:
    s, client = asked()
    s.at().feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    client.transport.lose(ConnectionResetError())
    assert s.at().aborted
    assert s.rejected("client_gone") == 1
    assert codes(s) == {}


def test_expect_is_passed_on_and_a_final_answer_ends_it() -> None:
    expecting = UPLOAD[:-2] + b"Expect: 100-continue\r\n\r\n"
    s, client = asked(expecting)
    assert b"Expect: 100-continue\r\n" in s.at().take()
    s.at().feed(b"HTTP/1.1 417 No\r\nDate: x\r\nContent-Length: 0\r\n\r\n")
    assert b"Connection: close\r\n" in client.take()
    assert s.at().aborted
    s, client = asked(expecting)
    s.at().feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.send(b"body")
    s.at().feed(OK)
    assert s.at().take().endswith(b"body")
    assert client.take().count(b"HTTP/1.1 ") == 2
    assert not client.transport.eof_written


def test_who_was_told_close_is_closed_though_its_body_came_whole_meanwhile() -> None:
    s, client = asked(UPLOAD + b"bo")
    s.at().feed(OK[:-2])
    client.send(b"dy")
    s.at().feed(OK[-2:])
    assert b"Connection: close\r\n" in client.take()
    assert client.transport.eof_written


# -- requests


def test_a_chunked_upload_is_relayed_as_it_comes_with_its_trailers() -> None:
    s, client = asked(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
    assert s.at().take().endswith(b"\r\n\r\n4\r\nbody\r\n")
    client.send(b"0\r\nX-Sum: 1\r\nHost: b\r\n\r\n")
    assert s.at().take() == b"0\r\nX-Sum: 1\r\n\r\n"


def test_a_body_that_comes_before_its_connection_waits_bounded() -> None:
    s = Stage()
    s.loop.answers[1] = None
    client = s.client().send(UPLOAD)
    client.send(b"bo")
    assert not client.transport.is_reading()
    s.tick(1.2)
    assert status(client.take()) == 504
    s = Stage()
    client = s.client()
    with s.loop.running():
        client.protocol.data_received(UPLOAD + b"bo")
    assert not client.transport.is_reading()
    s.loop.run()
    assert client.transport.is_reading()
    assert s.at().take().endswith(b"\r\n\r\nbo")


def test_a_primary_that_takes_no_more_pauses_the_client() -> None:
    s, client = asked(UPLOAD + b"b")
    s.at().block()
    assert not client.transport.is_reading()
    s.at().unblock()
    client.send(b"ody")
    s.at().block()
    s.at().unblock()
    assert client.transport.is_reading()


def test_a_client_that_takes_no_more_pauses_the_primary() -> None:
    s, client = asked()
    client.transport.block()
    s.at().feed(OK[:-3])
    assert not s.at().is_reading()
    client.transport.unblock()
    s.at().feed(b"l")
    client.transport.block()
    assert not s.at().is_reading()
    client.transport.unblock()
    s.at().feed(b"lo")
    assert client.take().endswith(b"hello")


def test_a_spare_connection_is_never_left_paused() -> None:
    s, client = asked()
    transport = client.transport
    write = transport.write

    def full(data: Any) -> None:
        write(data)
        transport.block()

    transport.write = full  # type: ignore[method-assign]
    for piece in (OK, OK[:-1], OK[-1:]):
        if piece is not OK[-1:]:
            transport.unblock()
            if piece is not OK:
                client.send(GET)
        s.at().resume_reading()
        s.at().feed(piece)
    assert s.at().is_reading()
    assert s.origin().pool.servers[0].idle


def test_interim_answers_wait_for_a_client_that_takes_no_more() -> None:
    s, client = asked()
    client.transport.block()
    s.at().feed(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    assert not s.at().is_reading()
    client.transport.unblock()
    s.at().feed(OK)
    assert client.take().endswith(b"hello")


def test_max_forwards_is_counted_down_and_answered_at_zero() -> None:
    s, client = asked(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n")
    assert b"Max-Forwards: 2\r\n" in s.at().take()
    for line, keeps in ((b"", True), (b"Connection: close\r\n", False)):
        s, client = asked(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n" + line + b"\r\n")
        answer = client.take()
        assert status(answer) == 204
        assert b"Allow: " in answer
        assert (b"Connection: close" not in answer) is keeps
        assert 1 not in s.loop.made
    s, client = asked(b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nMax-Forwards: 0\r\n\r\n")
    assert b"Connection: keep-alive\r\n" in client.take()
    s, client = asked(b"GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
    assert b"Max-Forwards: 0\r\n" in s.at().take()


# -- failures


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (ConnectionRefusedError("no"), 502, "refused"),
        (None, 504, "connect_timeout"),
    ],
)
def test_a_primary_that_cannot_be_reached_is_told(answer: BaseException | None, code: int, reason: str) -> None:
    s = Stage()
    s.loop.answers[1] = answer
    client = s.client().send(GET)
    s.tick(1.2)
    assert status(client.take()) == code
    assert s.rejected(reason) == 1
    assert codes(s) == {"error": 1}


def test_a_full_pool_is_told_at_once() -> None:
    s, _ = asked(max_connections=1, max_waiting=0)
    client = s.client().send(GET)
    assert status(client.take()) == 503
    assert s.rejected("pool_full") == 1


@pytest.mark.parametrize(
    ("sent", "reason"),
    [(b"", "reset"), (b"HTTP/1.1 2", "malformed"), (b"nonsense\r\n\r\n", "malformed")],
)
def test_a_primary_that_breaks_before_its_answer_is_a_bad_gateway(sent: bytes, reason: str) -> None:
    s, client = asked()
    if sent:
        s.at().feed(sent)
    s.at().lose(None)
    assert status(client.take()) == 502
    assert s.rejected(reason) == 1


def test_a_switch_that_nobody_asked_for_is_a_bad_gateway() -> None:
    upgrade = UPLOAD[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n"
    for request in (GET, upgrade + b"b"):
        s, client = asked(request)
        s.at().feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nsecret")
        answer = client.take()
        assert status(answer) == 502
        assert b"secret" not in answer
        assert s.counters[at.TUNNELS] == 0
        assert s.at().aborted


@pytest.mark.parametrize(
    "answer",
    [OK[:-1], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\n\r\nhello"],
)
def test_an_answer_cut_short_never_looks_whole(answer: bytes) -> None:
    s, client = asked()
    s.at().feed(answer)
    s.at().lose(ConnectionResetError())
    got = client.take()
    assert status(got) == 200
    assert not got.endswith(b"0\r\n\r\n")
    assert client.gone
    assert s.rejected("truncated") == 1
    s, client = asked(b"GET / HTTP/1.0\r\n\r\n")
    s.at().feed(answer)
    s.at().lose(ConnectionResetError())
    assert client.gone
    assert client.transport.aborted is (b"Content-Length" not in answer)


def reused(request: bytes) -> tuple[Stage, Client]:
    s, client = asked()
    s.at().feed(OK)
    client.take()
    client.send(request)
    return s, client


def test_a_stale_connection_is_retried_once_where_the_request_may_be_repeated() -> None:
    s, client = reused(GET)
    s.at().lose(None)
    assert len(s.loop.made[1]) == 2
    s.at().feed(OK)
    assert client.take().endswith(b"hello")
    assert codes(s) == {"2xx": 2}
    s, client = reused(GET)
    s.at().lose(None)
    s.at().lose(None)
    assert status(client.take()) == 502
    assert len(s.loop.made[1]) == 2


@pytest.mark.parametrize(
    "request_bytes", [UPLOAD + b"body", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"]
)
def test_what_may_not_be_repeated_is_not(request_bytes: bytes) -> None:
    s, client = reused(request_bytes)
    s.at().lose(None)
    assert status(client.take()) == 502
    assert len(s.loop.made[1]) == 1


def test_a_fresh_connection_that_breaks_is_not_retried() -> None:
    s, client = asked()
    s.at().lose(None)
    assert status(client.take()) == 502
    assert len(s.loop.made[1]) == 1


def test_a_primary_that_is_silent_is_timed() -> None:
    s, client = asked(timeouts=UpstreamTimeouts(first_byte=1.0, idle=2.0))
    s.tick(1.2)
    assert status(client.take()) == 504
    s, client = asked(timeouts=UpstreamTimeouts(first_byte=1.0, idle=2.0))
    s.at().feed(OK[:-1])
    s.tick(2.2)
    assert client.gone
    assert s.rejected("idle_timeout") == 1


def test_a_total_timeout_counts_from_the_head_to_the_last_byte() -> None:
    for begun in (False, True):
        s, client = asked(timeouts=UpstreamTimeouts(total=3.0))
        if begun:
            s.at().feed(OK[:-1])
        s.tick(2.9)
        assert not s.at().closing
        s.tick(0.3)
        assert s.at().aborted
        assert s.rejected("total_timeout") == 1
        assert status(client.take()) == (200 if begun else 504)
    s, client = asked(timeouts=UpstreamTimeouts(total=3.0))
    s.at().feed(OK)
    s.tick(5.0)
    assert s.rejected("total_timeout") == 0


@pytest.mark.parametrize("moment", ["waiting", "asked", "answering", "uploading"])
def test_a_client_that_goes_ends_what_the_primary_does_for_it(moment: str) -> None:
    s = Stage()
    if moment == "waiting":
        s.loop.answers[1] = None
    client = s.client().send(UPLOAD + b"b" if moment == "uploading" else GET)
    if moment == "answering":
        s.at().feed(OK[:-1])
    client.transport.lose(ConnectionResetError())
    assert s.rejected("client_gone") == 1
    assert all(t.aborted for t in s.loop.made.get(1, []))
    s.tick(5.0)
    assert s.origin().pool.servers[0].lent == 0


# -- the access log


class Kept(AccessLog):
    """Keeps entries instead of writing them."""

    def apply(self, wanted: AccessLogPolicy) -> None:
        self._policy = wanted
        self.enabled = wanted.sample > 0.0

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries)


def logged(sample: float = 1.0) -> tuple[Stage, Kept]:
    s = Stage()
    log = s.site.access_log = Kept(AccessLogPolicy(sample), s.counters)
    return s, log


def test_an_exchange_is_logged_with_what_it_was() -> None:
    s, log = logged()
    s.client().send(GET[:-2] + b"X-Request-Id: id-1\r\n\r\n")
    s.at().feed(OK)
    (entry,) = log.entries
    assert (entry.method, entry.target, entry.status, entry.sent) == ("GET", "/items/1", 200, 5)
    assert (entry.request_id, entry.peer, entry.service, entry.route, entry.arm) == (
        "id-1",
        "192.0.2.7",
        "default",
        "other",
        "primary",
    )
    assert entry.fault == ""


@pytest.mark.parametrize(
    ("sent", "code", "fault"),
    [
        (b"nonsense\r\n", 400, "request_line"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 shadowproxy-0123456789ab\r\n\r\n", 508, "loop"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "chunk"),
    ],
)
def test_refusals_are_logged_whatever_the_sample(sent: bytes, code: int, fault: str) -> None:
    s, log = logged(1e-12)
    s.client().send(sent)
    (entry,) = log.entries
    assert entry.status == code
    assert entry.fault.startswith(fault)
    assert entry.request_id


def test_failures_are_logged_with_their_reason() -> None:
    s, log = logged(1e-12)
    client = s.client().send(GET)
    s.at().lose(None)
    client = s.client().send(GET)
    client.transport.lose(None)
    s.client().send(GET)
    s.at().feed(OK)
    faults = [(e.status, e.fault.partition(":")[0]) for e in log.entries]
    assert faults == [(502, "reset"), (0, "client_gone")]


@pytest.mark.parametrize(
    ("request_line", "answer", "sighted"),
    [
        (b"GET /items/1?a=b HTTP/1.1", OK, [("default", b"/items/1")]),
        (b"POST /items HTTP/1.1", OK, [("default", b"/items")]),
        (b"GET http://shop.example/a HTTP/1.1", OK, [("default", b"/a")]),
        (b"GET /moved HTTP/1.1", OK.replace(b"200 OK", b"302 Found"), [("default", b"/moved")]),
        (b"GET /absent HTTP/1.1", OK.replace(b"200 OK", b"404 Not Found"), []),
        (b"GET /broken HTTP/1.1", OK.replace(b"200 OK", b"500 Oh"), []),
        (b"OPTIONS /anything HTTP/1.1", OK, []),
        (b"GET /" + b"a" * MAX_PATH + b" HTTP/1.1", OK, []),
    ],
)
def test_paths_of_requests_that_match_no_route_are_sighted_where_the_primary_answers_well(
    request_line: bytes, answer: bytes, sighted: list[tuple[str, bytes]]
) -> None:
    s = Stage(policy())
    s.client().send(request_line + b"\r\nHost: shop.example\r\n\r\n")
    s.at().feed(answer)
    assert s.site.sighted == sighted


def test_a_primary_that_breaks_off_leaves_no_sighting() -> None:
    s = Stage(policy())
    s.client().send(GET)
    s.at().feed(OK[:-2])
    s.at().lose()
    assert s.site.sighted == []


def test_routes_are_not_sighted_nor_what_a_service_does_not_learn() -> None:
    s = Stage(policy())
    service = s.policy.services[0]
    item = RoutePolicy("item", 1, "/items/{id}")
    for changed in (
        msgspec.structs.replace(service, routes=(item,)),
        msgspec.structs.replace(service, endpoints=EndpointsPolicy(learn=False)),
        msgspec.structs.replace(
            service, endpoints=EndpointsPolicy(max=1), routes=(RoutePolicy("/a", 1, "/a", origin="learned"),)
        ),
    ):
        s.apply(msgspec.structs.replace(s.policy, services=(changed,)))
        s.client().send(GET)
        s.at().feed(OK)
    assert s.site.sighted == []


def test_no_more_than_a_sample_is_sighted_at_a_time() -> None:
    s = Stage(policy())
    client = s.client()
    for _ in range(MAX_SIGHTED + 10):
        client.send(GET)
        s.at().feed(OK)
    assert s.site.sighted == [("default", b"/items/1")] * MAX_SIGHTED
