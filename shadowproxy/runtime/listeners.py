"""A worker's listening sockets: it accepts on its own slot's, adopts a dead sibling's, empties the queues at the end.

The sockets themselves belong to the supervisor; a worker only ever closes its own duplicates.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Final

from shadowproxy.model.policy import CertificatePolicy
from shadowproxy.model.unix import KEEP_FILE
from shadowproxy.proxy.client import ClientConnection
from shadowproxy.proxy.site import Site
from shadowproxy.runtime.acceptor import Acceptor, take
from shadowproxy.upstream.tls import certificate_context

BACKLOG: Final = 4096


class Listeners:
    """`sockets` are those of every slot; `accept(slot)` starts taking connections from one of them."""

    def __init__(self, site: Site, sockets: Sequence[Sequence[socket.socket]]) -> None:
        self._site = site
        self._sockets = sockets
        self._servers: dict[int, list[asyncio.Server | Acceptor]] = {}
        self._context: ssl.SSLContext | None = None

    async def accept(self, slot: int) -> None:
        """Take connections from this slot's sockets. Raises OSError or ssl.SSLError for bad certificates."""
        if slot not in self._servers:
            self._servers[slot] = [await self._serve(sock) for sock in self._sockets[slot]]

    async def leave(self, slot: int) -> None:
        """Stop taking them: the slot has a worker of its own again."""
        for server in self._servers.pop(slot, []):
            server.close()

    async def reload(self, context: ssl.SSLContext | None) -> None:
        """Serve on with these certificates and the settings of the present snapshot. Nobody is refused meanwhile:
        connections wait in the queues of the sockets, which stay open.
        """
        self._context = context
        for slot in list(self._servers):
            old = self._servers[slot]
            self._servers[slot] = [await self._serve(sock) for sock in self._sockets[slot]]
            for server in old:
                server.close()

    async def close(self, handover: bool) -> None:
        """Take what waits in the queues, unless a successor does, then listen no more."""
        slots = list(self._servers)
        for slot in slots:
            await self.leave(slot)
        for slot in range(len(self._sockets)):
            for sock in self._sockets[slot]:
                if slot in slots and not handover:
                    self._empty(sock)
                    # Siblings hold this socket too, for adoption: without this it would go on queueing for nobody.
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                sock.close()

    def _client(self) -> ClientConnection:
        return ClientConnection(self._site)

    async def _serve(self, sock: socket.socket) -> asyncio.Server | Acceptor:
        loop = asyncio.get_running_loop()
        policy = self._site.snapshot.policy
        if self._context is None:
            self._context = server_context(policy.tls)
        own = sock.dup()
        own.setblocking(False)
        if policy.proxy_protocol or self._context is not None:
            return Acceptor(self._site, own, self._context)
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._client, sock=own, backlog=BACKLOG, **KEEP_FILE)
        return await loop.create_server(self._client, sock=own, backlog=BACKLOG)

    def _empty(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = sock.accept()
                take(self._site, accepted, self._context)


def server_context(certificates: Sequence[CertificatePolicy]) -> ssl.SSLContext | None:
    """The first certificate's context, which hands over to the others by server name (SNI); None without any.

    Raises OSError or ssl.SSLError when a file cannot be read or used.
    """
    if not certificates:
        return None
    if len({(certificate.client_ca, certificate.client_required) for certificate in certificates}) > 1:
        # The handshake keeps what the first context asks of clients, and Host may name another server than SNI did.
        raise ssl.SSLError("the certificates of one listener have to ask clients for the same: client_ca differs")
    contexts = [certificate_context(certificate) for certificate in certificates]
    by_name = {
        name.lower(): context
        for certificate, context in zip(certificates, contexts, strict=True)
        for name in certificate.names
    }

    def choose(handshake: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        lower = (name or "").lower()
        chosen = by_name.get(lower) or by_name.get("*." + lower.partition(".")[2])
        if chosen is not None:
            handshake.context = chosen

    if by_name:
        contexts[0].sni_callback = choose
    return contexts[0]
