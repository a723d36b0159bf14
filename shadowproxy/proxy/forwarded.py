"""The proxy's own fields on a forwarded request, and which fields of the client they replace.

From a peer that is not trusted, what it says of earlier hops is stripped; from a trusted one it is kept and extended.
They are added after the hop-by-hop fields were removed, so that `Connection` cannot name them away.
"""

from __future__ import annotations

from typing import Final

from shadowproxy.http1 import RequestHead

UNTRUSTED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-shadow-request"})
_EXTENDED: Final = frozenset({b"x-forwarded-for"})
_REQUEST_ID: Final = frozenset({b"x-request-id"})
_MAX_FORWARDS: Final = frozenset({b"max-forwards"})


class Peer:
    """Who is on the other side of a client connection, and the lines that say so."""

    __slots__ = ("address", "lines", "scheme", "trusted")

    def __init__(self, address: str, secure: bool, trusted: bool) -> None:
        self.address = address
        self.scheme = b"https" if secure else b"http"
        self.trusted = trusted
        via = f"X-Forwarded-For: {address}\r\n".encode() if address else b""
        self.lines = via + b"X-Forwarded-Proto: " + self.scheme + b"\r\nX-Forwarded-Host: "


def own_fields(peer: Peer, head: RequestHead, via: bytes, added_id: bytes | None) -> tuple[bytes, frozenset[bytes]]:
    """The encoded own lines, and the names (lower case) to strip from what the client sent.

    `via` begins and ends with CRLF; `added_id` is None when the client's own id passes on.
    """
    if peer.trusted:
        own, strip = _extended(peer, head, via)
    else:
        own, strip = peer.lines + head.host + via, UNTRUSTED
    if added_id is not None:
        own += b"X-Request-Id: " + added_id + b"\r\n"
        if head.request_id is not None:
            strip |= _REQUEST_ID  # it came empty
    if head.max_forwards is not None and head.method == b"OPTIONS":
        own += b"Max-Forwards: %d\r\n" % (head.max_forwards - 1)
        strip |= _MAX_FORWARDS
    if head.upgrade is not None:
        own += b"Connection: Upgrade\r\nUpgrade: " + head.upgrade + b"\r\n"
    return own, strip


def _extended(peer: Peer, head: RequestHead, via: bytes) -> tuple[bytes, frozenset[bytes]]:
    names = head.names
    hops = [hop for hop in (head.forwarded_for, peer.address.encode()) if hop]
    own = b"X-Forwarded-For: " + b", ".join(hops) + b"\r\n" if hops else b""
    if b"x-forwarded-proto" not in names:
        own += b"X-Forwarded-Proto: " + peer.scheme + b"\r\n"
    if b"x-forwarded-host" not in names:
        own += b"X-Forwarded-Host: " + head.host + b"\r\n"
    return own + via[2:], _EXTENDED
