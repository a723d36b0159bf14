"""One version of the shop as a server of its own: `python -m shadowproxy.demo.backend VERSION`.

Listens on a free port of 127.0.0.1, prints it on a line, and ends when its standard input does: a demo that dies
leaves no backend behind. A line there makes it another version (`version 3`), or gives it a fault (`fault slow`).
`POST /deploy/3`, `POST /fault/slow` and `POST /fault/none` do the same by HTTP. Every answer has a Content-Length.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import Final, cast

import httptools
import uvloop

from shadowproxy.demo.shop import FEATURE, FEATURE_FAULT, LATE_FAULTS, Reply, answer

HOST: Final = "127.0.0.1"
VERSIONS: Final = ("1", "2", "3")
NO_FAULT: Final = "none"
_FEATURE_ON: Final = re.compile(rb"(?:^|,)[ \t]*" + FEATURE.encode() + rb"(?:=\?1)?[ \t]*(?:;|,|$)")
"""In a dictionary of RFC 9651: a key that is true."""


@dataclass(slots=True)
class Shop:
    """What is deployed now, for every connection."""

    version: int
    fault: str = ""

    def obey(self, line: str) -> None:
        """`version N`, which has no fault yet, or `fault NAME`."""
        word, _, value = line.partition(" ")
        if word == "version":
            self.version, self.fault = int(value), ""
        elif word == "fault":
            self.fault = value

    def told(self, path: str) -> Reply | None:
        """What to answer to a POST that changes what is deployed; None where it is a request like any other."""
        _, word, value = path.split("/", 2) if path.count("/") == 2 else ("", "", "")
        known: tuple[str, ...]
        if word == "deploy":
            known, line = VERSIONS, f"version {value}"
        elif word == "fault":
            known, line = (*LATE_FAULTS, FEATURE_FAULT, NO_FAULT), f"fault {'' if value == NO_FAULT else value}"
        else:
            return None
        if value not in known:
            return Reply(404, {"error": f"{value or 'nothing'}: write one of /{word}/{', '.join(known)}"}, 0.0)
        self.obey(line)
        return Reply(200, {"version": self.version, "fault": self.fault or NO_FAULT}, 0.0)


class ShopConnection(asyncio.Protocol):
    """Answers the requests of one connection in order, each after its own delay."""

    def __init__(self, shop: Shop, random: Random) -> None:
        self._shop = shop
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[str, str, bool]] = deque()
        self._url = b""
        self._has_feature = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._url = b""
        self._has_feature = False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"feature-flags":
            self._has_feature = bool(_FEATURE_ON.search(value))

    def on_message_complete(self) -> None:
        path = self._url.partition(b"?")[0].decode("ascii", "replace")
        self._waiting.append((self._parser.get_method().decode("ascii"), path, self._has_feature))
        if len(self._waiting) == 1:
            self._begin()

    def _begin(self) -> None:
        method, path, has_feature = self._waiting[0]
        shop = self._shop
        reply = (shop.told(path) if method == "POST" else None) or answer(
            shop.version, method, path, time.time(), self._random, shop.fault, has_feature=has_feature
        )
        body = json.dumps(reply.body, separators=(",", ":")).encode() + b"\n"
        head = (
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n"
            f"Content-Type: application/json\r\nServer: shop/{shop.version}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode("ascii")
        self._loop.call_later(reply.delay, self._send, head if method == "HEAD" else head + body)

    def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self._waiting.popleft()
        if self._waiting:
            self._begin()


async def serve(version: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    random, shop = Random(), Shop(version)
    server = await loop.create_server(lambda: ShopConnection(shop, random), HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - its parent reads the port here
    ended = asyncio.Event()

    def heard() -> None:
        said = os.read(sys.stdin.fileno(), 4096)  # a parent writes whole lines, far shorter than a pipe holds
        for line in said.decode().splitlines():
            shop.obey(line)
        if not said:
            ended.set()

    loop.add_reader(sys.stdin, heard)
    await ended.wait()
    loop.remove_reader(sys.stdin)
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
