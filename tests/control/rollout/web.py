"""A client session without a network: it answers as it was told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import asynccontextmanager
from typing import Any, cast

import aiohttp
import msgspec

Reply = tuple[int, bytes] | Exception | None
"""Status and body, an error, or None: silence."""


class _Content:
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, most: int) -> bytes:
        return self._body[:most]

    async def iter_any(self) -> Any:
        for start in range(0, len(self._body), 65536):
            yield self._body[start : start + 65536]


class _Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.content = _Content(body)


class Posted(msgspec.Struct):
    url: str
    data: Any
    headers: dict[str, str]


class Web:
    """`reply` decides what the next requests get."""

    def __init__(self, reply: Callable[[Posted], Reply] | Reply = (200, b"")) -> None:
        self.reply = reply
        self.posted: list[Posted] = []

    def session(self) -> aiohttp.ClientSession:
        return cast("aiohttp.ClientSession", self)

    async def close(self) -> None:
        pass

    @asynccontextmanager
    async def post(self, url: str, *, data: Any, headers: dict[str, str], allow_redirects: bool) -> Any:
        assert not allow_redirects
        posted = Posted(url, data, headers)
        self.posted.append(posted)
        reply = self.reply(posted) if callable(self.reply) else self.reply
        if reply is None:
            await asyncio.get_running_loop().create_future()
        elif isinstance(reply, Exception):
            raise reply
        else:
            yield _Answer(*reply)


class Settled:
    """`await Settled()`: until everything that can run without time or news has run."""

    def __await__(self) -> Generator[Any, None, None]:
        for _ in range(30):
            yield from asyncio.sleep(0).__await__()
