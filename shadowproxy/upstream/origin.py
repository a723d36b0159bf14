"""One arm of one service as seen from a worker: connects, lends connections, keeps a bounded queue of those who wait.

Nothing here resolves names: addresses come from outside the worker (a resolver thread of the loop would be shared by
all arms) and the last good ones are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections import deque
from typing import Final, Protocol

from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from shadowproxy.model.policy import Endpoint, LimitsPolicy, UpstreamPolicy
from shadowproxy.upstream.connection import Connection
from shadowproxy.upstream.deadlines import NEVER, Deadlines
from shadowproxy.upstream.pool import Pool, Server
from shadowproxy.upstream.tasks import spawn
from shadowproxy.upstream.tls import client_context

Names = dict[str, tuple[str, ...]]
_SERVERS_TRIED: Final = 3
"""How many servers one attempt to connect asks at most."""


class Waiter(Protocol):
    """Who wants a connection. Exactly one of the two is called, unless `cancelled` is set first."""

    cancelled: bool

    def on_connection(self, connection: Connection) -> None: ...
    def on_no_connection(self, fault: Fault, detail: str) -> None: ...


class Origin:
    """Connections of one arm. `names` is shared with whoever updates it and is only read here."""

    def __init__(self, policy: UpstreamPolicy, limits: LimitsPolicy, deadlines: Deadlines, names: Names) -> None:
        self.policy = policy
        self.pool = Pool(policy)
        self.deadlines = deadlines
        self.limits = limits
        self.retired = False
        self._names = names
        self._waiters: deque[tuple[float, Waiter]] = deque()
        self._attempts: set[asyncio.Task[object]] = set()
        self._next: Server | None = None
        """Whose turn it was when it had no unused connection."""
        self._context = client_context(policy.tls) if any(e.scheme == "https" for e in policy.endpoints) else None

    # -- lending

    def take(self) -> Connection | None:
        """An unused connection at once, or None: then `want` one."""
        pool, now = self.pool, self.deadlines.now
        server = pool.choose(now)
        if not server.idle and not pool.has_room():
            server = next((other for other in pool.usable(now) if other.idle), server)
        idle = server.idle
        while idle:
            connection = idle.pop()
            if connection.expires > now:
                return connection
            connection.close()
        self._next = server
        return None

    def want(self, waiter: Waiter) -> None:
        """Ask for a new connection; the answer comes through the waiter. Refused at once when too many wait."""
        if self.pool.has_room():
            self._waiters.append((NEVER, waiter))
            self._connect()
        elif len(self._waiters) >= self.policy.max_waiting:
            waiter.on_no_connection(errors.POOL_FULL, f"{len(self._waiters)} requests already wait for a connection")
        else:
            self._waiters.append((self.deadlines.now + self.policy.max_wait, waiter))

    def give_back(self, connection: Connection) -> None:
        """An exchange ended well, or the connection is new. Those who wait come first, in a retired origin too."""
        waiter = self._next_waiter() if self._waiters else None
        if waiter is not None:
            waiter.on_connection(connection)
            return
        if self.retired:
            connection.close()
            return
        surplus = self.pool.put(connection, self.deadlines.now)
        if surplus is not None:
            surplus.close()

    def lost(self, connection: Connection) -> None:
        """A connection is gone; room for one that waits."""
        self.pool.forget(connection)
        self._serve_waiting()

    def sweep(self) -> None:
        """Called a few times a second: close what expired, tell those who waited too long."""
        now = self.deadlines.now
        for connection in self.pool.expired(now):
            connection.close()
        waiters = self._waiters
        if not any(until <= now or w.cancelled for until, w in waiters):
            return
        kept = deque((until, w) for until, w in waiters if until > now and not w.cancelled)
        late = [w for until, w in waiters if until <= now and not w.cancelled]
        self._waiters = kept
        for waiter in late:
            waiter.on_no_connection(errors.POOL_FULL, f"no connection became free in {self.policy.max_wait:g} s")

    def retire(self) -> None:
        """A new policy replaced this origin: unused connections end now, the others when their exchange does."""
        self.retired = True
        for server in self.pool.servers:
            while server.idle:
                server.idle[-1].close()

    @property
    def is_busy(self) -> bool:
        """Is anything lent, under way or waited for?"""
        return bool(self.pool.open or self.pool.connecting or self._waiters)

    def _next_waiter(self) -> Waiter | None:
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.cancelled:
                return waiter
        return None

    # -- connecting

    def _serve_waiting(self) -> None:
        """Connect for one of those who wait, where there is room and nobody does yet."""
        if self._waiters and self.pool.connecting < len(self._waiters) and self.pool.has_room():
            self._connect()

    def _connect(self) -> None:
        self.pool.connecting += 1
        server, self._next = self._next or self.pool.choose(self.deadlines.now), None
        task = spawn(self._attempt(server))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _attempt(self, server: Server) -> None:
        """Make one connection, trying another server where one refuses, and hand it to whoever waits longest."""
        failure = ExchangeError(errors.UNAVAILABLE)
        connection: Connection | None = None
        tried: list[Server] = []
        try:
            while connection is None and len(tried) < min(len(self.pool.servers), _SERVERS_TRIED):
                if tried:
                    server = self._untried(tried)
                tried.append(server)
                try:
                    connection = await self.open(server)
                except ExchangeError as error:
                    failure = error
                    self.pool.failed(server, self.deadlines.now)
        finally:
            self.pool.connecting -= 1
        if connection is not None:
            if not connection.closed:
                self.give_back(connection)
                return
            failure = ExchangeError(errors.REFUSED, "the upstream closed the connection at once")
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.on_no_connection(failure.fault, failure.detail)
        self._serve_waiting()

    def _untried(self, tried: list[Server]) -> Server:
        """Another server, one in rotation first."""
        candidates = [*self.pool.usable(self.deadlines.now), *self.pool.servers]
        return next(server for server in candidates if server not in tried)

    async def open(self, server: Server) -> Connection:
        """Raises ExchangeError: UNRESOLVED, REFUSED, CONNECT_TIMEOUT, UPSTREAM_TLS."""
        endpoint = server.endpoint
        timeouts = self.policy.timeouts
        secure = self._context is not None and endpoint.scheme == "https"
        limit = timeouts.connect + (timeouts.tls if secure else 0.0)
        connection = Connection(self, server, self.limits)
        error: Exception | None = None
        try:
            async with asyncio.timeout(limit):
                for address in self._addresses(endpoint):
                    try:
                        await self._dial(connection, endpoint, address)
                        return connection
                    except ssl.SSLError as refused:
                        raise ExchangeError(errors.UPSTREAM_TLS, f"{endpoint.url}: {refused}") from refused
                    except ConnectionAbortedError as late:  # what asyncio makes of its handshake timeout
                        raise ExchangeError(errors.CONNECT_TIMEOUT, f"{endpoint.url}: {late}") from late
                    except OSError as refused:
                        error = refused
        except TimeoutError:
            raise ExchangeError(errors.CONNECT_TIMEOUT, f"{endpoint.url}: no connection in {limit:g} s") from None
        raise ExchangeError(errors.REFUSED, f"{endpoint.url}: {error}")

    def _addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        if endpoint.unix:
            return (endpoint.unix,)
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(endpoint.host)
            return (endpoint.host,)
        addresses = self._names.get(endpoint.host, ())
        if not addresses:
            raise ExchangeError(errors.UNRESOLVED, f"{endpoint.url}: the name {endpoint.host} has no address")
        return addresses

    async def _dial(self, connection: Connection, endpoint: Endpoint, address: str) -> None:
        loop = asyncio.get_running_loop()
        secure = endpoint.scheme == "https"
        context = self._context if secure else None
        name = (self.policy.tls.server_name or endpoint.host) if secure else None
        handshake = self.policy.timeouts.tls if secure else None
        if endpoint.unix:
            await loop.create_unix_connection(lambda: connection, address)
        else:
            await loop.create_connection(
                lambda: connection,
                address,
                endpoint.port,
                ssl=context,
                server_hostname=name,
                ssl_handshake_timeout=handshake,
            )
