"""Active checks: on their own connection, at their interval, and none after the origin retired."""

from __future__ import annotations

import pytest

from shadowproxy.model.policy import HealthPolicy, LimitsPolicy
from shadowproxy.upstream.deadlines import Deadlines
from shadowproxy.upstream.health import watch
from shadowproxy.upstream.origin import Origin
from tests.fakes.stage import Network, upstream

HEALTH = HealthPolicy(path="/up", interval=5.0, timeout=1.0, rise=1, fall=1)


def watched(health: HealthPolicy | None = HEALTH) -> tuple[Network, Origin]:
    loop = Network()
    origin = Origin(upstream(1, health=health), LimitsPolicy(), Deadlines(loop.time()), {})
    with loop.running():
        watch(origin)
    loop.run()
    return loop, origin


def test_without_a_policy_nothing_is_checked() -> None:
    assert watched(None)[0].dialled == []


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", False),
        (b"nonsense\r\n\r\n", False),
    ],
)
def test_the_status_decides(answer: bytes, good: bool) -> None:
    loop, origin = watched()
    origin.pool.servers[0].healthy = not good
    transport = loop.made[1][0]
    assert transport.take().startswith(b"GET /up HTTP/1.1\r\nHost: 10.0.0.1\r\n")
    transport.feed(answer)
    assert origin.pool.servers[0].healthy is good
    assert (transport.closing, origin.pool.open) == (True, 0)


def test_a_server_that_says_nothing_or_refuses_is_bad() -> None:
    loop, origin = watched()
    loop.advance(1.1)
    assert not origin.pool.servers[0].healthy
    assert origin.pool.open == 0
    loop.answers[1] = ConnectionRefusedError()
    origin.pool.servers[0].healthy = True
    loop.advance(5.0)
    assert not origin.pool.servers[0].healthy


def test_checks_go_on_until_the_origin_retires() -> None:
    loop, origin = watched()
    for _ in range(3):
        loop.made[1][-1].feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        loop.advance(5.0)
    assert len(loop.made[1]) == 4
    origin.retire()
    loop.advance(60.0)
    assert len(loop.made[1]) == 4
