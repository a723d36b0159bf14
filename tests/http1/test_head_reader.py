"""Cutting heads out of a stream: limits, early refusals, empty lines, and how little is copied."""

from __future__ import annotations

import pytest

from shadowproxy.http1 import HeadReader, parse_request
from shadowproxy.model import errors
from shadowproxy.model.errors import ExchangeError, Fault
from shadowproxy.model.policy import LimitsPolicy
from tests.http1.drive import LIMITS, TIGHT, bytewise, request, response


def fault_of(raw: bytes, limits: LimitsPolicy = LIMITS, request: bool = True) -> Fault | None:
    """The fault that the reader finds, the same at once and byte by byte, before any empty line ends the head."""
    found = []
    for pieces in ([raw], bytewise(raw)):
        reader = HeadReader(limits, request)
        try:
            for piece in pieces:
                assert reader.feed(piece) == (None, b"")
        except ExchangeError as error:
            found.append(error.fault)
    assert len(found) != 1
    assert found[:1] == found[1:]
    return found[0] if found else None


def test_a_head_alone_is_handed_on_uncopied() -> None:
    raw = request()
    head, rest = HeadReader(LIMITS, request=True).feed(raw)
    assert head is raw
    assert rest == b""


def test_what_follows_a_head_is_handed_back() -> None:
    reader = HeadReader(LIMITS, request=True)
    assert reader.feed(request() + b"rest") == (request(), b"rest")
    assert reader.feed(request()[:7]) == (None, b"")
    assert reader.started
    assert reader.feed(request()[7:] + b"rest") == (request(), b"rest")
    assert not reader.started


@pytest.mark.parametrize("empty", [1, 4])
def test_a_few_empty_lines_before_a_request_are_skipped(empty: int) -> None:
    reader = HeadReader(LIMITS, request=True)
    for piece in bytewise(b"\r\n" * empty):
        assert reader.feed(piece) == (None, b"")
        assert not reader.started
    assert reader.feed(request()) == (request(), b"")
    assert reader.feed(b"\r\n" * empty + request()) == (request(), b"")


def test_empty_lines_are_bounded_and_none_precede_a_response() -> None:
    assert fault_of(b"\r\n" * 5) is errors.REQUEST_LINE
    assert fault_of(b"\r\n", request=False) is errors.MALFORMED
    assert fault_of(b"\r\n\rG") is errors.REQUEST_LINE
    assert fault_of(b"\n") is errors.REQUEST_LINE


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"\x16", errors.REQUEST_LINE),
        (b"\x00", errors.REQUEST_LINE),
        (b" ", errors.REQUEST_LINE),
        (b"GET\t", errors.REQUEST_LINE),
        (b"PRI * HTTP/2.0\r\n", errors.VERSION),
        (b"M" * 33, errors.METHOD_TOO_LONG),
        (b"GET / HTTP/1.1\n", errors.REQUEST_LINE),
        (b"GET / HTTP/1.1\rX: y\r\n", errors.REQUEST_LINE),
        (b"GET /\r\n", errors.REQUEST_LINE),
        (b"GET / HTTP/1.1\r\nHost: a\n", errors.HEADER),
        (b"GET / HTTP/1.1\r\nHost: a\rb", errors.HEADER),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rb", errors.HEADER),
    ],
)
def test_what_is_no_request_is_refused_at_once(raw: bytes, fault: Fault) -> None:
    assert fault_of(raw[:-1]) is None
    assert fault_of(raw) is fault


@pytest.mark.parametrize(
    "raw", [b"\x16", b" ", b"S", b"HTTP/2", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 2\r\n", b"HTTP/1.1 200 OK\r\nA: b\rc"]
)
def test_what_is_no_response_is_refused_at_once(raw: bytes) -> None:
    assert fault_of(raw[:-1], request=False) is None
    assert fault_of(raw, request=False) is errors.MALFORMED


def test_the_limit_of_a_request_line() -> None:
    start = b"GET /" + b"a" * (TIGHT.line - 14) + b" HTTP/1.1"
    assert len(start) == TIGHT.line
    assert HeadReader(TIGHT, request=True).feed(request(start=start))[0] == request(start=start)
    assert fault_of(b"GET /".ljust(TIGHT.line + 1, b"a"), TIGHT) is None
    assert fault_of(b"GET /".ljust(TIGHT.line + 2, b"a"), TIGHT) is errors.TARGET_TOO_LONG
    assert fault_of(b"GET /a" + start[5:] + b"\r\n", TIGHT) is errors.TARGET_TOO_LONG


def test_the_limit_of_a_status_line() -> None:
    start = b"HTTP/1.1 200 ".ljust(TIGHT.line, b"r")
    assert HeadReader(TIGHT, request=False).feed(response(start=start))[0] == response(start=start)
    assert fault_of(start + b"r\r\n", TIGHT, request=False) is errors.MALFORMED
    assert fault_of(start + b"rr", TIGHT, request=False) is errors.MALFORMED


@pytest.mark.parametrize("limits", [TIGHT, LimitsPolicy(line=200, head=160)])
def test_the_limit_of_a_head(limits: LimitsPolicy) -> None:
    fits = request(b"X: ".ljust(limits.head - len(request()) - 2, b"x"))
    assert len(fits) == limits.head
    assert HeadReader(limits, request=True).feed(fits) == (fits, b"")
    too_long = fits[:-4] + b"x\r\n\r\n"
    assert fault_of(too_long[:-1], limits) is None
    assert fault_of(too_long, limits) is errors.HEAD_TOO_LARGE
    assert fault_of(too_long[:-4].ljust(limits.head + 1, b"x"), limits) is errors.HEAD_TOO_LARGE
    answer = response(b"X: ".ljust(limits.head, b"x"))
    assert fault_of(answer[:-2], limits, request=False) is errors.MALFORMED


def test_a_fault_before_the_limit_wins() -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\nb".ljust(TIGHT.head + 1, b"x")
    assert fault_of(raw, TIGHT) is errors.HEADER


def test_a_fault_after_the_limit_does_not() -> None:
    raw = request()[:-2].ljust(TIGHT.head + 1, b"x") + b"\n"
    assert fault_of(raw, TIGHT) is errors.HEAD_TOO_LARGE


def test_a_body_is_no_part_of_the_head() -> None:
    raw = request(b"X: ".ljust(9000, b"x")) + b"body\nwith\rany\x00thing" * 9
    head, rest = HeadReader(LIMITS, request=True).feed(raw)
    assert head is not None
    assert rest.startswith(b"body\n")
    assert parse_request(head, LIMITS).host == b"a"


def test_a_long_head_byte_by_byte_takes_linear_time() -> None:
    """Each byte is looked at a bounded number of times; with a search from the start this would take minutes."""
    raw = request(*[b"X: ".ljust(500, b"x")] * 90)
    heads = [head for head, _ in map(HeadReader(LIMITS, request=True).feed, bytewise(raw)) if head is not None]
    assert heads == [raw]


def test_nothing_fed_is_nothing_read() -> None:
    reader = HeadReader(LIMITS, request=True)
    assert reader.feed(b"") == (None, b"")
    assert not reader.started
