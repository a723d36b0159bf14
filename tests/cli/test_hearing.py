"""Who waits for something to happen hears of it at once, and waits its second where nobody tells."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shadowproxy.cli import live
from shadowproxy.cli.hearing import Hearing
from tests.cli.test_client import on_loopback


@contextmanager
def telling(*pieces: bytes, status: str = "200 OK") -> Iterator[tuple[str, threading.Event, list[bytes]]]:
    """A listener whose stream says the pieces once it may, and stays open until the end."""
    listener, address = on_loopback()
    may, over, asked = threading.Event(), threading.Event(), []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65536))
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n\r\n".encode())
            for piece in pieces:
                may.wait(10)
                connection.sendall(piece)
            over.wait(10)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address, may, asked
    finally:
        over.set()
        may.set()
        with socket.create_connection(listener.getsockname()):
            thread.join(10)
        listener.close()


def connected(hearing: Hearing) -> None:
    ends = time.monotonic() + 10
    while not hearing._is_connected:
        assert time.monotonic() < ends
        threading.Event().wait(0.01)


def test_what_happens_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    event = b'event: status\ndata: {}\n\nevent: rollout\ndata: {"phase": "running"}\n\n'
    with telling(event) as (address, may, asked), Hearing(address, "secret") as hearing:
        connected(hearing)
        began = time.monotonic()
        may.set()
        hearing.wait(10)
        assert time.monotonic() - began < 5
    assert asked[0].startswith(b"GET /api/v1/events HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in asked[0]


def test_the_status_of_every_second_is_nothing_that_happened() -> None:
    with telling(b"event: status\ndata: {}\n\n") as (address, may, _), Hearing(address, None) as hearing:
        connected(hearing)
        may.set()
        hearing.wait(0.2)
        assert not hearing._happened.is_set()


def test_where_nobody_tells_it_waits_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(live, "sleep", waited.append)
    with telling(status="503 Service Unavailable") as (address, _, _), Hearing(address, None) as hearing:
        hearing.wait(1.0)
    listener, nobody = on_loopback()
    listener.close()
    with Hearing(nobody, None) as hearing:
        hearing.wait(1.0)
    assert waited == [1.0, 1.0]
