"""What rollouts are tested with: two versions of a shop that misbehave on demand, users, and an operator.

with versions() as (blue, green), Proxy.start(directory, rollout_settings(blue, green, stages=[…])) as proxy:
    operator = Operator(proxy)
    with users(proxy.port) as load:
        operator.act("start")
        operator.until_phase("promoted")
    assert not load.failures()
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from tests.e2e.harness import Proxy, eventually
from tests.e2e.ports import HOST
from tests.e2e.talk import settings

SERVED_BY = "x-served-by"
VERSION = "x-app-version"
USER = "x-user-id"
BLUE, GREEN = "blue", "green"

# The two versions.


@dataclass
class Version:
    """A shop of one version. Everything may be changed while it serves.

    `errors`: the share of requests that it answers with 500, each drawn by itself. `delay` in seconds, which rise by
    `growth` every second from `growing_since` on. `body` is what its pages hold. While it is not `alive` it refuses
    connections and has reset those there were; while it is `frozen` it takes requests and says nothing.
    """

    name: str
    version: str
    errors: float = 0.0
    delay: float = 0.0
    growth: float = 0.0
    growing_since: float = 0.0
    body: dict[str, Any] = field(default_factory=lambda: {"price": 7})
    frozen: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    """How many it got of `users` and how many `copies`."""
    port: int = 0
    _loop: asyncio.AbstractEventLoop | None = None
    _server: asyncio.Server | None = None
    _open: set[_Connection] = field(default_factory=set)
    _draw: random.Random = field(default_factory=random.Random)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        return self._server is not None

    def grow(self, per_second: float) -> None:
        self.growth, self.growing_since = per_second, time.monotonic()

    def die(self) -> None:
        self._run(self._stop())

    def live(self) -> None:
        self._run(self._listen())

    def answer(self, head: bytes) -> tuple[bytes, float]:
        """A response and the seconds that it takes."""
        is_copy = b"\r\nx-shadow-request:" in head.lower()
        self.requests["copies" if is_copy else "users"] += 1
        status = "500 Internal Server Error" if self._draw.random() < self.errors else "200 OK"
        body = b"{}" if status.startswith("500") else json.dumps(self.body).encode()
        fields = f"Content-Type: application/json\r\n{SERVED_BY}: {self.name}\r\n{VERSION}: {self.version}\r\n"
        response = f"HTTP/1.1 {status}\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body
        grown = self.growth * (time.monotonic() - self.growing_since) if self.growth else 0.0
        return response, self.delay + grown

    async def _listen(self) -> None:
        if self._server is None:
            loop = self._loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Connection(self), HOST, self.port, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._open):
            connection.transport.abort()
        await asyncio.sleep(0)  # they end in the loop's next turn

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop, "it has never lived"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class _Connection(asyncio.Protocol):
    """One connection: requests without a body, one after the other."""

    def __init__(self, shop: Version) -> None:
        self._shop = shop
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._shop._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._shop._open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            response, seconds = self._shop.answer(head)
            if self._shop.frozen:
                continue
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._write, response)
            else:
                self._write(response)

    def _write(self, response: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(response)


@contextmanager
def versions(kind: type[Version] = Version, **both: Any) -> Generator[tuple[Version, Version], None, None]:
    """Version 1, blue, and version 2, green, on one thread, so that both are as fast; `both` is set on each."""
    pair = kind(BLUE, "1.0", **both), kind(GREEN, "2.0", **both)
    with _thread() as loop:
        for each in pair:
            asyncio.run_coroutine_threadsafe(each._listen(), loop).result(10)
        try:
            yield pair
        finally:
            for each in pair:
                each.die()


@contextmanager
def _thread() -> Generator[asyncio.AbstractEventLoop, None, None]:
    """An event loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


# Users.


@dataclass(frozen=True)
class Visit:
    """One request of a user. `status` is 0 where there was no whole answer, `arm` the name of the version that gave it.

    `at` is when it was sent, by time.monotonic, `seconds` how long it took.
    """

    at: float
    user: str
    status: int
    arm: str
    seconds: float


@dataclass
class Load:
    """Users who come steadily, whatever happens to them, and what became of each of their requests."""

    port: int
    rate: float
    users: int
    visits: list[Visit] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    """Further header fields of every request."""

    def served(self, since: float = 0.0) -> Counter[str]:
        """How many requests sent since then each version has answered, and nobody: the empty name."""
        return Counter(visit.arm for visit in list(self.visits) if visit.at >= since)

    def share(self, since: float = 0.0) -> float:
        """The candidate's share of what was answered."""
        served = self.served(since)
        return served[GREEN] / max(1, served[GREEN] + served[BLUE])

    def failures(self, since: float = 0.0) -> Counter[int]:
        """Statuses of 5xx, and 0 for no answer."""
        return Counter(v.status for v in list(self.visits) if v.at >= since and (v.status >= 500 or not v.status))

    def flips(self, settled: float = 1.0) -> list[str]:
        """Users whom the primary served though the candidate had, at least `settled` seconds before."""
        first: dict[str, float] = {}
        flipped = []
        for visit in sorted(self.visits, key=lambda visit: visit.at):
            if visit.arm == GREEN:
                first.setdefault(visit.user, visit.at)
            elif visit.arm == BLUE and visit.at - first.get(visit.user, visit.at) > settled:
                flipped.append(visit.user)
        return flipped

    async def visit_forever(self, first: float, every: float, draw: random.Random) -> None:
        """One user after the other, one every so many seconds; whom it is too late for is left out."""
        due = first
        with _Line(self.port) as line:
            while True:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                due = max(due + every, time.monotonic())
                user, began = f"u{draw.randrange(self.users)}", time.monotonic()
                status, arm = await line.ask({USER: user, **self.fields})
                self.visits.append(Visit(began, user, status, arm, time.monotonic() - began))


class _Line:
    """A connection that is made anew where it has ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream[1].close()
        self._stream = None

    async def ask(self, fields: dict[str, str]) -> tuple[int, str]:
        """The status, and who served; 0 and nobody where there is no whole answer."""
        try:
            async with asyncio.timeout(30):
                self._stream = self._stream or await asyncio.open_connection(HOST, self._port)
                status, got = await self._exchange(*self._stream, fields)
        except (OSError, EOFError):
            status, got = 0, {"connection": "close"}
        if got.get("connection") == "close":
            self.__exit__()
        return status, got.get(SERVED_BY, "")

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fields: dict[str, str]
    ) -> tuple[int, dict[str, str]]:
        rows = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"GET /items/7 HTTP/1.1\r\nHost: shop\r\n{rows}\r\n".encode())
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        got = dict(row.split(": ", 1) for row in lines if row)
        await reader.readexactly(int(got.get("content-length", "0")))
        return int(line.split(" ")[1]), got


@contextmanager
def users(
    port: int, rate: float = 300.0, count: int = 1000, connections: int = 16, **fields: str
) -> Generator[Load, None, None]:
    """`rate` requests a second of `count` users until the end; underscores in names of `fields` become hyphens."""
    load = Load(port, rate, count, fields={name.replace("_", "-"): value for name, value in fields.items()})
    with _thread() as loop:
        begin, every = time.monotonic(), connections / rate
        tasks = [
            asyncio.run_coroutine_threadsafe(
                load.visit_forever(begin + every * index / connections, every, random.Random(index)), loop
            )
            for index in range(connections)
        ]
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            # What was cancelled ends in the loop's next turns, before the loop does.
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), loop).result(10)


# The operator.


def rollout_settings(primary: Version, candidate: Version, /, *, top: dict[str, Any] | None = None, **plan: Any) -> Any:
    """A configuration with a rollout of this plan whose users are told apart, in the times of a test."""
    rollout = {"name": "v2", "sticky": {"by": f"header:{USER}"}, "warmup": "0s", "lease": "5s", **plan}
    return settings(
        primary.url,
        candidate.url,
        **{
            "version": {"header": VERSION},
            "compare": {"ignore": [f"header:{SERVED_BY}", f"header:{VERSION}"]},
            "rollout": rollout,
            **(top or {}),
        },
    )


class RefusedError(Exception):
    """The API did not do what it was asked: its status and its words."""


@dataclass
class Operator:
    """A person who carries the rollout of a proxy's only service, over the admin API."""

    proxy: Proxy

    def act(self, action: str, **body: Any) -> Any:
        """start, approve, pause, resume, promote, abort, rollback or retry. Raises RefusedError."""
        return self.post(f"rollout/{action}", reason=f"a test says {action}", **body)

    def post(self, path: str, /, **body: Any) -> Any:
        """What a change answers. Raises RefusedError."""
        request = urllib.request.Request(
            f"{self.proxy.admin}/api/v1/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise RefusedError(error.code, error.read().decode()) from None

    def status(self) -> dict[str, Any]:
        return self.proxy.api("rollout")

    def until(self, question: Callable[[dict[str, Any]], object], seconds: float = 60.0) -> dict[str, Any]:
        """The first status of which `question` is true; where there is none in time, what was last known of it."""
        last: dict[str, Any] = {}

        def asked() -> dict[str, Any] | None:
            nonlocal last
            last = self.status()
            return last if question(last) else None

        try:
            return eventually(asked, seconds)
        except AssertionError:
            raise AssertionError(f"not within {seconds:g} s: {_brief(last)}\n{self.proxy.tail()}") from None

    def until_phase(self, phase: str, seconds: float = 60.0) -> dict[str, Any]:
        """The status once the rollout is in this phase; another one that is an end fails at once."""
        ends = {"promoted", "rolled_back", "aborted"}
        status = self.until(lambda now: now["phase"] == phase or now["phase"] in ends, seconds)
        assert status["phase"] == phase, f"{_brief(status)}\n{self.proxy.tail()}"
        return status

    def until_stage(self, name: str, seconds: float = 60.0) -> dict[str, Any]:
        return self.until(lambda now: now["stage"] == name, seconds)


def _brief(status: dict[str, Any]) -> str:
    shown = ("phase", "stage", "weight", "holds", "why", "next", "bake", "checks")
    return json.dumps({name: status.get(name) for name in shown}, indent=1)
