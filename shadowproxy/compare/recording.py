"""Makes of an exchange what may be written to a recording: redacted as examples are, and still sound HTTP/1.1.

Bodies are decoded, since what is encoded cannot be redacted, and Content-Length says how long they are then. A body
in which nothing was masked keeps its bytes. What cannot be redacted is not recorded.
"""

from __future__ import annotations

import re
from typing import Final

from shadowproxy.compare import content
from shadowproxy.compare.limits import Deadline
from shadowproxy.compare.redacted import BodyRedactor
from shadowproxy.compare.redaction import Mask, Redactor
from shadowproxy.model.pair import Exchange, Fields
from shadowproxy.model.policy import ComparePolicy

_LEFT_OUT: Final = frozenset({b"content-encoding", b"transfer-encoding", b"trailer", b"connection", b"keep-alive"})
"""What describes a body as it was sent, which is not as it is recorded."""
_LENGTH: Final = b"content-length"
_VIA: Final = b"via"
_OWN_VIA: Final = re.compile(rb"\s*1\.1 shadowproxy-[0-9a-f]+\s*")


class Transcriber:
    """Redacts the exchanges of one route. Its methods raise UndecodableError, and IncomparableError as limits end."""

    __slots__ = ("_bodies", "_mask", "_policy", "_redactor")

    def __init__(self, policy: ComparePolicy, redactor: Redactor, mask: Mask) -> None:
        self._policy = policy
        self._redactor = redactor
        self._mask = mask
        self._bodies = BodyRedactor(policy.max_depth, redactor, mask)

    def request(self, exchange: Exchange, deadline: Deadline) -> bytes:
        """The request as a message."""
        line, _, block = exchange.head.partition(b"\r\n")
        method, target, version = line.decode("latin-1").split(" ")
        written = f"{method} {self._redactor.target(target, deadline)} {version}"
        return self._message(written.encode("latin-1"), block, exchange.body, deadline)

    def answer(self, exchange: Exchange, deadline: Deadline) -> bytes | None:
        """The primary's answer as a message, where it came whole."""
        response = exchange.response
        if response is None:
            return None
        line = b"HTTP/1.1 %d %b" % (response.status, response.reason)
        return self._message(line, response.block, response.body, deadline)

    def _message(self, line: bytes, block: bytes, body: bytes, deadline: Deadline) -> bytes:
        fields = _fields(block)
        data = self._body(fields, body, deadline) if body else body
        lines = [line]
        for name, value in fields:
            lower = name.lower()
            if lower in _LEFT_OUT:
                continue
            if lower == _LENGTH and (body or data):
                continue
            if lower == _VIA:
                value = b",".join(hop for hop in value.split(b",") if _OWN_VIA.fullmatch(hop) is None)
                if not value:
                    continue
            text = self._redactor.field(name.decode("latin-1"), value.decode("latin-1"), deadline)
            lines.append(b"%b: %b" % (name, text.encode("latin-1")))
        if data:
            lines.append(b"Content-Length: %d" % len(data))
        return b"\r\n".join(lines) + b"\r\n\r\n" + data

    # -- bodies

    def _body(self, fields: Fields, body: bytes, deadline: Deadline) -> bytes:
        data = content.decode(body, content.codings(fields), self._policy, deadline, partial=False)
        if not data:
            return data
        if self._redactor.hides_bodies:
            return self._mask(repr(data)).encode()
        return self._bodies.redact(content.content_type(fields), data, deadline)


def _fields(block: bytes) -> Fields:
    fields: Fields = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            fields.append((name, value.strip(b" \t")))
    return fields
