"""Captures are bounded; two responses look equal only where no comparison could find a difference that counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadowproxy.http1 import parse_response
from shadowproxy.model.policy import LimitsPolicy
from shadowproxy.shadow.capture import Capture, looks_equal

LIMITS = LimitsPolicy()


def captured(
    fields: str = "", body: bytes = b"", status: int = 200, method: bytes = b"GET", limit: int = 100
) -> Capture:
    capture = Capture(100)
    capture.head = parse_response(f"HTTP/1.1 {status} X\r\n{fields}\r\n".encode(), method, LIMITS)
    if body:
        capture.add(body, 1000)
    return capture


@given(st.lists(st.binary(max_size=6000), max_size=30), st.integers(0, 20_000), st.integers(0, 20_000))
def test_no_more_than_limit_and_room_are_kept_and_what_is_kept_is_the_beginning(
    pieces: list[bytes], limit: int, room: int
) -> None:
    capture, whole = Capture(limit), b"".join(pieces)
    held = 0
    for piece in pieces:
        held += capture.add(piece, room - held)
    assert held == capture.size == len(capture.body())
    assert whole.startswith(capture.body())
    assert held == min(len(whole), limit, room)
    assert capture.truncated is (len(whole) > min(limit, room))
    assert isinstance(capture.body(), bytes)


def test_a_body_that_drips_in_is_kept_in_few_objects() -> None:
    capture = Capture(100_000)
    for _ in range(50_000):
        capture.add(b"x", 100_000)
    assert len(capture.pieces) <= 2
    assert capture.body() == b"x" * 50_000


def test_a_stream_past_its_limit_costs_nothing_more() -> None:
    capture = Capture(10)
    for _ in range(1000):
        capture.add(b"0123456789a", 100)
    assert len(capture.pieces) == 1


def test_what_goes_to_the_comparer_is_as_it_came() -> None:
    capture = captured("X-A: 1\r\nConnection: close\r\nContent-Length: 2\r\n", b"ok")
    frozen = capture.frozen()
    assert frozen is not None
    assert frozen.fields == [(b"X-A", b"1"), (b"Connection", b"close"), (b"Content-Length", b"2")]
    assert (frozen.status, frozen.body, frozen.truncated) == (200, b"ok", False)
    assert Capture(1).frozen() is None


EQUAL = [
    ("X-A: 1\r\nX-B: 2\r\n", "X-A: 1\r\nX-B: 2\r\n"),
    ("X-A: 1\r\nX-B: 2\r\n", "X-B: 2\r\nX-A: 1\r\n"),
    ("X-A: 1\r\n", "x-a:   1  \r\n"),
    ("Date: Mon\r\n", "Date: Tue\r\n"),
    ("Date: Mon\r\n", ""),
    ("Connection: close\r\n", "Connection: keep-alive\r\n"),
    ("Transfer-Encoding: chunked\r\n", "Content-Length: 4\r\n"),
    ("X-Request-Id: a\r\nAge: 3\r\n", "Via: 1.1 x\r\n"),
    ("Set-Cookie: a\r\nX-B: 2\r\nSet-Cookie: b\r\n", "X-B: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"),
]
UNEQUAL = [
    ("X-A: 1\r\n", "X-A: 2\r\n"),
    ("X-A: 1\r\n", ""),
    ("X-A: 1\r\n", "X-A: 1\r\nX-A: 1\r\n"),
    ("Set-Cookie: a\r\nSet-Cookie: b\r\n", "Set-Cookie: b\r\nSet-Cookie: a\r\n"),
    ("X-A: v\r\n", "X-A: V\r\n"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_what_differs_by_nature_or_order_of_names_is_equal(one: str, other: str) -> None:
    assert looks_equal(captured(one, b"body"), captured(other, b"body"))
    assert looks_equal(captured(other, b"body"), captured(one, b"body"))


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_values_repeats_and_their_order_count(one: str, other: str) -> None:
    assert not looks_equal(captured(one, b"body"), captured(other, b"body"))
    assert not looks_equal(captured(other, b"body"), captured(one, b"body"))


def test_status_and_body_count_and_how_the_body_was_split_does_not() -> None:
    assert not looks_equal(captured(status=200), captured(status=201))
    assert not looks_equal(captured(body=b"a"), captured(body=b"b"))
    split = captured()
    split.add(b"bo", 100)
    split.add(b"dy", 100)
    assert looks_equal(captured(body=b"body"), split)


def test_without_a_body_the_announced_length_counts() -> None:
    one, other = "Content-Length: 5\r\n", "Content-Length: 6\r\n"
    for method, status in ((b"HEAD", 200), (b"GET", 304)):
        same = captured(one, status=status, method=method)
        assert looks_equal(same, captured(one + "Date: x\r\n", status=status, method=method))
        assert not looks_equal(same, captured(other, status=status, method=method))
        assert not looks_equal(same, captured(status=status, method=method))


def test_what_is_cut_or_absent_is_never_equal() -> None:
    cut = captured(body=b"0123456789" * 11)
    assert cut.truncated
    assert not looks_equal(cut, captured(body=b"0123456789" * 11))
    assert not looks_equal(captured(), Capture(1))
    assert not looks_equal(Capture(1), captured())
