"""Request heads: what is read from them, and every way to refuse one."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import CHUNKED, NO_BODY, RequestHead, parse_request
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from tests.http1.drive import LIMITS, TIGHT, request


def parse(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes | None = b"Host: a") -> RequestHead:
    return parse_request(request(*lines, start=start, host=host), LIMITS)


def fault_of(head: bytes) -> Fault:
    with pytest.raises(ExchangeError) as caught:
        parse_request(head, LIMITS)
    assert caught.value.detail, "a fault tells people what would be right"
    return caught.value.fault


def test_an_ordinary_head() -> None:
    head = parse(b"Accept:  */* ", b"x-Odd-CASE:", b"Accept: text/html\t", start=b"GET /items/42?color=blue HTTP/1.1")
    assert (head.method, head.target, head.path) == (b"GET", b"/items/42?color=blue", b"/items/42")
    assert (head.host, head.version10, head.keep_alive, head.framing) == (b"a", False, True, NO_BODY)
    assert head.fields == [(b"Host", b"a"), (b"Accept", b"*/*"), (b"x-Odd-CASE", b""), (b"Accept", b"text/html")]
    assert head.names == [b":host", b"accept", b"x-odd-case", b"accept"]
    assert (head.expect_continue, head.upgrade, head.nominated, head.trailers_accepted) == (False, None, None, False)
    assert (head.request_id, head.via, head.shadow, head.forwarded_for, head.max_forwards) == (None,) * 5


def test_what_the_proxy_reads() -> None:
    head = parse(
        b"x-request-id: 17",
        b"Via: 1.1 one",
        b"Via: 1.1 two",
        b"X-Shadow-Request: candidate",
        b"X-Forwarded-For: 1.1.1.1",
        b"X-Forwarded-For: 2.2.2.2, 3.3.3.3",
        b"Max-Forwards: 5",
        b"TE: gzip, Trailers",
    )
    assert (head.request_id, head.via, head.shadow) == (b"17", b"1.1 one, 1.1 two", b"candidate")
    assert (head.forwarded_for, head.max_forwards) == (b"1.1.1.1, 2.2.2.2, 3.3.3.3", 5)
    assert head.trailers_accepted


@pytest.mark.parametrize(
    ("value", "read"), [(b"0", 0), (b"x", None), (b"-1", None), (b"1, 2", None), (b"9" * 5000, 10**9)]
)
def test_max_forwards(value: bytes, read: int | None) -> None:
    assert parse(b"Max-Forwards: " + value).max_forwards == read


@pytest.mark.parametrize(
    ("start", "target", "path", "host"),
    [
        (b"GET //user@host/x HTTP/1.1", b"//user@host/x", b"//user@host/x", b"a"),
        (b'GET /"q"?a=|b?c HTTP/1.1', b'/"q"?a=|b?c', b'/"q"', b"a"),
        (b"GET /a%2Fb/../c HTTP/1.1", b"/a%2Fb/../c", b"/a%2Fb/../c", b"a"),
        (b"GET http://b HTTP/1.1", b"/", b"/", b"b"),
        (b"GET HTTP://b:81?x=/y HTTP/1.1", b"/?x=/y", b"/", b"b:81"),
        (b"GET https://[::1]:8443/p?q HTTP/1.1", b"/p?q", b"/p", b"[::1]:8443"),
        (b"OPTIONS * HTTP/1.1", b"*", b"*", b"a"),
        (b"OPTIONS http://b HTTP/1.1", b"*", b"*", b"b"),
        (b"OPTIONS http://b/ HTTP/1.1", b"/", b"/", b"b"),
        (b"OPTIONS http://b?q HTTP/1.1", b"/?q", b"/", b"b"),
    ],
)
def test_targets(start: bytes, target: bytes, path: bytes, host: bytes) -> None:
    head = parse(start=start)
    assert (head.target, head.path, head.host) == (target, path, host)
    assert head.fields == [(b"Host", host)]


def test_an_absolute_target_replaces_host_where_it_stood() -> None:
    head = parse(b"hOST: a", b"After: 2", start=b"GET http://b/ HTTP/1.1", host=b"Before: 1")
    assert head.fields == [(b"Before", b"1"), (b"Host", b"b"), (b"After", b"2")]


def test_an_absolute_target_gives_http10_a_host() -> None:
    head = parse(b"After: 1", start=b"GET http://b/ HTTP/1.0", host=None)
    assert (head.host, head.fields) == (b"b", [(b"Host", b"b"), (b"After", b"1")])


@pytest.mark.parametrize(
    "host", [b"", b"a.example", b"a:", b"a:80", b"1.2.3.4:65535", b"[::1]", b"[2001:db8::7]:80", b"a%20b", b"foo_bar=1"]
)
def test_hosts_that_are_fine(host: bytes) -> None:
    assert parse(host=b"Host: " + host).host == host


@pytest.mark.parametrize(
    "host",
    [
        b"a, b",
        b"a b",
        b"a/b",
        b"u@a",
        b"::1",
        b"[::1",
        b"[::1]x",
        b"[:::]",
        b"[::1%25en0]",
        b"[1.2.3.4]",
        b"a:b",
        b"a:123456",
        b"{",
        b"a?b",
        b"a\\b",
        b"\xc3\xa9",
        b":80",
        b"%zz",
        b'"a"',
    ],
)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_hosts_that_are_none(host: bytes, version: bytes) -> None:
    assert fault_of(request(start=b"GET / HTTP/" + version, host=b"Host: " + host)) is errors.HOST


def test_host_is_required_once() -> None:
    assert fault_of(request(host=None)) is errors.HOST
    assert fault_of(request(b"host: a")) is errors.HOST
    assert fault_of(request(b"host:", host=b"Host:")) is errors.HOST
    assert fault_of(request(start=b"GET http://b/ HTTP/1.1", host=None)) is errors.HOST
    assert parse(start=b"GET / HTTP/1.0", host=None).host == b""


@pytest.mark.parametrize(
    ("version", "value", "keep_alive"),
    [
        (b"1.1", None, True),
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"x, Close", False),
        (b"1.1", b"close, keep-alive", False),
        (b"1.0", None, False),
        (b"1.0", b"KEEP-ALIVE", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_persistence(version: bytes, value: bytes | None, keep_alive: bool) -> None:
    lines = [] if value is None else [b"Connection: " + value]
    assert parse(*lines, start=b"GET / HTTP/" + version).keep_alive is keep_alive


def test_several_connection_fields_are_one_list() -> None:
    head = parse(b"Connection: keep-alive", b"Connection: close, X-One", b"X-One: 1", b"X-Two: 2")
    assert (head.keep_alive, head.nominated) == (False, frozenset({b"x-one"}))
    assert head.names == [b":host", b"x-two"]


def test_connection_cannot_name_what_the_message_needs() -> None:
    head = parse(b"Connection: host, content-length, te", b"Content-Length: 3", b"TE: trailers")
    assert (head.names, head.framing) == ([b":host", b":length"], 3)


@pytest.mark.parametrize(
    ("version", "value", "upgrade"),
    [
        (b"1.1", b"websocket", b"websocket"),
        (b"1.1", b"foo/2 ,bar", b"foo/2 ,bar"),
        (b"1.1", b"h2c, foo/2 ,bar, HTTP/2.0,H2C", b"foo/2, bar"),
        (b"1.1", b"h2c", None),
        (b"1.1", b"web socket", None),
        (b"1.1", b"websoc\xe2\x84\xaaet", None),
        (b"1.0", b"websocket", None),
    ],
)
def test_upgrade(version: bytes, value: bytes, upgrade: bytes | None) -> None:
    head = parse(b"Connection: keep-alive, Upgrade", b"Upgrade: " + value, start=b"GET / HTTP/" + version)
    assert (head.upgrade, head.names) == (upgrade, [b":host"])


def test_only_what_was_offered_can_be_switched_to() -> None:
    head = parse(b"Connection: Upgrade", b"Upgrade: websocket, foo/2")
    assert [head.offers(name) for name in (b"WebSocket", b"foo/2, websocket", b"foo", b"h2c")] == [
        True,
        True,
        False,
        False,
    ]
    assert not parse(b"X: y").offers(b"websocket")


def test_upgrade_needs_both_fields() -> None:
    assert parse(b"Upgrade: websocket").upgrade is None
    assert parse(b"Connection: upgrade").upgrade is None
    assert parse(b"Connection: upgrade", b"X-Request-Id: 1").upgrade is None


@pytest.mark.parametrize(
    ("lines", "framing"),
    [
        ([], NO_BODY),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length:\t42 "], 42),
        ([b"Content-Length: 003"], 3),
        ([b"Content-Length: 7", b"content-length: 7"], 7),
        ([b"Content-Length: 9223372036854775807"], 2**63 - 1),
        ([b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"transfer-encoding:\tcHuNkEd "], CHUNKED),
    ],
)
def test_framing(lines: list[bytes], framing: int) -> None:
    assert parse(*lines, start=b"POST / HTTP/1.1").framing == framing


@pytest.mark.parametrize("value", [b"", b" ", b"+3", b"-3", b"3 3", b"0x3", b"3_0", b"3.0", b"3,4", b"3,", b"\xb2"])
def test_lengths_that_are_none(value: bytes) -> None:
    assert fault_of(request(b"Content-Length: " + value)) is errors.FRAMING


def test_framing_that_could_be_read_in_two_ways() -> None:
    assert fault_of(request(b"Content-Length: 1", b"Content-Length: 2")) is errors.FRAMING
    assert fault_of(request(b"Content-Length: 9223372036854775808")) is errors.FRAMING
    assert fault_of(request(b"Content-Length: 0", b"Transfer-Encoding: chunked")) is errors.FRAMING
    assert fault_of(request(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0")) is errors.FRAMING


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([b""], errors.FRAMING),
        ([b"identity"], errors.FRAMING),
        ([b"gzip"], errors.FRAMING),
        ([b"chunked, gzip"], errors.FRAMING),
        ([b"chunked", b"identity"], errors.FRAMING),
        ([b"chunked, chunked"], errors.FRAMING),
        ([b"chunked", b"chunked"], errors.FRAMING),
        ([b"chunkedchunked"], errors.FRAMING),
        ([b'"chunked"'], errors.FRAMING),
        ([b"gzip, chunked"], errors.TRANSFER_CODING),
        ([b"pigeon", b"chunked"], errors.TRANSFER_CODING),
        ([b", chunked"], errors.TRANSFER_CODING),
    ],
)
def test_transfer_codings(lines: list[bytes], fault: Fault) -> None:
    assert fault_of(request(*(b"Transfer-Encoding: " + line for line in lines))) is fault


def test_expectations() -> None:
    assert parse(b"Expect: 100-Continue", b"Content-Length: 3").expect_continue
    assert parse(b"Expect: 100-continue", b"Transfer-Encoding: chunked").expect_continue
    assert not parse(b"Expect: 100-continue").expect_continue
    ignored = parse(b"Expect: 100-continue", b"Content-Length: 3", start=b"POST / HTTP/1.0")
    assert (ignored.expect_continue, ignored.names) == (False, [b":host", b":length"])
    for value in (b"200-ok", b"100-continue, x", b""):
        assert fault_of(request(b"Expect: " + value)) is errors.EXPECTATION


@pytest.mark.parametrize(
    ("start", "fault"),
    [
        (b"CONNECT a:443 HTTP/1.1", errors.METHOD_REFUSED),
        (b"TRACE / HTTP/1.1", errors.METHOD_REFUSED),
        (b"GET * HTTP/1.1", errors.REQUEST_LINE),
        (b"GET a HTTP/1.1", errors.REQUEST_LINE),
        (b"GET a:80 HTTP/1.1", errors.REQUEST_LINE),
        (b"GET ../etc HTTP/1.1", errors.REQUEST_LINE),
        (b"GET ftp://a/ HTTP/1.1", errors.REQUEST_LINE),
        (b"GET http:/// HTTP/1.1", errors.REQUEST_LINE),
        (b"GET http://u:p@a/ HTTP/1.1", errors.REQUEST_LINE),
        (b"GET http://a b/ HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /#f HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /\xc3\xa9 HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /\x7f HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /a\x00b HTTP/1.1", errors.REQUEST_LINE),
        (b"GET  / HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /  HTTP/1.1", errors.REQUEST_LINE),
        (b"GET / HTTP/1.1 ", errors.REQUEST_LINE),
        (b"GET\t/ HTTP/1.1", errors.REQUEST_LINE),
        (b" GET / HTTP/1.1", errors.REQUEST_LINE),
        (b"GET /", errors.REQUEST_LINE),
        (b"GET", errors.REQUEST_LINE),
        (b"", errors.REQUEST_LINE),
        (b"G(T / HTTP/1.1", errors.REQUEST_LINE),
        (b"GET / http/1.1", errors.REQUEST_LINE),
        (b"GET / HTTP/1.10", errors.REQUEST_LINE),
        (b"GET / HTTP/1.1\rX: y", errors.REQUEST_LINE),
        (b"GET / HTTP/1.1\nX: y", errors.REQUEST_LINE),
        (b"GET / HTTP/0.9", errors.VERSION),
        (b"GET / HTTP/1.2", errors.VERSION),
        (b"PRI * HTTP/2.0", errors.VERSION),
        (b"A" * 33 + b" / HTTP/1.1", errors.METHOD_TOO_LONG),
        (b"GET /" + b"\x00" * 8192 + b" HTTP/1.1", errors.TARGET_TOO_LONG),
    ],
)
def test_request_lines_that_are_refused(start: bytes, fault: Fault) -> None:
    assert fault_of(request(start=start)) is fault


def test_any_method_up_to_32_characters_passes() -> None:
    assert parse(start=b"A" * 32 + b" / HTTP/1.1").method == b"A" * 32
    assert parse(start=b"M-SEARCH!#$ / HTTP/1.1").method == b"M-SEARCH!#$"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b" folded", "whitespace"),
        (b"\tfolded: x", "whitespace"),
        (b"no colon", "no colon"),
        (b": nameless", "not a token"),
        (b"Name : x", "not a token"),
        (b"N\x00me: x", "not a token"),
        (b"N\xe9me: x", "not a token"),
        (b"N[]: x", "not a token"),
        (b"Name: a\x00b", "'Name' has a control character"),
        (b"Name: a\x0bb", "control character"),
        (b"Name: a\x7fb", "control character"),
        (b"Name: a\rb", "CRLF"),
        (b"Name: a\nb: c", "CRLF"),
    ],
)
def test_field_lines_that_are_refused(line: bytes, says: str) -> None:
    with pytest.raises(ExchangeError, match=says) as caught:
        parse(b"Fine: 1", line, b"Fine: 2")
    assert caught.value.fault is errors.HEADER
    if says != "CRLF":
        assert "field line 3" in caught.value.detail


def test_values_are_not_repeated_in_a_fault() -> None:
    with pytest.raises(ExchangeError) as caught:
        parse(b"Authorization: secret\x01")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [b"a\tb", b"D\xc3\xbcsseldorf", b"\xff", b"", b"\t", b'"\\"'])
def test_field_values_that_are_fine(value: bytes) -> None:
    assert parse(b"X:" + value).fields[-1] == (b"X", value.strip())


def test_the_number_of_fields_is_bounded() -> None:
    head = request(*(b"X: %d" % i for i in range(TIGHT.fields - 1)))
    assert len(parse_request(head, TIGHT).fields) == TIGHT.fields
    with pytest.raises(ExchangeError, match="at most 5") as caught:
        parse_request(request(*(b"X: %d" % i for i in range(TIGHT.fields))), TIGHT)
    assert caught.value.fault is errors.HEAD_TOO_LARGE


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        (b"GET /b?x HTTP/1.1", (b"Accept: */*", b"Cookie: a")),
        (b"POST /b HTTP/1.1", (b"Content-Length: 3", b"Expect: 100-continue", b"Via: 1.1 x")),
        (b"GET /b HTTP/1.0", (b"Connection: keep-alive, x-a", b"X-A: 1")),
        (b"OPTIONS * HTTP/1.1", (b"Max-Forwards: 1",)),
        (b"GET http://b/c HTTP/1.1", (b"TE: trailers",)),
    ],
)
@pytest.mark.parametrize(
    "before", [b"GET /a HTTP/1.1", b"GET /a HTTP/1.0", b"GET http://a/ HTTP/1.1", b"OPTIONS * HTTP/1.1"]
)
def test_repeated_field_lines_say_the_same(start: bytes, before: bytes, lines: tuple[bytes, ...]) -> None:
    head = b"\r\n".join([start, b"Host: a", *lines, b"", b""])
    previous = parse(*lines, start=before)
    assert parse_request(head, LIMITS, previous) == parse_request(head, LIMITS)


def test_a_refused_method_is_refused_with_repeated_field_lines_too() -> None:
    previous = parse()
    with pytest.raises(ExchangeError) as caught:
        parse_request(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS, previous)
    assert caught.value.fault is errors.METHOD_REFUSED


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH"])
def test_an_http_1_0_request_that_has_a_body_needs_a_length(method: bytes) -> None:
    assert fault_of(request(start=method + b" / HTTP/1.0")) is errors.LENGTH_REQUIRED
    assert parse(b"Content-Length: 3", start=method + b" / HTTP/1.0").framing == 3
    assert parse(start=method + b" / HTTP/1.1").framing == NO_BODY
