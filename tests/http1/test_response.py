"""Response heads: what is read from them, and every way to refuse one."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import CHUNKED, NO_BODY, UNTIL_CLOSE, ResponseHead, parse_response
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError
from tests.http1.drive import LIMITS, TIGHT, response


def parse(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK", method: bytes = b"GET") -> ResponseHead:
    return parse_response(response(*lines, start=start), method, LIMITS)


def malformed(head: bytes) -> str:
    with pytest.raises(ExchangeError) as caught:
        parse_response(head, b"GET", LIMITS)
    assert caught.value.fault is errors.MALFORMED
    return caught.value.detail


def test_an_ordinary_head() -> None:
    head = parse(b"Server: x", b"Date: now", b"Set-Cookie: a=1 ", b"content-LENGTH: 5", b"Set-Cookie: b=2")
    assert (head.status, head.reason, head.version10, head.keep_alive) == (200, b"OK", False, True)
    assert (head.framing, head.has_date, head.upgrade, head.nominated) == (5, True, None, None)
    assert head.fields[2:] == [(b"Set-Cookie", b"a=1"), (b"content-LENGTH", b"5"), (b"Set-Cookie", b"b=2")]


@pytest.mark.parametrize(
    ("start", "status", "reason"),
    [
        (b"HTTP/1.1 200 ", 200, b""),
        (b"HTTP/1.1 301", 301, b""),
        (b"HTTP/1.0 500 Ori\xc3\xabntatie\tx", 500, b"Ori\xc3\xabntatie\tx"),
        (b"HTTP/1.1 200  OK ", 200, b" OK "),
        (b"HTTP/1.1 999 Denied", 999, b"Denied"),
    ],
)
def test_status_lines(start: bytes, status: int, reason: bytes) -> None:
    head = parse(start=start)
    assert (head.status, head.reason) == (status, reason)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 99 x",
        b"HTTP/1.1 001 x",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 2x0 x",
        b"HTTP/1.1  200 x",
        b"HTTP/1.1\t200 x",
        b"HTTP/1.2 200 x",
        b"HTTP/0.9 200 x",
        b"HTTP/2.0 200 x",
        b"HTTP/11.1 200 x",
        b"http/1.1 200 x",
        b"ICE/1.1 200",
        b"HTTP/1.1 200 a\x00b",
        b"HTTP/1.1 200 a\x7f",
        b"HTTP/1.1 200 a\rb",
        b"HTTP/1.1 200 a\nb",
        b"",
        b"x",
    ],
)
def test_status_lines_that_are_refused(start: bytes) -> None:
    assert "status line" in malformed(response(start=start))


@pytest.mark.parametrize(
    ("status", "method", "lines", "framing"),
    [
        (200, b"GET", [], UNTIL_CLOSE),
        (200, b"GET", [b"Content-Length: 3"], 3),
        (200, b"GET", [b"Content-Length: 3, 3", b"Content-Length: 03"], 3),
        (200, b"GET", [b"Transfer-Encoding: Chunked"], CHUNKED),
        (200, b"HEAD", [], NO_BODY),
        (200, b"HEAD", [b"Content-Length: 3"], NO_BODY),
        (200, b"HEAD", [b"Transfer-Encoding: chunked"], NO_BODY),
        (304, b"GET", [b"Content-Length: 3"], NO_BODY),
        (204, b"GET", [b"Transfer-Encoding: chunked"], NO_BODY),
        (100, b"POST", [b"Content-Length: 3"], NO_BODY),
        (205, b"GET", [b"Content-Length: 0"], NO_BODY),
    ],
)
def test_framing(status: int, method: bytes, lines: list[bytes], framing: int) -> None:
    assert parse(*lines, start=b"HTTP/1.1 %d x" % status, method=method).framing == framing


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: +3"],
        [b"Content-Length:"],
        [b"Content-Length: 3", b"Content-Length: 4"],
        [b"Content-Length: 3, 4"],
        [b"Content-Length: 9223372036854775808"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 3"],
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_framing_that_is_refused(lines: list[bytes], method: bytes) -> None:
    with pytest.raises(ExchangeError) as caught:
        parse(*lines, method=method)
    assert caught.value.fault is errors.MALFORMED


def test_chunked_needs_http11() -> None:
    assert "HTTP/1.0" in malformed(response(b"Transfer-Encoding: chunked", start=b"HTTP/1.0 200 OK"))


@pytest.mark.parametrize(
    ("version", "lines", "keep_alive"),
    [
        (b"1.1", [b"Content-Length: 0"], True),
        (b"1.1", [b"Content-Length: 0", b"Connection: foo, close"], False),
        (b"1.1", [], False),
        (b"1.0", [b"Content-Length: 0"], False),
        (b"1.0", [b"Content-Length: 0", b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: keep-alive"], False),
    ],
)
def test_persistence(version: bytes, lines: list[bytes], keep_alive: bool) -> None:
    assert parse(*lines, start=b"HTTP/%b 200 OK" % version).keep_alive is keep_alive


def test_switching_protocols() -> None:
    head = parse(b"Connection: Upgrade", b"Upgrade: websocket", start=b"HTTP/1.1 101 x")
    assert (head.upgrade, head.framing) == (b"websocket", NO_BODY)
    assert parse(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 0").upgrade is None
    assert "Upgrade" in malformed(response(b"Connection: Upgrade", start=b"HTTP/1.1 101 x"))
    assert "Upgrade" in malformed(response(b"Upgrade:", start=b"HTTP/1.1 101 x"))


def test_nominated_fields() -> None:
    head = parse(b"Connection: close, Date, X-Hop", b"Date: now", b"X-Hop: 1", b"Content-Length: 0")
    assert (head.nominated, head.names, head.has_date) == (frozenset({b"date", b"x-hop"}), [b":length"], False)


def test_field_lines_that_are_refused() -> None:
    assert malformed(response(b"A: 1", b" folded")).startswith("field line 2 starts with whitespace")
    assert "not a token" in malformed(response(b"A : 1"))
    assert "control character" in malformed(response(b"A: \x01"))
    assert "CRLF" in malformed(response(b"A: 1\nB: 2"))
    assert "CRLF" in malformed(response(b"A: 1\rB: 2"))


def test_the_number_of_fields_is_bounded() -> None:
    with pytest.raises(ExchangeError, match="at most 5") as caught:
        parse_response(response(*[b"X: 1"] * 6), b"GET", TIGHT)
    assert caught.value.fault is errors.MALFORMED
