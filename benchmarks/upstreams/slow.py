"""A candidate that gives the primary's answer a fixed time late. Usage: slow.py PORT PRIMARY DELAY_MS."""

import asyncio
import re
import socket
import sys
import time
from typing import cast

import uvloop

LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
DATE = re.compile(rb"(?i)(\r\ndate: )[^\r]*")


def primary_answer(address: str) -> bytes:
    """The bytes the primary answers to GET /item, head and body."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"GET /item HTTP/1.1\r\nHost: item.example\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(65536)
        head, _, body = answer.partition(b"\r\n\r\n")
        stated = LENGTH.search(head)
        if stated is None:
            raise SystemExit(f"slow.py: the primary at {address} answered /item without a Content-Length")
        length = int(stated[1])
        while len(body) < length:
            body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


class Late(asyncio.Protocol):
    """Answers every request without a body `delay` seconds after its head, in order."""

    def __init__(self, template: bytes, delay: float) -> None:
        self.template = template
        self.delay = delay
        self.loop = asyncio.get_running_loop()
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *heads, self.pending = (self.pending + data).split(b"\r\n\r\n")
        for _ in heads:
            self.loop.call_later(self.delay, self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()).encode()
            self.transport.write(DATE.sub(rb"\g<1>" + date, self.template, count=1))


async def main() -> None:
    port, primary, delay_ms = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    template = primary_answer(primary)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Late(template, delay_ms / 1000), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
