"""Which server and which connection: the bookkeeping of one arm's connections, without I/O.

Leasing and giving back are O(1): unused connections stand on a stack (the warmest is used first, so that the others
can expire), and servers are tried round-robin or by the fewest connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.model.policy import Endpoint, UpstreamPolicy

if TYPE_CHECKING:
    from shadowproxy.upstream.connection import Connection


class Server:
    """One URL of an upstream, with its connections and its health."""

    __slots__ = ("ejected_until", "endpoint", "failures", "falls", "healthy", "idle", "open", "rises")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.idle: list[Connection] = []
        self.open = 0
        """Connections that exist, lent and unused."""
        self.failures = 0
        self.ejected_until = 0.0
        self.healthy = True
        self.rises = 0
        self.falls = 0

    def is_usable(self, now: float) -> bool:
        return self.healthy and self.ejected_until <= now

    @property
    def lent(self) -> int:
        return self.open - len(self.idle)


class Pool:
    """All servers of one arm. `connecting` counts connections on their way; they count towards the maximum."""

    def __init__(self, policy: UpstreamPolicy) -> None:
        self.policy = policy
        self.servers = [Server(endpoint) for endpoint in policy.endpoints]
        self.connecting = 0
        self._turn = 0

    @property
    def open(self) -> int:
        return sum(server.open for server in self.servers)

    def usable(self, now: float) -> list[Server]:
        """Servers in rotation; all of them when none is: the last URL is never ejected."""
        return [server for server in self.servers if server.is_usable(now)] or self.servers

    def choose(self, now: float) -> Server:
        """The server whose turn it is."""
        if len(self.servers) == 1:
            return self.servers[0]
        candidates = self.usable(now)
        self._turn += 1
        start = self._turn % len(candidates)
        if self.policy.balance == "round_robin":
            return candidates[start]
        return min(candidates[start:] + candidates[:start], key=lambda server: server.lent)

    def has_room(self) -> bool:
        return self.open + self.connecting < self.policy.max_connections

    def put(self, connection: Connection, now: float) -> Connection | None:
        """Keep an unused connection; returns one to close when there are enough."""
        idle = connection.server.idle
        connection.expires = now + self.policy.timeouts.keep_alive
        idle.append(connection)
        if len(idle) > self.policy.max_idle:
            return idle.pop(0)
        return None

    def expired(self, now: float) -> list[Connection]:
        """Unused connections whose time is over, oldest first, taken out of the pool."""
        found: list[Connection] = []
        for server in self.servers:
            keep = 0
            while keep < len(server.idle) and server.idle[keep].expires <= now:
                keep += 1
            found += server.idle[:keep]
            del server.idle[:keep]
        return found

    def add(self, connection: Connection) -> None:
        """The connection exists: from now until `forget` it counts."""
        connection.server.open += 1

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        server = connection.server
        server.open -= 1
        if connection in server.idle:
            server.idle.remove(connection)

    def answered(self, server: Server) -> None:
        """A request got an answer, whatever it says."""
        server.failures = 0

    def failed(self, server: Server, now: float) -> None:
        """No connection, or no answer. Enough of that in a row puts the server out of rotation for a while."""
        server.failures += 1
        if server.failures >= self.policy.ejection.failures:
            server.ejected_until = now + self.policy.ejection.interval
            server.failures = 0

    def checked(self, server: Server, good: bool) -> bool:
        """The result of an active check; True when the server's state changed."""
        health = self.policy.health
        assert health is not None  # noqa: S101 - only called where checks are configured
        before = server.healthy
        if good:
            server.rises, server.falls = server.rises + 1, 0
            server.healthy = server.healthy or server.rises >= health.rise
        else:
            server.falls, server.rises = server.falls + 1, 0
            server.healthy = server.healthy and server.falls < health.fall
        return server.healthy != before
