"""The connections of control inside the tree: to the supervisor, and from the comparers. Framed msgpack."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final, cast

import msgspec

from shadowproxy.channel import FrameError, FrameReader, frame
from shadowproxy.model.commands import Apply, Names, Paths, Publish, Quit, Ready, Reload, Templates
from shadowproxy.model.flags import Evaluations, FlagsInForce
from shadowproxy.model.pair import Aggregate, Examples, Hello, Learned
from shadowproxy.model.unix import KEEP_FILE

MAX_UNTAKEN: Final = 8 * 1024 * 1024
"""Bytes that a comparer may leave unread."""

log = logging.getLogger(__name__)

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_command: Final = msgspec.msgpack.Decoder(Apply | Paths | Evaluations | Quit).decode
_decode_report: Final = msgspec.msgpack.Decoder(Aggregate | Examples | Hello).decode


class _Framed(asyncio.Protocol):
    """Cuts what arrives into frames; a stream that cannot be understood ends."""

    def __init__(self, receive: Callable[[bytes], None], gone: Callable[[], None]) -> None:
        self._receive = receive
        self._gone = gone
        self._reader = FrameReader()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                self._receive(message)
        except (FrameError, msgspec.MsgspecError) as error:
            log.error("a message inside the tree cannot be understood: %s", error)
            self.close()

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone()


class Commands:
    """The connection to the supervisor. `ended` is set when it says Quit, or is gone: then `orphaned` is too."""

    def __init__(self, obey: Callable[[Apply | Paths | Evaluations], None], ended: asyncio.Event) -> None:
        self._obey = obey
        self._ended = ended
        self.orphaned = False
        self._protocol = _Framed(self._receive, self._gone)

    async def connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        await asyncio.get_running_loop().create_unix_connection(lambda: self._protocol, sock=connection)

    def send(self, message: Ready | Names | Templates | Reload | Publish | FlagsInForce) -> None:
        transport = self._protocol.transport
        if transport and not transport.is_closing():
            transport.write(frame(_encode(message)))

    def close(self) -> None:
        self._protocol.close()

    def _gone(self) -> None:
        self.orphaned = not self._ended.is_set()
        self._ended.set()

    def _receive(self, payload: bytes) -> None:
        message = _decode_command(payload)
        if isinstance(message, Quit):
            self._ended.set()
        else:
            self._obey(message)


class Feed:
    """The comparers' way in. `greet` gives what a comparer is told when it comes."""

    def __init__(
        self, hear: Callable[[Aggregate | Examples], None], greet: Callable[[], Iterable[Learned]] = lambda: ()
    ) -> None:
        self._hear = hear
        self._greet = greet
        self._server: asyncio.AbstractServer | None = None
        self._comparers: set[_Framed] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self._accept, sock=listener, **KEEP_FILE)

    @property
    def comparers(self) -> int:
        """How many are connected."""
        return len(self._comparers)

    def close(self) -> None:
        if self._server:
            self._server.close()
        for comparer in self._comparers:
            comparer.close()

    def tell(self, lessons: Iterable[Learned]) -> None:
        """Tell every comparer. One that has not taken what it was told before is let go of: it comes back anew."""
        data = b"".join(frame(_encode(lesson)) for lesson in lessons)
        for comparer in [*self._comparers] if data else []:
            transport = comparer.transport
            if transport is None or transport.get_write_buffer_size() > MAX_UNTAKEN:
                comparer.close()
            else:
                transport.write(data)

    async def drained(self, seconds: float) -> None:
        """Wait until every comparer has said what it had to say and gone, for at most `seconds`."""
        try:
            await asyncio.wait_for(self._quiet.wait(), seconds)
        except TimeoutError:
            log.warning("%d comparers are still connected", len(self._comparers))

    def _accept(self) -> _Framed:
        comparer = _Framed(lambda payload: self._receive(comparer, payload), lambda: self._gone(comparer))
        self._comparers.add(comparer)
        self._quiet.clear()
        return comparer

    def _receive(self, comparer: _Framed, payload: bytes) -> None:
        message = _decode_report(payload)
        if not isinstance(message, Hello):
            self._hear(message)
        elif comparer.transport is not None:
            comparer.transport.write(b"".join(frame(_encode(lesson)) for lesson in self._greet()))

    def _gone(self, comparer: _Framed) -> None:
        self._comparers.discard(comparer)
        if not self._comparers:
            self._quiet.set()
