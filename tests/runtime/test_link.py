"""A framed connection that never waits, over a socket that takes and gives what the test says."""

from __future__ import annotations

from socket import socket
from typing import cast

import pytest

from shadowproxy.channel import MAX_FRAME, FrameReader, frame
from shadowproxy.runtime.link import Link, LinkError


class Wire:
    """Takes `room` bytes in all, at most `step` at a time; gives `incoming` piece by piece, then blocks."""

    def __init__(self, room: int = 1 << 30, step: int = 1 << 30) -> None:
        self.room, self.step = room, step
        self.incoming: list[bytes | OSError] = []
        self.sent = bytearray()
        self.blocking = True
        self.closed = False

    def setblocking(self, flag: bool) -> None:
        self.blocking = flag

    def fileno(self) -> int:
        return 7

    def recv(self, _size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        piece = self.incoming.pop(0)
        if isinstance(piece, OSError):
            raise piece
        return piece

    def send(self, data: bytes) -> int:
        if self.room < 0:
            raise BrokenPipeError
        taken = min(len(data), self.room, self.step)
        if not taken:
            raise BlockingIOError
        self.sent += data[:taken]
        self.room -= taken
        return taken

    def close(self) -> None:
        self.closed = True


def linked(wire: Wire, limit: int = 100) -> Link:
    return Link(cast(socket, wire), limit)


def test_the_socket_is_made_non_blocking_and_can_be_selected() -> None:
    wire = Wire()
    link = linked(wire)
    assert not wire.blocking
    assert link.fileno() == 7
    link.close()
    assert wire.closed


def test_what_is_sent_arrives_framed_however_little_is_taken_at_a_time() -> None:
    wire = Wire(step=1)
    link = linked(wire)
    link.send(b"one", b"two")
    assert FrameReader().feed(bytes(wire.sent)) == [b"one", b"two"]
    assert not link.wants_to_write


def test_what_does_not_fit_waits_for_flush() -> None:
    wire = Wire(room=5)
    link = linked(wire)
    link.send(b"hello")
    assert link.wants_to_write
    wire.room = 100
    link.flush()
    assert not link.wants_to_write
    assert bytes(wire.sent) == frame(b"hello")


def test_a_peer_that_takes_nothing_is_lost_at_the_limit() -> None:
    link = linked(Wire(room=0), limit=20)
    link.send(b"x" * 10)
    with pytest.raises(LinkError, match="28 bytes waiting"):
        link.send(b"x" * 10)


def test_a_broken_connection_is_lost() -> None:
    with pytest.raises(LinkError):
        linked(Wire(room=-1)).send(b"x")


def test_frames_are_received_as_they_complete() -> None:
    wire = Wire()
    data = frame(b"one") + frame(b"two")
    wire.incoming = [data[:5], data[5:]]
    link = linked(wire)
    assert link.receive() == []
    assert link.receive() == [b"one", b"two"]
    assert link.receive() == []


@pytest.mark.parametrize(
    "piece", [b"", ConnectionResetError(), (MAX_FRAME + 1).to_bytes(4, "big")], ids=["end", "reset", "no frames"]
)
def test_the_end_is_an_error(piece: bytes | OSError) -> None:
    wire = Wire()
    wire.incoming = [piece]
    with pytest.raises(LinkError):
        linked(wire).receive()
