"""Keep-alive clients in a thread of their own that write down what every request came to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Load:
    """`failed` holds, for every request without a whole answer, the local port of its connection and what happened."""

    host: str
    port: int
    connections: int
    path: str = "/items/1"
    answered: int = 0
    failed: list[tuple[int, str]] = field(default_factory=list)
    refused: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    stopping: bool = False
    pause: float = 0.0

    @classmethod
    @contextmanager
    def on(cls, url: str, connections: int = 16, pause: float = 0.0) -> Generator[Load, None, None]:
        """Load on `url` while the block runs; every connection has one request under way at a time.

        `pause`: seconds between an answer and the next request.
        """
        host, _, port = url.removeprefix("http://").rpartition(":")
        load = cls(host, int(port), connections, pause=pause)
        thread = threading.Thread(target=lambda: asyncio.run(load._run()))
        thread.start()
        try:
            yield load
        finally:
            load.stopping = True
            thread.join(30)

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(self.connections)))

    async def _client(self) -> None:
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            port = writer.get_extra_info("sockname")[1]
            self.open.add(port)
            try:
                await self._talk(reader, writer, port)
            finally:
                self.open.discard(port)
                writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        request = f"GET {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n\r\n".encode()
        while not self.stopping:
            try:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                await reader.readexactly(int(fields[b"content-length"]))
            except (OSError, EOFError) as error:
                self.failed.append((port, f"{type(error).__name__}: {error}"))
                return
            self.answered += 1
            status = int(head.split(b" ")[1])
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if fields.get(b"connection") == b"close":
                return
            if self.pause:
                await asyncio.sleep(self.pause)
