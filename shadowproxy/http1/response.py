"""A response's head: from bytes to what the proxy decides with (RFC 9112 sections 4 and 6.3, RFC 9110 section 15)."""

from __future__ import annotations

from typing import Final, NoReturn

from msgspec import Struct

from shadowproxy.http1.fields import LENGTH, RESPONSE_NAMES, explain, pairs, settle_length, sort_lines, without
from shadowproxy.http1.framing import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    connection,
    content_length,
    is_plain,
    transfer_codings,
)
from shadowproxy.http1.grammar import response_head, status_line, stray_line_end
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

_ONLY_LENGTH: Final = frozenset({LENGTH})


class ResponseHead(Struct, gc=False):
    """What a sound response head says. `kept` and `names` are the lines to pass on and their names in lower case."""

    status: int
    reason: bytes
    """As it came; empty where the status line has none."""
    version10: bool
    keep_alive: bool
    """Whether the upstream keeps the connection once this message has ended."""
    framing: int
    kept: list[bytes]
    names: list[bytes]
    block: bytes
    """All field lines as they came."""
    has_date: bool
    upgrade: bytes | None = None
    """What the upstream switches to: with 101 alone, and always then."""
    nominated: frozenset[bytes] | None = None
    _fields: list[tuple[bytes, bytes]] | None = None

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields as they came, in order, values trimmed. Taken apart when first asked for; not to be changed."""
        if self._fields is None:
            self._fields = pairs(self.block)
        return self._fields

    def value_of(self, name: bytes) -> bytes | None:
        """The first value of a field that is passed on; `name` in lower case."""
        if name not in self.names:
            return None
        return self.kept[self.names.index(name)].partition(b":")[2].strip()


def parse_response(head: bytes, method: bytes, limits: LimitsPolicy) -> ResponseHead:
    """The response to a `method` request that `head`, which includes its empty line, starts.

    Raises ExchangeError with MALFORMED.
    """
    match = response_head(head)
    if match is None:
        _refuse(head)
    minor, digits, reason, block = match.groups()
    lines = block.splitlines(True)
    if len(lines) > limits.fields:
        raise ExchangeError(errors.MALFORMED, f"{len(lines)} fields, at most {limits.fields} are allowed")
    kept, names, read = sort_lines(lines, RESPONSE_NAMES)
    status = int(digits)
    version10 = minor == b"0"
    length = read.get(LENGTH)
    coding = read.get(b"transfer-encoding")
    if coding is not None:
        framing = _chunked(version10, length, coding)
    elif length is not None:
        framing = _length(length)
        if not is_plain(length):
            kept, names = settle_length(kept, names, framing)
    else:
        framing = UNTIL_CLOSE
    if method == b"HEAD" or status in (204, 304) or status < 200:
        framing = NO_BODY
        if length is not None and (status == 204 or status < 200):
            kept, names = without(kept, names, _ONLY_LENGTH)  # RFC 9110 section 8.6: never in 1xx and 204
    hop = connection[read.get(b"connection", b"")]
    if hop.nominated is not None:
        kept, names = without(kept, names, hop.nominated)
    response = ResponseHead(
        status,
        reason or b"",
        version10,
        framing != UNTIL_CLOSE and hop.keeps_open[version10],
        framing,
        kept,
        names,
        block,
        b"date" in names,
        None,
        hop.nominated,
    )
    if status == 101:
        response.upgrade = read.get(b"upgrade")
        if not response.upgrade:
            raise ExchangeError(errors.MALFORMED, "101 without Upgrade")
    return response


def _length(value: bytes) -> int:
    length = content_length(value)
    if length is None:
        raise ExchangeError(errors.MALFORMED, "Content-Length must be one decimal number below 2^63")
    return length


def _chunked(version10: bool, length: bytes | None, coding: bytes) -> int:
    """RFC 9112 sections 6.1 and 6.3: what could be read in two ways is not passed on."""
    if length is not None:
        raise ExchangeError(errors.MALFORMED, "both Transfer-Encoding and Content-Length")
    if version10:
        raise ExchangeError(errors.MALFORMED, "Transfer-Encoding in an HTTP/1.0 response")
    if transfer_codings(coding) != [b"chunked"]:
        raise ExchangeError(errors.MALFORMED, "Transfer-Encoding must be chunked alone")
    return CHUNKED


def status_line_fault(start: bytes, limits: LimitsPolicy) -> ExchangeError | None:
    """What is wrong with the first bytes of a response, up to its first LF; None while it can become a response."""
    complete = start.endswith(b"\n")
    if start[:7] != b"HTTP/1."[: len(start)] or (complete and not status_line(start)):
        return ExchangeError(errors.MALFORMED, "the answer does not start with an HTTP/1.x status line")
    if len(start) - 1 - complete > limits.line:
        return ExchangeError(errors.MALFORMED, f"a status line has at most {limits.line} bytes")
    return None


def _refuse(head: bytes) -> NoReturn:
    """Raises for a head that does not match the grammar."""
    end = head.find(b"\n") + 1
    if not status_line(head[:end]):
        detail = "the status line is not HTTP/1.x SP three digits SP reason CRLF"
    elif stray_line_end(head):
        detail = "a line does not end in CRLF"
    else:
        detail = explain(head[end:])
    raise ExchangeError(errors.MALFORMED, detail)
