"""A transport that keeps what is written to it and lets a test play the peer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

from tests.fakes.loop import FakeLoop

P = TypeVar("P", bound=asyncio.Protocol)


class FakeTransport(asyncio.Transport):
    """The protocol's side is asyncio's own; the peer's is `take`, `feed`, `feed_eof`, `lose`, `block` and `unblock`.

    As with a real transport `connection_lost` comes in a later turn of the loop, exactly once, and what is written
    after `close` or `abort` goes nowhere.
    """

    def __init__(self, loop: FakeLoop, protocol: asyncio.BaseProtocol, extra: dict[str, Any] | None = None) -> None:
        super().__init__(extra={"peername": ("192.0.2.7", 40007), "sockname": ("192.0.2.1", 8080)} | (extra or {}))
        self.loop = loop
        self.written = bytearray()
        self.eof_written = False
        self.closing = False
        self.aborted = False
        self.reading = True
        self.lost = False
        self.waiting = 0
        """Bytes that the peer has not taken: what `get_write_buffer_size` answers. Set by a test."""
        self._blocked = False
        self._protocol = protocol

    # The protocol's side.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert isinstance(data, bytes | bytearray | memoryview), type(data)
        assert not self.eof_written, "write after write_eof"
        if not self.closing:
            self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        self.eof_written = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading and not self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    # The peer's side.

    def take(self) -> bytes:
        """What was written since the last `take`."""
        data = bytes(self.written)
        self.written.clear()
        return data

    def feed(self, data: bytes) -> None:
        """Bytes from the peer. A test that feeds a paused transport has a mistake in it."""
        assert self.reading, "the protocol has paused reading"
        assert isinstance(self._protocol, asyncio.Protocol)
        with self.loop.running():
            self._protocol.data_received(data)
        self.loop.run()

    def feed_eof(self) -> None:
        """The peer ends its side; as in asyncio the transport closes unless `eof_received` answers true."""
        assert isinstance(self._protocol, asyncio.Protocol)
        with self.loop.running():
            keep = self._protocol.eof_received()
        if not keep:
            self.close()
        self.loop.run()

    def lose(self, error: Exception | None = None) -> None:
        """The connection breaks."""
        self.closing = True
        self._lose(error)
        self.loop.run()

    def block(self) -> None:
        """The peer takes no more bytes."""
        if not self._blocked:
            self._blocked = True
            with self.loop.running():
                self._protocol.pause_writing()

    def unblock(self) -> None:
        """The peer takes bytes again."""
        if self._blocked:
            self._blocked = False
            with self.loop.running():
                self._protocol.resume_writing()
            self.loop.run()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            with self.loop.running():
                self._protocol.connection_lost(error)


def connect(loop: FakeLoop, protocol: P, **extra: Any) -> tuple[P, FakeTransport]:
    """Give `protocol` a fake connection and tell it so."""
    transport = FakeTransport(loop, protocol, extra)
    with loop.running():
        protocol.connection_made(transport)
    loop.run()
    return protocol, transport
