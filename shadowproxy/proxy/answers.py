"""How an answer goes out to a client: pure decisions on its framing and its connection."""

from __future__ import annotations

from typing import Final

from shadowproxy.http1 import CHUNKED, UNTIL_CLOSE, ResponseHead

_CLOSE: Final = b"Connection: close\r\n"
_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"


def client_framing(head: ResponseHead, version10: bool) -> int:
    """Chunked where the upstream gives no length, if the client can read that (RFC 9112 section 6.3)."""
    if head.framing >= 0:
        return head.framing
    return UNTIL_CLOSE if version10 else CHUNKED


def connection_line(keep: bool, version10: bool) -> bytes:
    """An HTTP/1.0 client has to be told that the connection stays, any other that it does not."""
    if keep:
        return _KEEP_ALIVE if version10 else b""
    return _CLOSE


def options_answer(date: bytes, connection: bytes) -> bytes:
    """The answer of the hop at which Max-Forwards ran out (RFC 9110 section 7.6.2)."""
    return (b"HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nDate: %b\r\n%b\r\n") % (
        date,
        connection,
    )
