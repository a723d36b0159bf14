"""An upstream that keeps every byte it received and misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from tests.e2e.harness import eventually
from tests.e2e.ports import HOST

Script = Callable[["Peer"], Awaitable[None]]


def answer(body: bytes = b"ok", status: str = "200 OK", **fields: str) -> bytes:
    """A whole response with a Content-Length; underscores in field names become hyphens."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Peer:
    """One accepted connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """The next request's head; raises EOFError at the end of input."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """The next request's head and its whole body, chunks decoded. Raises EOFError at the end of input."""
        head = await self.head()
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
        }
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            return head, await self._chunks()
        return head, await self.reader.readexactly(int(fields.get(b"content-length", b"0")))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self.reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        while await self.reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_all(self) -> bytes:
        return await self.reader.read(-1)

    def stop_reading(self) -> None:
        """Take nothing more, so that the kernel's buffers fill up."""
        cast(asyncio.ReadTransport, self.writer.transport).pause_reading()

    def reset(self) -> None:
        """Close with a RST: nothing that is under way arrives."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


# What an upstream may do with a connection. Each runs until it has done its worst; then the connection is closed.


def answers(*responses: bytes) -> Script:
    """To every request on every connection the next of these bytes, the last one for ever."""
    turn = iter(range(len(responses) - 1))

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(responses[next(turn, len(responses) - 1)])

    return script


def by_path(table: dict[str, bytes], other: bytes = b"") -> Script:
    """An answer chosen by the request's path, without its query."""

    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            path = head.split(b" ")[1].partition(b"?")[0].decode()
            await peer.send(table.get(path) or other or answer(b"not found", "404 Not Found"))

    return script


async def echoes(peer: Peer) -> None:
    """JSON with the method, target, fields and body of each request."""
    while True:
        head, body = await peer.request()
        line, *rows = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        document = {
            "method": method,
            "target": target,
            "fields": [row.split(": ", 1) for row in rows if row],
            "body": body.decode("latin-1"),
        }
        await peer.send(answer(json.dumps(document).encode(), Content_Type="application/json"))


def hangs(after: bytes = b"") -> Script:
    """Reads the request, sends `after`, and then nothing, keeping the connection open."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(after)
        await peer.read_all()

    return script


def closes(after: bytes = b"") -> Script:
    """Reads a request, sends `after` and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(after)

    return script


def resets(after: bytes = b"") -> Script:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(after)
        peer.reset()

    return script


def drips(data: bytes, interval: float = 0.2) -> Script:
    """One byte every `interval` seconds."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for index in range(len(data)):
            await peer.send(data[index : index + 1])
            await asyncio.sleep(interval)

    return script


def floods(size: int, chunk: int = 1 << 20) -> Script:
    """A body of `size` bytes, as fast as it is taken."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        block = b"x" * chunk
        for _ in range(size // chunk):
            await peer.send(block)

    return script


@dataclass
class RawUpstream:
    """A server on a thread of its own that keeps every byte it received, connection by connection.

    `script` decides what each connection meets and may be replaced at any time.
    """

    script: Script
    port: int = 0
    connections: list[bytearray] = field(default_factory=list)
    open: dict[asyncio.Transport, bytearray] = field(default_factory=dict)
    """Those of `connections` that have not ended."""
    sent_whole: int = 0
    """Connections whose script came to its end."""
    context: ssl.SSLContext | None = None
    """Serve TLS; bytes are kept decrypted."""
    path: str = ""
    """Listen on this Unix socket instead of a port."""
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"{'https' if self.context else 'http'}://{HOST}:{self.port}"

    @property
    def received(self) -> bytes:
        """Everything, in the order of the connections."""
        return b"".join(bytes(connection) for connection in self.connections)

    @property
    def busy(self) -> bool:
        """Whether a connection that was used has not ended."""
        return any(list(self.open.values()))

    def restart(self, script: Script) -> None:
        """Another script for every connection, kept ones included: those are ended."""
        self.script = script

        def ended() -> bool:
            self._call(self._abort)  # again and again: one may have waited to be accepted
            return not self.open

        eventually(ended)

    def _abort(self) -> None:
        for transport in list(self.open):
            transport.abort()

    def _call(self, callback: Callable[[], None]) -> None:
        assert self._loop, "the upstream is not running"
        self._loop.call_soon_threadsafe(callback)

    @contextmanager
    def running(self) -> Generator[RawUpstream, None, None]:
        ready, stop = threading.Event(), asyncio.Event()

        async def main() -> None:
            loop = self._loop = asyncio.get_running_loop()
            serve = functools.partial(_Logged, self)
            if self.path:
                server = await loop.create_unix_server(serve, self.path, ssl=self.context)
            else:
                server = await loop.create_server(serve, HOST, self.port, backlog=1024, ssl=self.context)
                self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            server.close()
            while self.open:
                self._abort()
                await asyncio.sleep(0)

        thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
        thread.start()
        assert ready.wait(10), "the upstream did not start"
        try:
            yield self
        finally:
            self._call(stop.set)
            thread.join(10)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away ends a script; that is what many tests are about.
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            try:
                await self.script(Peer(reader, writer))
                self.sent_whole += 1
            finally:
                writer.close()


class _Logged(asyncio.StreamReaderProtocol):
    """A stream whose bytes are kept as they arrive, whether or not a script reads them."""

    def __init__(self, upstream: RawUpstream) -> None:
        super().__init__(asyncio.StreamReader(limit=1 << 20), upstream.serve)
        self._upstream = upstream
        self._log = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._upstream.connections.append(self._log)
        self._connection = cast(asyncio.Transport, transport)
        self._upstream.open[self._connection] = self._log
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._log += data
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del self._upstream.open[self._connection]
        super().connection_lost(exc)
