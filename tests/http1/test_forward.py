"""Heads on their way out: what is passed on, what is taken out, what is added; and the proxy's own answers."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    forward_request,
    forward_response,
    parse_request,
    parse_response,
    plain_response,
)
from shadowproxy.model import errors
from tests.e2e import wire
from tests.http1.drive import LIMITS, request, response

NOTHING: frozenset[bytes] = frozenset()
DATE = b"Thu, 01 Jan 1970 00:00:00 GMT"


def forwarded(
    head: bytes, own: bytes = b"", strip: frozenset[bytes] = NOTHING, framing: int | None = None, authority: bytes = b""
) -> bytes:
    parsed = parse_request(head, LIMITS)
    return forward_request(parsed, own, strip, parsed.framing if framing is None else framing, authority)


def answered(
    head: bytes, framing: int | None = None, own: bytes = b"", date: bytes = DATE, method: bytes = b"GET"
) -> bytes:
    parsed = parse_response(head, method, LIMITS)
    return forward_response(parsed, own, parsed.framing if framing is None else framing, date)


def test_a_request_passes_as_it_came() -> None:
    head = request(
        b"accept:*/*",
        b"X-Odd:  \t spaced  ",
        b"Cookie: b=2",
        b"cookie: a=1",
        b"Authorization: Basic x",
        b"If-None-Match: *",
        b"Range: bytes=0-1",
        b"Forwarded: for=x",
        b"Empty:",
        b"Obs: \xff",
        start=b"GET /a%2Fb/../c?d=e HTTP/1.1",
        host=b"HOST: a:80",
    )
    assert forwarded(head) == head


def test_the_version_is_the_proxys_own() -> None:
    assert forwarded(request(start=b"GET / HTTP/1.0")) == request()
    assert answered(response(b"Date: d", b"Content-Length: 1", start=b"HTTP/1.0 200 OK")).startswith(b"HTTP/1.1 200 OK")


def test_hop_by_hop_fields_stay_here() -> None:
    lines = [
        b"Connection: keep-alive, X-Hop, Upgrade",
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"TE: gzip",
        b"Upgrade: websocket",
        b"x-hop: 1",
    ]
    assert forwarded(request(*lines, b"Stays: 1")) == request(b"Stays: 1")
    assert answered(response(*lines, b"Stays: 1", b"Date: d")) == response(b"Stays: 1", b"Date: d")


def test_own_lines_come_after_what_connection_names() -> None:
    head = request(b"Connection: X-Forwarded-For, Authorization", b"X-Forwarded-For: spoofed", b"Authorization: x")
    assert forwarded(head, b"X-Forwarded-For: 1.2.3.4\r\n") == request(b"X-Forwarded-For: 1.2.3.4")


def test_connection_cannot_take_host_or_length() -> None:
    head = request(b"Connection: Host, Content-Length, :host", b"Content-Length: 3", start=b"POST / HTTP/1.1")
    assert forwarded(head) == request(b"Content-Length: 3", start=b"POST / HTTP/1.1")


def test_strip_takes_names_whatever_their_case_but_never_host() -> None:
    head = request(b"x-REQUEST-id: 1", b"Expect: 100-continue", b"Stays: 1", b"X-Request-Id: 2")
    strip = frozenset({b"x-request-id", b"expect", b"host", b"content-length"})
    assert forwarded(head, strip=strip) == request(b"Stays: 1")
    assert forwarded(head) == head


@pytest.mark.parametrize(
    ("lines", "out"),
    [
        ([b"Content-Length: 3"], [b"Content-Length: 3"]),
        ([b"content-length:3", b"X: y"], [b"content-length:3", b"X: y"]),
        ([b"A: 1", b"content-length: 003", b"X: y"], [b"A: 1", b"content-length: 3", b"X: y"]),
        ([b"A: 1", b"Content-Length: 3, 3", b"X: y", b"Content-Length: 3"], [b"A: 1", b"Content-Length: 3", b"X: y"]),
        ([b"Content-Length: 0"], [b"Content-Length: 0"]),
        ([b"transfer-ENCODING: Chunked", b"X: y"], [b"X: y", b"Transfer-Encoding: chunked"]),
        ([b"Transfer-Encoding: chunked", b"Trailer: T"], [b"Trailer: T", b"Transfer-Encoding: chunked"]),
    ],
)
def test_framing_as_it_came(lines: list[bytes], out: list[bytes]) -> None:
    assert forwarded(request(*lines)) == request(*out)


@pytest.mark.parametrize(
    ("lines", "framing", "out"),
    [
        ([b"Transfer-Encoding: chunked", b"Trailer: T", b"X: y"], 7, [b"X: y", b"Content-Length: 7"]),
        ([b"Transfer-Encoding: chunked", b"X: y"], NO_BODY, [b"X: y", b"Content-Length: 0"]),
        ([b"Content-Length: 3", b"X: y"], CHUNKED, [b"X: y", b"Transfer-Encoding: chunked"]),
        ([b"Content-Length: 3", b"X: y"], 7, [b"X: y", b"Content-Length: 7"]),
    ],
)
def test_framing_that_changes(lines: list[bytes], framing: int, out: list[bytes]) -> None:
    assert forwarded(request(*lines), framing=framing) == request(*out)


def test_host_is_always_sent() -> None:
    bare = request(b"X: y", start=b"GET / HTTP/1.0", host=None)
    assert forwarded(bare) == request(b"X: y", host=b"Host: ")
    assert forwarded(bare, authority=b"up:80") == request(b"X: y", host=b"Host: up:80")
    assert forwarded(request(host=b"Host:"), authority=b"up:80") == request(host=b"Host:")
    absolute = request(b"X: y", start=b"GET http://b/c?d HTTP/1.1", host=b"host: a")
    assert forwarded(absolute) == request(b"X: y", start=b"GET /c?d HTTP/1.1", host=b"Host: b")


def test_an_upgrade_is_the_callers_to_ask_for() -> None:
    head = request(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: x")
    own = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    out = request(b"Sec-WebSocket-Key: x", b"Connection: Upgrade", b"Upgrade: websocket")
    assert forwarded(head, own) == out


def test_trailers_are_asked_for_where_the_client_takes_them() -> None:
    assert forwarded(request(b"TE: trailers, deflate")) == request(b"TE: trailers", b"Connection: TE")
    assert forwarded(request(b"TE: trailers", start=b"GET / HTTP/1.0")) == request()


def test_a_response_passes_as_it_came() -> None:
    head = response(
        b"server:x",
        b"Set-Cookie: a=1",
        b"Date: d",
        b"Set-Cookie: b=2",
        b"content-length: 3",
        b"Location: /x",
        b"WWW-Authenticate: Basic",
        b"Allow: GET",
        b"Vary: *",
        start=b"HTTP/1.1 404 Ori\xc3\xabnt  x",
    )
    assert answered(head) == head


@pytest.mark.parametrize(("start", "out"), [(b"HTTP/1.1 301", b"HTTP/1.1 301 "), (b"HTTP/1.1 301 ", b"HTTP/1.1 301 ")])
def test_an_absent_reason_is_sent_empty(start: bytes, out: bytes) -> None:
    assert answered(response(b"Date: d", start=start)) == response(b"Date: d", start=out)


@pytest.mark.parametrize(
    ("lines", "framing", "out"),
    [
        ([b"Content-Length: 3"], 3, [b"Content-Length: 3"]),
        ([b"Content-Length: 0"], NO_BODY, [b"Content-Length: 0"]),
        ([b"Content-Length: 3"], CHUNKED, [b"Transfer-Encoding: chunked"]),
        ([b"Content-Length: 3"], UNTIL_CLOSE, []),
        ([b"Transfer-Encoding: chunked", b"Trailer: T"], CHUNKED, [b"Trailer: T", b"Transfer-Encoding: chunked"]),
        ([b"Transfer-Encoding: chunked", b"Trailer: T"], UNTIL_CLOSE, []),
        ([], CHUNKED, [b"Transfer-Encoding: chunked"]),
        ([], UNTIL_CLOSE, []),
    ],
)
def test_framing_towards_the_client(lines: list[bytes], framing: int, out: list[bytes]) -> None:
    assert answered(response(b"Date: d", *lines), framing) == response(b"Date: d", *out)


@pytest.mark.parametrize("framing", [NO_BODY, 3, CHUNKED, UNTIL_CLOSE])
def test_a_response_without_body_keeps_its_length(framing: int) -> None:
    head = response(b"Date: d", b"Content-Length: 3")
    assert answered(head, framing, method=b"HEAD") == head
    unchanged = response(b"Date: d", b"Content-Length: 3", start=b"HTTP/1.1 304 Not Modified")
    assert answered(unchanged, framing) == unchanged


@pytest.mark.parametrize("status", [b"100", b"103", b"204"])
def test_a_status_that_never_has_a_body_never_has_a_length(status: bytes) -> None:
    start = b"HTTP/1.1 %b x" % status
    head = response(b"Date: d", b"Content-Length: 3", b"X: y", start=start)
    assert answered(head) == response(b"Date: d", b"X: y", start=start)


def test_date_is_added_to_a_final_response_alone() -> None:
    assert answered(response(b"Content-Length: 0"), own=b"Connection: close\r\n") == response(
        b"Content-Length: 0", b"Date: " + DATE, b"Connection: close"
    )
    assert answered(response(start=b"HTTP/1.1 103 x")) == response(start=b"HTTP/1.1 103 x")
    assert answered(response(b"dAtE: d")).count(b"\r\ndAtE:") == 1
    assert DATE not in answered(response(b"dAtE: d"))


def test_own_lines_end_a_response() -> None:
    out = answered(response(b"Date: d"), CHUNKED, own=b"Connection: close\r\n")
    assert out == response(b"Date: d", b"Transfer-Encoding: chunked", b"Connection: close")


@pytest.mark.parametrize("fault", [f for f in errors.CLIENT_FAULTS + errors.UPSTREAM_FAULTS if f.status])
def test_an_answer_of_the_proxys_own(fault: errors.Fault) -> None:
    (message,) = wire.responses(plain_response(fault, "id-7", DATE), [b"GET"])
    assert message.whole
    assert message.status == fault.status
    assert f"{fault.status} ".encode() in message.body
    assert fault.reason.encode() in message.body
    assert b"id-7" in message.body
    assert message.values(b"x-request-id") == [b"id-7"]
    assert message.values(b"connection") == [b"close"]
    assert message.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert message.values(b"date") == [DATE]
    assert bool(message.values(b"allow")) == (fault.status == 405)


def test_an_answer_to_head_has_no_body() -> None:
    out = plain_response(errors.REFUSED, "x", method=b"HEAD")
    (message,) = wire.responses(out, [b"HEAD"])
    assert message.whole
    assert out.endswith(b"\r\n\r\n")
    assert b"Date:" not in out


def test_a_request_id_cannot_break_out() -> None:
    (message,) = wire.responses(plain_response(errors.HEADER, "a\r\nX: y\x00é"), [b"GET"])
    assert message.values(b"x-request-id") == [b"a??X:?y??"]
    assert message.values(b"x") == []


def test_where_nothing_can_be_told_nothing_is() -> None:
    assert plain_response(errors.CLIENT_GONE, "x") == b""
