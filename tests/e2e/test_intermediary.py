"""The duties of an intermediary in RFC 9110 and 9112, at the wire; named by their sections.

What the rest of this folder tests by itself (streams, limits, forwarding, upgrades, TLS) is not repeated here.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Generator
from dataclasses import dataclass

import pytest

from tests.e2e import wire
from tests.e2e.clients import send_raw
from tests.e2e.harness import Proxy, eventually
from tests.e2e.talk import ask, request, settings, talk
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers

LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"


@dataclass
class Hop:
    """One proxy and what stands behind it; `sent` is what arrived there since `plays`."""

    proxy: Proxy
    upstream: RawUpstream

    def plays(self, script: Script) -> None:
        self.upstream.restart(script)
        self.upstream.connections.clear()

    @property
    def sent(self) -> list[wire.Message]:
        return [message for log in self.upstream.connections for message in wire.requests(bytes(log))]

    def answered(self, reply: bytes, asked: bytes = request(), method: bytes = b"GET") -> wire.Message:
        """The final answer to a request that the upstream answers with these bytes and the end of the connection."""

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(reply)

        self.plays(script)
        return ask(self.proxy.port, asked, method)

    def forwarded(self, data: bytes) -> wire.Message:
        """A request as the upstream got it."""
        self.plays(answers(answer()))
        ask(self.proxy.port, data, data.partition(b" ")[0])
        (message,) = self.sent
        return message


@pytest.fixture(scope="module")
def hop(tmp_path_factory: pytest.TempPathFactory) -> Generator[Hop, None, None]:
    with (
        RawUpstream(answers(answer())).running() as upstream,
        Proxy.start(tmp_path_factory.mktemp("hop"), settings(upstream.url)) as proxy,
    ):
        yield Hop(proxy, upstream)


@pytest.mark.parametrize(
    ("duty", "data", "status"),
    [
        ("9112-2.2 bare CR in a value", LINE + HOST + b"X: a\rb\r\n\r\n", 400),
        ("9112-2.2 bare CR before a colon", LINE + HOST + b"X\r: a\r\n\r\n", 400),
        ("9112-2.2 bare LF", b"GET / HTTP/1.1\nHost: a\n\n", 400),
        ("9112-2.2 bare LF in mid-head", LINE + b"Host: a\nX: y\r\n\r\n", 400),
        ("9112-2.2 space before the first field", LINE + b" X: y\r\n" + HOST + b"\r\n", 400),
        ("9112-2.2 a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", 400),
        ("9112-3 a target beyond the limit", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        ("9112-3 a method beyond any", b"X" * 2000 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
        ("9112-3 space in the target", b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-3 no version", b"GET /\r\n" + HOST + b"\r\n", 400),
        ("9112-3 tabs", b"GET\t/\tHTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-3 space after the version", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
        ("9112-3.2 a fragment", b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-3.2 no slash", b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-3.2 no Host", LINE + b"\r\n", 400),
        ("9112-3.2 two Hosts", LINE + HOST + b"Host: b\r\n\r\n", 400),
        ("9112-3.2 twice the same Host", LINE + HOST + HOST + b"\r\n", 400),
        ("9112-3.2 an invalid Host", LINE + b"Host: a/b\r\n\r\n", 400),
        ("9112-3.2 credentials in Host", LINE + b"Host: u@a\r\n\r\n", 400),
        ("9112-3.2.2 credentials in the target", b"GET http://u@a/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-3.2.4 an asterisk with GET", b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        ("9112-5.1 space before the colon", LINE + b"Host : a\r\n\r\n", 400),
        ("9112-5.2 line folding", LINE + HOST + b"X: a\r\n b\r\n\r\n", 400),
        ("9110-5.5 NUL in a value", LINE + HOST + b"X: a\x00b\r\n\r\n", 400),
        ("9110-5.1 an empty name", LINE + HOST + b": a\r\n\r\n", 400),
        ("9112-6.3 chunked is not the last coding", POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
        ("9112-6.1 an unknown coding", POST + b"Transfer-Encoding: br, chunked\r\n\r\n", 501),
        ("9112-6.1 chunked twice", POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", 400),
        ("9112-6.1 chunked and a length", POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n", 400),
        ("9112-6.1 chunked in 1.0", b"POST / HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n0\r\n\r\n", 400),
        ("9112-6.3 lengths that differ", POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        ("9110-8.6 a signed length", POST + b"Content-Length: +5\r\n\r\nhello", 400),
        ("9110-8.6 an empty length", POST + b"Content-Length:\r\n\r\n", 400),
        ("9112-7.1 a size beyond 2^63", POST + CHUNKED + b"\r\n8000000000000000\r\n", 400),
        ("9112-7.1 a size of 17 digits", POST + CHUNKED + b"\r\n00000000000000005\r\nhello\r\n", 400),
        ("9112-7.1 LF after a size", POST + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n", 400),
        ("9112-7.1.1 endless extensions", POST + CHUNKED + b"\r\n5;" + b"a" * 20_000, 400),
        ("9110-10.1.1 an unknown expectation", POST + b"Expect: gold\r\nContent-Length: 0\r\n\r\n", 417),
        ("9110-9.3.6 CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_request_is_refused_and_goes_nowhere(hop: Hop, duty: str, data: bytes, status: int) -> None:
    hop.plays(answers(answer()))
    received = send_raw(hop.proxy.port, data + LINE + b"Host: next\r\n\r\n")
    (reply,) = wire.responses(received, [b"GET"])
    assert (reply.status, reply.values(b"connection")) == (status, [b"close"]), duty
    assert [message for message in hop.sent if message.whole] == []


@pytest.mark.parametrize(
    ("duty", "reply"),
    [
        ("9112-2.2 bare CR", OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n"),
        ("9112-2.2 bare LF", OK + b"X: a\nContent-Length: 0\r\n\r\n"),
        ("9112-5.1 space before the colon", OK + b"X : a\r\nContent-Length: 0\r\n\r\n"),
        ("9112-5.2 line folding", OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("9110-5.5 NUL", OK + b"X: a\x00\r\nContent-Length: 0\r\n\r\n"),
        ("9112-6.3 lengths that differ", OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        ("9112-6.3 no number", OK + b"Content-Length: x\r\n\r\nabc"),
        ("9112-6.1 chunked and a length", OK + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n"),
        ("9112-6.1 an unknown coding", OK + b"Transfer-Encoding: br, chunked\r\n\r\n0\r\n\r\n"),
        ("9112-6.1 chunked in 1.0", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
        ("9110-15.2 a switch nobody asked for", b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        ("9112-4 no status line", b"hello\r\n\r\n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_response_is_a_bad_gateway(hop: Hop, duty: str, reply: bytes) -> None:
    assert hop.answered(reply).status == 502, duty


@pytest.mark.parametrize(
    "body",
    [b"5\r\nhello\r\n", b"5\r\nhello\r\nffffffffffffffff1\r\n", b"5\r\nhello\r\nz\r\n", b"5\r\nhello\r\n0\r\n"],
    ids=["9112-8 no last chunk", "9112-7.1 overflow", "9112-7.1 no size", "9112-8 no end of trailers"],
)
def test_a_chunked_response_that_breaks_off_never_looks_finished(hop: Hop, body: bytes) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + CHUNKED + b"\r\n" + body)

    hop.plays(once)
    received = send_raw(hop.proxy.port, request())
    (reply,) = wire.responses(received, [b"GET"])
    assert reply.status in (200, 502)
    assert reply.status == 502 or not reply.whole


@pytest.mark.parametrize(
    "begun",
    [b"Content-Length: 9\r\n\r\nhello", CHUNKED + b"\r\n5\r\nhello\r\n"],
    ids=["9112-6.3 fewer bytes than the length", "9112-8 no last chunk"],
)
def test_an_upload_that_breaks_off_never_looks_finished(hop: Hop, begun: bytes) -> None:
    hop.plays(answers(answer()))
    assert send_raw(hop.proxy.port, POST + begun, half_close=True) == b""
    eventually(lambda: not hop.upstream.open, says="the connection to the upstream ends as well")
    assert not any(message.whole for message in hop.sent)


def test_empty_lines_before_a_request_are_ignored(hop: Hop) -> None:
    """RFC 9112 section 2.2."""
    assert hop.forwarded(b"\r\n\r\n" + request()).start == (b"GET", b"/")


def test_the_version_of_each_hop_is_its_own(hop: Hop) -> None:
    """RFC 9112 section 2.3: wire.py takes HTTP/1.1 alone, in both directions."""
    assert hop.forwarded(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n").values(b"host") == [b"a"]
    assert hop.answered(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").body == b"hi"


def test_options_about_the_server_itself(hop: Hop) -> None:
    """RFC 9112 section 3.2.4."""
    message = hop.forwarded(b"OPTIONS http://shop.example:8001 HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (message.start, message.values(b"host")) == ((b"OPTIONS", b"*"), [b"shop.example:8001"])


def test_an_empty_path_becomes_a_slash_and_nothing_else_changes(hop: Hop) -> None:
    """RFC 9110 section 7.7."""
    assert hop.forwarded(b"GET http://b?x=/.. HTTP/1.1\r\n" + HOST + b"\r\n").start == (b"GET", b"/?x=/..")
    assert hop.forwarded(b"GET http://b HTTP/1.1\r\n" + HOST + b"\r\n").start == (b"GET", b"/")


@pytest.mark.parametrize(
    "lines", [b"Content-Length: 5, 5\r\n", b"Content-Length: 5\r\n" * 2, b"Content-Length: 005\r\n"]
)
def test_one_length_said_in_many_ways_is_said_in_one(hop: Hop, lines: bytes) -> None:
    """RFC 9110 section 8.6."""
    message = hop.forwarded(POST + lines + b"\r\nhello")
    assert (message.values(b"content-length"), message.body) == ([b"5"], b"hello")
    reply = hop.answered(OK + lines + b"\r\nhello")
    assert (reply.values(b"content-length"), reply.body) == ([b"5"], b"hello")


def test_trailers_never_become_fields_and_never_change_the_message(hop: Hop) -> None:
    """RFC 9112 section 7.1.2, RFC 9110 section 6.5.1."""
    forbidden = (
        b"Content-Length: 99\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nAuthorization: me\r\nX-Forwarded-For: 1\r\n"
    )
    chunks = b"\r\n5\r\nhello\r\n0\r\n" + forbidden + b"X-Sum: 1\r\n\r\n"
    message = hop.forwarded(POST + CHUNKED + chunks)
    assert (message.body, message.trailers, message.values(b"host")) == (b"hello", [(b"X-Sum", b"1")], [b"a"])
    assert message.values(b"authorization") == message.values(b"x-sum") == []
    reply = hop.answered(OK + CHUNKED + chunks)
    assert (reply.body, reply.trailers, reply.values(b"x-sum")) == (b"hello", [(b"X-Sum", b"1")], [])


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        ("HEAD", OK + b"Content-Length: 500\r\n\r\n"),
        ("HEAD", OK + CHUNKED + b"\r\n"),
        ("GET", OK.replace(b"200 OK", b"204 No Content") + b"Content-Length: 5\r\n\r\n"),
        ("GET", OK.replace(b"200 OK", b"204 No Content") + CHUNKED + b"\r\n"),
        ("GET", OK.replace(b"200 OK", b"304 Not Modified") + b"Content-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_what_has_no_body_has_none_whatever_it_says(hop: Hop, method: str, reply: bytes) -> None:
    """RFC 9112 section 6.3; and what follows all the same never becomes the next answer."""
    extra = b"HTTP/1.1 200 OK\r\nX-Smuggled: 1\r\nContent-Length: 0\r\n\r\n"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(reply + extra)
        await peer.request()
        await peer.send(extra)

    hop.plays(script)
    with talk(hop.proxy.port) as line:
        for _ in range(2):
            line.send(request("/", method))
            final = line.reply(method.encode())
            assert final.body == b""
            assert final.values(b"x-smuggled") == []
            assert final.values(b"transfer-encoding") == []
            if final.status == 204:
                assert final.values(b"content-length") == []
    assert len([log for log in hop.upstream.connections if log]) == 2


def test_after_close_nothing_more_is_served(hop: Hop) -> None:
    """RFC 9112 section 9.6."""
    hop.plays(answers(answer()))
    received = send_raw(hop.proxy.port, request("/1", Connection="close") + request("/2"))
    (reply,) = wire.responses(received, [b"GET"])
    assert reply.values(b"connection") == [b"close"]
    assert [message.start[1] for message in hop.sent] == [b"/1"]


def test_a_client_of_1_0_is_not_kept_unasked(hop: Hop) -> None:
    """RFC 9112 section 9.3."""
    hop.plays(answers(answer()))
    (reply,) = wire.responses(send_raw(hop.proxy.port, b"GET / HTTP/1.0\r\n" + HOST + b"\r\n"), [b"GET"])
    assert reply.values(b"connection") == [b"close"]


def test_via_names_the_instance_and_not_the_machine(hop: Hop) -> None:
    """RFC 9110 section 7.6.3."""
    (via,) = hop.forwarded(request(Via="1.0 fred")).values(b"via")[-1:]
    assert re.fullmatch(rb"1\.1 shadowproxy-[0-9a-f]+", via)


@pytest.mark.parametrize(("received", "passed"), [("3", b"2"), ("1", b"0"), ("99999999999999999999", b"999999999")])
def test_max_forwards_counts_down(hop: Hop, received: str, passed: bytes) -> None:
    """RFC 9110 section 7.6.2."""
    assert hop.forwarded(request("/", "OPTIONS", Max_Forwards=received)).values(b"max-forwards") == [passed]


def test_max_forwards_at_zero_is_answered_here(hop: Hop) -> None:
    hop.plays(answers(answer()))
    reply = ask(hop.proxy.port, request("/", "OPTIONS", Max_Forwards="0"), b"OPTIONS")
    assert reply.status == 204
    assert b"GET" in reply.values(b"allow")[0]
    assert hop.sent == []
    assert hop.forwarded(request(Max_Forwards="0")).values(b"max-forwards") == [b"0"]


def test_trace_reflects_nothing(hop: Hop) -> None:
    """RFC 9110 section 9.3.8."""
    hop.plays(answers(answer()))
    received = send_raw(hop.proxy.port, request("/", "TRACE", Authorization="Basic c2VjcmV0", Cookie="a=secret"))
    assert received.startswith(b"HTTP/1.1 405 ")
    assert b"ecret" not in received
    assert hop.sent == []


def test_fields_with_a_meaning_for_others_pass_untouched(hop: Hop) -> None:
    """RFC 9110 sections 11.6 (credentials), 13.2 (conditions), 14 (ranges), 5.2 of RFC 9111 (no-transform)."""
    fields = {
        "Authorization": 'Digest username="a", nonce="\\"b\\""',
        "If-Match": '"a", W/"b"',
        "If-None-Match": "*",
        "If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT",
        "If-Range": '"a"',
        "Range": "bytes=0-1,5-",
        "Cache-Control": "no-transform",
        "X-Unknown": "\x80\xff  two  spaces",
    }
    message = hop.forwarded(request(**fields))
    for name, value in fields.items():
        assert message.values(name.lower().encode()) == [value.encode("latin-1")]


@pytest.mark.parametrize(
    "status", ["206 Partial Content", "416 Range Not Satisfiable", "421 Misdirected Request", "401 No"]
)
def test_answers_pass_untouched(hop: Hop, status: str) -> None:
    """RFC 9110 sections 10.2.1, 11.6.1, 12.5.5, 14.4, 15.5.20; section 7.7 under no-transform."""
    packed = gzip.compress(b"hello" * 100)
    fields = {
        "Allow": "BREW, GET",
        "Vary": "accept, Accept-Language",
        "WWW-Authenticate": 'Newauth realm="apps", type=1, Basic realm="simple"',
        "Content-Range": "bytes 0-9/*",
        "Content-Encoding": "gzip",
        "Cache-Control": "no-transform",
    }
    reply = hop.answered(answer(packed, status, **fields))
    assert (reply.start[0] + b" " + reply.start[1], reply.body) == (status.encode(), packed)
    for name, value in fields.items():
        assert reply.values(name.lower().encode()) == [value.encode()]


def test_a_date_is_added_where_there_is_none_and_kept_where_there_is(hop: Hop) -> None:
    """RFC 9110 section 6.6.1."""
    (added,) = hop.answered(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").values(b"date")
    assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", added)
    assert hop.answered(OK + b"Content-Length: 0\r\n\r\n").values(b"date") == [b"Mon, 01 Jan 2024 00:00:00 GMT"]


def test_an_expectation_of_a_client_of_1_0_is_ignored(hop: Hop) -> None:
    """RFC 9110 section 10.1.1: passed on as HTTP/1.1 it would mean something, and 100 is nothing it can read."""
    message = hop.forwarded(b"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi")
    assert (message.values(b"expect"), message.body) == ([], b"hi")
    reply = b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    assert hop.answered(reply, b"GET / HTTP/1.0\r\n" + HOST + b"\r\n").status == 200


@pytest.mark.parametrize(
    "data",
    [
        request(Upgrade="websocket"),
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["9110-7.8 without Connection", "9110-7.8 from 1.0"],
)
def test_an_upgrade_that_is_none_ends_here(hop: Hop, data: bytes) -> None:
    message = hop.forwarded(data)
    assert message.values(b"upgrade") == message.values(b"connection") == []
