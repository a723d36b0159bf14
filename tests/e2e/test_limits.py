"""Every limit and every time that a client or an upstream meets: the status, the counted reason, the clean end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from tests.e2e import wire
from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import ask, counted, holds, rejected, request, settings, talk
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, closes, drips, echoes, hangs

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
CHUNKED = b"POST /c HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"


def refused(proxy: Proxy, data: bytes) -> tuple[wire.Message, float]:
    """The proxy's own answer to `data`, after which the connection ends, and the seconds that it took."""
    begin = time.monotonic()
    with talk(proxy.port) as line:
        line.send(data)
        got = line.reply()
        seconds = time.monotonic() - begin
        assert got.values(b"connection") == [b"close"]
        assert got.values(b"content-type") == [b"text/plain; charset=utf-8"]
        assert got.values(b"x-request-id")[0] in got.body
        assert line.rest() == b""
    return got, seconds


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Proxy, RawUpstream], None, None]:
    """A proxy with small limits, and its primary."""
    limits = {
        "line": "300B",
        "head": "500B",
        "fields": 6,
        "body": "10B",
        "chunk_extensions": "6B",
        "trailers": "10B",
    }
    with RawUpstream(answers(answer())).running() as primary:
        with Proxy.start(tmp_path_factory.mktemp("strict"), settings(primary.url, limits=limits)) as proxy:
            yield proxy, primary


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (request("/" + "a" * 300), 414, "target_too_long"),
        (request(X_Long="a" * 500), 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 6 + b"\r\n", 431, "head_too_large"),
        (request("/", "POST", b"a" * 11), 413, "body_too_large"),
        (CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n", 413, "body_too_large"),
        (CHUNKED + b"1;abcdef\r\na\r\n0\r\n\r\n", 400, "chunk"),
        (CHUNKED + b"g\r\n", 400, "chunk"),
        (CHUNKED + b"0\r\nA: bcdefgh\r\n\r\n", 400, "trailer"),
        (b"X" * 100 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_too_long"),
        (request(Expect="200-ok"), 417, "expectation"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "host"),
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, "version"),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "header"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400, "framing"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "transfer_coding"),
    ],
)
def test_beyond_a_limit_there_is_a_status_and_a_reason(
    strict: tuple[Proxy, RawUpstream], data: bytes, status: int, reason: str
) -> None:
    proxy, primary = strict
    before = rejected(proxy.metrics())
    upstream_had = len(primary.received)
    assert refused(proxy, data)[0].status == status
    eventually(lambda: rejected(proxy.metrics()) == before | {reason: before.get(reason, 0) + 1}, 5)
    assert not any(message.whole for message in wire.requests(primary.received[upstream_had:]))


@pytest.mark.parametrize(
    "data",
    [
        request("/" + "a" * (300 - len("GET / HTTP/1.1"))),
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 5 + b"\r\n",
        request("/", "POST", b"a" * 10),
        CHUNKED + b"5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n",
        CHUNKED + b"1;abcde\r\na\r\n0\r\n\r\n",
    ],
)
def test_up_to_a_limit_all_is_well(strict: tuple[Proxy, RawUpstream], data: bytes) -> None:
    proxy, _ = strict
    before = rejected(proxy.metrics())
    assert ask(proxy.port, data).status == 200
    assert rejected(proxy.metrics()) == before


def test_a_refused_upload_of_any_size_still_reads_its_answer(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(answers(answer())).url, limits={"body": "1KiB"}))
    with talk(proxy.port) as line:
        line.send(request("/", "POST", b"a" * (20 << 20)))
        assert line.reply().status == 413
        assert line.rest() == b""
        assert line.ended == "fin"
    counted(proxy, body_too_large=1)


def test_one_connection_too_many_is_told_so(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(answers(answer())).url, limits={"connections": 2}))
    with talk(proxy.port) as one, talk(proxy.port) as two:
        for line in (one, two):
            line.send(request())
            assert line.reply().status == 200
        with talk(proxy.port) as three:
            assert three.reply().status == 503
            assert three.rest() == b""
        one.send(request())
        assert one.reply().status == 200
    counted(proxy, connections=1)
    eventually(lambda: ask(proxy.port, request()).status == 200, 5)


def test_pipelined_requests_beyond_the_limit_wait_in_the_kernel(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(echoes).url, limits={"pipelined": 2}))
    with talk(proxy.port) as line:
        line.send(b"".join(request(f"/{index}") for index in range(30)))
        assert [f'"target": "/{index}"'.encode() in line.reply().body for index in range(30)] == [True] * 30


# Clients that take their time.


@pytest.mark.parametrize("data", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_head_that_does_not_end_is_given_up(upstreams: Serve, proxies: Start, data: bytes) -> None:
    proxy = proxies(settings(upstreams(hangs()).url, timeouts={"head": "300ms"}))
    got, seconds = refused(proxy, data)
    assert got.status == 408
    assert 0.2 < seconds < 1.5
    counted(proxy, head_timeout=1)


def test_a_head_in_drops_gets_no_more_time_than_one_at_once(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(hangs()).url, timeouts={"head": "500ms"}))
    begin = time.monotonic()
    with talk(proxy.port) as line:
        line.send(b"GET / HTTP/1.1\r\n")
        while not line.received and time.monotonic() - begin < 3:
            line.send(b"A: b\r\n")
            try:
                line.read(0.1)
            except TimeoutError:
                continue
        assert line.reply().status == 408
    assert time.monotonic() - begin < 1.5
    counted(proxy, head_timeout=1)


def test_the_second_head_of_a_connection_has_the_same_deadline(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(answers(answer())).url, timeouts={"head": "300ms"}))
    with talk(proxy.port) as line:
        line.send(request() + b"GET / HT")
        assert line.reply().status == 200
        assert line.reply(seconds=2).status == 408
    counted(proxy, head_timeout=1)


def test_a_connection_that_says_nothing_is_closed_without_a_word(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(answers(answer())).url, timeouts={"head": "300ms", "idle": "500ms"}))
    with talk(proxy.port) as fresh, talk(proxy.port) as kept:
        kept.send(request())
        assert kept.reply().status == 200
        assert fresh.rest(2) == b""
        assert kept.rest(2) == b""
        assert (fresh.ended, kept.ended) == ("fin", "fin")
    assert rejected(proxy.metrics()) == {}


def test_an_upload_that_trickles_is_ended(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(echoes)
    proxy = proxies(settings(primary.url, timeouts={"body_rate": "100B/s", "body_grace": "500ms"}))
    begin = time.monotonic()
    with talk(proxy.port) as line:
        line.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        while not line.received and time.monotonic() - begin < 3:
            line.send(b"a")
            try:
                line.read(0.1)
            except TimeoutError:
                continue
        assert line.reply().status == 408
    assert 0.4 < time.monotonic() - begin < 2
    counted(proxy, body_timeout=1)
    eventually(lambda: not primary.open, 2, "the upstream's exchange is cancelled")


def test_an_upload_that_waits_for_the_upstream_is_not_called_slow(upstreams: Serve, proxies: Start) -> None:
    async def reads_late(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(1.5)
        size = 8 << 20
        while size:
            size -= len(await peer.reader.read(min(size, 1 << 16)))
        await peer.send(answer())

    primary = upstreams(reads_late)
    proxy = proxies(settings(primary.url, timeouts={"body_rate": "1MiB/s", "body_grace": "300ms"}))
    assert ask(proxy.port, request("/", "POST", b"a" * (8 << 20))).status == 200
    assert rejected(proxy.metrics()) == {}


def test_a_client_that_takes_nothing_is_cut_off(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"a" * (32 << 20))))
    proxy = proxies(settings(primary.url, timeouts={"write": "500ms"}))
    with talk(proxy.port, buffer=4096) as line:
        line.send(request())
        eventually(lambda: primary.connections and not primary.open, 5, "the upstream is let go")
        line.rest()
        assert line.ended == "reset"
    counted(proxy, client_gone=1)


# Upstreams that do not answer.


def test_an_upstream_that_refuses_is_502(proxies: Start) -> None:
    proxy = proxies(settings(f"http://{HOST}:{free_port()}"))
    got = ask(proxy.port, request())
    assert (got.status, b"refused" in got.body) == (502, True)
    counted(proxy, refused=1)


def test_a_connection_that_is_not_made_in_time_is_504(proxies: Start) -> None:
    with ExitStack() as full:
        address = full.enter_context(socket.create_server((HOST, 0), backlog=0)).getsockname()
        for _ in range(4):
            filler = full.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        upstream = {"urls": [f"http://{HOST}:{address[1]}"], "timeouts": {"connect": "300ms"}}
        proxy = proxies(settings(upstream))
        assert ask(proxy.port, request()).status == 504
        counted(proxy, connect_timeout=1)


def test_an_upstream_without_a_word_is_504(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(hangs())
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"first_byte": "300ms"}}))
    begin = time.monotonic()
    assert ask(proxy.port, request()).status == 504
    assert 0.2 < time.monotonic() - begin < 1.5
    counted(proxy, first_byte_timeout=1)
    eventually(lambda: not primary.open, 2)


def test_the_first_byte_counts_from_the_end_of_the_upload(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(echoes)
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"first_byte": "400ms"}}))
    with talk(proxy.port) as line:
        line.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            assert holds(lambda: not line.received, 0.1)
            line.send(b"a")
        assert line.reply().status == 200


def test_an_upstream_that_stops_in_the_middle_is_cut_off(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"idle": "300ms"}}))
    with talk(proxy.port) as line:
        line.send(request())
        assert line.head().status == 200
        assert line.rest(2) == b"half"
    counted(proxy, idle_timeout=1)
    eventually(lambda: not primary.open, 2)


def test_an_upstream_that_takes_no_upload_is_504(upstreams: Serve, proxies: Start) -> None:
    async def never_reads(peer: Peer) -> None:
        peer.stop_reading()
        await asyncio.sleep(5)

    primary = upstreams(never_reads)
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"idle": "400ms"}}))
    with talk(proxy.port) as line:
        line.sock.settimeout(3)
        try:
            line.send(request("/", "POST", b"a" * (24 << 20)))
        except OSError:
            pass
        assert line.reply().status == 504
    counted(proxy, idle_timeout=1)


def test_a_total_is_kept_where_one_is_asked_for(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(drips(answer(b"a" * 100), 0.05))
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"total": "400ms"}}))
    begin = time.monotonic()
    got = ask(proxy.port, request())
    assert got.status == 504
    assert time.monotonic() - begin < 1.5
    counted(proxy, total_timeout=1)


def test_a_full_pool_is_503_after_a_bounded_wait(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(hangs())
    upstream = {"urls": [primary.url], "max_connections": 1, "max_waiting": 1, "max_wait": "400ms"}
    proxy = proxies(settings(upstream))
    with talk(proxy.port) as first, talk(proxy.port) as second:
        first.send(request("/1"))
        eventually(lambda: len(primary.open) == 1)
        begin = time.monotonic()
        second.send(request("/2"))
        eventually(lambda: proxy.metrics().total("shadowproxy_client_connections") == 2)
        assert ask(proxy.port, request("/3")).status == 503
        assert second.reply().status == 503
        assert 0.3 < time.monotonic() - begin < 2
    counted(proxy, pool_full=2, client_gone=1)


def test_one_that_waits_gets_the_next_free_connection(upstreams: Serve, proxies: Start) -> None:
    async def slowly(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.2)
            await peer.send(answer())

    primary = upstreams(slowly)
    proxy = proxies(settings({"urls": [primary.url], "max_connections": 1, "max_wait": "3s"}))
    with ExitStack() as stack:
        lines = [stack.enter_context(talk(proxy.port)) for _ in range(4)]
        for line in lines:
            line.send(request())
        assert [line.reply().status for line in lines] == [200] * 4
    assert len(primary.connections) == 1


def test_a_name_without_an_address_is_503(proxies: Start) -> None:
    proxy = proxies(settings("http://no-such-name.invalid:80"))
    assert ask(proxy.port, request()).status == 503
    counted(proxy, unresolved=1)


JUNK = {
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n": "malformed",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n": "malformed",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n": "malformed",
    b"HTTP/1.1 200 OK\r\nContent-": "malformed",
    b"": "reset",
}


def test_an_upstream_that_speaks_badly_is_502(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(closes())
    proxy = proxies(settings(primary.url))
    for number, (junk, reason) in enumerate(JUNK.items()):
        primary.script = closes(junk)
        got, _ = refused(proxy, request())
        assert (got.status, reason.encode() in got.body, number) == (502, True, number)
    counted(proxy, malformed=4, reset=1)
