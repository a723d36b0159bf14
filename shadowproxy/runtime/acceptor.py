"""Accepts where something comes before HTTP: a PROXY header, a TLS handshake. Whoever fails at it is counted.

asyncio's own server would tell nobody of a handshake that failed, and could not read a header in front of one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from shadowproxy.metrics import layout as at
from shadowproxy.model import errors
from shadowproxy.model.errors import Fault
from shadowproxy.proxy.client import ClientConnection
from shadowproxy.proxy.site import Site
from shadowproxy.runtime.proxy_protocol import ProxyHeaderError, read_header
from shadowproxy.upstream.tasks import spawn

_AT_ONCE: Final = 64
"""Connections accepted before the loop sees to others."""
_REST: Final = 0.1
"""Seconds without accepting when the system has no descriptor left: the socket stays readable all that time."""


class Acceptor:
    """Serves connections from one listening socket, which it closes at the end. `site` says what comes before HTTP."""

    def __init__(self, site: Site, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self._site = site
        self._sock = sock
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._resume()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._sock.fileno())
                self._loop.call_later(_REST, self._resume)
                return
            take(self._site, accepted, self._context)


def take(site: Site, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
    """Serve one connection: header, handshake, then HTTP. One that begins counts towards the limit of connections."""
    if len(site.clients) + site.beginning >= site.snapshot.limits.connections:
        _count(site, errors.CONNECTIONS)
        accepted.close()
        return
    accepted.setblocking(False)
    site.beginning += 1
    spawn(_serve(site, accepted, context))


async def _serve(site: Site, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
    try:
        await _begin(site, accepted, context)
    except (ProxyHeaderError, TimeoutError):
        _count(site, errors.PROXY_PROTOCOL)
        accepted.close()
    except (ssl.SSLError, ConnectionAbortedError):  # the second: asyncio's for a handshake that takes too long
        _count(site, errors.TLS_HANDSHAKE)
        accepted.close()
    except OSError:
        accepted.close()  # it went away before it said anything
    finally:
        site.beginning -= 1


async def _begin(site: Site, accepted: socket.socket, context: ssl.SSLContext | None) -> None:
    policy = site.snapshot.policy
    secure = context is not None
    peer: str | None = None
    if policy.proxy_protocol:
        async with asyncio.timeout(policy.timeouts.head):
            peer = await read_header(accepted)
        peer = _address(accepted) if peer is None else peer
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: ClientConnection(site, secure, peer),
        accepted,
        ssl=context,
        ssl_handshake_timeout=policy.timeouts.tls if secure else None,
    )


def _count(site: Site, fault: Fault) -> None:
    site.counters[at.REJECT_INDEX[fault.reason]] += 1


def _address(accepted: socket.socket) -> str | None:
    name = accepted.getpeername()
    return name[0] if isinstance(name, tuple) else None
