"""Several URLs, dead ones, stale connections, checks and waiting: what of it users notice, which is nothing."""

from __future__ import annotations

import asyncio
import re
import select
import threading
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.e2e import wire
from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST, free_port
from tests.e2e.talk import Talk, ask, counted, rejected, request, settings, talk, tally, until_calm
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, by_path, closes, hangs, resets

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]


@contextmanager
def at(port: int, script: Script) -> Generator[RawUpstream, None, None]:
    """An upstream on this very port."""
    with RawUpstream(script, port=port).running() as upstream:
        yield upstream


def served(proxy: Proxy, count: int) -> Counter[bytes]:
    """Who answered so many requests, each on a connection of its own."""
    return Counter(ask(proxy.port, request()).body for _ in range(count))


def healthy(proxy: Proxy) -> float:
    return proxy.metrics().total("shadowproxy_upstream_healthy", arm="primary")


# Whose turn it is.


def test_urls_take_turns(upstreams: Serve, proxies: Start) -> None:
    urls = [upstreams(answers(answer(name))).url for name in (b"a", b"b", b"c")]
    proxy = proxies(settings({"urls": urls}))
    assert served(proxy, 30) == {b"a": 10, b"b": 10, b"c": 10}


def test_the_least_busy_url_is_asked(upstreams: Serve, proxies: Start) -> None:
    async def busy(peer: Peer) -> None:
        await peer.request()
        await peer.read_all()

    def is_over(line: Talk) -> bool:
        return bool(stuck.received or select.select([line.sock], [], [], 0)[0])

    stuck, free = upstreams(busy), upstreams(answers(answer(b"free")))
    proxy = proxies(settings({"urls": [stuck.url, free.url], "balance": "least_connections"}))
    with ExitStack() as stack:
        while not stuck.received:  # each is answered before the next one goes: then the free one has nothing to do
            line = stack.enter_context(talk(proxy.port))
            line.send(request())
            eventually(partial(is_over, line), 5, "a request is answered or stuck")
        assert served(proxy, 20) == {b"free": 20}


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_one_dead_url_of_two_is_noticed_by_nobody(upstreams: Serve, proxies: Start, balance: str) -> None:
    alive = upstreams(answers(answer(b"alive")))
    proxy = proxies(settings({"urls": [f"http://{HOST}:{free_port()}", alive.url], "balance": balance}))
    assert served(proxy, 20) == {b"alive": 20}
    for _ in range(5):
        assert ask(proxy.port, request("/", "POST", b"abc")).body == b"alive"
    assert rejected(proxy.metrics()) == {}


def test_a_url_that_refuses_rests_and_comes_back(upstreams: Serve, proxies: Start) -> None:
    port = free_port()
    alive = upstreams(closes(answer(b"alive", Connection="close")))
    upstream = {"urls": [f"http://{HOST}:{port}", alive.url], "ejection": {"failures": 2, "interval": "2s"}}
    proxy = proxies(settings(upstream))
    assert served(proxy, 8) == {b"alive": 8}
    eventually(lambda: healthy(proxy) == 1, 2)
    with at(port, closes(answer(b"back", Connection="close"))):
        eventually(lambda: served(proxy, 4)[b"back"] > 0, 5, "the URL is asked again")
        eventually(lambda: healthy(proxy) == 2)
        assert served(proxy, 10) == {b"alive": 5, b"back": 5}


@pytest.mark.parametrize("script", [hangs(), closes(), resets()], ids=["hangs", "closes", "resets"])
def test_a_url_that_gives_no_answers_rests_too(upstreams: Serve, proxies: Start, script: Script) -> None:
    mute, alive = upstreams(script), upstreams(answers(answer(b"alive")))
    upstream = {
        "urls": [mute.url, alive.url],
        "ejection": {"failures": 2, "interval": "60s"},
        "timeouts": {"first_byte": "200ms"},
    }
    proxy = proxies(settings(upstream))
    statuses = [ask(proxy.port, request()).status for _ in range(20)]
    assert len([status for status in statuses if status != 200]) == 2
    eventually(lambda: healthy(proxy) == 1, 2)


def test_the_last_url_never_rests(proxies: Start) -> None:
    port = free_port()
    proxy = proxies(settings({"urls": [f"http://{HOST}:{port}"], "ejection": {"failures": 1, "interval": "60s"}}))
    for _ in range(3):
        assert ask(proxy.port, request()).status == 502
    with at(port, answers(answer(b"back"))):
        assert ask(proxy.port, request()).body == b"back"


def test_every_url_dead_is_an_error_and_their_return_is_noticed(proxies: Start) -> None:
    ports = [free_port(), free_port()]
    urls = [f"http://{HOST}:{port}" for port in ports]
    proxy = proxies(settings({"urls": urls, "ejection": {"failures": 1, "interval": "60s"}}))
    assert [ask(proxy.port, request()).status for _ in range(4)] == [502] * 4
    with at(ports[1], answers(answer(b"back"))):
        assert served(proxy, 4) == {b"back": 4}


def test_active_checks_take_a_url_out_and_bring_it_back(upstreams: Serve, proxies: Start) -> None:
    good, bad = answer(b"good"), answer(b"bad", "503 Service Unavailable")
    first = upstreams(by_path({"/health": good}, answer(b"first")))
    second = upstreams(by_path({"/health": good}, answer(b"second")))
    health = {"path": "/health", "interval": "300ms", "timeout": "300ms", "rise": 2, "fall": 2, "host": "check.example"}
    proxy = proxies(settings({"urls": [first.url, second.url], "health": health}))
    assert served(proxy, 6) == {b"first": 3, b"second": 3}
    second.script = by_path({"/health": bad}, answer(b"second"))
    eventually(lambda: healthy(proxy) == 1, 5)
    eventually(lambda: served(proxy, 6) == {b"first": 6}, 5)
    second.script = by_path({"/health": good}, answer(b"second"))
    eventually(lambda: healthy(proxy) == 2, 5)
    assert served(proxy, 6) == {b"first": 3, b"second": 3}
    check = next(m for m in wire.requests(bytes(second.connections[0])) if m.start[1] == b"/health")
    assert check.values(b"host") == [b"check.example"]
    assert proxy.metrics().total("shadowproxy_requests_total", arm="primary", code="5xx") == 0


def test_a_single_url_that_fails_its_checks_is_asked_all_the_same(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(by_path({"/health": answer(b"", "500 No")}, answer(b"x")))
    health = {"path": "/health", "interval": "200ms", "timeout": "200ms", "fall": 1}
    proxy = proxies(settings({"urls": [primary.url], "health": health}))
    eventually(lambda: primary.received.count(b"/health") >= 3, 5)
    assert ask(proxy.port, request()).body == b"x"


# Pools.


def test_connections_are_kept_and_let_go_when_they_were_idle_too_long(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"x")))
    proxy = proxies(settings({"urls": [primary.url], "timeouts": {"keep_alive": "500ms"}}))
    with talk(proxy.port) as line:
        for _ in range(10):
            line.send(request())
            assert line.reply().body == b"x"
        assert len(primary.connections) == 1
        eventually(lambda: not primary.open, 3)
        line.send(request())
        assert line.reply().body == b"x"
    assert len(primary.connections) == 2


def test_there_are_never_more_connections_than_allowed(upstreams: Serve, proxies: Start) -> None:
    most = [0]

    async def slowly(peer: Peer) -> None:
        while True:
            await peer.request()
            most[0] = max(most[0], len(primary.open))
            await asyncio.sleep(0.05)
            await peer.send(answer(b"x"))

    primary = upstreams(slowly)
    proxy = proxies(settings({"urls": [primary.url], "max_connections": 3, "max_wait": "5s"}))
    with ExitStack() as stack:
        lines = [stack.enter_context(talk(proxy.port)) for _ in range(30)]
        for line in lines:
            line.send(request())
        assert [line.reply().status for line in lines] == [200] * 30
    assert most[0] == 3
    assert len(primary.connections) == 3


def test_unused_connections_beyond_the_limit_are_closed(upstreams: Serve, proxies: Start) -> None:
    async def slowly(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.2)
            await peer.send(answer(b"x"))

    primary = upstreams(slowly)
    proxy = proxies(settings({"urls": [primary.url], "max_idle": 2}))
    with ExitStack() as stack:
        lines = [stack.enter_context(talk(proxy.port)) for _ in range(6)]
        for line in lines:
            line.send(request())
        assert [line.reply().status for line in lines] == [200] * 6
    eventually(lambda: len(primary.open) == 2, 3)
    idle = {"arm": "primary", "state": "idle"}
    eventually(lambda: proxy.metrics().total("shadowproxy_upstream_connections", **idle) == 2, 3)


class Stale:
    """Answers the first request of a connection, and closes when it gets a second one, without a word."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        for turn in range(2):
            head, _ = await peer.request()
            self.requests.append(head.split(b" ")[0])
            if turn == 0:
                await peer.send(answer(b"" if head.startswith(b"HEAD") else b"x"))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE"])
def test_a_stale_connection_is_tried_again_where_that_is_safe(upstreams: Serve, proxies: Start, method: str) -> None:
    stale = Stale()
    proxy = proxies(settings(upstreams(stale).url))
    with talk(proxy.port) as line:
        for _ in range(2):
            line.send(request("/", method))
            assert line.reply(method.encode()).status == 200
    assert len(stale.requests) == 3
    assert rejected(proxy.metrics()) == {}


@pytest.mark.parametrize(("method", "body"), [("POST", b"abc"), ("POST", b""), ("PATCH", b"abc"), ("POST", None)])
def test_a_stale_connection_is_not_tried_again_where_that_could_do_harm(
    upstreams: Serve, proxies: Start, method: str, body: bytes | None
) -> None:
    stale = Stale()
    proxy = proxies(settings(upstreams(stale).url))
    with talk(proxy.port) as line:
        line.send(request())
        assert line.reply().status == 200
        line.send(request("/", method, body))
        assert line.reply().status == 502
    assert len(stale.requests) == 2
    counted(proxy, reset=1)


def test_a_fresh_connection_that_closes_is_no_stale_one(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(closes())
    proxy = proxies(settings(primary.url))
    assert ask(proxy.port, request()).status == 502
    assert len(primary.connections) == 1
    counted(proxy, reset=1)


def test_a_request_is_tried_again_only_once(upstreams: Serve, proxies: Start) -> None:
    async def once_then_never(peer: Peer) -> None:
        await peer.request()
        if not answered:
            answered.append(True)
            await peer.send(answer(b"x"))
            await peer.request()

    answered: list[bool] = []
    primary = upstreams(once_then_never)
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        line.send(request())
        assert line.reply().status == 200
        line.send(request())
        assert line.reply().status == 502
    assert len(primary.connections) == 2


@until_calm
def test_a_stale_connection_of_the_candidate_is_tried_again_or_lost(upstreams: Serve, proxies: Start) -> None:
    stale = Stale()
    primary, candidate = upstreams(answers(answer(b"x"))), upstreams(stale)
    proxy = proxies(settings(primary.url, candidate.url, shadow={"methods": ["GET", "POST"]}))
    for data in (request(), request(), request("/", "POST", b"a"), request("/", "POST", b"a")):
        assert ask(proxy.port, data).body == b"x"
        metrics = tally(proxy)
    assert metrics.total("shadowproxy_comparisons_total", verdict="match") == 2 + stale.requests.count(b"POST") - 1
    assert metrics.total("shadowproxy_shadow_lost_total", reason="stale_connection") == 1


def test_surplus_bytes_after_an_answer_never_become_the_next_one(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"good") + answer(b"smuggled")))
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        for _ in range(5):
            line.send(request())
            assert line.reply().body == b"good"
    assert len(primary.connections) == 5


@until_calm
def test_pools_of_different_arms_share_nothing(upstreams: Serve, proxies: Start) -> None:
    upstream = upstreams(answers(answer(b"x")))
    tight = {"urls": [upstream.url], "max_connections": 1}
    proxy = proxies(settings(tight, tight, tight))
    for _ in range(5):
        assert ask(proxy.port, request()).body == b"x"
    tally(proxy, eligible=10)
    by_arm = [
        {tuple(m.values(b"x-shadow-request")) for m in wire.requests(bytes(data))} for data in upstream.connections
    ]
    assert sorted(map(len, by_arm)) == [1, 1, 1]


def test_names_are_resolved_and_their_other_addresses_tried(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"x")))
    proxy = proxies(settings(f"http://localhost:{primary.port}"))
    assert ask(proxy.port, request()).body == b"x"
    (message,) = wire.requests(primary.received)
    assert message.values(b"host") == [b"shop"]


# Under way while an upstream restarts.


def test_an_upstream_that_restarts_costs_only_what_it_was_doing(proxies: Start) -> None:
    port = free_port()
    other = free_port()
    proxy = proxies(settings({"urls": [f"http://{HOST}:{port}", f"http://{HOST}:{other}"]}))
    stop, statuses = threading.Event(), Counter[int]()

    def visits() -> None:
        with talk(proxy.port) as line:
            while not stop.is_set():
                line.send(request())
                statuses[line.reply().status] += 1

    with at(other, answers(answer(b"other"))):
        visitor = threading.Thread(target=visits)
        with at(port, answers(answer(b"first"))):
            visitor.start()
            eventually(lambda: statuses[200] > 50)
        before = statuses[200]
        eventually(lambda: statuses[200] > before + 50)
        with at(port, answers(answer(b"again"))):
            before = statuses[200]
            eventually(lambda: statuses[200] > before + 50)
            stop.set()
            visitor.join()
    assert set(statuses) == {200}


def test_a_host_is_kept_and_one_made_up_for_old_clients(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"x")))
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        line.send(b"GET / HTTP/1.0\r\n\r\n")
        assert line.rest().endswith(b"x")
    (message,) = wire.requests(primary.received)
    assert re.fullmatch(rb"127\.0\.0\.1:[0-9]+", message.values(b"host")[0])
    assert ask(proxy.port, request(Host="Shop.Example:81")).body == b"x"
    assert wire.requests(primary.received)[-1].values(b"host") == [b"Shop.Example:81"]
