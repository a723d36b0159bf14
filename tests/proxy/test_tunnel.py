"""An upgraded connection: opaque bytes both ways, with back-pressure, counted, and closed from either side."""

from __future__ import annotations

from typing import Any

import pytest

from shadowproxy.metrics import layout as at
from shadowproxy.model.policy import UpstreamTimeouts
from tests.fakes.stage import Client, Stage, policy, upstream

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Key: k\r\n\r\n"


def tunnel(early: bytes = b"", first: bytes = b"", **timeouts: Any) -> tuple[Stage, Client]:
    s = Stage(policy("candidate", primary=upstream(1, timeouts=UpstreamTimeouts(**timeouts))))
    client = s.client().send(UPGRADE + early)
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in s.at().take()
    s.at().feed(SWITCH + first)
    return s, client


def test_the_switch_is_relayed_and_bytes_pass_untouched() -> None:
    s, client = tunnel()
    answer = client.take()
    assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"X-Key: k\r\n" in answer
    assert b"Upgrade: websocket\r\n" in answer
    client.send(b"\x81\x05GET /")
    assert s.at().take() == b"\x81\x05GET /"
    s.at().feed(b"\x00HTTP/1.1 200 OK\r\n\r\n")
    assert client.take() == b"\x00HTTP/1.1 200 OK\r\n\r\n"
    assert (s.counters[at.TUNNELS], s.counters[at.TUNNELS_OPEN]) == (1, 1)
    assert s.books() == {}


def test_what_followed_at_once_is_not_lost_on_either_side() -> None:
    s, client = tunnel(early=b"client first", first=b"server first")
    assert client.take().endswith(b"\r\n\r\nserver first")
    assert s.at().take() == b"client first"


@pytest.mark.parametrize("side", ["client", "client lost", "primary", "primary lost"])
def test_either_side_ends_both_after_what_it_sent(side: str) -> None:
    s, client = tunnel()
    client.take()
    if side.startswith("client"):
        client.send(b"last")
        client.transport.feed_eof() if side == "client" else client.transport.lose(None)
        assert s.at().take() == b"last"
    else:
        s.at().feed(b"last")
        s.at().feed_eof() if side == "primary" else s.at().lose(None)
        assert client.take() == b"last"
    s.loop.run()
    assert client.gone
    assert s.at().closing
    assert not s.at().aborted
    assert s.counters[at.TUNNELS_OPEN] == 0
    assert s.origin().pool.open == 0
    assert s.counters[at.CLIENT_CONNECTIONS] == 0


def test_each_side_is_paused_while_the_other_takes_no_more() -> None:
    s, client = tunnel()
    client.transport.block()
    assert not s.at().is_reading()
    client.transport.unblock()
    assert s.at().is_reading()
    s.at().block()
    assert not client.transport.is_reading()
    s.at().unblock()
    assert client.transport.is_reading()


def test_a_client_that_is_full_when_the_switch_comes_pauses_the_primary() -> None:
    s = Stage()
    client = s.client().send(UPGRADE)
    client.transport.block()
    s.at().feed(SWITCH + b"x")
    assert not s.at().is_reading()
    client.transport.unblock()
    s.at().feed(b"y")
    assert client.take().endswith(b"xy")


def test_a_tunnel_has_no_total_timeout() -> None:
    s, client = tunnel(total=1.0, first_byte=1.0, idle=1.0)
    s.tick(10.0)
    assert not client.gone
    assert s.rejected("total_timeout") == 0


def test_a_worker_that_ends_closes_its_tunnels() -> None:
    s, client = tunnel()
    client.protocol.drain()
    assert not client.gone
    client.protocol.abort()
    s.loop.run()
    assert s.at().closing
    assert s.counters[at.TUNNELS_OPEN] == 0


def test_an_upgrade_that_is_refused_is_an_answer_like_any_other() -> None:
    s = Stage(policy("candidate"))
    client = s.client().send(UPGRADE)
    s.at().feed(b"HTTP/1.1 426 Upgrade Required\r\nDate: x\r\nContent-Length: 0\r\n\r\n")
    assert client.take().startswith(b"HTTP/1.1 426 ")
    assert not client.gone
    assert s.counters[at.TUNNELS] == 0
