"""What is on the wire, read strictly and independently of the product: HTTP/1.1 messages out of logged bytes.

Anything that RFC 9112 does not allow a sender raises `StrictError`; a message that has not ended is `whole=False`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x22\x24-\x7e]+) HTTP/1\.1")
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})((?:;[^\r\n\x00]*)?)")


class StrictError(AssertionError):
    """A message that no sender may generate."""


@dataclass
class Message:
    start: tuple[bytes, ...]
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = True
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    to_close: bool = False
    """The body ends with the connection."""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def status(self) -> int:
        """0 where not even the head is whole."""
        return int(self.start[0])


def requests(data: bytes) -> list[Message]:
    """Every request in `data`, the last perhaps not whole. Raises StrictError."""
    found = []
    while data:
        message, data = _message(data, _REQUEST)
        _check_host(message)
        if message.whole:
            data = _body(message, data, none=not _framed(message))
        found.append(message)
    return found


def responses(data: bytes, methods: list[bytes], closed: bool = True) -> list[Message]:
    """Every response in `data` to requests with these methods, interim ones included. Raises StrictError.

    `closed`: the connection ended cleanly after `data`, which is what ends a body without a length.
    """
    found: list[Message] = []
    queue = list(methods)
    while data:
        message, data = _message(data, _STATUS)
        if message.whole:
            interim = 100 <= message.status < 200
            method = (queue[0] if queue else b"GET") if interim else (queue.pop(0) if queue else b"GET")
            if message.status == 101:
                # From here on it is another protocol (RFC 9110 section 15.2.2).
                message.body, data = data, b""
            none = interim or method == b"HEAD" or message.status in (204, 304)
            message.to_close = not none and not _framed(message)
            data = _body(message, data, none=none)
            message.whole = message.whole and (closed or not message.to_close)
        found.append(message)
    return found


def first(data: bytes, method: bytes) -> tuple[Message, bytes] | None:
    """The first final response in `data` and what follows it; None while it is not whole. Raises StrictError."""
    while True:
        message, data = _message(data, _STATUS)
        if not message.whole:
            return None
        if message.status >= 200 or message.status == 101:
            break
    none = method == b"HEAD" or message.status in (101, 204, 304)
    message.to_close = not none and not _framed(message)
    if message.to_close:
        return None
    data = _body(message, data, none=none)
    return (message, data) if message.whole else None


def _message(data: bytes, start: re.Pattern[bytes]) -> tuple[Message, bytes]:
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return Message((b"0", head), [], whole=False), b""
    line, *rows = head.split(b"\r\n")
    if not (found := start.fullmatch(line)):
        raise StrictError(f"start line {line!r}")
    return Message(found.groups(), _fields(rows)), rest


def _fields(rows: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for row in rows:
        if not (found := _FIELD.fullmatch(row)):
            raise StrictError(f"field {row!r}")
        fields.append((found[1], found[2]))
    return fields


def _check_host(message: Message) -> None:
    hosts = message.values(b"host")
    if message.whole and (len(hosts) != 1 or not _HOST.fullmatch(hosts[0])):
        raise StrictError(f"Host {hosts!r}")


def _framed(message: Message) -> bool:
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if lengths and codings:
        raise StrictError("both Content-Length and Transfer-Encoding")
    if lengths and (len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0])):
        raise StrictError(f"Content-Length {lengths!r}")
    if codings and codings != [b"chunked"]:
        raise StrictError(f"Transfer-Encoding {codings!r}")
    return bool(lengths or codings)


def _body(message: Message, data: bytes, none: bool) -> bytes:
    """Give `message` its body out of `data`; returns what follows it."""
    if none:
        return data
    if message.to_close:
        message.body = data
        return b""
    if message.values(b"transfer-encoding"):
        return _chunks(message, data)
    length = int(message.values(b"content-length")[0])
    message.body, message.whole = data[:length], len(data) >= length
    return data[length:]


def _chunks(message: Message, data: bytes) -> bytes:
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            message.whole = False
            return b""
        if not (found := _CHUNK.fullmatch(line)):
            raise StrictError(f"chunk line {line!r}")
        size = int(found[1], 16)
        if not size:
            break
        message.body += data[:size]
        if len(data) < size + 2:
            message.whole = False
            return b""
        if data[size : size + 2] != b"\r\n":
            raise StrictError(f"chunk without its end: {data[size : size + 8]!r}")
        data = data[size + 2 :]
    rows = []
    while True:
        line, end, data = data.partition(b"\r\n")
        if not end:
            message.whole = False
            return b""
        if not line:
            message.trailers = _fields(rows)
            return data
        rows.append(line)
