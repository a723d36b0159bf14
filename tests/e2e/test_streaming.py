"""Bytes move when they come, in both directions, as fast as the slower side takes them, and no end is ever invented."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from tests.e2e import wire
from tests.e2e.clients import send_raw
from tests.e2e.harness import Proxy, eventually
from tests.e2e.talk import counted, memory, rejected, request, settings, stalls, talk, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, by_path, closes, echoes, hangs

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
MIB = 1 << 20
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TO_CLOSE = b"HTTP/1.1 200 OK\r\nServer: them\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


class Told:
    """An upstream that says what the test tells it to say, when it is told; None closes."""

    def __init__(self) -> None:
        self.words: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    async def __call__(self, peer: Peer) -> None:
        await peer.head()
        while word := await asyncio.to_thread(self.words.get):
            await peer.send(word)


# Responses.


@pytest.mark.parametrize("start", [CHUNKED, TO_CLOSE, LENGTH.replace(b"9", b"999999")])
def test_each_event_arrives_before_the_next_is_sent(upstreams: Serve, proxies: Start, start: bytes) -> None:
    told = Told()
    proxy = proxies(settings(upstreams(told).url, upstreams(hangs()).url))
    with talk(proxy.port) as line:
        line.send(request("/events", Accept="text/event-stream"))
        told.words.put(start)
        assert line.head().status == 200
        for number in range(5):
            event = b"data: %d\n\n" % number
            told.words.put(b"%x\r\n%b\r\n" % (len(event), event) if start is CHUNKED else event)
            line.until(event, 2)
        told.words.put(None)


def test_a_long_poll_may_take_longer_than_any_idle_time(upstreams: Serve, proxies: Start) -> None:
    told = Told()
    proxy = proxies(settings(upstreams(told).url, timeouts={"idle": "200ms", "head": "200ms", "write": "200ms"}))
    with talk(proxy.port) as line:
        line.send(request())
        with pytest.raises(TimeoutError):
            line.read(1.0)
        told.words.put(answer(b"at last"))
        assert line.reply().body == b"at last"
        told.words.put(None)


def test_interim_responses_are_relayed_to_those_who_understand_them(upstreams: Serve, proxies: Start) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    primary = upstreams(answers(hints * 2 + b"HTTP/1.1 102 Processing\r\n\r\n" + answer(b"x")))
    proxy = proxies(settings(primary.url))
    messages = wire.responses(send_raw(proxy.port, request(Connection="close")), [b"GET"])
    assert [m.status for m in messages] == [103, 103, 102, 200]
    assert messages[0].fields == [(b"Link", b"</a.css>; rel=preload")]
    old = wire.responses(send_raw(proxy.port, b"GET / HTTP/1.0\r\n\r\n"), [b"GET"])
    assert [m.status for m in old] == [200]


@pytest.mark.parametrize(
    ("method", "reply", "fields"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", {b"content-length": b"1000"}),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", {}),
        ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", {}),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", {}),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n", {b"content-length": b"7"}),
    ],
)
@until_calm
def test_responses_without_a_body_keep_the_connection(
    upstreams: Serve, proxies: Start, method: str, reply: bytes, fields: dict[bytes, bytes]
) -> None:
    primary, candidate = upstreams(answers(reply)), upstreams(answers(reply))
    proxy = proxies(settings(primary.url, candidate.url))
    with talk(proxy.port) as line:
        for _ in range(3):
            line.send(request("/", method))
            got = line.reply(method.encode())
            assert got.body == b""
            for name, value in fields.items():
                assert got.values(name) == [value]
    assert len(primary.connections) == 1
    metrics = tally(proxy, eligible=3)
    assert metrics.total("shadowproxy_comparisons_total", verdict="match") == 3


def test_chunked_responses_keep_their_trailers(upstreams: Serve, proxies: Start) -> None:
    reply = CHUNKED + b'5;ext="a;b"\r\nhello\r\n6 \r\n world\r\n0;x\r\nX-Sum: 11\r\nX-More: y\r\n\r\n'
    primary = upstreams(answers(reply.replace(b"6 \r\n", b"6\r\n")))
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        for _ in range(2):
            line.send(request(TE="trailers", Connection="TE"))
            got = line.reply()
            assert (got.body, got.trailers) == (b"hello world", [(b"X-Sum", b"11"), (b"X-More", b"y")])
    assert wire.requests(primary.received)[0].values(b"te") == [b"trailers"]


def test_a_body_that_ends_with_its_connection_suits_both_kinds_of_clients(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(closes(TO_CLOSE + b"to the end")).url))
    with talk(proxy.port) as line:
        for _ in range(2):
            line.send(request())
            got = line.reply()
            assert (got.body, got.values(b"transfer-encoding")) == (b"to the end", [b"chunked"])
    with talk(proxy.port) as line:
        line.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        (got,) = wire.responses(line.rest(), [b"GET"])
        assert (got.body, got.to_close, got.values(b"connection")) == (b"to the end", True, [b"close"])
        assert line.ended == "fin"


def test_a_client_of_http_1_0_may_keep_its_connection(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"x")))
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        for _ in range(2):
            line.send(b"GET / HTTP/1.0\r\nHost: shop\r\nConnection: Keep-Alive\r\n\r\n")
            assert line.reply().values(b"connection") == [b"keep-alive"]
        line.send(b"GET / HTTP/1.0\r\nHost: shop\r\n\r\n")
        assert line.reply().values(b"connection") == [b"close"]
        assert line.rest() == b""
    assert all(m.start[0] == b"GET" for m in wire.requests(primary.received))


@until_calm
def test_fifty_pipelined_requests_are_answered_in_order(upstreams: Serve, proxies: Start) -> None:
    async def the_later_the_faster(peer: Peer) -> None:
        while True:
            head, body = await peer.request()
            number = int(head.split(b" ")[1][1:])
            await asyncio.sleep(0.02 if number % 7 == 0 else 0)
            await peer.send(answer(b"%d %b" % (number, body)))

    primary, candidate = upstreams(the_later_the_faster), upstreams(the_later_the_faster)
    proxy = proxies(settings(primary.url, candidate.url))
    data = b"".join(request(f"/{n}", "POST", b"b%d" % n) if n % 3 == 0 else request(f"/{n}") for n in range(50))
    with talk(proxy.port) as line:
        line.send(data)
        assert [line.reply().body for _ in range(50)] == [
            b"%d b%d" % (n, n) if n % 3 == 0 else b"%d " % n for n in range(50)
        ]
    tally(proxy, eligible=33)


# Requests.


@until_calm
def test_a_client_that_expects_100_gets_it_from_the_upstream(upstreams: Serve, proxies: Start) -> None:
    async def continues(peer: Peer) -> None:
        head = await peer.head()
        assert b"expect: 100-continue" in head.lower()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.send(answer(await peer.reader.readexactly(5)))

    primary, candidate = upstreams(continues), upstreams(echoes)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["POST"]}))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Expect="100-continue", Content_Length="5"))
        assert line.head().status == 100
        assert candidate.received == b""
        line.send(b"hello")
        assert line.reply().body == b"hello"
    tally(proxy, eligible=1)
    (copy,) = wire.requests(candidate.received)
    assert (copy.body, copy.values(b"expect"), copy.values(b"content-length")) == (b"hello", [], [b"5"])


@until_calm
def test_a_refusal_instead_of_100_ends_the_request(upstreams: Serve, proxies: Start) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"no", "403 Forbidden"))
        await peer.read_all()

    primary, candidate = upstreams(refuses), upstreams(echoes)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["POST"]}))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Expect="100-continue", Content_Length="5"))
        got = line.reply()
        assert (got.status, got.values(b"connection")) == (403, [b"close"])
        assert line.rest() == b""
    metrics = tally(proxy, eligible=1)
    assert metrics.total("shadowproxy_shadow_dropped_total", reason="request_incomplete") == 1
    assert candidate.received == b""


def test_an_early_answer_reaches_a_client_in_mid_upload(upstreams: Serve, proxies: Start) -> None:
    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(1000)
        await peer.send(answer(b"enough", "413 Content Too Large"))
        await peer.read_all()

    primary = upstreams(early)
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Content_Length=str(100 * MIB)) + b"a" * 4000)
        got = line.reply()
        assert (got.status, got.body) == (413, b"enough")
        assert line.rest() == b""
    eventually(lambda: not primary.open, 2, "the rest of the upload goes nowhere")


@until_calm
def test_chunked_uploads_keep_their_trailers_and_lose_their_extensions(upstreams: Serve, proxies: Start) -> None:
    primary, candidate = upstreams(echoes), upstreams(echoes)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["POST"]}))
    head = request("/", "POST", Transfer_Encoding="chunked", Trailer="X-Sum", Connection="close")
    data = head + b"5;a=b\r\nhello\r\n1;c\r\n!\r\n0;d\r\nX-Sum: 6\r\n\r\n"
    with talk(proxy.port) as line:
        for index in range(len(data)):
            line.send(data[index : index + 1])
        assert b'"body": "hello!"' in line.reply().body
    (message,) = wire.requests(primary.received)
    assert (message.body, message.trailers) == (b"hello!", [(b"X-Sum", b"6")])
    assert b";" not in bytes(primary.received).partition(b"\r\n\r\n")[2]
    tally(proxy, eligible=1)
    (copy,) = wire.requests(candidate.received)
    assert (copy.body, copy.values(b"content-length"), copy.values(b"transfer-encoding")) == (b"hello!", [b"6"], [])


def arrived(upstream: RawUpstream, piece: bytes) -> bool:
    return piece in upstream.received


def test_an_upload_streams_before_it_is_whole(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(echoes)
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Transfer_Encoding="chunked"))
        for number in range(5):
            line.send(b"7\r\npiece-%d\r\n" % number)
            eventually(partial(arrived, primary, b"piece-%d" % number), 2)
        line.send(b"0\r\n\r\n")
        assert b"piece-0piece-1" in line.reply().body


# Back-pressure.


def test_a_slow_reader_stops_the_upstream_and_costs_no_memory(upstreams: Serve, proxies: Start) -> None:
    sent = [0]

    async def pours(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (400 * MIB))
        for _ in range(400):
            await peer.send(b"x" * MIB)
            sent[0] += 1

    proxy = proxies(settings(upstreams(pours).url, upstreams(hangs()).url), fresh=True)
    before = memory(proxy)
    with talk(proxy.port, buffer=16_384) as line:
        line.send(request())
        assert line.head().status == 200
        eventually(lambda: stalls(lambda: sent[0]), 5, "the upstream is paused")
        assert sent[0] < 40
        assert memory(proxy) - before < 16 * MIB
        stopped = sent[0]
        for _ in range(200):
            line.read()
        line.received = b""
        eventually(lambda: line.read() and sent[0] > stopped, 10, "and goes on when the client does")


@until_calm
def test_a_slow_upstream_stops_the_upload(upstreams: Serve, proxies: Start) -> None:
    async def reads_nothing(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.sleep(30)

    primary = upstreams(reads_nothing)
    proxy = proxies(
        settings(
            {"urls": [primary.url], "timeouts": {"idle": "2s"}},
            upstreams(hangs()).url,
            shadow={"methods": ["POST"], "max_body": "64KiB"},
        ),
        fresh=True,
    )
    before = memory(proxy)
    sent = 0
    with talk(proxy.port) as line:
        line.send(request("/", "POST", Content_Length=str(400 * MIB)))
        line.sock.settimeout(0.5)
        with suppress(TimeoutError):
            while sent < 400 * MIB:
                sent += line.sock.send(b"x" * MIB)
        assert sent < 40 * MIB
        assert memory(proxy) - before < 16 * MIB
        assert line.reply().status == 504
    tally(proxy, eligible=1)
    counted(proxy, idle_timeout=1)


# Ends that come too early.


@pytest.mark.parametrize(
    "script",
    [hangs(), hangs(CHUNKED + b"5\r\nhello\r\n"), hangs(LENGTH + b"half"), hangs(TO_CLOSE + b"half")],
    ids=["no answer", "chunked", "length", "to close"],
)
@until_calm
def test_a_client_that_leaves_cancels_its_exchange(upstreams: Serve, proxies: Start, script: Script) -> None:
    primary = upstreams(script)
    candidate = upstreams(answers(answer(b"whole")))
    proxy = proxies(settings(primary.url, candidate.url))
    with talk(proxy.port) as line:
        line.send(request())
        eventually(lambda: len(primary.open) == 1 and primary.received)
    begin = time.monotonic()
    eventually(lambda: not primary.open, 5, "the upstream's connection is closed")
    assert time.monotonic() - begin < 2
    counted(proxy, client_gone=1)
    metrics = tally(proxy, eligible=1)
    assert metrics.total("shadowproxy_shadow_lost_total", reason="primary_incomplete") == 1


def test_a_client_that_ends_its_side_still_gets_its_answer(upstreams: Serve, proxies: Start) -> None:
    async def later(peer: Peer) -> None:
        await peer.request()
        await asyncio.sleep(0.3)
        await peer.send(answer(b"later"))

    proxy = proxies(settings(upstreams(later).url))
    (got,) = wire.responses(send_raw(proxy.port, request(), half_close=True), [b"GET"])
    assert got.body == b"later"
    assert rejected(proxy.metrics()) == {}


@pytest.mark.parametrize(
    ("start", "version", "ends"),
    [
        (CHUNKED + b"4\r\nhalf\r\n", "1.1", "fin"),
        (CHUNKED + b"4\r\nha", "1.1", "reset"),
        (CHUNKED + b"4\r\nhalf\r\n", "1.0", "fin"),
        (LENGTH + b"half", "1.1", "fin"),
        (LENGTH + b"half", "1.1", "reset"),
        (LENGTH + b"half", "1.0", "fin"),
        (TO_CLOSE + b"half", "1.1", "reset"),
        (TO_CLOSE + b"half", "1.0", "reset"),
    ],
)
def test_an_upstream_that_dies_in_mid_response_never_looks_finished(
    upstreams: Serve, proxies: Start, start: bytes, version: str, ends: str
) -> None:
    told = Told()
    told.words.put(start)

    async def dies(peer: Peer) -> None:
        await told(peer)
        if ends == "reset":
            peer.reset()

    proxy = proxies(settings(upstreams(dies).url))
    with talk(proxy.port) as line:
        line.send(f"GET / HTTP/{version}\r\nHost: shop\r\n\r\n".encode())
        line.until(b"\r\n\r\n")
        while b"ha" not in line.received:
            line.read()
        told.words.put(None)
        assert not line.rest().endswith(b"0\r\n\r\n")
        assert line.ended == "reset" or version == "1.1" or start.startswith(LENGTH)
    counted(proxy, truncated=1)


def test_many_clients_share_few_upstream_connections(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(by_path({"/": answer(b"x" * 1000)}))
    proxy = proxies(settings(primary.url))
    for _ in range(20):
        assert send_raw(proxy.port, request(Connection="close")).endswith(b"x" * 1000)
    assert len(primary.connections) == 1
