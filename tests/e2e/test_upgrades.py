"""Upgraded connections are tunnels: bytes both ways, never mirrored, counted; and nothing else is a tunnel."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.e2e import wire
from tests.e2e.harness import Proxy, books, eventually
from tests.e2e.ports import HOST
from tests.e2e.talk import ask, memory, request, settings, stalls, talk
from tests.e2e.upstreams import Peer, RawUpstream, Script, answer, answers, echoes, hangs

Start = Callable[..., Proxy]
Serve = Callable[[Script], RawUpstream]
MIB = 1 << 20
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"
UPGRADE = request("/chat", Connection="Upgrade", Upgrade="chat")


async def back(connection: ServerConnection) -> None:
    """Sends back what it receives; closes as it is asked to."""
    assert connection.request is not None
    assert connection.request.headers["X-Forwarded-For"] == HOST
    async for message in connection:
        if message == "bye":
            await connection.close(4001, "as you wish")
        else:
            await connection.send(message)


def tunnels(proxy: Proxy) -> tuple[float, float]:
    metrics = proxy.metrics()
    return metrics.total("shadowproxy_tunnels_total"), metrics.total("shadowproxy_tunnels_open")


async def test_a_websocket_passes_whole_and_is_counted_and_not_mirrored(upstreams: Serve, proxies: Start) -> None:
    candidate = upstreams(answers(answer()))
    async with serve(back, HOST, 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = await asyncio.to_thread(proxies, settings(f"http://{HOST}:{port}", candidate.url))
        url = f"ws://{HOST}:{proxy.port}/chat?room=1"
        async with connect(url, max_size=None) as one, connect(url, max_size=None) as two:
            for message in ("hello", "ä" * 100_000, os.urandom(5 * MIB), b""):
                await one.send(message)
                assert await one.recv() == message
            await two.send("other")
            assert await two.recv() == "other"
            await (await one.ping())
            assert await asyncio.to_thread(tunnels, proxy) == (2, 2)
            await one.send("bye")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await one.recv()
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")
        await asyncio.to_thread(eventually, lambda: tunnels(proxy) == (2, 0))
    metrics = await asyncio.to_thread(books, proxy, 0)
    assert metrics.total("shadowproxy_requests_total", arm="primary", code="1xx") == 2
    assert candidate.received == b""


async def test_a_refused_handshake_is_an_ordinary_answer(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(answers(answer(b"not here", "403 Forbidden")))
    proxy = await asyncio.to_thread(proxies, settings(primary.url))
    with pytest.raises(websockets.InvalidStatus) as refused:
        await connect(f"ws://{HOST}:{proxy.port}/chat").__aenter__()
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not here")
    assert await asyncio.to_thread(tunnels, proxy) == (0, 0)


def test_what_follows_an_upgrade_at_once_is_not_lost(upstreams: Serve, proxies: Start) -> None:
    async def switches(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH % b"chat" + b"first words")
        await peer.send(b"<" + await peer.reader.readexactly(5) + b">")
        await peer.send(await peer.read_all())

    primary = upstreams(switches)
    proxy = proxies(settings(primary.url))
    with talk(proxy.port) as line:
        line.send(UPGRADE + b"early")
        head = line.head()
        assert (head.status, head.values(b"upgrade"), head.values(b"connection")) == (101, [b"chat"], [b"Upgrade"])
        line.until(b"first words")
        line.until(b"<early>")
    (message, *_) = wire.requests(primary.received.partition(b"early")[0])
    assert (message.values(b"upgrade"), message.values(b"connection")) == ([b"chat"], [b"Upgrade"])
    eventually(lambda: not primary.open and tunnels(proxy) == (1, 0))


def test_the_end_of_the_upstream_is_the_end_of_the_tunnel(upstreams: Serve, proxies: Start) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH % b"chat" + b"x" * (4 * MIB))

    proxy = proxies(settings(upstreams(leaves).url))
    with talk(proxy.port) as line:
        line.send(UPGRADE)
        assert line.head().status == 101
        assert len(line.rest()) == 4 * MIB
    eventually(lambda: tunnels(proxy) == (1, 0))


def test_a_tunnel_outlives_every_idle_time_and_a_reload(upstreams: Serve, proxies: Start) -> None:
    async def switches(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH % b"chat")
        while piece := await peer.reader.read(100):
            await peer.send(piece)

    timeouts = {"idle": "200ms", "head": "200ms", "write": "200ms", "body_grace": "200ms"}
    primary = {
        "urls": [upstreams(switches).url],
        "timeouts": {"idle": "200ms", "first_byte": "200ms", "keep_alive": "200ms", "total": "500ms"},
    }
    proxy = proxies(settings(primary, timeouts=timeouts))
    with talk(proxy.port) as line:
        line.send(UPGRADE)
        assert line.head().status == 101
        with pytest.raises(TimeoutError):
            line.read(1.0)
        line.send(b"still there?")
        line.until(b"still there?")


def test_a_tunnel_has_back_pressure_in_both_directions(upstreams: Serve, proxies: Start) -> None:
    sent = [0]

    async def pours(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH % b"chat")
        for _ in range(400):
            await peer.send(b"x" * MIB)
            sent[0] += 1

    async def takes_nothing(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH % b"chat")
        peer.stop_reading()
        await asyncio.sleep(5)

    primary = upstreams(pours)
    proxy = proxies(settings(primary.url), fresh=True)
    before = memory(proxy)
    with talk(proxy.port, buffer=16_384) as line:
        line.send(UPGRADE)
        assert line.head().status == 101
        eventually(lambda: stalls(lambda: sent[0]), 5, "the upstream is paused")
        assert sent[0] < 40
        assert memory(proxy) - before < 16 * MIB
    eventually(lambda: not primary.open, 3, "the client is gone, and so is its tunnel")
    primary.script = takes_nothing
    with talk(proxy.port) as line:
        line.send(UPGRADE)
        assert line.head().status == 101
        line.sock.settimeout(0.5)
        taken = 0
        with suppress(TimeoutError):
            while taken < 400 * MIB:
                taken += line.sock.send(b"x" * MIB)
        assert taken < 40 * MIB
        assert memory(proxy) - before < 16 * MIB


@pytest.mark.parametrize(
    "fields",
    [
        {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAAP__"},
        {"Connection": "Upgrade", "Upgrade": "h2c, websocket"},
        {"Upgrade": "websocket"},
        {"Connection": "close", "Upgrade": "websocket"},
    ],
)
def test_what_is_no_upgrade_for_this_hop_is_served_as_a_request(
    upstreams: Serve, proxies: Start, fields: dict[str, str]
) -> None:
    primary, candidate = upstreams(answers(answer(b"x"))), upstreams(answers(answer(b"x")))
    proxy = proxies(settings(primary.url, candidate.url))
    assert ask(proxy.port, request("/", **fields)).body == b"x"
    (message,) = wire.requests(primary.received)
    assert b"h2c" not in b"".join(message.values(b"upgrade"))
    assert message.values(b"http2-settings") == []
    assert tunnels(proxy) == (0, 0)


@pytest.mark.parametrize("data", [request(), request(Connection="Upgrade", Upgrade="websocket")])
def test_a_switch_that_nobody_asked_for_is_a_bad_gateway(upstreams: Serve, proxies: Start, data: bytes) -> None:
    proxy = proxies(settings(upstreams(hangs(SWITCH % b"h2c")).url))
    assert ask(proxy.port, data).status == 502
    assert tunnels(proxy) == (0, 0)


def test_a_stopping_proxy_does_not_wait_for_tunnels_for_ever(upstreams: Serve, proxies: Start) -> None:
    proxy = proxies(settings(upstreams(hangs(SWITCH % b"chat")).url, drain={"timeout": "1s"}))
    with talk(proxy.port) as line:
        line.send(UPGRADE)
        assert line.head().status == 101
        begin = time.monotonic()
        proxy.stop()
        assert time.monotonic() - begin < 6
        line.rest()


def test_an_upgrade_of_a_request_with_a_body_passes(upstreams: Serve, proxies: Start) -> None:
    primary = upstreams(echoes)
    proxy = proxies(settings(primary.url))
    got = ask(proxy.port, request("/", "POST", b"hello", Connection="Upgrade", Upgrade="chat"))
    assert b'"body": "hello"' in got.body
