"""A request's head: from bytes to what the proxy decides with (RFC 9112 section 3, RFC 9110 section 7)."""

from __future__ import annotations

from typing import Final, NoReturn

from msgspec import Struct

from shadowproxy.http1.fields import HOST, LENGTH, REQUEST_NAMES, explain, pairs, settle_length, sort_lines, without
from shadowproxy.http1.framing import (
    CHUNKED,
    NO_BODY,
    connection,
    content_length,
    is_plain,
    list_members,
    transfer_codings,
)
from shadowproxy.http1.grammar import (
    METHOD_LIMIT,
    TOKEN_BYTES,
    absolute_form,
    known_authority,
    other_version,
    protocols,
    request_head,
    request_line,
    stray_line_end,
    valid_authority,
)
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from shadowproxy.model.policy import LimitsPolicy

REFUSED_METHODS: Final = frozenset({b"CONNECT", b"TRACE"})
"""A reverse proxy opens no tunnels (RFC 9110 section 9.3.6) and reflects no credentials (section 9.3.7)."""

_OTHER_HTTP: Final = frozenset({b"h2c", b"http"})
"""Protocols that are no reason for a tunnel: whatever came through it would be requests that nobody checked."""

_BODY_EXPECTED: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""In HTTP/1.0 only Content-Length can end their body (RFC 1945 section 7.2.2)."""
_MOST_FORWARDS: Final = 10**9
_SLASH: Final = 0x2F


class RequestHead(Struct, gc=False):
    """What a sound request head says. `kept` and `names` are the lines to pass on and their names in lower case."""

    method: bytes
    target: bytes
    """What is forwarded: origin-form, or `*`."""
    path: bytes
    """The target without its query."""
    host: bytes
    """The authority asked for, as it came: from an absolute-form target, else from Host; empty where neither says."""
    version10: bool
    keep_alive: bool
    framing: int
    """`NO_BODY`, `CHUNKED`, or a length in bytes."""
    kept: list[bytes]
    names: list[bytes]
    block: bytes
    """All field lines as they came."""
    expect_continue: bool = False
    """Whether the client waits for 100 before it sends its body."""
    upgrade: bytes | None = None
    """The protocols that a tunnel is asked for; None where none is."""
    nominated: frozenset[bytes] | None = None
    request_id: bytes | None = None
    via: bytes | None = None
    shadow: bytes | None = None
    """X-Shadow-Request."""
    forwarded_for: bytes | None = None
    max_forwards: int | None = None
    trailers_accepted: bool = False

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """All fields as they came, in order, values trimmed; Host says `host`. Taken apart at each call."""
        return pairs(self.block)

    def offers(self, switched: bytes) -> bool:
        """Whether a response's Upgrade names only what was asked for (RFC 9110 section 7.8)."""
        return self.upgrade is not None and set(list_members(switched)) <= set(list_members(self.upgrade))


def parse_request(head: bytes, limits: LimitsPolicy, previous: RequestHead | None = None) -> RequestHead:
    """The request that `head`, which includes its empty line, makes. How long it may be is the head reader's to judge.

    `previous` is the request before it on the same connection: clients repeat their fields (what HPACK lives on), and
    the same field lines say the same.

    Raises ExchangeError with REQUEST_LINE, METHOD_TOO_LONG, TARGET_TOO_LONG, VERSION, HEADER, HEAD_TOO_LARGE,
    METHOD_REFUSED, HOST, FRAMING, LENGTH_REQUIRED, TRANSFER_CODING or EXPECTATION.
    """
    match = request_head(head)
    if match is None:
        _refuse(head, limits)
    method, target, minor, block = match.groups()
    if (
        previous is not None
        and previous.block == block
        and minor == b"1"
        and not previous.version10
        and target[0] == _SLASH
        and method not in REFUSED_METHODS
    ):
        return _repeated(previous, method, target)
    lines = block.splitlines(True)
    if len(lines) > limits.fields:
        raise ExchangeError(errors.HEAD_TOO_LARGE, f"{len(lines)} fields, at most {limits.fields} are allowed")
    if method in REFUSED_METHODS:
        raise ExchangeError(errors.METHOD_REFUSED, method.decode())
    kept, names, read = sort_lines(lines, REQUEST_NAMES)
    version10 = minor == b"0"
    host = _host(read.get(HOST), version10)
    if target[0] != _SLASH and (method, target) != (b"OPTIONS", b"*"):
        target, host = _from_absolute(method, target)
        lines = _with_host(lines, host)
        block = b"".join(lines)
        kept, names, read = sort_lines(lines, REQUEST_NAMES)
    hop = connection[read.get(b"connection", b"")]
    request = RequestHead(
        method,
        target,
        target.partition(b"?")[0],
        host,
        version10,
        hop.keeps_open[version10],
        NO_BODY,
        kept,
        names,
        block,
    )
    if len(read) > (HOST in read) + (b"connection" in read):
        _read_fields(request, read, hop.upgrade)
    if version10 and method in _BODY_EXPECTED and LENGTH not in read:
        raise ExchangeError(errors.LENGTH_REQUIRED, "an HTTP/1.0 request with a body needs a Content-Length")
    if hop.nominated is not None:
        request.nominated = hop.nominated
        request.kept, request.names = without(request.kept, request.names, hop.nominated)
    return request


def _host(value: bytes | None, version10: bool) -> bytes:
    """Host as it came, empty where an HTTP/1.0 request has none (RFC 9112 section 3.2)."""
    if value is None:
        if not version10:
            raise ExchangeError(errors.HOST, "an HTTP/1.1 request needs a Host field")
        return b""
    if value and not known_authority[value]:
        raise ExchangeError(errors.HOST, "Host must be one host with an optional port")
    return value


def _repeated(previous: RequestHead, method: bytes, target: bytes) -> RequestHead:
    """Another request with the same version and the same field lines."""
    return RequestHead(
        method,
        target,
        target.partition(b"?")[0],
        previous.host,
        previous.version10,
        previous.keep_alive,
        previous.framing,
        previous.kept,
        previous.names,
        previous.block,
        previous.expect_continue,
        previous.upgrade,
        previous.nominated,
        previous.request_id,
        previous.via,
        previous.shadow,
        previous.forwarded_for,
        previous.max_forwards,
        previous.trailers_accepted,
    )


def _read_fields(request: RequestHead, read: dict[bytes, bytes], upgrade: bool) -> None:
    """Everything but Host and Connection that the head says of itself."""
    length = read.get(LENGTH)
    coding = read.get(b"transfer-encoding")
    if coding is not None:
        request.framing = _coded(request.version10, length, coding)
    elif length is not None:
        size = content_length(length)
        if size is None:
            raise ExchangeError(errors.FRAMING, "Content-Length must be one decimal number below 2^63")
        request.framing = size
        if not is_plain(length):
            request.kept, request.names = settle_length(request.kept, request.names, size)
    expectation = read.get(b"expect")
    if expectation is not None:
        _read_expectation(request, expectation)
    if not request.version10:
        if upgrade:
            request.upgrade = _offered(read.get(b"upgrade", b""))
        if b"te" in read:
            request.trailers_accepted = b"trailers" in list_members(read[b"te"])
    request.request_id = read.get(b"x-request-id")
    request.via = read.get(b"via")
    request.shadow = read.get(b"x-shadow-request")
    request.forwarded_for = read.get(b"x-forwarded-for")
    forwards = read.get(b"max-forwards")
    if forwards is not None and forwards.isdigit():
        # RFC 9110 section 7.6.2: the lesser of the value and what the recipient supports.
        request.max_forwards = int(forwards) if len(forwards) < len(str(_MOST_FORWARDS)) else _MOST_FORWARDS


def _offered(value: bytes) -> bytes | None:
    """What of an Upgrade field is passed on: all of it as it came, or what is left without other versions of HTTP."""
    if not protocols(value):
        return None
    members = [member.strip(b" \t") for member in value.split(b",")]
    kept = [member for member in members if member.partition(b"/")[0].lower() not in _OTHER_HTTP]
    return value if len(kept) == len(members) else b", ".join(kept) or None


def _coded(version10: bool, length: bytes | None, coding: bytes) -> int:
    """The framing of a request with Transfer-Encoding (RFC 9112 sections 6.1 and 6.3)."""
    if length is not None:
        raise ExchangeError(errors.FRAMING, "both Transfer-Encoding and Content-Length")
    if version10:
        raise ExchangeError(errors.FRAMING, "Transfer-Encoding in an HTTP/1.0 request")
    codings = transfer_codings(coding)
    if codings == [b"chunked"]:
        return CHUNKED
    # RFC 9112 section 6.3: without chunked as the last coding the length cannot be known, which outweighs that the
    # coding is unknown (section 6.1); the same coding twice is no coding at all.
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise ExchangeError(errors.FRAMING, "Transfer-Encoding must end in chunked, applied once")
    raise ExchangeError(errors.TRANSFER_CODING, "Transfer-Encoding must be chunked alone")


def _read_expectation(request: RequestHead, value: bytes) -> None:
    if list_members(value) != [b"100-continue"]:
        raise ExchangeError(errors.EXPECTATION, "Expect must be 100-continue")
    if request.version10:
        # RFC 9110 section 10.1.1: to be ignored; passed on as HTTP/1.1 it would mean something.
        request.kept, request.names = without(request.kept, request.names, frozenset({b"expect"}))
    else:
        request.expect_continue = request.framing != NO_BODY


def _from_absolute(method: bytes, target: bytes) -> tuple[bytes, bytes]:
    """Target and host that an absolute-form target stands for (RFC 9112 section 3.2.2)."""
    match = absolute_form(target)
    if match is None or not valid_authority(match[1]):
        raise ExchangeError(
            errors.REQUEST_LINE, "the target must start with /, be an absolute http(s) URL, or be * with OPTIONS"
        )
    authority, path, query = match.groups()
    if path is None and query is None and method == b"OPTIONS":
        return b"*", authority  # RFC 9112 section 3.2.4
    return (path or b"/") + (query or b""), authority


def _with_host(lines: list[bytes], host: bytes) -> list[bytes]:
    """`lines` with `host` in place of a received Host, or before them all."""
    line = b"Host: %b\r\n" % host
    replaced = [line if REQUEST_NAMES[old.partition(b":")[0]][0] == HOST else old for old in lines]
    return replaced if line in replaced else [line, *lines]


def request_line_fault(start: bytes, limits: LimitsPolicy) -> ExchangeError | None:
    """What is wrong with the first bytes of a request, up to its first LF; None while it can become a request.

    Judged from left to right, so that a longer piece of the same stream never changes the answer.
    """
    prefix = start[: METHOD_LIMIT + 1]
    length = len(prefix) - len(prefix.lstrip(TOKEN_BYTES))
    if length > METHOD_LIMIT:
        return ExchangeError(errors.METHOD_TOO_LONG, f"a method has at most {METHOD_LIMIT} characters")
    if length < len(start) and (length == 0 or start[length] != 0x20):
        return ExchangeError(errors.REQUEST_LINE, "a request starts with a method and one space")
    complete = start.endswith(b"\n")
    if len(start) - 1 - complete > limits.line:
        return ExchangeError(errors.TARGET_TOO_LONG, f"a request line has at most {limits.line} bytes")
    if not complete or request_line(start):
        return None
    if other_version(start):
        return ExchangeError(errors.VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return ExchangeError(errors.REQUEST_LINE, "a request line is METHOD SP target SP HTTP/1.1 CRLF, in visible ASCII")


def _refuse(head: bytes, limits: LimitsPolicy) -> NoReturn:
    """Raises the first fault of a head that does not match the grammar."""
    end = head.find(b"\n") + 1
    fault = request_line_fault(head[:end], limits)
    if fault is not None:
        raise fault
    if stray_line_end(head):
        raise ExchangeError(errors.HEADER, "a line does not end in CRLF")
    raise ExchangeError(errors.HEADER, explain(head[end:]))
