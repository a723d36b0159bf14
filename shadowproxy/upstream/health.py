"""Active health checks: one GET per server and interval, over a connection of its own."""

from __future__ import annotations

import asyncio

from shadowproxy.http1 import ResponseHead
from shadowproxy.model.errors import ExchangeError, Fault
from shadowproxy.model.policy import HealthPolicy
from shadowproxy.upstream.connection import Trailers
from shadowproxy.upstream.origin import Origin
from shadowproxy.upstream.pool import Server
from shadowproxy.upstream.tasks import spawn


class _Answer:
    """Receives the status of one check; the body is of no interest."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_interim(self, head: ResponseHead) -> None:
        """Not the answer yet."""

    def on_response(self, head: ResponseHead, data: bytes, complete: bool) -> None:
        if not self.status.done():
            self.status.set_result(head.status)

    def on_data(self, data: bytes) -> None:
        """Not looked at."""

    def on_backlog(self) -> None:
        """As above."""

    def on_complete(self, trailers: Trailers) -> None:
        """As above."""

    def on_failure(self, fault: Fault, detail: str) -> None:
        if not self.status.done():
            self.status.set_result(0)

    def on_upstream_full(self) -> None:
        """A check is far smaller than a socket's buffer."""

    def on_upstream_ready(self) -> None:
        """As above."""


async def _probe(origin: Origin, server: Server, health: HealthPolicy) -> bool:
    """True for a status of 200 to 399 within the check's timeout."""
    host = health.host or server.endpoint.host or "localhost"
    request = f"GET {health.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: shadowproxy\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(health.timeout):
            connection = await origin.open(server)
            try:
                answer = _Answer()
                connection.send(answer, b"GET", request.encode("ascii"), True, None)
                return 200 <= await answer.status < 400
            finally:
                connection.abandon()
    except (TimeoutError, ExchangeError):
        return False


async def _watch(origin: Origin, server: Server, health: HealthPolicy) -> None:
    while not origin.retired:
        origin.pool.checked(server, await _probe(origin, server, health))
        await asyncio.sleep(health.interval)


def watch(origin: Origin) -> None:
    """Check every server of `origin` until it retires, if checks are configured."""
    health = origin.policy.health
    if health is not None:
        for server in origin.pool.servers:
            spawn(_watch(origin, server, health))
