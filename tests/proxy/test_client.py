"""One client connection: order, limits, deadlines, half-close, and refusals that reach their reader."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shadowproxy.http1 import CHUNKED, body_reader
from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import ClientTimeouts, LimitsPolicy, UpstreamTimeouts
from tests.fakes.stage import GET, OK, Stage, policy, status, upstream

UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"

CHUNKED_UPLOAD = (
    b"POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n"
)


def stage(**rest: Any) -> Stage:
    return Stage(policy(**rest))


def paths(s: Stage) -> list[bytes]:
    """The paths asked of the primary, over all its connections in the order they were made."""
    lines = [line for t in s.loop.made.get(1, []) for line in bytes(t.written).split(b"\r\n")]
    return [line.split(b" ")[1] for line in lines if line.startswith(b"GET /")]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


# -- requests and their bytes


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET[:-2] + b"X-Request-Id: 1\r\n\r\n",
        UPLOAD[:-2] + b"X-Request-Id: 1\r\n\r\n0123456789",
        CHUNKED_UPLOAD,
    ],
)
def test_every_split_of_a_request_means_the_same_to_the_primary(request_bytes: bytes) -> None:
    def forwarded(*pieces: bytes) -> tuple[bytes, bytes, object]:
        s = stage()
        client = s.client()
        for piece in pieces:
            client.send(piece)
        head, _, body = s.at().take().partition(b"\r\n\r\n")
        if b"chunked" not in head:
            return head, body, None
        reader = body_reader(CHUNKED, LimitsPolicy(), request=True)
        payload, rest = reader.feed(body)
        assert (reader.done, rest) == (True, b"")
        return head, b"".join(payload), reader.trailers

    whole = forwarded(request_bytes)
    for cut in range(1, len(request_bytes)):
        assert forwarded(request_bytes[:cut], request_bytes[cut:]) == whole


def test_a_connection_serves_one_request_after_another() -> None:
    s = stage()
    client = s.client()
    for _ in range(3):
        client.send(GET)
        s.at().feed(OK)
        assert client.take().endswith(b"hello")
    assert len(s.loop.made[1]) == 1
    assert s.counters[at.ACCEPTED] == 1


def test_pipelined_requests_are_answered_in_their_order_one_at_a_time() -> None:
    s = stage()
    client = s.client().send(get("/1") + get("/2") + get("/3")[:10])
    assert paths(s) == [b"/1"]
    client.send(get("/3")[10:])
    for i in (1, 2, 3):
        assert paths(s)[-1] == b"/%d" % i
        s.at().feed(OK.replace(b"hello", b"ans-%d" % i))
        assert client.take().endswith(b"ans-%d" % i)


def test_bytes_that_come_between_two_pipelined_requests_keep_their_place() -> None:
    s = stage()
    client = s.client().send(get("/1") + get("/2"))
    with s.loop.running():
        s.at().get_protocol().data_received(OK)  # type: ignore[attr-defined]
        client.protocol.data_received(get("/3"))
    s.loop.run()
    s.at().feed(OK)
    s.at().feed(OK)
    assert paths(s) == [b"/1", b"/2", b"/3"]


def test_a_pipelined_body_belongs_to_its_request() -> None:
    s = stage()
    client = s.client().send(GET + UPLOAD + b"01234")
    s.at().feed(OK)
    client.send(b"56789" + get("/last"))
    s.at().feed(OK)
    s.at().feed(OK)
    assert b"\r\n\r\n0123456789GET /last" in s.at().written


def test_reading_pauses_while_too_much_is_pipelined() -> None:
    s = stage(limits=LimitsPolicy(pipelined=4))
    client = s.client().send(b"".join(get(f"/{i}") for i in range(6)))
    assert not client.transport.is_reading()
    s.at().feed(OK)
    assert not client.transport.is_reading()
    s.at().feed(OK)
    assert client.transport.is_reading()
    for _ in range(4):
        s.at().feed(OK)
    assert len(paths(s)) == 6


def test_a_flood_of_pipelined_bytes_is_read_no_faster_than_it_is_served() -> None:
    s = stage()
    flood = get("/x") * 4000
    client = s.client().send(flood)
    for _ in range(20):
        assert not client.transport.is_reading()
        s.at().feed(OK)
    assert len(client.protocol._pending) < len(flood)


def test_a_client_that_takes_no_answers_gets_no_further_ones() -> None:
    s = stage()
    client = s.client().send(get("/1") + get("/2"))
    client.transport.block()
    s.at().feed(OK)
    assert paths(s) == [b"/1"]
    client.transport.unblock()
    assert paths(s) == [b"/1", b"/2"]


def test_a_client_that_asks_on_without_reading_waits() -> None:
    s = stage()
    client = s.client().send(get("/1"))
    client.transport.block()
    s.at().feed(OK)
    client.send(get("/2"))
    assert paths(s) == [b"/1"]
    client.transport.unblock()
    s.at().feed(OK)
    client.send(get("/3"))
    assert paths(s) == [b"/1", b"/2", b"/3"]


def test_a_body_past_its_limit_is_refused_before_or_while_it_comes() -> None:
    limits = LimitsPolicy(body=9)
    s = stage(limits=limits)
    client = s.client().send(UPLOAD + b"0123")
    assert status(client.take()) == 413
    assert 1 not in s.loop.made
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    client = s.client().send(chunked + b"5\r\nhello\r\n")
    client.send(b"5\r\nhello\r\n")
    assert status(client.take()) == 413
    assert s.rejected("body_too_large") == 2
    assert s.at().aborted


# -- refusals


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400, "request_line"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n", 400, "header"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_refused"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "method_refused"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "transfer_coding"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "chunk"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417, "expectation"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 shadowproxy-0123456789ab\r\n\r\n", 508, "loop"),
    ],
)
def test_what_is_refused_is_told_counted_and_closed(sent: bytes, code: int, reason: str) -> None:
    s = stage()
    client = s.client().send(sent)
    answer = client.take()
    assert status(answer) == code
    assert b"Connection: close\r\n" in answer
    assert b"request id: " in answer
    assert s.rejected(reason) == 1
    assert client.transport.eof_written
    assert not client.gone  # still listening: a reset could take the answer with it
    client.send(b"x" * 1000)
    client.transport.feed_eof()
    assert client.gone


def test_an_unclosed_refusal_ends_by_time_or_by_bytes() -> None:
    s = stage()
    client = s.client().send(b"nonsense\r\n")
    s.tick(2.2)
    assert client.gone
    client = s.client().send(b"nonsense\r\n")
    for _ in range(20):
        client.send(b"x" * 1024 * 1024)
    assert not client.gone  # an upload that was refused early is read to its end, within reason
    for _ in range(60):
        if not client.gone:
            client.send(b"x" * 1024 * 1024)
    assert client.gone


def test_a_refusal_of_head_has_no_body() -> None:
    s = stage(limits=LimitsPolicy(body=1))
    client = s.client().send(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    answer = client.take()
    assert status(answer) == 413
    assert answer.endswith(b"\r\n\r\n")


def test_nothing_after_a_refused_request_is_served() -> None:
    s = stage()
    client = s.client().send(b"GET / HTTP/1.1\r\n\r\n" + GET)
    client.send(GET)
    assert 1 not in s.loop.made
    assert client.take().count(b"HTTP/1.1 ") == 1


def test_a_bad_body_while_the_answer_is_on_its_way_cuts_it_off() -> None:
    s = stage()
    client = s.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    s.at().feed(OK[:-2])
    client.send(b"zz\r\n")
    assert client.take().count(b"HTTP/1.1 ") == 1
    assert client.gone
    assert s.at().aborted


def test_a_close_delimited_answer_is_reset_where_it_is_cut_off() -> None:
    s = stage(timeouts=ClientTimeouts(body_grace=1.0))
    client = s.client().send(b"POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\n")
    s.at().feed(b"HTTP/1.1 200 OK\r\n\r\npart")
    s.tick(1.2)
    assert client.transport.aborted
    assert client.take().endswith(b"part")


def test_too_many_connections_are_told_so() -> None:
    s = stage(limits=LimitsPolicy(connections=1))
    first, second = s.client(), s.client()
    assert status(second.take()) == 503
    assert s.rejected("connections") == 1
    second.transport.lose(None)
    first.transport.lose(None)
    assert s.counters[at.CLIENT_CONNECTIONS] == 0
    assert s.client().take() == b""


def test_over_tls_a_refusal_closes_at_once() -> None:
    s = stage()
    client = s.client(secure=True)
    client.transport.can_write_eof = lambda: False  # type: ignore[method-assign]
    client.send(b"nonsense\r\n")
    assert client.gone
    assert not client.transport.eof_written


# -- deadlines


def test_a_head_is_due_as_a_whole() -> None:
    s = stage(timeouts=ClientTimeouts(head=2.0))
    client = s.client()
    s.tick(1.0)
    for byte in (b"G", b"E", b"T"):
        client.send(byte)
        s.tick(0.5)
    assert client.take() == b""
    s.tick(0.7)
    assert status(client.take()) == 408
    assert s.rejected("head_timeout") == 1


def test_silence_is_closed_without_a_word() -> None:
    s = stage(timeouts=ClientTimeouts(head=2.0, idle=5.0))
    client = s.client()
    s.tick(2.2)
    assert (client.gone, client.take()) == (True, b"")
    client = s.client().send(GET)
    s.at().feed(OK)
    client.take()
    s.tick(4.8)
    assert not client.gone
    s.tick(0.4)
    assert (client.gone, client.take()) == (True, b"")


def test_empty_lines_do_not_keep_a_connection() -> None:
    s = stage(timeouts=ClientTimeouts(head=1.0, idle=2.0))
    client = s.client().send(GET + b"\r\n")
    s.at().feed(OK)
    s.tick(2.2)
    assert client.gone


def test_a_trickling_upload_is_ended_and_a_steady_one_is_not() -> None:
    s = stage(timeouts=ClientTimeouts(body_rate=100, body_grace=1.0))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    client = s.client().send(head)
    for _ in range(5):
        client.send(b"x" * 120)
        s.tick(1.0)
    assert client.take() == b""
    client.send(b"x" * 90)
    s.tick(1.1)
    assert status(client.take()) == 408
    assert s.rejected("body_timeout") == 1


def test_who_was_made_to_wait_is_not_too_slow() -> None:
    s = stage(timeouts=ClientTimeouts(body_rate=100, body_grace=1.0))
    client = s.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    s.at().block()
    assert not client.transport.is_reading()
    s.tick(5.0)
    s.at().unblock()
    s.tick(0.9)
    assert client.take() == b""
    s.tick(2.2)
    assert status(client.take()) == 408


def test_who_waits_for_100_is_not_too_slow_but_the_primary_may_be() -> None:
    grace = ClientTimeouts(body_rate=100, body_grace=1.0)
    expecting = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    s = stage(timeouts=grace)
    client = s.client().send(expecting)
    s.tick(5.9)
    s.at().feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
    s.tick(0.9)
    client.send(b"x" * 1000)
    s.at().feed(OK)
    assert status(client.take()) == 200
    client = s.client().send(expecting)
    s.tick(30.2)
    assert status(client.take()) == 504
    assert s.rejected("first_byte_timeout") == 1


def test_a_client_that_takes_nothing_is_reset_and_a_slow_one_is_not() -> None:
    s = stage(timeouts=ClientTimeouts(write=2.0))
    client = s.client().send(GET)
    client.transport.waiting = 1000
    client.transport.block()
    s.at().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for left in (900, 500):
        client.transport.waiting = left
        s.tick(2.0)
        assert not client.gone
    s.tick(4.2)
    assert client.transport.aborted
    assert s.at().aborted


def test_taking_everything_ends_the_watch() -> None:
    s = stage(timeouts=ClientTimeouts(write=2.0))
    client = s.client().send(GET)
    client.transport.waiting = 1000
    client.transport.block()
    client.transport.unblock()
    s.tick(10.0)
    assert not client.gone


def test_what_is_left_to_send_after_the_end_is_not_waited_for_for_ever() -> None:
    s = stage(timeouts=ClientTimeouts(write=2.0, idle=1.0))
    client = s.client().send(GET)
    s.at().feed(OK)
    client.transport.waiting = 500
    close, lose = client.transport.close, client.transport._lose
    client.transport._lose = lambda error: None  # type: ignore[method-assign]
    s.tick(1.2)
    assert client.gone
    assert not client.transport.aborted
    s.tick(2.2)
    assert client.transport.aborted
    lose(None)
    close()


def test_an_upload_in_tiny_chunks_gives_others_their_turn_in_between() -> None:
    s = stage()
    client = s.client()
    chunks = b"1\r\nx\r\n" * 1200 + b"0\r\n\r\n"
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    sizes: list[int] = []
    s.at().take()
    with s.loop.running():
        client.protocol.data_received(chunks)
        sizes.append(s.at().take().count(b"x"))
        reading = client.transport.reading
    s.loop.run()
    assert (sizes, reading, client.transport.reading) == ([512], False, True)
    body = s.at().take()
    assert body.count(b"x") == 1200 - 512
    assert body.endswith(b"0\r\n\r\n")


def test_what_is_left_of_an_upload_that_was_answered_early_is_thrown_away() -> None:
    s = stage()
    client = s.client().send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    with s.loop.running():
        client.protocol.data_received(b"1\r\nx\r\n" * 1200)
        origin = s.at().get_protocol()
        assert isinstance(origin, asyncio.Protocol)
        origin.data_received(OK)
    s.loop.run()
    assert client.take().endswith(b"hello")
    assert client.transport.reading
    s.tick(2.2)
    assert client.gone


# -- the client's end


def test_a_half_closed_client_still_gets_its_answers() -> None:
    s = stage()
    client = s.client().send(get("/1") + get("/2"))
    client.transport.feed_eof()
    s.at().feed(OK)
    s.at().feed(OK)
    answers = client.take()
    assert answers.count(b"hello") == 2
    assert answers.count(b"Connection: close") == 1
    assert client.gone


def test_what_can_never_become_a_request_ends_with_the_client() -> None:
    for rest in (b"GET /2 HT", UPLOAD + b"123"):
        s = stage()
        client = s.client().send(GET + rest)
        client.transport.feed_eof()
        s.at().feed(OK)
        assert client.take().count(b"hello") == 1
        assert client.gone


def test_a_half_closed_client_without_progress_counts_as_gone() -> None:
    s = stage()
    client = s.client().send(GET)
    client.transport.feed_eof()
    s.tick(0.9)
    s.at().feed(OK[:-3])
    s.tick(1.2)
    assert not client.gone
    s.tick(1.2)
    assert client.transport.aborted
    assert s.at().aborted
    assert s.rejected("client_gone") == 1


def test_a_half_closed_client_is_watched_for_each_of_its_requests() -> None:
    s = stage()
    client = s.client().send(get("/1") + get("/2"))
    client.transport.feed_eof()
    s.at().feed(OK)
    s.tick(1.2)
    assert client.transport.aborted
    assert s.at().aborted


def test_a_half_closed_client_that_reads_slowly_is_no_gone_one() -> None:
    s = stage()
    client = s.client().send(GET)
    client.transport.feed_eof()
    client.transport.waiting = 10
    client.transport.block()
    s.tick(5.0)
    assert not client.gone


@pytest.mark.parametrize("so_far", [b"", b"GET / HT", UPLOAD + b"1"])
def test_a_client_that_ends_before_its_request_is_whole_is_closed(so_far: bytes) -> None:
    s = stage()
    client = s.client()
    if so_far:
        client.send(so_far)
    client.transport.feed_eof()
    assert client.gone
    assert client.take() == b""
    assert all(t.aborted for t in s.loop.made.get(1, []))


def test_over_tls_the_end_of_the_client_is_its_end() -> None:
    s = stage()
    client = s.client(secure=True).send(GET)
    client.transport.feed_eof()
    assert client.gone
    assert s.at().aborted


def test_a_client_that_is_gone_is_kept_by_no_timer() -> None:
    s = Stage(policy(primary=upstream(1, timeouts=UpstreamTimeouts(total=5.0))))
    client = s.client().send(GET)
    client.transport.waiting = 10
    client.transport.block()
    s.at().feed(OK[:-1])
    assert len(owners(s)) == 4
    client.transport.lose()
    assert owners(s) == []


def owners(s: Stage) -> list[object]:
    """Who is kept by a timer that stands in the wheel."""
    actions = [timer.action for bucket in s.deadlines._buckets.values() for timer in bucket]
    return [owner for action in actions if (owner := getattr(action, "__self__", None)) is not None]


# -- the worker's end


def test_draining_says_close_and_ends_idle_connections() -> None:
    s = stage()
    busy, idle = s.client().send(GET), s.client()
    s.site.draining = True
    idle.protocol.drain()
    busy.protocol.drain()
    assert (idle.gone, busy.gone) == (True, False)
    s.at().feed(OK)
    assert b"Connection: close\r\n" in busy.take()
    assert busy.transport.eof_written


def test_aborting_ends_everything_at_once() -> None:
    s = stage()
    client = s.client().send(GET)
    client.protocol.abort()
    s.loop.run()
    assert s.at().aborted
    assert s.counters[at.CLIENT_CONNECTIONS] == 0


def test_the_address_comes_from_the_socket_or_from_the_proxy_protocol() -> None:
    from shadowproxy.proxy.client import ClientConnection
    from tests.fakes.transport import connect

    s = stage()
    _, transport = connect(s.loop, ClientConnection(s.site, False, "203.0.113.9"))
    transport.feed(GET)
    assert b"X-Forwarded-For: 203.0.113.9\r\n" in s.at().take()
    _, transport = connect(s.loop, ClientConnection(s.site), peername="")
    transport.feed(GET)
    assert b"X-Forwarded-For" not in s.at().take()


def test_a_new_snapshot_counts_from_the_next_request_on() -> None:
    s = stage()
    client = s.client().send(GET)
    s.apply(policy(primary=upstream(7)))
    s.at().feed(OK)
    client.send(GET)
    assert len(s.loop.made[7]) == 1
    assert s.loop.made[1][0].closing
