"""From heads and bodies back to bytes: what an upstream, and what a client, is sent.

End-to-end fields leave as the lines that came. Hop-by-hop fields were taken out when the head was read (RFC 9110
section 7.6.1); the proxy's own lines come after the rest, so that no Connection option can take them away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from shadowproxy.http1.fields import HOST, LENGTH
from shadowproxy.http1.framing import CHUNKED, NO_BODY
from shadowproxy.http1.request import RequestHead
from shadowproxy.http1.response import ResponseHead
from shadowproxy.model.errors import Fault

LAST_CHUNK: Final = b"0\r\n\r\n"

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"
_FRAMING_NAMES: Final = frozenset({LENGTH, b"trailer"})
_NO_TRAILERS: Final = frozenset(
    # RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, response control, content format.
    b"""
    transfer-encoding content-length trailer te connection keep-alive proxy-connection upgrade
    host via forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-request-id x-shadow-request
    cache-control expect max-forwards pragma range if-match if-none-match if-modified-since if-unmodified-since if-range
    authorization proxy-authorization proxy-authenticate www-authenticate authentication-info cookie set-cookie
    age date expires location retry-after vary warning
    content-encoding content-type content-range
    """.split()
)
_ALLOWED_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_INVISIBLE: Final = re.compile(r"[^!-~]")


def forward_request(
    head: RequestHead, own: bytes, strip: frozenset[bytes], framing: int, authority: bytes = b""
) -> bytes:
    """The head as an upstream is sent it.

    Left out are the names in `strip` (lower case), never Host and never the framing's own fields. `framing` is what
    is sent, where that is not what came. `own` holds whole lines. `authority` is the Host for an HTTP/1.0 request that
    has none; by default the field is empty, as RFC 9112 section 3.2 has it for an unknown authority.
    """
    own_framing = b""
    if framing != head.framing:
        strip |= _FRAMING_NAMES
        if framing >= 0:
            own_framing = b"Content-Length: %d\r\n" % framing
    if framing == CHUNKED:
        own_framing = _CHUNKED_LINE
    kept = _left(head.kept, head.names, strip)
    if HOST not in head.names:
        kept = [b"Host: %b\r\n" % authority, *kept]
    if head.trailers_accepted:
        # Trailers are relayed, so the question may be as well: RFC 9110 section 10.1.4.
        own_framing += b"TE: trailers\r\nConnection: TE\r\n"
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (head.method, head.target, b"".join(kept), own_framing, own)


def forward_response(head: ResponseHead, own: bytes, framing: int, date: bytes) -> bytes:
    """The head as a client is sent it, always in HTTP/1.1 (RFC 9112 section 2.3).

    `framing` is what the client gets: a length keeps Content-Length as it came, `CHUNKED` and `UNTIL_CLOSE` do without.
    A response without body (to HEAD, 304) keeps it whatever `framing` says. `date` is the value for a final response
    that came without Date (RFC 9110 section 6.6.1). `own` holds whole lines.
    """
    kept = head.kept
    lines = own
    if head.framing != NO_BODY:
        if framing != head.framing:
            kept = _left(kept, head.names, _FRAMING_NAMES)
        if framing == CHUNKED:
            lines = _CHUNKED_LINE + own
    if not head.has_date and head.status >= 200:
        lines = b"Date: %b\r\n%b" % (date, lines)
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (head.status, head.reason, b"".join(kept), lines)


def _left(kept: list[bytes], names: list[bytes], strip: frozenset[bytes]) -> list[bytes]:
    if strip.isdisjoint(names):
        return kept
    return [line for line, name in zip(kept, names, strict=True) if name not in strip]


def encode_chunk(data: bytes) -> bytes:
    """`data` as one chunk; nothing for nothing, as an empty chunk would be the last."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def encode_trailers(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The last chunk with those of `fields` that may be trailers (RFC 9110 section 6.5.1)."""
    lines = [b"%b: %b\r\n" % field for field in fields if field[0].lower() not in _NO_TRAILERS]
    return b"0\r\n%b\r\n" % b"".join(lines)


def plain_response(fault: Fault, request_id: str, date: bytes = b"", method: bytes = b"") -> bytes:
    """A whole answer of the proxy's own that says what was wrong and ends the connection.

    To HEAD it has no body. A fault with status 0 cannot be told: nothing.
    """
    if not fault.status:
        return b""
    phrase = HTTPStatus(fault.status).phrase
    identity = _INVISIBLE.sub("?", request_id)
    text = f"{fault.status} {phrase}: {fault.reason}\nrequest id: {identity}\n".encode()
    allow = b"Allow: %b\r\n" % _ALLOWED_METHODS if fault.status == HTTPStatus.METHOD_NOT_ALLOWED else b""
    dated = b"Date: %b\r\n" % date if date else b""
    return (
        b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nX-Request-Id: %b\r\n"
        b"%b%bConnection: close\r\n\r\n%b"
    ) % (
        fault.status,
        phrase.encode(),
        len(text),
        identity.encode(),
        allow,
        dated,
        b"" if method == b"HEAD" else text,
    )
