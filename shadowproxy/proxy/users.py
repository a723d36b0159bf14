"""Who a user is, as far as a request's head says: a header, a cookie, or the address it came from. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from shadowproxy.http1 import RequestHead
from shadowproxy.proxy.forwarded import Peer

Reader = Callable[[RequestHead], bytes]
"""Takes a value from a head; empty: it is not there."""


def reader(header: str | None, cookie: str | None) -> Reader:
    """Of a header, in any case, or else of a cookie."""
    return _header(header.lower().encode()) if header is not None else _cookie((cookie or "").encode())


def _header(name: bytes) -> Reader:
    """The first of that name."""

    def read(head: RequestHead) -> bytes:
        names = head.names
        return head.kept[names.index(name)].partition(b":")[2].strip() if name in names else b""

    return read


def _cookie(name: bytes) -> Reader:
    """The first of that name (RFC 6265 section 5.4), as it came: quotes belong to the value (section 4.1.1)."""
    find = re.compile(rb"(?:^|;)[ \t]*" + re.escape(name) + rb"[ \t]*=([^;]*)").search

    def read(head: RequestHead) -> bytes:
        names = head.names
        if b"cookie" in names:
            for field, line in zip(names, head.kept, strict=True):
                if field == b"cookie" and (found := find(line.partition(b":")[2])):
                    return found[1].strip()
        return b""

    return read


def client_address(peer: Peer, forwarded_for: bytes | None, trusts: Callable[[str], bool]) -> bytes:
    """Who sent a request first, as far as that can be believed: the last hop that is no trusted proxy, without a port.

    Empty where not even the peer has an address.
    """
    if peer.trusted and forwarded_for:
        hops = [_without_port(hop.strip()) for hop in forwarded_for.split(b",")]
        for hop in reversed(hops):
            if not trusts(hop.decode("latin-1")):
                return hop
        return hops[0]
    return peer.address.encode()


def _without_port(hop: bytes) -> bytes:
    """Some write `192.0.2.7:4711` or `[2001:db8::1]:4711`, whose port differs from one connection to the next."""
    if hop.startswith(b"["):
        return hop[1:].partition(b"]")[0]
    return hop.partition(b":")[0] if hop.count(b":") == 1 else hop
