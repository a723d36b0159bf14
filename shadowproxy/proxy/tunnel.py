"""An upgraded connection (RFC 9110 section 7.8): opaque bytes both ways, with back-pressure, never mirrored.

When one side ends, what it sent is flushed to the other, then both are closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadowproxy.metrics import layout as at
from shadowproxy.upstream.connection import Connection

if TYPE_CHECKING:
    from shadowproxy.proxy.client import ClientConnection


class Tunnel:
    """Between a client and the connection to the primary that answered 101."""

    __slots__ = ("_client", "_open", "_upstream")

    def __init__(self, client: ClientConnection, upstream: Connection) -> None:
        self._client = client
        self._upstream = upstream
        self._open = True

    def begin(self, data: bytes) -> None:
        """`data` followed the 101 at once."""
        counters = self._client.site.counters
        counters[at.TUNNELS] += 1
        counters[at.TUNNELS_OPEN] += 1
        self._upstream.tunnel(self)
        if data:
            self._client.write(data)
        if self._client.full:
            self._upstream.pause()
        self._client.enter_tunnel(self)

    # -- from the upstream

    def from_upstream(self, data: bytes) -> None:
        self._client.write(data)

    def upstream_ended(self) -> None:
        if self._close():
            self._client.close()
            self._upstream.finish()

    def on_upstream_full(self) -> None:
        self._client.pause()

    def on_upstream_ready(self) -> None:
        self._client.resume()

    # -- from the client

    def from_client(self, data: bytes) -> None:
        self._upstream.write(data)

    def client_ended(self) -> None:
        if self._close():
            self._upstream.finish()

    def on_client_full(self) -> None:
        self._upstream.pause()

    def on_client_ready(self) -> None:
        self._upstream.resume()

    def _close(self) -> bool:
        """False when it was closed already."""
        was_open, self._open = self._open, False
        if was_open:
            self._client.site.counters[at.TUNNELS_OPEN] -= 1
        return was_open
