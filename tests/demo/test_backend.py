"""One connection of a demo backend."""

from __future__ import annotations

import json
from random import Random

from shadowproxy.demo.backend import Shop, ShopConnection
from tests.fakes import FakeLoop, FakeTransport, connect


def connected() -> tuple[FakeLoop, FakeTransport]:
    loop = FakeLoop()
    with loop.running():
        protocol = ShopConnection(Shop(1), Random(1))
    return loop, connect(loop, protocol)[1]


def test_answers_come_in_order_after_their_delay() -> None:
    loop, transport = connected()
    transport.feed(b"GET /items/1?a=b HTTP/1.1\r\nHost: s\r\n\r\nGET /items/2 HTTP/1.1\r\nHost: s\r\n\r\n")
    assert transport.take() == b""
    loop.advance(loop.timers[0])
    first = transport.take()
    assert json.loads(first.partition(b"\r\n\r\n")[2])["id"] == 1
    assert b"Server: shop/1\r\n" in first
    assert 0 < loop.timers[0] < 0.005
    loop.advance(loop.timers[0])
    assert json.loads(transport.take().partition(b"\r\n\r\n")[2])["id"] == 2


def test_a_head_has_the_length_and_no_body() -> None:
    loop, transport = connected()
    transport.feed(b"HEAD /items/1 HTTP/1.1\r\nHost: s\r\n\r\n")
    loop.advance(0.01)
    head = transport.take()
    assert head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in head


def test_what_is_not_http_ends_the_connection() -> None:
    _, transport = connected()
    transport.feed(b"\x16\x03\x01\x02\x00")
    assert transport.is_closing()


def test_what_is_deployed_changes_for_open_connections_and_a_new_version_has_no_fault() -> None:
    loop = FakeLoop()
    shop = Shop(2)
    with loop.running():
        transport = connect(loop, ShopConnection(shop, Random(1)))[1]

    def asked() -> tuple[bytes, float]:
        transport.feed(b"GET /items/1 HTTP/1.1\r\nHost: s\r\n\r\n")
        delay = loop.timers[0]
        loop.advance(delay)
        return transport.take(), delay

    assert b"Server: shop/2\r\n" in asked()[0]
    shop.obey("fault slow")
    assert asked()[1] > 0.2
    shop.obey("version 3")
    answer, delay = asked()
    assert b"Server: shop/3\r\n" in answer
    assert delay < 0.005
