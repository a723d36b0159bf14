"""One connection of a demo backend."""

from __future__ import annotations

import json
from random import Random

import pytest

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


def asked(transport: FakeTransport, loop: FakeLoop, request: bytes) -> tuple[bytes, dict[str, object]]:
    """The first line and the body of the answer."""
    transport.feed(request)
    loop.advance(1.0)
    head, _, body = transport.take().partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], json.loads(body)


def test_a_post_deploys_a_version_and_gives_and_takes_a_fault() -> None:
    loop, transport = connected()

    def post(path: bytes) -> tuple[bytes, dict[str, object]]:
        return asked(transport, loop, b"POST " + path + b" HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n")

    assert post(b"/deploy/3") == (b"HTTP/1.1 200 OK", {"version": 3, "fault": "none"})
    assert post(b"/fault/slow")[1] == {"version": 3, "fault": "slow"}
    assert post(b"/fault/none")[1] == {"version": 3, "fault": "none"}
    status, body = post(b"/deploy/9")
    assert status == b"HTTP/1.1 404 Not Found"
    assert body == {"error": "9: write one of /deploy/1, 2, 3"}
    assert post(b"/fault/typo")[0] == b"HTTP/1.1 404 Not Found"
    assert post(b"/orders")[0] == b"HTTP/1.1 201 Created"


@pytest.mark.parametrize(
    ("field", "is_on"),
    [
        (b"express-delivery", True),
        (b"a, express-delivery=?1;x, b", True),
        (b"express-delivery=?0", False),
        (b"no-express-delivery", False),
        (b'a="express-delivery"', False),
    ],
)
def test_the_feature_is_on_for_requests_that_carry_its_flag(field: bytes, is_on: bool) -> None:
    loop, transport = connected()
    asked(transport, loop, b"POST /deploy/3 HTTP/1.1\r\nHost: s\r\n\r\n")
    price = b"GET /prices/4 HTTP/1.1\r\nHost: s\r\n"
    assert ("express_cents" in asked(transport, loop, price + b"Feature-Flags: " + field + b"\r\n\r\n")[1]) is is_on
    assert "express_cents" not in asked(transport, loop, price + b"\r\n")[1]
