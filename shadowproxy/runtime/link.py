"""A framed connection that never waits: what does not fit into the socket is kept, within a bound."""

from __future__ import annotations

import socket
from typing import Final

from shadowproxy.channel import FrameError, FrameReader, frame

READ: Final = 256 * 1024


class LinkError(Exception):
    """The peer is gone, takes nothing, or sends what are not frames."""


class Link:
    """One end of a stream of frames over `connection`, which it makes non-blocking.

    `limit` bounds the bytes that wait for the peer: one that has taken nothing for so long is as good as gone.
    """

    __slots__ = ("_limit", "_reader", "_waiting", "connection")

    def __init__(self, connection: socket.socket, limit: int) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._limit = limit
        self._reader = FrameReader()
        self._waiting = bytearray()

    @property
    def wants_to_write(self) -> bool:
        return bool(self._waiting)

    def fileno(self) -> int:
        return self.connection.fileno()

    def receive(self) -> list[bytes]:
        """The frames completed by what can be read now. Raises LinkError at the peer's end."""
        try:
            data = self.connection.recv(READ)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            raise LinkError(str(error)) from error
        if not data:
            raise LinkError("closed by the peer")
        try:
            return self._reader.feed(data)
        except FrameError as error:
            raise LinkError(str(error)) from error

    def send(self, *payloads: bytes) -> None:
        """Send each payload as one frame, now or when the socket takes it. Raises LinkError."""
        for payload in payloads:
            self._waiting += frame(payload)
        self.flush()
        if len(self._waiting) > self._limit:
            raise LinkError(f"the peer left {len(self._waiting)} bytes waiting")

    def flush(self) -> None:
        """Write what the socket takes of what is waiting. Raises LinkError."""
        while self._waiting:
            try:
                sent = self.connection.send(self._waiting)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                raise LinkError(str(error)) from error
            del self._waiting[:sent]

    def close(self) -> None:
        self.connection.close()
