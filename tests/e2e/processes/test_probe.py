"""The probe listener among clients that are slow, silent, loud or many."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Generator

import pytest

from shadowproxy.runtime.probe import CONNECTIONS, HEAD, LIFETIME, Probe


class Station:
    """A probe with a selector that is turned by hand, and a clock that is a number."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.now = 100.0
        self.why = ""
        self.probe = Probe(self.listener, self.selector, lambda: self.why, lambda: self.now)
        self.clients: list[socket.socket] = []

    def client(self, data: bytes = b"") -> socket.socket:
        client = socket.create_connection(self.listener.getsockname()[:2])
        client.settimeout(5)
        self.clients.append(client)
        client.sendall(data)
        return client

    def turn(self) -> None:
        """Serve whatever is ready until nothing is."""
        while ready := self.selector.select(0.05):
            for key, events in ready:
                key.data(events)

    @property
    def visitors(self) -> int:
        return len(self.selector.get_map()) - 1

    def close(self) -> None:
        self.probe.abandon()
        self.selector.close()
        self.listener.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def station() -> Generator[Station, None, None]:
    station = Station()
    yield station
    station.close()


def test_an_answer_however_the_request_is_split(station: Station) -> None:
    client = station.client()
    for byte in b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n":
        client.sendall(bytes([byte]))
        station.turn()
    assert client.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.recv(1000) == b"", "and that was all"


def test_a_connection_ends_with_its_client(station: Station) -> None:
    client = station.client(b"GET /healthz HTTP/1.1\r\n\r\nmore that nobody asked for")
    station.turn()
    assert station.visitors == 1
    client.sendall(b"still more")
    station.turn()
    client.close()
    station.turn()
    assert station.visitors == 0


def test_a_silent_connection_ends_after_its_time(station: Station) -> None:
    client = station.client(b"GET /rea")
    station.turn()
    assert station.probe.next_due() == station.now + LIFETIME
    station.probe.expire(station.now + LIFETIME - 0.1)
    assert station.visitors == 1
    station.probe.expire(station.now + LIFETIME)
    assert station.visitors == 0
    assert client.recv(1000) == b""


def test_a_crowd_of_silent_ones_does_not_keep_a_probe_out(station: Station) -> None:
    for _ in range(CONNECTIONS + 5):
        station.client()
        station.turn()
    assert station.visitors == CONNECTIONS
    client = station.client(b"GET /healthz HTTP/1.1\r\n\r\n")
    station.turn()
    assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert station.visitors == CONNECTIONS


def test_an_endless_head_is_431(station: Station) -> None:
    client = station.client(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * HEAD)
    station.turn()
    assert client.recv(1000).startswith(b"HTTP/1.1 431 ")


def test_a_reset_is_the_end_of_one_visit(station: Station) -> None:
    client = station.client(b"GET /healthz")
    station.turn()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    client.close()
    station.turn()
    assert station.visitors == 0


def test_why_it_is_not_ready_is_asked_at_the_time(station: Station) -> None:
    station.why = "worker 3 is starting"
    client = station.client(b"GET /readyz HTTP/1.1\r\n\r\n")
    station.turn()
    assert client.recv(1000).endswith(b"\r\n\r\nworker 3 is starting\n")
